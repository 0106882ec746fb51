"""The training run: from a configuration and records to a model directory, resumable at any moment."""

import pathlib
from typing import Any

import tensorflow as tf
from absl import logging

from emr_ner_tf.config import ConfigDict, check_config
from emr_ner_tf.data.rejects import Rejects
from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.evaluation.scoring import score
from emr_ner_tf.models.builder import build_tagger
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.ner_pipeline import NerPipeline
from emr_ner_tf.models.resources import build_resources
from emr_ner_tf.training.batching import EpochPlan, plan_epoch
from emr_ner_tf.training.checkpoints import Checkpoints, Progress
from emr_ner_tf.training.dataset import check_mentions, training_records
from emr_ner_tf.training.examples import build_examples
from emr_ner_tf.training.failed_writes import failed_writes_named
from emr_ner_tf.training.input_pipeline import training_dataset, worker_shard
from emr_ner_tf.training.learning_curve import draw_learning_curve
from emr_ner_tf.training.loading import InProcessTagger
from emr_ner_tf.training.loop import run_epoch
from emr_ner_tf.training.model_dir import (
    HISTORY,
    METRICS,
    VERSIONS,
    check_resumable,
    check_same_settings,
    exclusive_lock,
    versions,
    write_json,
)
from emr_ner_tf.training.multi_worker import assert_workers_agree, broadcast_from_chief, report_lost_workers
from emr_ner_tf.training.optimization import build_optimizer
from emr_ner_tf.training.progress_log import ProgressLog, clock
from emr_ner_tf.training.stateless_dropout import make_dropout_stateless
from emr_ner_tf.training.strategies import build_strategy, is_chief_process
from emr_ner_tf.training.train_step import make_train_step

_EVENTS = "tensorboard"


def train(
    config: ConfigDict,
    model_dir: str,
    *,
    strategy_name: str = "one_device",
    rejects: Rejects | None = None,
) -> dict[str, Any]:
    """Trains, or goes on with the run that `model_dir` holds.

    Args:
        config: resolved; must equal the one that `model_dir` was begun with, but for how the run is watched.
        model_dir: takes `config.json`, the vocabulary, labels, checkpoints, `history.json`, `metrics.json`,
            `learning_curve.png` and TensorBoard's events.
        strategy_name: of `emr_ner_tf.training.strategies`.
        rejects: takes bad records; None raises at the first.

    Returns:
        What `metrics.json` says. `best` is the epoch whose weights are kept as the best: of equal validation F1 the
        later one, and without validation the last one, which then has no `f1`.

    Raises:
        UserError: a wrong value, record, encoder or model directory; a run there that cannot be resumed; another
            process at work there; a file that cannot be written; workers that do not agree, or the loss of one.
    """
    check_config(config)
    chief = is_chief_process(strategy_name)
    with exclusive_lock(model_dir, chief=chief), report_lost_workers():
        check_resumable(model_dir)
        check_same_settings(config, model_dir)
        if config.train.deterministic:
            tf.config.experimental.enable_op_determinism()
        tf.keras.utils.set_random_seed(config.train.seed)
        tf.keras.mixed_precision.set_global_policy(config.train.precision)
        strategy = build_strategy(strategy_name)
        return _Run(config, pathlib.Path(model_dir), strategy, chief, rejects).run()


class _Run:
    """One process's part of a run."""

    def __init__(
        self,
        config: ConfigDict,
        model_dir: pathlib.Path,
        strategy: tf.distribute.Strategy,
        chief: bool,
        rejects: Rejects | None,
    ) -> None:
        self.config = config
        self.model_dir = model_dir
        self.strategy = strategy
        self.chief = chief
        train_documents, validation, labels = training_records(config, rejects)
        self.validation = validation if check_mentions(config, train_documents, validation) else []
        resources = build_resources(config, train_documents)
        vocabulary = resources.vocabulary
        table = TagTable(labels, config.model.scheme)
        self.examples = build_examples(
            train_documents, vocabulary, table, window=config.text.window, slack=config.text.slack
        )
        digest = self.examples.digest(vocabulary.tokens, labels, resources.words, validation)
        assert_workers_agree(
            strategy,
            [digest, str(config)],
            "every worker must have the same records, lexicon and configuration",
        )
        self.plans: dict[int, EpochPlan] = {}
        steps = [len(self._plan(epoch).batches) for epoch in range(config.train.epochs)]
        self.total_steps = sum(steps)
        self.steps_before = [sum(steps[:epoch]) for epoch in range(len(steps))]
        with strategy.scope():
            self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
            definition = ModelDefinition(config, vocabulary, labels, words=resources.words)
            self.tagger, definition = build_tagger(definition, resources)
            encoder_variables, head_variables = self.tagger.encoder_and_head_variables()
            optimizer = build_optimizer(config, encoder_variables, head_variables, self.total_steps)
        make_dropout_stateless(self.tagger, seed=config.train.seed, step=self.step)
        element_spec = self._batches(self._plan(0).batches[:1]).element_spec
        self.train_step = make_train_step(
            self.tagger.scaled_loss,
            self.tagger.trainable_variables,
            optimizer,
            self.step,
            strategy,
            config.optimizer.clip_norm,
            element_spec,
        )
        self.in_process = InProcessTagger(NerPipeline(self.tagger, vocabulary, config))
        self.progress = Progress(digest)
        self.checkpoints = Checkpoints(model_dir, self.tagger, optimizer, self.step, self.progress)
        self.definition = definition
        counts = [sum(v.shape.num_elements() for v in vs) for vs in (encoder_variables, head_variables)]
        logging.info("%d trainable parameters: encoder %d, head %d", sum(counts), *counts)
        logging.info(
            "%d windows, %d characters; %d epochs, %d updates; %.1f %% of the first epoch is padding",
            len(self.examples.lengths),
            len(self.examples.token_ids),
            config.train.epochs,
            self.total_steps,
            100 * self._plan(0).padding_share,
        )

    def run(self) -> dict[str, Any]:
        """Trains to the end and returns the metrics."""
        progress = self.progress
        resumed = self.checkpoints.restore_last()
        state = (variable.numpy().tobytes() for variable in (self.step, *self.tagger.variables))
        assert_workers_agree(
            self.strategy,
            state,
            "every worker must have the same encoder, and --model_dir in a folder that all share",
        )
        if self.chief:
            # Only now: a run on other records is refused before it can touch what the old one wrote.
            self.checkpoints.tidy()
            if not resumed:
                with failed_writes_named(self.model_dir):
                    self.definition.save(self.model_dir)
                write_json(self.model_dir / VERSIONS, versions())
        if resumed:
            if progress.finished:
                logging.info("%s is finished; nothing to do", self.model_dir)
                return self._finish()
            logging.info("resumed at epoch %d, step %d", progress.epoch + 1, progress.step)
        log = ProgressLog(self.config.train.log_seconds, self.total_steps, self._global_step())
        writer = self._event_writer() if self.chief else None
        while not progress.finished:
            self._run_epoch(log)
            self._end_epoch(writer)
        return self._finish()

    def _plan(self, epoch: int) -> EpochPlan:
        if epoch not in self.plans:
            settings = self.config.train
            self.plans[epoch] = plan_epoch(
                self.examples.lengths,
                seed=settings.seed,
                epoch=epoch,
                batch_size=settings.batch_size,
                token_budget=settings.token_budget,
            )
        return self.plans[epoch]

    def _global_step(self) -> int:
        return self.steps_before[self.progress.epoch] + self.progress.step

    def _run_epoch(self, log: ProgressLog) -> None:
        progress, config = self.progress, self.config
        batches = self._plan(progress.epoch).batches
        run_epoch(
            self._batches(batches[progress.step :]),
            self.train_step,
            progress,
            log,
            first_step=self.steps_before[progress.epoch],
            epoch_steps=len(batches),
            epochs=config.train.epochs,
            save=self.checkpoints if self.chief else None,
            save_seconds=config.train.checkpoint_seconds,
        )

    def _batches(self, batches):
        return self.strategy.distribute_datasets_from_function(
            lambda context: training_dataset(
                self.examples, batches, pad_id=self.tagger.special.pad, **worker_shard(context)
            )
        )

    def _end_epoch(self, writer: tf.summary.SummaryWriter | None) -> None:
        progress, config = self.progress, self.config
        plan = self._plan(progress.epoch)
        entry: dict[str, Any] = {
            "epoch": progress.epoch + 1,
            "loss": progress.loss_sum / len(plan.batches),
            "losses": progress.losses(),
            "seconds": round(progress.seconds, 1),
            "padding_share": round(plan.padding_share, 4),
        }
        if self.validation:
            entry |= self._validate()
        progress.end_epoch(entry)
        best = progress.score_epoch(entry.get("f1"), int(self.step.numpy()))
        stopped = bool(config.train.patience) and progress.epochs_without_improvement >= config.train.patience
        progress.finished = stopped or progress.epoch == config.train.epochs
        if self.chief:
            # In this order: a run that is killed in between saves the best weights from the last state.
            self.checkpoints.save_last()
            if best:
                self.checkpoints.save_best()
            self._show(writer)
        f1 = f", validation F1 {entry['f1']:.4f}" if "f1" in entry else ""
        stop = (
            f"; stopped early, {progress.epochs_without_improvement} epochs without a better F1"
            if stopped
            else ""
        )
        logging.info(
            "epoch %d: loss %.3f%s, %s%s%s",
            entry["epoch"],
            entry["loss"],
            f1,
            clock(entry["seconds"]),
            " (best)" if best and f1 else "",
            stop,
        )

    def _validate(self) -> dict[str, float]:
        scores = [0.0, 0.0, 0.0]
        if self.chief:
            gold = self.validation
            found = list(self.in_process.annotate(gold))
            exact = score(gold, found, self.tagger.table.labels).exact.micro
            scores = [exact.precision, exact.recall, exact.f1]
        # What is decided by them must be decided alike on machines that round differently.
        return dict(
            zip(("precision", "recall", "f1"), broadcast_from_chief(self.strategy, scores), strict=True)
        )

    def _write_history(self) -> None:
        progress = self.progress
        write_json(self.model_dir / HISTORY, progress.history)
        path = self.model_dir / "learning_curve.png"
        with failed_writes_named(path):
            draw_learning_curve(progress.history, path, best_epoch=progress.best_epoch)

    def _event_writer(self) -> tf.summary.SummaryWriter:
        # Before the first epoch, which may take hours: a folder that cannot be written is found at once.
        folder = self.model_dir / _EVENTS
        with failed_writes_named(folder):
            return tf.summary.create_file_writer(str(folder))

    def _show(self, writer: tf.summary.SummaryWriter | None) -> None:
        self._write_history()
        entry = self.progress.history[-1]
        with failed_writes_named(self.model_dir / _EVENTS), writer.as_default(step=entry["epoch"]):
            for name, value in entry.items():
                if name not in ("epoch", "losses"):
                    tf.summary.scalar(name, value)
            writer.flush()

    def _finish(self) -> dict[str, Any]:
        history = self.progress.history
        best = history[self.progress.best_epoch - 1]
        metrics = {
            "epochs": len(history),
            "best": best,
            "training_seconds": round(sum(entry["seconds"] for entry in history), 1),
            "parameters": sum(v.shape.num_elements() for v in self.tagger.trainable_variables),
            "updates": int(self.step.numpy()),
            "replicas": self.strategy.num_replicas_in_sync,
            "device": "GPU" if tf.config.list_physical_devices("GPU") else "CPU",
        }
        if self.chief:
            # Again, since a process may have died between the last checkpoint and these files.
            self._write_history()
            write_json(self.model_dir / METRICS, metrics)
        # No worker says that it is done before all is written.
        broadcast_from_chief(self.strategy, [0.0])
        return metrics
