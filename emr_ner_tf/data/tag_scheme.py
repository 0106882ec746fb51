"""An ordered table of the tags of labels, in the BIO or the BIOES scheme.

Everything that depends on the scheme is an array of this table, so that the code that uses it (the CRF's constraints,
spans from tags, span probabilities) is the same for all schemes.
"""

import dataclasses
import functools
from collections.abc import Iterable, Sequence

import numpy as np

from emr_ner_tf.errors import UserError

SCHEMES = ("BIO", "BIOES")


@dataclasses.dataclass(frozen=True)
class TagTable:
    """Tags for ordered labels: `O` is 0, then each label's own tags in the order of the labels.

    Attributes:
        labels: L label strings, in the order of the model.
        scheme: "BIO" or "BIOES".
    """

    labels: tuple[str, ...]
    scheme: str = "BIO"

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise UserError(f"tag scheme must be one of {', '.join(SCHEMES)}, got {self.scheme!r}")
        if not self.labels:
            raise UserError("a tag table needs at least one label, got none")
        if len(set(self.labels)) != len(self.labels):
            raise UserError(f"labels must differ from one another, got {list(self.labels)}")

    @functools.cached_property
    def tags(self) -> tuple[str, ...]:
        """All K tags: `O`, then `B-x`, `I-x` (and `E-x`, `S-x`) for each label x."""
        prefixes = self.scheme.replace("O", "")
        return ("O", *(f"{prefix}-{label}" for label in self.labels for prefix in prefixes))

    @property
    def num_tags(self) -> int:
        """K, the number of tags."""
        return len(self.tags)

    @functools.cached_property
    def label_of(self) -> np.ndarray:
        """int32 [K]: index of each tag's label, -1 for `O`."""
        per_label = len(self.scheme) - 1
        return np.array([-1] + [i for i in range(len(self.labels)) for _ in range(per_label)], np.int32)

    def _ids(self, prefix: str) -> np.ndarray:
        return np.array([self.tags.index(f"{prefix}-{label}") for label in self.labels], np.int32)

    @functools.cached_property
    def first(self) -> np.ndarray:
        """int32 [L]: tag of the first character of a mention of two or more."""
        return self._ids("B")

    @functools.cached_property
    def middle(self) -> np.ndarray:
        """int32 [L]: tag of a character inside a mention."""
        return self._ids("I")

    @functools.cached_property
    def last(self) -> np.ndarray:
        """int32 [L]: tag of the last character of a mention of two or more."""
        return self._ids("E" if self.scheme == "BIOES" else "I")

    @functools.cached_property
    def single(self) -> np.ndarray:
        """int32 [L]: tag of a mention of one character."""
        return self._ids("S" if self.scheme == "BIOES" else "B")

    @functools.cached_property
    def follower(self) -> np.ndarray:
        """int32 [L]: the tag that would make a mention longer if it came after its last, or -1."""
        return np.full(len(self.labels), -1, np.int32) if self.scheme == "BIOES" else self._ids("I")

    def _has_prefix(self, prefixes: str) -> np.ndarray:
        return np.array([tag[0] in prefixes and tag != "O" for tag in self.tags])

    @functools.cached_property
    def opens(self) -> np.ndarray:
        """bool [K]: a mention may begin with this tag."""
        return self._has_prefix("BS")

    @functools.cached_property
    def closes(self) -> np.ndarray:
        """bool [K]: a mention may end with this tag."""
        return self._has_prefix("ES" if self.scheme == "BIOES" else "BI")

    @functools.cached_property
    def inside(self) -> np.ndarray:
        """bool [K]: this tag continues the mention of the previous tag."""
        return self._has_prefix("IE")

    @functools.cached_property
    def continues(self) -> np.ndarray:
        """bool [K]: the tag after this one may belong to the same mention."""
        return self._has_prefix("BI")

    @functools.cached_property
    def allowed(self) -> np.ndarray:
        """bool [K, K]: `allowed[a, b]`, tag b may follow tag a."""
        same = self.label_of[:, None] == self.label_of[None, :]
        goes_on = self.continues[:, None] & self.inside[None, :] & same
        begins = self.allowed_end[:, None] & ~self.inside[None, :]
        return goes_on | begins

    @functools.cached_property
    def allowed_start(self) -> np.ndarray:
        """bool [K]: a record may begin with this tag."""
        return ~self.inside

    @functools.cached_property
    def allowed_end(self) -> np.ndarray:
        """bool [K]: a record may end with this tag."""
        return self.closes | (self.label_of < 0)

    def encode(self, spans: Iterable[tuple[int, int, str]], length: int) -> np.ndarray:
        """Returns tags of a text with the given mentions.

        Args:
            spans: (start, end, label), half-open, inside the text and without overlaps.
            length: number of characters of the text.

        Returns:
            int32 [length] tag ids.
        """
        tag_ids = np.zeros(length, np.int32)
        for start, end, label in spans:
            index = self.labels.index(label)
            if end - start == 1:
                tag_ids[start] = self.single[index]
            else:
                tag_ids[start] = self.first[index]
                tag_ids[start + 1 : end - 1] = self.middle[index]
                tag_ids[end - 1] = self.last[index]
        return tag_ids

    def split(self, tag_ids: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Returns tags of a text that is cut, in which each part of a mention is a separate mention.

        Args:
            tag_ids: int32 [length], a legal sequence.
            places: int64 [N], position of the first character after each cut.

        Returns:
            int32 [length] tag ids.
        """
        tag_ids = tag_ids.copy()
        after = places[self.inside[tag_ids[places]]]
        before, label = after - 1, self.label_of[tag_ids[after]]
        tag_ids[after] = np.where(self.continues[tag_ids[after]], self.first[label], self.single[label])
        # This comes second, since the first character of a part may also be its last one.
        tag_ids[before] = np.where(self.inside[tag_ids[before]], self.last[label], self.single[label])
        return tag_ids

    def decode(self, tag_ids: Sequence[int]) -> list[tuple[int, int, str]]:
        """Returns the mentions of a sequence of tag ids; a run without an opening tag is not a mention.

        Args:
            tag_ids: [length] tag ids, legal or not.

        Returns:
            (start, end, label) in order, as seqeval's strict mode reads them.
        """
        spans = []
        begin = 0
        for t in range(1, len(tag_ids) + 1):
            previous = tag_ids[t - 1]
            if t < len(tag_ids):
                tag = tag_ids[t]
                same = self.label_of[previous] == self.label_of[tag]
                if self.continues[previous] and self.inside[tag] and same:
                    continue
            if self.opens[tag_ids[begin]] and self.closes[previous]:
                spans.append((begin, t, self.labels[self.label_of[previous]]))
            begin = t
        return spans
