"""A process with two logical CPUs: a row's step on both and on one, then training until eight records are known."""

import dataclasses
import functools
import pathlib
import tempfile
from typing import Any

import numpy as np
import tensorflow as tf
from row_harness import build, tiny_config
from workers import serve

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.labels import CCKS2019_LABELS
from emr_ner_tf.data.synthetic.generator import generate
from emr_ner_tf.evaluation.scoring import score
from emr_ner_tf.models.ner_pipeline import NerPipeline
from emr_ner_tf.training.examples import build_examples
from emr_ner_tf.training.input_pipeline import DistributedBatches, training_dataset
from emr_ner_tf.training.learning_rates import learning_rates
from emr_ner_tf.training.loading import InProcessTagger
from emr_ner_tf.training.optimization import build_optimizer
from emr_ner_tf.training.strategies import build_strategy
from emr_ner_tf.training.train_step import make_train_step

LABELS = tuple(CCKS2019_LABELS)
_WINDOW = 96
_MAX_STEPS = 500


def _first_sentence(document: Document) -> Document:
    end = document.text.index("。") + 1
    entities = tuple(entity for entity in document.entities if entity.end <= end)
    return dataclasses.replace(document, text=document.text[:end], entities=entities)


RECORDS = [_first_sentence(document) for document in generate("train", records=8, seed=3)]


class Run:
    """A row's model on a strategy.

    Attributes:
        tagger: the model.
        definition: its own.
        train_step: takes a batch of `batch`.
    """

    def __init__(self, strategy: tf.distribute.Strategy, config: ConfigDict) -> None:
        self._strategy = strategy
        with strategy.scope():
            step = tf.Variable(0, dtype=tf.int64, trainable=False)
            self.tagger, self.definition = build(config, RECORDS, LABELS)
            rates = learning_rates(self.tagger, config.optimizer)
            optimizer = build_optimizer(config.optimizer, rates, _MAX_STEPS, config.train.precision)
        self._examples = build_examples(
            RECORDS, self.definition.vocabulary, self.tagger.table, window=_WINDOW, slack=4
        )
        self.train_step = make_train_step(
            self.tagger.scaled_loss,
            self.tagger.trainable_variables,
            optimizer,
            step,
            strategy,
            config.optimizer.clip_norm,
            self._batches(8).element_spec,
        )

    def batch(self, records: int) -> Any:
        """Returns the first records, each replica's share of them."""
        return next(iter(self._batches(records)))

    def weights(self) -> list[np.ndarray]:
        """Returns the trainable weights."""
        return [variable.numpy() for variable in self.tagger.trainable_variables]

    def f1(self, config: ConfigDict) -> float:
        """Returns exact F1 on the records."""
        texts = InProcessTagger(NerPipeline(self.tagger, self.definition.vocabulary, config.text))
        return score(RECORDS, list(texts.annotate(RECORDS)), LABELS).exact.micro.f1

    def _batches(self, records: int) -> DistributedBatches:
        return DistributedBatches(
            self._strategy,
            functools.partial(
                training_dataset, self._examples, [np.arange(records)], pad_id=self.tagger.special.pad
            ),
        )


def compare_and_overfit(row: str) -> dict[str, Any]:
    """Takes a step with each number of replicas, then trains the single one on eight records.

    Returns:
        `replicas`; `before`, `one`, `two`: weights; `steps` taken, and `f1` after them.
    """
    tf.config.run_functions_eagerly(False)
    with tempfile.TemporaryDirectory() as folder:
        config = tiny_config(row, pathlib.Path(folder), window=_WINDOW)
        config.optimizer.encoder_rate = config.optimizer.head_rate = 4e-2
        config.optimizer.clip_norm = 5.0
        config.optimizer.decay = "linear"
        # Adam divides by the gradient's own size: else rounding near zero would move a weight by a whole step.
        config.optimizer.epsilon = 1e-3
        one, two = Run(ONE, config), Run(TWO, config)
    before = two.weights()
    for variable, value in zip(one.tagger.trainable_variables, before, strict=True):
        variable.assign(value)
    # The two replicas' step eagerly: each of them would be traced.
    tf.config.run_functions_eagerly(True)
    # Three records, so that shares differ in size.
    two.train_step(two.batch(3))
    tf.config.run_functions_eagerly(False)
    one.train_step(one.batch(3))
    answer = {"replicas": TWO.num_replicas_in_sync, "before": before}
    answer |= {"one": one.weights(), "two": two.weights()}
    batch = one.batch(8)
    loss, steps = np.inf, 0
    # The mean of eight: each record's own path has more than half of the probability long before.
    while loss > 0.04 and steps < _MAX_STEPS:
        loss = float(one.train_step(batch)[0])
        steps += 1
    tf.config.run_functions_eagerly(True)
    return answer | {"steps": steps, "f1": one.f1(config)}


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    # Once: another mirrored strategy of the same process would number its reductions as this one does.
    ONE, TWO = build_strategy("one_device"), build_strategy("mirrored")
    serve(compare_and_overfit)
