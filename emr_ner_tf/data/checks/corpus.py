"""Checks of a corpus as a whole: how many records and mentions it has, its labels, its ids, its characters."""

import collections
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from emr_ner_tf.data.checks.findings import ERROR, WARNING, Finding, Place, Places
from emr_ner_tf.data.document import Document

# As in `debug data` of spaCy.
MIN_RECORDS, ENOUGH_RECORDS, FEW_MENTIONS = 100, 2000, 50


class Corpus:
    """Counts what the records of a corpus have.

    Args:
        labels: the labels in use; None for those of the records.
        is_known: returns whether the encoder's vocabulary has a character; None checks no character.
        window: number of characters of a window; 0 checks no length.
    """

    def __init__(
        self, labels: Sequence[str] | None, is_known: Callable[[str], bool] | None, window: int
    ) -> None:
        self.records = 0
        self.mentions: collections.Counter[str] = collections.Counter()
        self._labels = labels
        self._is_known = is_known
        self._window = window
        self._with_label: collections.Counter[str] = collections.Counter()
        self._unknown_labels: dict[str, Places] = {}
        self._ids: dict[str, Place] = {}
        self._repeated: dict[str, Places] = {}
        self._blank, self._long = Places(), Places()
        self._characters: collections.Counter[str] = collections.Counter()
        self._first: dict[str, Place] = {}

    def add(self, document: Document, place: Callable[[int, int, str | None], Place], whole: Place) -> None:
        """Adds a record.

        Args:
            document: the record.
            place: returns the place of a span, from start, end and label.
            whole: the place of the record.
        """
        self.records += 1
        for entity in document.entities:
            self.mentions[entity.label] += 1
            if self._labels is not None and entity.label not in self._labels:
                found = self._unknown_labels.setdefault(entity.label, Places())
                found.add(place(entity.start, entity.end, entity.label))
        self._with_label.update({entity.label for entity in document.entities})
        if document.extra.get("id") not in (None, ""):
            if document.id in self._ids:
                self._repeated.setdefault(document.id, Places()).add(whole)
            else:
                self._ids[document.id] = whole
        if not document.text.strip():
            self._blank.add(whole)
        if self._window and len(document.text) > self._window:
            self._long.add(whole)
        if self._is_known is not None:
            self._characters.update(document.text)
            for character in set(document.text) - self._first.keys():
                at = document.text.index(character)
                self._first[character] = place(at, at + 1, None)

    def compare_labels(self, heldout: collections.Counter[str]) -> Iterator[Finding]:
        """Yields the labels that only one side has.

        Args:
            heldout: number of mentions of the held-out records by label.
        """
        for label, count in heldout.items():
            if not self.mentions[label]:
                message = f"{count} held-out mentions have the label {label}, and no training mention has it"
                yield Finding("label_on_one_side", message, figures={"label": label}, severity=ERROR)
        for label, count in self.mentions.items():
            if count and not heldout[label] and label not in self._unknown_labels:
                message = f"{count} training mentions have the label {label}, and no held-out mention has it"
                yield Finding("label_on_one_side", message, figures={"label": label})

    def finish(self) -> Iterator[Finding]:
        """Yields what was found."""
        yield from self._sizes()
        for identifier, places in self._repeated.items():
            yield Finding(
                "repeated_id",
                f"the record at {self._ids[identifier]} has the same id",
                places.kept,
                places.count,
            )
        if self._blank.count:
            message = f"{self._blank.count} records have no text, or white space alone"
            yield Finding("record_without_text", message, self._blank.kept, self._blank.count)
        yield from self._label_findings()
        if self._long.count:
            yield Finding(
                "long_record",
                f"{self._long.count} of {self.records} records are longer than {self._window} characters; training and "
                "annotation cut them into windows",
                self._long.kept,
                self._long.count,
            )
        if self._is_known is not None:
            yield from self._unknown_characters(self._is_known)

    def _sizes(self) -> Iterator[Finding]:
        if self.records < ENOUGH_RECORDS:
            few = self.records < MIN_RECORDS
            message = (
                f"{self.records} records; {MIN_RECORDS if few else ENOUGH_RECORDS} are a reasonable minimum"
            )
            message += " to train at all" if few else " for reliable results"
            yield Finding(
                "few_records", message, figures={"records": self.records}, severity=ERROR if few else WARNING
            )

    def _label_findings(self) -> Iterator[Finding]:
        for label, places in self._unknown_labels.items():
            message = f"{places.count} mentions have the label {label}, which is not in --labels"
            yield Finding("unknown_label", message, places.kept, places.count, {"label": label})
        for label in self._labels or ():
            if not self.mentions[label]:
                message = f"no mention has the label {label}"
                yield Finding("unused_label", message, figures={"label": label})
        for label, count in self.mentions.items():
            if label in self._unknown_labels:
                continue
            if count <= FEW_MENTIONS:
                message = f"the label {label} has {count} mentions; more than {FEW_MENTIONS} are a reasonable minimum"
                yield Finding("rare_label", message, figures={"label": label, "mentions": count})
            if self.records > 1 and self._with_label[label] == self.records:
                message = f"every record has a mention of the label {label}, so none shows where it is absent"
                yield Finding("label_in_every_record", message, figures={"label": label})

    def _unknown_characters(self, is_known: Callable[[str], bool]) -> Iterator[Finding]:
        unknown = [character for character in self._characters if not is_known(character)]
        for character in sorted(unknown, key=lambda each: (-self._characters[each], each)):
            count = self._characters[character]
            code = f"U+{ord(character):04X}"
            name = unicodedata.name(character, "a character without a name")
            yield Finding(
                "unknown_character",
                f"the vocabulary lacks {code} ({name}), which occurs {count} times",
                [self._first[character]],
                count,
                {"character": code, "occurrences": count},
            )
