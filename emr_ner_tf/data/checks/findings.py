"""A finding of the checks: its kind, its severity, its places, and nothing of a record's text."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

ERROR, WARNING = "error", "warning"
# Of a finding with more places, the first are kept and all are counted.
MAX_PLACES = 20


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
        severity: "error" or "warning", unless the finding has another.
        summary: what is found, for tables and documents.
    """

    severity: str
    summary: str


# In the order of the report.
KINDS = {
    "unreadable_record": Kind(ERROR, "a record that breaks a rule of its format"),
    "few_records": Kind(WARNING, "fewer records than a model needs"),
    "repeated_id": Kind(WARNING, "an id that several records have"),
    "record_without_text": Kind(WARNING, "a record without text, or with white space only"),
    "duplicate_record": Kind(WARNING, "records with the same text and the same mentions"),
    "contradicting_records": Kind(ERROR, "records with the same text and different mentions"),
    "near_duplicate_records": Kind(WARNING, "records that are nearly the same in whole or in part"),
    "leaked_record": Kind(ERROR, "a held-out record whose text is a training record's"),
    "leaked_text": Kind(
        WARNING, "a held-out record that is nearly the same as a training record in whole or in part"
    ),
    "unknown_label": Kind(ERROR, "a label that is not in --labels"),
    "unused_label": Kind(WARNING, "a label of --labels that no mention has"),
    "rare_label": Kind(WARNING, "a label with few mentions"),
    "label_in_every_record": Kind(WARNING, "a label that every record has"),
    "label_on_one_side": Kind(WARNING, "a label that only training or only held-out records have"),
    "overlapping_mentions": Kind(ERROR, "mentions that overlap"),
    "repeated_mention": Kind(ERROR, "a mention that its record has twice"),
    "white_space_at_edge": Kind(ERROR, "a mention that begins or ends with white space"),
    "punctuation_at_edge": Kind(WARNING, "a mention that begins or ends with punctuation"),
    "unbalanced_brackets": Kind(WARNING, "a mention with one bracket of a pair"),
    "mention_over_sentence_end": Kind(WARNING, "a mention that reaches over the end of a sentence or line"),
    "missed_repeat": Kind(WARNING, "a form that its record annotates in one place and not in another"),
    "missed_form": Kind(WARNING, "a form that some records annotate and others do not"),
    "several_labels": Kind(WARNING, "a form that is annotated under several labels"),
    "differing_boundaries": Kind(WARNING, "a form that is annotated as a whole and in parts"),
    "variant_forms": Kind(
        WARNING, "a form in full-width and half-width, or upper-case and lower-case letters"
    ),
    "unknown_character": Kind(WARNING, "a character that the encoder's vocabulary lacks"),
    "long_record": Kind(WARNING, "a record that is longer than a window"),
    "cut_mention": Kind(WARNING, "a mention that is cut where training cuts its record into windows"),
}


class Place(NamedTuple):
    """A place in the records.

    Attributes:
        file: as the user named it; of a folder, the file within it.
        line: first line of the record, counted from 1; None where a record has no line.
        id: the record's own id, or FILE:LINE; None where no record is meant.
        start: first character in the record's text, counted from 0; None where the whole record is meant.
        end: one past the last character.
        label: of the mention there, if there is one.
        text: the characters from `start` to `end`; "" where they are not to be shown.
    """

    file: str
    line: int | None = None
    id: str | None = None
    start: int | None = None
    end: int | None = None
    label: str | None = None
    text: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return place if self.start is None else f"{place}: {self.start}-{self.end}"


@dataclasses.dataclass(slots=True)
class Finding:
    """Something that a check has found.

    Attributes:
        kind: a key of `KINDS`.
        message: what is wrong, without any text of a record.
        places: where, the first `MAX_PLACES` of them; none where the corpus as a whole is meant.
        count: number of all places.
        figures: numbers that the message has, by name.
        severity: "error" or "warning"; "" for that of the kind.
    """

    kind: str
    message: str
    places: list[Place] = dataclasses.field(default_factory=list)
    count: int = 0
    figures: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    severity: str = ""

    def __post_init__(self) -> None:
        self.severity = self.severity or KINDS[self.kind].severity
        self.count = self.count or len(self.places)
        self.places = self.places[:MAX_PLACES]

    def to_json(self) -> dict[str, Any]:
        """Returns the finding with the first place's fields on top."""
        first = self.places[0] if self.places else Place("")
        fields = {"kind": self.kind, "severity": self.severity, "message": self.message, "count": self.count}
        fields |= {name: value for name, value in first._asdict().items() if value not in (None, "")}
        if self.figures:
            fields["figures"] = dict(self.figures)
        if len(self.places) > 1:
            fields["places"] = [
                {name: value for name, value in place._asdict().items() if value not in (None, "")}
                for place in self.places
            ]
        return fields


@dataclasses.dataclass(slots=True)
class Places:
    """The first places of something, and the number of all."""

    kept: list[Place] = dataclasses.field(default_factory=list)
    count: int = 0

    def add(self, place: Place) -> None:
        """Adds a place."""
        self.count += 1
        if len(self.kept) < MAX_PLACES:
            self.kept.append(place)


class Report:
    """The findings of all checks, in the order of `KINDS` and then as they were found.

    Attributes:
        records: number of good records that were checked.
        mentions: number of their mentions.
        against: number of good held-out records that they were compared with.
    """

    def __init__(self) -> None:
        self.records = 0
        self.mentions = 0
        self.against = 0
        self._by_kind: dict[str, list[Finding]] = {kind: [] for kind in KINDS}

    def add(self, finding: Finding) -> None:
        """Adds a finding."""
        self._by_kind[finding.kind].append(finding)

    def extend(self, findings: Iterable[Finding]) -> None:
        """Adds findings."""
        for finding in findings:
            self.add(finding)

    def __iter__(self) -> Iterator[Finding]:
        for findings in self._by_kind.values():
            yield from findings

    @property
    def counts(self) -> dict[tuple[str, str], int]:
        """Number of findings by kind and severity, in the order of `KINDS`, errors first; none that is 0."""
        counted = collections.Counter((finding.kind, finding.severity) for finding in self)
        return dict(sorted(counted.items(), key=lambda item: (item[0][1], list(KINDS).index(item[0][0]))))

    @property
    def errors(self) -> int:
        """Number of errors."""
        return sum(finding.severity == ERROR for finding in self)

    def of_kind(self, kind: str) -> list[Finding]:
        """Returns the findings of a kind."""
        return self._by_kind[kind]

    def to_json(self) -> dict[str, Any]:
        """Returns counts and findings as JSON values."""
        return {
            "records": self.records,
            "mentions": self.mentions,
            "against": self.against,
            "counts": [
                {"kind": kind, "severity": severity, "findings": number, "summary": KINDS[kind].summary}
                for (kind, severity), number in self.counts.items()
            ],
            "findings": [finding.to_json() for finding in self],
        }
