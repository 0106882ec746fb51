"""Unlabelled passages as training windows whose targets are the marginals of another model, its teacher.

Running the teacher takes far longer than reading its answers, so they are saved in the model directory, where a
resumed run reads them.
"""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf
from absl import logging

from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.errors import UserError
from emr_ner_tf.layers.crf_ops import FORBIDDEN, Potentials, viterbi
from emr_ner_tf.log_interval import LogInterval
from emr_ner_tf.progress_bar import ProgressBar
from emr_ner_tf.text.packing import map_by_length
from emr_ner_tf.text.vocabulary import Vocabulary
from emr_ner_tf.training.examples import Examples, build_examples
from emr_ner_tf.training.failed_writes import failed_writes_named

# Number of passages whose marginals are in one file, and number of characters in one call of the teacher.
_PASSAGES, _CHARACTERS = 512, 16_384
_SMALLEST = 1e-9
_LOG_SECONDS = 10.0


class Teacher(Protocol):
    """A model whose marginals are the targets.

    Attributes:
        name: name of the model.
        tags: strings of its tags, by id.
    """

    @property
    def name(self) -> str:
        """Name of the model."""
        ...

    tags: Sequence[str]

    def marginals(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Returns the probability of each tag at each character, float32 [T, K] for each text."""
        ...


def soft_examples(
    teacher: Teacher,
    passages: Sequence[str],
    vocabulary: Vocabulary,
    table: TagTable,
    folder: str | os.PathLike[str],
    *,
    window: int,
    slack: int,
) -> Examples:
    """Cuts passages into training windows with the teacher's marginals as targets.

    Args:
        teacher: a model with the tags of `table`.
        passages: texts of any length.
        vocabulary: vocabulary of the student's encoder.
        table: the tags.
        folder: folder in which the teacher's answers are saved.
        window: as in `build_examples`.
        slack: as in `build_examples`.

    Returns:
        Windows whose tags are the teacher's most probable legal path and whose `targets` are its marginals.

    Raises:
        UserError: the teacher has other tags, or `folder` cannot be written.
    """
    if tuple(teacher.tags) != tuple(table.tags):
        raise UserError(
            "config.distillation.teacher must have the tags of this model (config.data.labels, config.model.scheme), "
            f"got {', '.join(teacher.tags)} for {', '.join(table.tags)}"
        )
    folder, interval = pathlib.Path(folder), LogInterval(_LOG_SECONDS)
    documents, targets = [], []
    with ProgressBar("teacher", len(passages), unit="passages") as bar:
        for first in range(0, len(passages), _PASSAGES):
            part = passages[first : first + _PASSAGES]
            marginals = _kept(folder, teacher, part)
            documents += [
                Document(str(first + i), text, entities)
                for i, (text, entities) in enumerate(zip(part, _entities(marginals, table), strict=True))
            ]
            targets += marginals
            bar.advance(len(part))
            if interval.due() is not None and not bar.is_shown:
                logging.info("teacher: %d of %d passages", len(documents), len(passages))
    examples = build_examples(documents, vocabulary, table, window=window, slack=slack)
    # The windows of a record are consecutive and do not overlap, so its targets need no cutting.
    return dataclasses.replace(examples, targets=np.concatenate(targets))


def _kept(folder: pathlib.Path, teacher: Teacher, texts: Sequence[str]) -> list[np.ndarray]:
    """Returns the teacher's marginals, float16, from their file if it exists."""
    digest = hashlib.sha256(repr((teacher.name, list(texts))).encode("utf-8", "backslashreplace"))
    path = folder / f"{digest.hexdigest()[:32]}.npy"
    lengths = [len(text) for text in texts]
    if path.exists():
        joined = _read(path, sum(lengths))
    else:
        folder.mkdir(parents=True, exist_ok=True)
        found = map_by_length(
            lambda members: teacher.marginals([texts[i] for i in members]), lengths, budget=_CHARACTERS
        )
        joined = np.concatenate(found).astype(np.float16)
        with failed_writes_named(path), atomic_writer(path, "wb") as file:
            np.save(file, joined)
    return np.split(joined, np.cumsum(lengths)[:-1])


def _read(path: pathlib.Path, characters: int) -> np.ndarray:
    try:
        joined = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cut off or damaged; remove it, and the teacher is run again") from error
    if joined.ndim != 2 or len(joined) != characters:
        raise UserError(
            f"{path}: must hold a row for each of {characters} characters, got {list(joined.shape)}; remove it, and "
            "the teacher is run again"
        )
    return joined


def _entities(marginals: Sequence[np.ndarray], table: TagTable) -> Iterator[tuple[Entity, ...]]:
    """Yields the mentions of each text's most probable legal path; a path is scored by the marginals of its tags."""
    allowed = (
        tf.where(flags, 0.0, FORBIDDEN) for flags in (table.allowed, table.allowed_start, table.allowed_end)
    )
    scores = [np.log(np.maximum(values.astype(np.float32), _SMALLEST)) for values in marginals]
    lengths = tf.constant([len(values) for values in scores], tf.int32)
    rows = tf.RaggedTensor.from_row_lengths(np.concatenate(scores), lengths).to_tensor()
    tag_ids = viterbi(Potentials(rows, lengths, *allowed))[0].numpy()
    for row, length in zip(tag_ids, lengths.numpy(), strict=True):
        yield tuple(Entity(*span) for span in table.decode(row[:length].tolist()))
