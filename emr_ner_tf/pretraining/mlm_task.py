"""Domain pre-training: masked characters and next sentences, continued from any encoder of BERT's kind."""

import hashlib
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import logging

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.encoders.loading import load_encoder, load_vocabulary
from emr_ner_tf.encoders.saving import save_encoder
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.tagger import SpecialTokens
from emr_ner_tf.pretraining.corpus import Text, build_text
from emr_ner_tf.pretraining.head_weights import head_weights, read_heads
from emr_ner_tf.pretraining.masking import NO_LABEL
from emr_ner_tf.pretraining.mlm_dataset import pretraining_dataset
from emr_ner_tf.pretraining.model import PretrainingModel, Sums
from emr_ner_tf.pretraining.passage_selection import gather_passages
from emr_ner_tf.pretraining.rng import HELDOUT
from emr_ner_tf.pretraining.run import Epoch, Task, check_output, run
from emr_ner_tf.pretraining.settings import check_pretrain_config, pretrain_config
from emr_ner_tf.training.batching import plan_epoch
from emr_ner_tf.training.failed_writes import failed_writes_named
from emr_ner_tf.training.input_pipeline import worker_shard
from emr_ner_tf.training.optimization import build_optimizer
from emr_ner_tf.training.stateless_dropout import make_dropout_stateless
from emr_ner_tf.training.train_step import make_train_step

_ARCHITECTURE = "BertForPreTraining"


def pretrain(
    config: ConfigDict, model_dir: str, output: str, *, strategy_name: str = "one_device"
) -> dict[str, object]:
    """Adapts an encoder to unlabelled text, or goes on with the run that `model_dir` holds.

    Args:
        config: resolved; must equal the one that `model_dir` was begun with.
        model_dir: as `emr_ner_tf.pretraining.run.run` describes it.
        output: takes the adapted encoder with its heads, in the Hugging Face layout, at the end.
        strategy_name: of `emr_ner_tf.training.strategies`.

    Returns:
        What `metrics.json` says.

    Raises:
        UserError: a wrong value, file, encoder or model directory; too little text.
    """
    check_pretrain_config(config)
    check_output(output, model_dir)
    if not config.encoder:
        raise UserError(
            "config.encoder must name a directory or a hub name in the Hugging Face layout "
            "(for example --config.encoder=hfl/chinese-roberta-wwm-ext), got ''"
        )
    if os.path.realpath(output) == os.path.realpath(config.encoder):
        raise UserError(f"--output must be another directory than config.encoder, got {output} for both")
    return run(
        config,
        model_dir,
        lambda strategy: _Pretraining(config, output, strategy).task(),
        base=pretrain_config,
        strategy_name=strategy_name,
    )


class _Pretraining:
    """The parts of a task, made under a strategy."""

    def __init__(self, config: ConfigDict, output: str, strategy: tf.distribute.Strategy) -> None:
        self.config = config
        self.output = output
        self.strategy = strategy
        passages = gather_passages(config.data, config.train.seed)
        own = load_vocabulary(config.encoder)
        self.vocabulary = own.extended(passages.train) if config.text.extend_vocabulary else own
        self.special = SpecialTokens(self.vocabulary.pad_id, self.vocabulary.cls_id, self.vocabulary.sep_id)
        self.text, self.heldout = (
            build_text(part, self.vocabulary, size=config.text.window, whole_words=config.masking.whole_words)
            for part in (passages.train, passages.heldout)
        )
        with strategy.scope():
            self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
            encoder = load_encoder(config.encoder, vocabulary=self.vocabulary, backend=config.encoder_backend)
            if config.text.window + 3 > encoder.max_positions:
                raise UserError(
                    f"config.text.window must be at most {encoder.max_positions - 3}, the encoder's "
                    f"{encoder.max_positions} positions less [CLS] and two [SEP], got {config.text.window}"
                )
            self.model = PretrainingModel(encoder, config.train.seed)
            self.fresh = read_heads(self.model, config.encoder, own)
        make_dropout_stateless(self.model, seed=config.train.seed, step=self.step)
        self.heldout_batches = self._batches(self.heldout, HELDOUT, self._plan(self.heldout, HELDOUT))
        self.sum_step = self._make_sum_step()
        heldout_seed = {"seed": config.train.seed, "epoch": HELDOUT}
        heldout_labels = self.heldout.masked(rate=config.masking.rate, **heldout_seed).labels
        heldout_pairs = self.heldout.pairs(size=config.text.window, **heldout_seed)
        self.facts = {
            "passages": len(passages.train) + len(passages.heldout),
            "left_out": passages.left_out,
            "held_out": len(passages.heldout),
            "held_masked": int((heldout_labels != NO_LABEL).sum()),
            "held_pairs": int((heldout_pairs.other >= 0).sum()),
            "characters": len(self.text.token_ids) + len(self.heldout.token_ids),
            "windows": len(self.text.windows.first),
            "added_tokens": len(self.vocabulary.added),
        }

    def task(self) -> Task:
        """Returns the task: the heads that begin anew with the encoder frozen, then everything."""
        settings = self.config.train
        heads: list[list[np.ndarray]] = []
        left = settings.head_steps if self.fresh else 0
        while left:
            heads.append(self._plan(self.text, len(heads))[:left])
            left -= len(heads[-1])
        wholes = [self._plan(self.text, len(heads) + i) for i in range(settings.epochs)]
        variables = self.model.trainable_variables
        with self.strategy.scope():
            head_optimizer = build_optimizer(self.config, [], self.fresh, sum(map(len, heads)))
            optimizer = build_optimizer(self.config, variables, [], sum(map(len, wholes)))
        head_step, whole_step = (
            self._train_step(trained, by)
            for trained, by in ((self.fresh, head_optimizer), (variables, optimizer))
        )
        logging.info(
            "%d windows of %d characters; heads alone: %d updates; all %d parameters: %d updates; "
            "%d characters take rows of the vocabulary",
            self.facts["windows"],
            len(self.text.token_ids),
            sum(map(len, heads)),
            sum(v.shape.num_elements() for v in variables),
            sum(map(len, wholes)),
            self.facts["added_tokens"],
        )
        warm_up = [
            Epoch(f"heads {i + 1}/{len(heads)}", len(plan), self._batches_of(i, plan), head_step)
            for i, plan in enumerate(heads)
        ]
        epochs = [
            Epoch(
                f"epoch {i + 1}/{len(wholes)}", len(plan), self._batches_of(len(heads) + i, plan), whole_step
            )
            for i, plan in enumerate(wholes)
        ]
        return Task(
            model=self.model,
            optimizer=tf.train.Checkpoint(heads=head_optimizer, all=optimizer),
            step=self.step,
            digest=hashlib.sha256((self.text.digest() + self.heldout.digest()).encode()).hexdigest(),
            warm_up=warm_up,
            epochs=epochs,
            evaluate=self._evaluate,
            save=self._save,
            facts=self.facts,
        )

    def _plan(self, text: Text, epoch: int) -> list[np.ndarray]:
        settings = self.config.train
        lengths = text.pairs(size=self.config.text.window, seed=settings.seed, epoch=epoch).lengths
        plan = plan_epoch(
            lengths, seed=settings.seed, epoch=epoch, batch_size=1, token_budget=settings.token_budget
        )
        return list(plan.batches)

    def _batches_of(
        self, epoch: int, plan: list[np.ndarray]
    ) -> Callable[[int], tf.distribute.DistributedDataset]:
        return lambda first_step: self._batches(self.text, epoch, plan[first_step:])

    def _batches(self, text: Text, epoch: int, plan: list[np.ndarray]) -> tf.distribute.DistributedDataset:
        seed = self.config.train.seed
        masked = text.masked(rate=self.config.masking.rate, seed=seed, epoch=epoch)
        pairs = text.pairs(size=self.config.text.window, seed=seed, epoch=epoch)
        return self.strategy.distribute_datasets_from_function(
            lambda context: pretraining_dataset(masked, pairs, plan, self.special, **worker_shard(context))
        )

    def _train_step(self, variables: list[tf.Variable], optimizer):
        return make_train_step(
            self.model.scaled_loss,
            variables,
            optimizer,
            self.step,
            self.strategy,
            self.config.optimizer.clip_norm,
            self.heldout_batches.element_spec,
        )

    def _make_sum_step(self) -> Callable[..., tf.Tensor]:
        def measure(*batch):
            *inputs, _, _ = batch
            return tf.stack(self.model.sums(*inputs))

        @tf.function(input_signature=[self.heldout_batches.element_spec])
        def sum_step(batch):
            sums = self.strategy.run(measure, args=batch)
            return self.strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)

        return sum_step

    def _evaluate(self) -> dict[str, float]:
        totals = sum(self.sum_step(batch).numpy().astype(np.float64) for batch in self.heldout_batches)
        sums = Sums(*totals.tolist())
        figures = {
            "mlm_loss": sums.mlm_loss / max(sums.mlm_count, 1.0),
            "mlm_accuracy": sums.mlm_hits / max(sums.mlm_count, 1.0),
        }
        if sums.nsp_count:
            figures["nsp_loss"] = sums.nsp_loss / sums.nsp_count
            figures["nsp_accuracy"] = sums.nsp_hits / sums.nsp_count
        return figures

    def _save(self) -> None:
        encoder = self.model.encoder
        with failed_writes_named(self.output):
            save_encoder(
                encoder,
                self.vocabulary,
                self.output,
                heads=head_weights(self.model),
                architecture=_ARCHITECTURE if encoder.prefix == "bert" else None,
            )
