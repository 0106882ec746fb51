"""Checks of records against one another: equal texts and near-duplicates, also with held-out records."""

import hashlib
from collections.abc import Iterator

import numpy as np

from emr_ner_tf.data.checks.findings import Finding, Place, Places
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.near_duplicates import ALIKE, NEAR, ContainedTexts, alike_hashes
from emr_ner_tf.data.splitting import ShingleTable


class Duplicates:
    """Collects the texts of records as hashes and finds those that are alike.

    All records are added, then all held-out records are compared, and then all records are added again.
    """

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._hashes: list[np.ndarray] = []
        self._digests: list[bytes] = []
        self._first: dict[bytes, tuple[int, bytes]] = {}
        self._repeated: dict[bytes, Places] = {}
        self._contradicting: set[bytes] = set()
        self._table: ShingleTable | None = None
        self._short = ContainedTexts()
        self._short_heldout = ContainedTexts()
        self._heldout: dict[int, list[Place]] = {}
        self._leaks: dict[int, int] = {}
        self._pairs: list[tuple[int, int]] = []
        self._again = 0

    def add(self, document: Document, place: Place) -> None:
        """Adds a record."""
        text, mentions = _digest(document.text), _mentions_digest(document)
        if text in self._first:
            self._repeated.setdefault(text, Places()).add(place)
            if self._first[text][1] != mentions:
                self._contradicting.add(text)
        else:
            self._first[text] = len(self._places), mentions
        self._short.add(len(self._places), document.text)
        self._places.append(place)
        self._hashes.append(alike_hashes(document.text))
        self._digests.append(text)

    def finish(self) -> Iterator[Finding]:
        """Yields what was found among the records."""
        for text, places in self._repeated.items():
            first = self._places[self._first[text][0]]
            if text in self._contradicting:
                kind, summary = "contradicting_records", "the same text with other mentions is at"
            else:
                kind, summary = "duplicate_record", "the same text with the same mentions is at"
            yield Finding(kind, f"{summary} {first}", places.kept, places.count)
        members: dict[int, Places] = {}
        seen: set[bytes] = set()
        for record, group in enumerate(self._built().groups(self._pairs)):
            if self._digests[record] in seen:
                continue
            seen.add(self._digests[record])
            if group != record:
                members.setdefault(group, Places()).add(self._places[record])
        for group, places in members.items():
            yield Finding(
                "near_duplicate_records",
                f"{places.count + 1} different records {NEAR}, directly or through other records; the first is at "
                f"{self._places[group]}",
                places.kept,
                places.count,
            )
        for heldout, record in sorted(self._leaks.items()):
            for place in self._heldout[heldout]:
                yield self._leaked_text("is part of", record, place)

    def leak(self, document: Document, place: Place) -> Finding | None:
        """Compares a held-out record with all records.

        Returns:
            The finding; None if the record has nothing in common with them, or if only `finish` can tell.
        """
        if not document.text.strip():
            return None
        text = _digest(document.text)
        if text in self._first:
            first = self._places[self._first[text][0]]
            return Finding("leaked_record", f"the training records have the same text at {first}", [place])
        record = self._built().sharing(alike_hashes(document.text))
        if record is not None:
            return self._leaked_text(ALIKE, record, place)
        record = next(self._short.within(document.text), None)
        if record is not None:
            return self._leaked_text("contains the whole of", record, place)
        heldout = self._short_heldout.add(len(self._heldout), document.text)
        self._heldout.setdefault(heldout, []).append(place)
        return None

    def add_again(self, document: Document) -> None:
        """Takes each record a second time, in the same order."""
        record, self._again = self._again, self._again + 1
        self._pairs += ((record, other) for other in self._short.within(document.text))
        for heldout in self._short_heldout.within(document.text):
            self._leaks.setdefault(heldout, record)

    def _built(self) -> ShingleTable:
        if self._table is None:
            # The table then holds all hashes.
            self._table, self._hashes = ShingleTable(self._hashes), []
        return self._table

    def _leaked_text(self, how: str, record: int, place: Place) -> Finding:
        return Finding("leaked_text", f"{how} the training record at {self._places[record]}", [place])


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _mentions_digest(document: Document) -> bytes:
    return _digest(repr([(entity.start, entity.end, entity.label) for entity in document.entities]))
