"""Finds the places where training cuts records into windows."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from emr_ner_tf.data.document import Document
from emr_ner_tf.text.vocabulary import Vocabulary
from emr_ner_tf.text.windows import Windows, plan_windows

_NEEDED = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def cut_places(documents: Sequence[Document], *, window: int, slack: int) -> list[list[int]]:
    """Returns where training cuts records: after punctuation that is not inside a mention, if it is near enough.

    Args:
        documents: annotated records.
        window: maximum number of characters in a window.
        slack: maximum number of characters by which a cut moves to follow punctuation.

    Returns:
        For each record, the position of the first character after each cut.
    """
    characters = sorted(set().union(*(document.text for document in documents)))
    breaks = Vocabulary((*_NEEDED, *characters)).break_table()[len(_NEEDED) :]
    ends_clause = dict(zip(characters, breaks.tolist(), strict=True))
    longest = max((len(document.text) for document in documents), default=0)
    breakable = np.zeros([len(documents), longest], bool)
    for row, document in enumerate(documents):
        breakable[row, : len(document.text)] = [ends_clause[character] for character in document.text]
    plan = plan_training_windows(documents, breakable, window=window, slack=slack)
    cuts: list[list[int]] = [[] for _ in documents]
    for record, start in zip(plan.record.numpy().tolist(), plan.start.numpy().tolist(), strict=True):
        if start:
            cuts[record].append(start)
    return cuts


def plan_training_windows(
    documents: Sequence[Document], breakable: np.ndarray, *, window: int, slack: int
) -> Windows:
    """Cuts records into windows that share no character, preferably not inside a mention.

    Args:
        documents: annotated records.
        breakable: bool [B, T], changed in place; whether a cut should preferably follow this character.
        window: maximum number of characters in a window.
        slack: maximum number of characters by which a cut moves to follow a breakable one.
    """
    for row, document in enumerate(documents):
        for entity in document.entities:
            breakable[row, entity.start : entity.end - 1] = False
    length = tf.constant([len(document.text) for document in documents], tf.int32)
    return plan_windows(length, tf.constant(breakable), size=window, overlap=0, slack=slack)
