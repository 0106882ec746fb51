"""The lookup baseline: a dictionary of the training mentions.

The difference between a tagger and this baseline shows what the tagger learned beyond the list of training mentions.
"""

import collections
from collections.abc import Iterable, Sequence

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.texts import check_texts
from emr_ner_tf.inference.annotator import Annotator


class LookupAnnotator(Annotator):
    """Finds the training mentions in a text, from left to right; the longest one at each start wins.

    A form with several labels in the training documents gets the most frequent one; of equally frequent labels, the
    first in code point order.

    Args:
        train_documents: annotated documents.
    """

    def __init__(self, train_documents: Iterable[Document]) -> None:
        counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for document in train_documents:
            for entity in document.entities:
                if entity.start < entity.end:
                    counts[document.mention(entity)][entity.label] += 1
        self._label_of = {
            form: min(labels, key=lambda label: (-labels[label], label)) for form, labels in counts.items()
        }
        # Only the lengths of forms with the same first character are tried, so a character costs a few look-ups.
        lengths: dict[str, set[int]] = collections.defaultdict(set)
        for form in self._label_of:
            lengths[form[0]].add(len(form))
        self._lengths_of = {first: sorted(some, reverse=True) for first, some in lengths.items()}

    @property
    def name(self) -> str:
        """Name of the baseline."""
        return "lookup of training mentions"

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the training mentions, sorted by code point."""
        return tuple(sorted(set(self._label_of.values())))

    def predict(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        """Returns the mentions of each text, in order of `start` and without overlaps.

        Raises:
            UserError: a text is not a string, or cannot be encoded as UTF-8.
        """
        return [tuple(self._tag(text)) for text in check_texts(texts)]

    def _tag(self, text: str) -> Iterable[Entity]:
        start = 0
        while start < len(text):
            end = self._longest(text, start)
            if end is None:
                start += 1
            else:
                yield Entity(start, end, self._label_of[text[start:end]])
                start = end

    def _longest(self, text: str, start: int) -> int | None:
        for length in self._lengths_of.get(text[start], ()):
            # At the end of the text a slice may be shorter than `length`, and be another form.
            if start + length <= len(text) and text[start : start + length] in self._label_of:
                return start + length
        return None
