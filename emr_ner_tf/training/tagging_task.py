"""The tagger as a task: annotated records, windows of them, validation by exact-match F1."""

import functools
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.rejects import Rejects
from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.evaluation.html_report import Source, html_report
from emr_ner_tf.evaluation.scoring import score
from emr_ner_tf.log_interval import LogInterval
from emr_ner_tf.models.builder import build_tagger, check_model
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.ner_pipeline import NerPipeline
from emr_ner_tf.models.resources import Resources, build_resources, unlabelled_passages
from emr_ner_tf.training.adversarial import AdversarialEmbeddings
from emr_ner_tf.training.averaging import AveragedWeights, averages_in_place
from emr_ner_tf.training.batching import EpochPlan, plan_epoch
from emr_ner_tf.training.checkpoints import BEST, restore_weights
from emr_ner_tf.training.dataset import check_mentions, training_records
from emr_ner_tf.training.examples import Examples, build_examples, join_with_soft
from emr_ner_tf.training.failed_writes import failed_writes_named
from emr_ner_tf.training.input_pipeline import DistributedBatches, training_dataset
from emr_ner_tf.training.learning_curve import draw_learning_curve
from emr_ner_tf.training.learning_rates import learning_rates
from emr_ner_tf.training.loading import InProcessTagger
from emr_ner_tf.training.multi_worker import broadcast_from_chief
from emr_ner_tf.training.optimization import build_optimizer
from emr_ner_tf.training.random_cuts import RandomCuts
from emr_ner_tf.training.soft_targets import Teacher, soft_examples
from emr_ner_tf.training.stateless_dropout import make_dropout_stateless
from emr_ner_tf.training.task import Epoch, Task
from emr_ner_tf.training.train_step import make_train_step

# Minimum time between two pictures in a run with short epochs; the last picture is always drawn.
_CURVE_SECONDS = 10.0
_EVENTS, _CURVE, _TEACHER = "tensorboard", "learning_curve.png", "teacher"
_REPORT = "validation_report.html"
# Larger than the length of any record.
_WHOLE = 2**31 - 1


class TaggingData(NamedTuple):
    """The data on which a tagger is trained and validated.

    Attributes:
        examples: function that returns an epoch's windows of the training records, then those of unlabelled passages
            with a teacher's targets. Epochs are counted from 0; in each, a record has as many windows.
        annotated: the number of windows of the training records.
        validation: records by which epochs are compared; none if they hold no mention.
        labels: labels of the mentions, in the order of their tags.
        resources: vocabulary, words and vectors.
        digest: digest of all of these.
    """

    examples: Callable[[int], Examples]
    annotated: int
    validation: Sequence[Document]
    labels: tuple[str, ...]
    resources: Resources
    digest: str


def read_tagging_data(
    config: ConfigDict,
    model_dir: str | os.PathLike[str],
    rejects: Rejects | None,
    teacher: Teacher | None = None,
) -> TaggingData:
    """Reads what a configuration names.

    Args:
        config: the whole configuration.
        model_dir: model directory, in which the teacher's answers are saved.
        rejects: receives bad records; None raises at the first one.
        teacher: gives targets for the passages of `config.data.unlabelled`.

    Raises:
        UserError: as `training_records`, `check_model`, `check_mentions`, `build_resources` and `soft_examples`.
    """
    training, validation, labels = training_records(config.data, config.train.seed, rejects)
    check_model(config)
    scored = check_mentions(config.data, training, validation, patience=config.train.patience)
    # The seed selects the validation records. They get rows in the vocabulary, too, so that models of several seeds
    # have the same vocabulary and can be exported as an ensemble.
    resources = build_resources(config, training, () if config.data.validation else validation)
    vocabulary, table = resources.vocabulary, TagTable(labels, config.model.scheme)
    cut = {"window": config.text.window, "slack": config.text.slack}
    # With random cuts, each record is one window until an epoch cuts it.
    first_cut = {"window": _WHOLE, "slack": 0} if config.train.random_cuts else cut
    examples = build_examples(training, vocabulary, table, **first_cut)
    certain = len(examples.token_ids)
    if teacher is not None:
        passages = list(unlabelled_passages(config.data))
        folder = pathlib.Path(model_dir) / _TEACHER
        soft = soft_examples(teacher, passages, vocabulary, table, folder, **first_cut)
        examples = join_with_soft(examples, soft)
    digest = examples.digest(vocabulary.tokens, labels, resources.words, validation)
    cuts = None
    if config.train.random_cuts:
        cuts = RandomCuts(examples, vocabulary, table, certain=certain, **cut)

    def examples_of(epoch: int) -> Examples:
        return examples if cuts is None else cuts.draw(config.train.seed, epoch)

    annotated = int(np.searchsorted(examples_of(0).offsets, certain))
    return TaggingData(examples_of, annotated, validation if scored else [], labels, resources, digest)


class TaggingTask(Task):
    """A tagger with its optimizer and epochs; built under a strategy."""

    best_by = "f1"

    def __init__(
        self,
        data: TaggingData,
        config: ConfigDict,
        model_dir: str | os.PathLike[str],
        strategy: tf.distribute.Strategy,
    ) -> None:
        self._model_dir = pathlib.Path(model_dir)
        settings, vocabulary = config.train, data.resources.vocabulary
        self.patience = settings.patience
        self._curve_interval = LogInterval(_CURVE_SECONDS)
        self._data, self._strategy = data, strategy
        plans = [
            plan_epoch(
                data.examples(epoch).lengths,
                seed=settings.seed,
                epoch=epoch,
                batch_size=settings.batch_size,
                token_budget=settings.token_budget,
                always=data.annotated,
                drawn=round(config.distillation.ratio * data.annotated),
            )
            for epoch in range(settings.epochs)
        ]
        updates = sum(len(plan.batches) for plan in plans)
        with strategy.scope():
            self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
            definition = ModelDefinition(config, vocabulary, data.labels, words=data.resources.words)
            self.model, self._definition = build_tagger(definition, data.resources)
            rates = learning_rates(self.model, config.optimizer)
            self.optimizer = build_optimizer(config.optimizer, rates, updates, settings.precision)
            if settings.average_decay:
                self.averages = AveragedWeights(self.model.trainable_variables, settings.average_decay)
        make_dropout_stateless(self.model, seed=settings.seed, step=self.step)
        self.epochs = self._epochs(plans, config.optimizer.clip_norm, settings.adversarial_norm)
        self._annotator = InProcessTagger(NerPipeline(self.model, vocabulary, config.text))
        counts = [
            sum(v.shape.num_elements() for v in variables)
            for variables in self.model.encoder_and_head_variables()
        ]
        logging.info("%d trainable parameters: encoder %d, head %d", sum(counts), *counts)
        first = data.examples(0)
        logging.info(
            "%d windows, %d characters; %d epochs, %d updates; %.1f %% of the first epoch is padding",
            len(first.lengths),
            len(first.token_ids),
            len(plans),
            updates,
            100 * plans[0].padding_share,
        )

    def begin(self, *, resumed: bool) -> None:
        """Writes the definition of the model, and opens the file of TensorBoard's events."""
        if not resumed:
            with failed_writes_named(self._model_dir):
                self._definition.save(self._model_dir)
        # Opened before the first epoch, which may take hours, so that a folder that cannot be written is found at once.
        with failed_writes_named(self._model_dir / _EVENTS):
            self._events = tf.summary.create_file_writer(str(self._model_dir / _EVENTS))

    def evaluate(self) -> dict[str, Any]:
        """Scores the validation records, if there are any: precision, recall and F1 of exact matches."""
        gold, scores = self._data.validation, [0.0, 0.0, 0.0]
        if not gold:
            return {}
        if self._strategy.extended.should_checkpoint:
            with averages_in_place(self.averages):
                found = list(self._annotator.annotate(gold))
            exact = score(gold, found, self._data.labels).exact.micro
            scores = [exact.precision, exact.recall, exact.f1]
        # The chief's scores, so that decisions by them are the same on machines that round differently.
        scores = broadcast_from_chief(self._strategy, scores)
        return dict(zip(("precision", "recall", "f1"), scores, strict=True))

    def describe(self, entry: Mapping[str, Any]) -> str:
        """Returns the F1 as text."""
        return f"validation F1 {entry['f1']:.4f}"

    def show(self, history: Sequence[Mapping[str, Any]], best_epoch: int) -> None:
        """Draws the learning curve, unless it was drawn recently, and writes TensorBoard's events."""
        if self._curve_interval.due() is not None:
            self._draw(history, best_epoch)
        entry = history[-1]
        with (
            failed_writes_named(self._model_dir / _EVENTS),
            self._events.as_default(step=entry["epoch"]),
        ):
            for name, value in entry.items():
                if name not in ("epoch", "losses"):
                    tf.summary.scalar(name, value)
            self._events.flush()

    def finish(self, history: Sequence[Mapping[str, Any]], best_epoch: int) -> None:
        """Draws the learning curve again, and writes the small report of the best epoch on the validation records."""
        self._draw(history, best_epoch)
        gold, path = self._data.validation, self._model_dir / _REPORT
        if not gold or path.exists():
            return
        with failed_writes_named(path):
            restore_weights(self.model, self._model_dir, BEST)
            found = list(self._annotator.annotate(gold))
            source = Source("the validation part", f"{self._model_dir.name}, epoch {best_epoch}")
            report = score(gold, found, self._data.labels)
            with atomic_writer(path) as file:
                file.write(html_report(gold, found, report, source, redact=True, tables_only=True))

    def metrics(self, history: Sequence[Mapping[str, Any]], best_epoch: int) -> dict[str, Any]:
        """Returns the entry of the best epoch as `best`."""
        return {"best": history[best_epoch - 1]}

    def _epochs(self, plans: Sequence[EpochPlan], clip_norm: float, adversarial_norm: float) -> list[Epoch]:
        train_step = make_train_step(
            self.model.scaled_loss,
            self.model.trainable_variables,
            self.optimizer,
            self.step,
            self._strategy,
            clip_norm,
            self._batches(0, plans[0].batches[:1]).element_spec,
            averages=self.averages,
            adversarial=self._adversarial(adversarial_norm),
        )
        return [
            Epoch(
                name=f"epoch {epoch + 1}/{len(plans)}",
                steps=len(plan.batches),
                batches=lambda taken, epoch=epoch, plan=plan: self._batches(epoch, plan.batches[taken:]),
                train_step=train_step,
                entry={"epoch": epoch + 1, "padding_share": round(plan.padding_share, 4)},
            )
            for epoch, plan in enumerate(plans)
        ]

    def _adversarial(self, norm: float) -> AdversarialEmbeddings | None:
        return AdversarialEmbeddings(self.model.encoder.token_embedding(), norm) if norm else None

    def _batches(self, epoch: int, batches: Sequence[np.ndarray]) -> DistributedBatches:
        examples = self._data.examples(epoch)
        return DistributedBatches(
            self._strategy,
            functools.partial(training_dataset, examples, batches, pad_id=self.model.special.pad),
        )

    def _draw(self, history: Sequence[Mapping[str, Any]], best_epoch: int) -> None:
        path = self._model_dir / _CURVE
        with failed_writes_named(path):
            draw_learning_curve(history, path, best_epoch=best_epoch)
