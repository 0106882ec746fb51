"""Records as training windows: token ids and gold tags, concatenated, with the start of each window."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.text.characters import look_up
from emr_ner_tf.text.cuts import plan_training_windows
from emr_ner_tf.text.vocabulary import Vocabulary

_RECORDS_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class Examples:
    """Training windows of all records, one after the other.

    Attributes:
        token_ids: int32 [total], without special tokens.
        tag_ids: int32 [total], a legal tag sequence within each window.
        offsets: int64 [N + 1]; window n is [offsets[n], offsets[n + 1]).
        targets: float16 [total, K], the probability of each tag that is to be learned; None if `tag_ids` are certain.
    """

    token_ids: np.ndarray
    tag_ids: np.ndarray
    offsets: np.ndarray
    targets: np.ndarray | None = None

    @property
    def lengths(self) -> np.ndarray:
        """int64 [N], characters in each window."""
        return np.diff(self.offsets)

    def digest(
        self,
        tokens: Sequence[str],
        labels: Sequence[str],
        words: Sequence[str],
        validation: Sequence[Document],
    ) -> str:
        """Returns the SHA-256 of the windows, the meaning of all ids and the validation records, in hexadecimal."""
        stand_for = (tuple(tokens), tuple(labels), *([tuple(words)] if words else []))
        digest = hashlib.sha256(repr(stand_for).encode("utf-8", "backslashreplace"))
        for array in (self.token_ids, self.tag_ids, self.offsets, self.targets):
            if array is not None:
                digest.update(array.tobytes())
        for document in validation:
            gold = [(entity.start, entity.end, entity.label) for entity in document.entities]
            digest.update(repr((document.text, gold)).encode("utf-8", "backslashreplace"))
        return digest.hexdigest()


def join_with_soft(certain: Examples, soft: Examples) -> Examples:
    """Appends windows with targets to windows without targets, whose tags then are targets with probability 1."""
    one_hot = np.eye(soft.targets.shape[1], dtype=soft.targets.dtype)[certain.tag_ids]
    return Examples(
        token_ids=np.concatenate([certain.token_ids, soft.token_ids]),
        tag_ids=np.concatenate([certain.tag_ids, soft.tag_ids]),
        offsets=np.concatenate([certain.offsets, certain.offsets[-1] + soft.offsets[1:]]),
        targets=np.concatenate([one_hot, soft.targets]),
    )


def build_examples(
    documents: Sequence[Document], vocabulary: Vocabulary, table: TagTable, *, window: int, slack: int
) -> Examples:
    """Cuts records into training windows, every character in exactly one.

    A cut follows punctuation that is not inside a mention, if there is any within `slack`. Otherwise, a mention may be
    cut; each of its parts is then tagged as a mention of its own, so that the gold path of a window is legal under
    every constraint.

    Args:
        documents: records with their gold mentions.
        vocabulary: vocabulary of the encoder.
        table: the tags.
        window: maximum number of characters in a window.
        slack: maximum number of characters by which a cut moves to follow punctuation.

    Returns:
        The windows in the order of the records; an empty record has none.
    """
    codes = tf.constant(vocabulary.code_point_table())
    breaks = vocabulary.break_table()
    all_tokens, all_tags, lengths = [], [], []
    for first in range(0, len(documents), _RECORDS_AT_ONCE):
        batch = documents[first : first + _RECORDS_AT_ONCE]
        texts = tf.constant([document.text for document in batch], tf.string)
        tokens = look_up(texts, codes, vocabulary.pad_id)[1].numpy()
        windows = plan_training_windows(batch, breaks[tokens], window=window, slack=slack)
        for record, start, size in zip(
            windows.record.numpy(), windows.start.numpy(), windows.length.numpy(), strict=True
        ):
            spans = (
                (max(entity.start, start) - start, min(entity.end, start + size) - start, entity.label)
                for entity in batch[record].entities
                if entity.start < start + size and entity.end > start
            )
            all_tokens.append(tokens[record, start : start + size])
            all_tags.append(table.encode(spans, size))
            lengths.append(size)
    empty = [np.zeros(0, np.int32)]
    return Examples(
        token_ids=np.concatenate(all_tokens or empty),
        tag_ids=np.concatenate(all_tags or empty),
        offsets=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
    )
