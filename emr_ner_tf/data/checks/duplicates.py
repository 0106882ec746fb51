"""Checks of records against one another: equal texts, and long strings in common, also with held-out records."""

import hashlib
from collections.abc import Iterator

import numpy as np

from emr_ner_tf.data.checks.findings import Finding, Place, Places
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.splitting import SHARED_CHARACTERS, ShingleTable, shingles


class Duplicates:
    """Collects the texts of records as hashes and finds those that are alike."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._hashes: list[np.ndarray] = []
        self._digests: list[bytes] = []
        self._first: dict[bytes, tuple[int, bytes]] = {}
        self._repeated: dict[bytes, Places] = {}
        self._contradicting: set[bytes] = set()
        self._table = ShingleTable([])

    def add(self, document: Document, place: Place) -> None:
        """Adds a record."""
        text, mentions = _digest(document.text), _mentions_digest(document)
        if text in self._first:
            self._repeated.setdefault(text, Places()).add(place)
            if self._first[text][1] != mentions:
                self._contradicting.add(text)
        else:
            self._first[text] = len(self._places), mentions
        self._places.append(place)
        self._hashes.append(shingles(document.text))
        self._digests.append(text)

    def finish(self) -> Iterator[Finding]:
        """Yields what was found among the records."""
        for text, places in self._repeated.items():
            first = self._places[self._first[text][0]]
            if text in self._contradicting:
                kind, said = "contradicting_records", "the same text with other mentions is at"
            else:
                kind, said = "duplicate_record", "the same text with the same mentions is at"
            yield Finding(kind, f"{said} {first}", places.kept, places.count)
        self._table = ShingleTable(self._hashes)
        # The table holds them all.
        self._hashes = []
        members: dict[int, Places] = {}
        seen: set[bytes] = set()
        for record, group in enumerate(self._table.groups()):
            if self._digests[record] in seen:
                continue
            seen.add(self._digests[record])
            if group != record:
                members.setdefault(group, Places()).add(self._places[record])
        for group, places in members.items():
            yield Finding(
                "near_duplicate_records",
                f"{places.count + 1} different records share {SHARED_CHARACTERS} characters in a row, directly or "
                f"through other records; the first is at {self._places[group]}",
                places.kept,
                places.count,
            )

    def leak(self, document: Document, place: Place) -> Finding | None:
        """Compares a held-out record with all records; only after `finish`.

        Returns:
            The finding; None if the record has nothing in common with them.
        """
        if not document.text.strip():
            return None
        text = _digest(document.text)
        if text in self._first:
            first = self._places[self._first[text][0]]
            return Finding("leaked_record", f"the training records have the same text at {first}", [place])
        if len(document.text) < SHARED_CHARACTERS:
            return None
        record = self._table.sharing(shingles(document.text))
        if record is None:
            return None
        said = f"shares {SHARED_CHARACTERS} characters in a row with the training record at {self._places[record]}"
        return Finding("leaked_text", said, [place])


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _mentions_digest(document: Document) -> bytes:
    return _digest(repr([(entity.start, entity.end, entity.label) for entity in document.entities]))
