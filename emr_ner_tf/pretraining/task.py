"""The common part of the pre-training tasks: measurement on held-out text, and an encoder as the result."""

import abc
import os
from collections.abc import Mapping, Sequence
from typing import Any

from emr_ner_tf.data.output_folders import check_output_folder
from emr_ner_tf.errors import UserError
from emr_ner_tf.pretraining.corpus import Corpus
from emr_ner_tf.training.failed_writes import failed_writes_named
from emr_ner_tf.training.task import Epoch, Task

_FIGURES = "held"
# An epoch without training, which measures the model before it has learned from the text.
BEFORE = Epoch("before", 0, lambda taken: (), lambda batch: batch, {"name": "before"})


class PretrainingTask(Task):
    """A language model that is trained on passages and measured on held-out ones.

    Attributes:
        facts: entries of `metrics.json` in addition to the figures.
    """

    facts: dict[str, Any]

    def __init__(self, corpus: Corpus, output: str) -> None:
        self._output = output
        self.facts = dict(corpus.facts)

    def evaluate(self) -> dict[str, Any]:
        """Measures the model on the held-out passages."""
        return {_FIGURES: self.measure()}

    @abc.abstractmethod
    def measure(self) -> dict[str, float]:
        """Returns the figures of the held-out passages by name."""

    def describe(self, entry: Mapping[str, Any]) -> str:
        """Returns every figure as text."""
        figures = ", ".join(f"{name} {value:.4f}" for name, value in entry[_FIGURES].items())
        return f"held-out passages: {figures}"

    def finish(self, history: Sequence[Mapping[str, Any]], best_epoch: int) -> None:
        """Writes the encoder."""
        with failed_writes_named(self._output):
            self.save_result(self._output)

    @abc.abstractmethod
    def save_result(self, output: str) -> None:
        """Writes the result for a tagger, in the Hugging Face layout."""

    def metrics(self, history: Sequence[Mapping[str, Any]], best_epoch: int) -> dict[str, Any]:
        """Returns the first and the last figures, the number of measured epochs of training, and the facts."""
        figures = [entry[_FIGURES] for entry in history if _FIGURES in entry]
        return {"before": figures[0], "after": figures[-1], "epochs": len(figures) - 1} | self.facts


def check_output(output: str, model_dir: str) -> None:
    """Checks, before hours of work, that the result can be written and does not overwrite a run.

    Raises:
        UserError: it is the directory of this run or of another one, since a run and a result both have a
            `config.json`; or the directory cannot be created.
    """
    if os.path.realpath(output) == os.path.realpath(model_dir):
        raise UserError(f"--output must be another directory than --model_dir, got {output} for both")
    if os.path.exists(os.path.join(output, "checkpoints")):
        raise UserError(
            f"--output must be a directory without `checkpoints`, got {output}, which holds a run; name another"
        )
    check_output_folder(output, "--output")
