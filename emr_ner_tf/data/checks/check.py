"""All checks of a corpus, in two passes over its records, with no more than one of them in memory."""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence

from emr_ner_tf.data.checks.consistency import Consistency, Forms
from emr_ner_tf.data.checks.corpus import Corpus
from emr_ner_tf.data.checks.duplicates import Duplicates
from emr_ner_tf.data.checks.findings import ERROR, WARNING, Finding, Place, Report
from emr_ner_tf.data.checks.mentions import mention_problems
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.reading import Located
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.rejects import NullRejects, Rejects

Reader = Callable[[Rejects], Iterable[Located]]
# The places where training cuts records: for each document, positions in its text.
Cuts = Callable[[Sequence[Document]], Sequence[Sequence[int]]]
_DOCUMENTS_AT_ONCE = 64


@dataclasses.dataclass(frozen=True, slots=True)
class CheckSettings:
    """The settings of the checks.

    Attributes:
        labels: the labels in use; None for those of the records.
        overlaps: severity of overlapping mentions: an error for "error", a warning for "longest", nothing for "keep".
        window: number of characters of a window; 0 checks neither lengths nor cuts.
        cuts: returns where training cuts records that are longer than a window; None checks no cut.
        is_known: returns whether the encoder's vocabulary has a character; None checks no character.
        show_text: whether places have their text.
    """

    labels: Sequence[str] | None = None
    overlaps: str = "error"
    window: int = 0
    cuts: Cuts | None = None
    is_known: Callable[[str], bool] | None = None
    show_text: bool = False


def check_corpus(
    read: Reader, read_heldout: Reader | None = None, settings: CheckSettings | None = None
) -> Report:
    """Checks annotated records.

    Args:
        read: reads the records from the beginning, and passes bad ones to its argument; it is called twice.
        read_heldout: reads held-out records in the same way; it is called once. None compares with no held-out records.
        settings: settings of the checks.

    Returns:
        The findings.
    """
    return _Check(settings or CheckSettings()).run(read, read_heldout)


class _Check:
    def __init__(self, settings: CheckSettings) -> None:
        self._settings = settings
        self._report = Report()
        self._corpus = Corpus(settings.labels, settings.is_known, settings.window)
        self._duplicates = Duplicates()
        self._forms = Forms()
        self._long: list[Located] = []

    def run(self, read: Reader, read_heldout: Reader | None) -> Report:
        report = self._report
        for located in read(self):
            self._first_pass(located)
        self._check_cuts()
        if read_heldout is not None:
            self._compare(read_heldout(self))
        report.records, report.mentions = self._corpus.records, self._corpus.mentions.total()
        consistency = Consistency(self._forms)
        for located in read(NullRejects()):
            report.extend(consistency.check(located.document, self._placer(located)))
            self._duplicates.add_again(located.document)
        report.extend(consistency.finish())
        report.extend(self._duplicates.finish())
        report.extend(self._corpus.finish())
        return report

    def add(self, error: RecordError, raw: bytes) -> None:
        """Adds a record that cannot be read."""
        place = Place(error.path, error.line)
        message = error.rule if error.value is None else f"{error.rule}: {error.value}"
        if error.entity is not None:
            message = f"entity {error.entity}: {message}"
        if error.record is not None:
            message = f"record {error.record} of the line: {message}"
        if error.remedy:
            message = f"{message}; {error.remedy}"
        self._report.add(Finding("unreadable_record", message, [place]))

    def _first_pass(self, located: Located) -> None:
        document, place = located.document, self._placer(located)
        whole = _record_place(located)
        self._corpus.add(document, place, whole)
        self._duplicates.add(document, whole)
        self._forms.add(document)
        self._report.extend(_mention_findings(document, place))
        self._report.extend(_overlap_findings(document, place, self._settings.overlaps))
        if self._settings.cuts and len(document.text) > self._settings.window > 0:
            self._long.append(located)
            if len(self._long) == _DOCUMENTS_AT_ONCE:
                self._check_cuts()

    def _check_cuts(self) -> None:
        long, self._long = self._long, []
        if not long or self._settings.cuts is None:
            return
        window = self._settings.window
        for located, cuts in zip(long, self._settings.cuts([each.document for each in long]), strict=True):
            place = self._placer(located)
            for entity in located.document.entities:
                if any(entity.start < cut < entity.end for cut in cuts):
                    length = entity.end - entity.start
                    message = f"training cuts this mention of {length} characters into two"
                    message += f"; it is longer than a window of {window}" if length > window else ""
                    found = place(entity.start, entity.end, entity.label)
                    self._report.add(Finding("cut_mention", message, [found]))

    def _compare(self, heldout: Iterable[Located]) -> None:
        labels: collections.Counter[str] = collections.Counter()
        for located in heldout:
            self._report.against += 1
            labels.update(entity.label for entity in located.document.entities)
            leak = self._duplicates.leak(located.document, _record_place(located))
            if leak is not None:
                self._report.add(leak)
        self._report.extend(self._corpus.compare_labels(labels))

    def _placer(self, located: Located) -> Callable[[int, int, str | None], Place]:
        return functools.partial(_span_place, located, self._settings.show_text)


def _record_place(located: Located) -> Place:
    return Place(located.path, located.line or None, located.document.id)


def _span_place(located: Located, show_text: bool, start: int, end: int, label: str | None) -> Place:
    text = located.document.text[start:end] if show_text else ""
    return Place(located.path, located.line or None, located.document.id, start, end, label, text)


def _mention_findings(
    document: Document, place: Callable[[int, int, str | None], Place]
) -> Iterator[Finding]:
    for entity in document.entities:
        for kind, message in mention_problems(document.mention(entity)):
            yield Finding(kind, message, [place(entity.start, entity.end, entity.label)])


def _overlap_findings(
    document: Document, place: Callable[[int, int, str | None], Place], overlaps: str
) -> Iterator[Finding]:
    furthest = None
    seen = set()
    for entity in document.entities:
        if entity in seen:
            message = "the record has a mention with the same offsets and label"
            yield Finding("repeated_mention", message, [place(entity.start, entity.end, entity.label)])
            continue
        seen.add(entity)
        if overlaps != "keep" and furthest is not None and entity.start < furthest.end:
            message = f"the mention overlaps the one from {furthest.start} to {furthest.end}"
            severity = ERROR if overlaps == "error" else WARNING
            here = place(entity.start, entity.end, entity.label)
            yield Finding("overlapping_mentions", message, [here], severity=severity)
        if furthest is None or entity.end > furthest.end:
            furthest = entity
