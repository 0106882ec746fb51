"""Reads files of records, in every supported format, as streams of documents.

Three formats are read line by line here; the others have a reader in `formats`.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from absl import logging

from emr_ner_tf.data import bio_columns, ccks2019
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.file_kinds import check_kind, encoding_remedy, looks_like, spread_json
from emr_ner_tf.data.formats.detection import detect, head_of
from emr_ner_tf.data.formats.losses import Losses
from emr_ner_tf.data.formats.offsets import resolve
from emr_ner_tf.data.formats.options import DEFAULT_OPTIONS, FormatOptions
from emr_ner_tf.data.formats.records import Source, document_of
from emr_ner_tf.data.formats.sources import encoded_lines, is_utf8
from emr_ner_tf.data.formats.table import AUTO, FORMATS, LINE_FORMATS, READ_FORMATS
from emr_ner_tf.data.lines import NOT_UTF8, Line, decoded, source_name, without_mark
from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.rejects import CountedRejects, NullRejects, Rejects, RejectsWriter
from emr_ner_tf.data.validation import OVERLAPS
from emr_ner_tf.errors import UserError

__all__ = [
    "READ_FORMATS",
    "REMEDIES",
    "Located",
    "RecordError",
    "RejectsWriter",
    "read_again",
    "read_documents",
    "read_labels",
    "read_located",
]

_KEEP_ALL = ("keep", "all")
_NAME_FORMAT = "no format was found by looking; name it: --format=NAME"
# Remedies by the option of the reader; the commands have flags with these names.
REMEDIES = {
    "labels": "use --labels=infer, the labels of the records, or --labels=FILE with one label per line "
    "(in training: --config.data.labels=infer or FILE)",
    "overlaps": "use --overlaps=longest, which keeps the longest of them "
    "(in training: --config.data.overlaps=longest)",
}


class Located(NamedTuple):
    """A document with the place of its record.

    Attributes:
        document: the document.
        path: its file, as messages name it; in a folder, the file of the record.
        line: first line of the record, counted from 1; 0 if the file is one record.
        dropped: number of its mentions that `overlaps` left out.
    """

    document: Document
    path: str
    line: int
    dropped: int = 0


class _Rules(NamedTuple):
    labels: Collection[str] | None
    overlaps: str
    require_entities: bool
    options: FormatOptions
    remedies: Mapping[str, str] = REMEDIES
    is_quiet: bool = True
    is_found: bool = True


def read_documents(
    path: str | os.PathLike[str],
    *,
    format: str = AUTO,
    labels: Collection[str] | None = None,
    overlaps: str = "error",
    rejects: Rejects | None = None,
    require_entities: bool = True,
    remedies: Mapping[str, str] = REMEDIES,
    options: FormatOptions = DEFAULT_OPTIONS,
) -> Iterator[Document]:
    """Reads records one by one, with no more than one of them in memory.

    Args:
        path: a file, a folder of files (such as brat's), or `-` for standard input.
        format: a name in `emr_ner_tf.data.formats.table`; "auto" finds the format by looking, and the log names it.
        labels: the labels in use; None accepts any.
        overlaps: "error" raises an error; "longest" keeps the longest of overlapping mentions, and the first of two
            with the same span, and logs at the end of the file how many were left out; "keep" keeps them all.
        rejects: receives bad records, after which the reader continues; None raises at the first one.
        require_entities: whether a record of "ccks2019" must have `entities`; False is for records to be annotated.
        remedies: remedies in messages: under "labels" for a label that is not in use, under "overlaps" for overlapping
            mentions.
        options: settings that a file does not state itself, such as
            `emr_ner_tf.data.formats.options.FormatOptions(encoding="gb18030")`.

    Returns:
        The documents in the order of the file. A record without an id gets the id `PATH:LINE`. A file without records
        is a warning in the log.

    Raises:
        UserError: the format or the value of `overlaps` is unknown.
        RecordError: while iterating: a record is bad, the file cannot be read, or it obviously has another format,
            which is raised even if there are `rejects`.

    Example:
        >>> import emr_ner_tf
        >>> documents = list(emr_ner_tf.read_documents("TEST", labels=None))
        >>> len(documents), documents[0].entities[0].text in documents[0].text
        (16, True)
    """
    rules = _Rules(labels, overlaps, require_entities, options, remedies, is_quiet=False)
    return (record.document for record in _reported(path, format, rules, rejects))


def read_again(
    path: str | os.PathLike[str],
    *,
    format: str = AUTO,
    labels: Collection[str] | None = None,
    overlaps: str = "error",
    require_entities: bool = True,
    options: FormatOptions = DEFAULT_OPTIONS,
) -> Iterator[Document]:
    """Yields the good records of a file without any log, for a second pass over a file that another pass reports on."""
    rules = _Rules(labels, overlaps, require_entities, options)
    return (record.document for record in _read(path, format, rules, NullRejects()))


def read_located(
    path: str | os.PathLike[str],
    *,
    format: str = AUTO,
    labels: Collection[str] | None = None,
    overlaps: str = "keep",
    rejects: Rejects | None = None,
    require_entities: bool = True,
    options: FormatOptions = DEFAULT_OPTIONS,
    is_quiet: bool = True,
) -> Iterator[Located]:
    """Yields records with their places; the arguments are those of `read_documents`, and `is_quiet` logs nothing."""
    rules = _Rules(labels, overlaps, require_entities, options, is_quiet=is_quiet)
    return (_read if is_quiet else _reported)(path, format, rules, rejects)


def read_labels(
    path: str | os.PathLike[str],
    *,
    format: str = AUTO,
    overlaps: str = "error",
    require_entities: bool = True,
    rejects: Rejects | None = None,
    options: FormatOptions = DEFAULT_OPTIONS,
) -> set[str]:
    """Returns the labels of all mentions of the good records, including mentions that `overlaps` leaves out.

    The arguments are those of `read_documents`; with these labels, its check of labels succeeds.
    """
    # A record whose mentions overlap is good under "longest", and the labels of all of them are checked.
    rules = _Rules(None, "all" if overlaps == "longest" else overlaps, require_entities, options)
    records = _read(path, format, rules, rejects)
    return {entity.label for record in records for entity in record.document.entities}


def _reported(
    path: str | os.PathLike[str], format: str, rules: _Rules, rejects: Rejects | None
) -> Iterator[Located]:
    """Yields records; logs at the end if there was none, and how many mentions were left out."""
    counted = rejects and CountedRejects(rejects)
    records = _read(path, format, rules, counted)

    def reported() -> Iterator[Located]:
        read = dropped = 0
        for record in records:
            read += 1
            dropped += record.dropped
            yield record
        if not read and not (counted and counted.count):
            logging.warning("%s: the file holds no record", source_name(path))
        if dropped:
            logging.warning("%s: %d mentions left out that overlap longer ones", source_name(path), dropped)

    return reported()


def _read(
    path: str | os.PathLike[str], format: str, rules: _Rules, rejects: Rejects | None
) -> Iterator[Located]:
    if format not in (AUTO, *READ_FORMATS):
        names = ", ".join((AUTO, *READ_FORMATS))
        raise UserError(f"format of records must be one of {names}, got {format!r}")
    if format != AUTO and (names := FORMATS[format].foreign_options(rules.options)):
        raise UserError(_foreign(format, names))
    if rules.overlaps not in (*OVERLAPS, *_KEEP_ALL):
        raise UserError(f"overlaps must be one of {', '.join(OVERLAPS)}, got {rules.overlaps!r}")
    return _located(os.fspath(path), format, rules, rejects)


def warn_of_foreign_options(path: str | os.PathLike[str], format: str, options: FormatOptions) -> None:
    """Logs the options that are given and that the format of a file does not have."""
    names = FORMATS[format].foreign_options(options)
    if names:
        message = "%s: read as %s, which has no setting %s"
        logging.warning(message, source_name(path), format, ", ".join(names))


def _foreign(format: str, names: Sequence[str]) -> str:
    having = {name: [other for other, each in FORMATS.items() if name in each.option_names] for name in names}
    which = "; ".join(f"--{name} is one of {', '.join(formats)}" for name, formats in having.items())
    return f"{format} has no such setting: {which}; leave it out, or name another format"


def _located(path: str, format: str, rules: _Rules, rejects: Rejects | None) -> Iterator[Located]:
    encoding = rules.options.encoding
    if format == AUTO:
        found = detect(path, encoding, is_conll=rules.options.is_of_conll)
        format = found.format if found else "ccks2019"
        rules = rules._replace(is_found=found is not None)
        if found and format != "ccks2019" and not rules.is_quiet:
            logging.info("%s: read as %s, found by %s", source_name(path), format, found.why)
        # Several files, such as those of training and held-out records, may have different formats.
        if not rules.is_quiet:
            warn_of_foreign_options(path, format, rules.options)
    if not rules.is_quiet and not is_utf8(encoding) and looks_like(head_of(path)) == "UTF-8 text":
        # UTF-8 can often be decoded as GB18030, to other characters.
        message = "%s: read as %s, as `encoding` says, and it looks like UTF-8 text"
        logging.warning(message, source_name(path), encoding)
    options = rules.options
    asked = options.offset_unit or options.offset_end or options.offset_crlf
    if format not in LINE_FORMATS or (
        format == "ccks2019" and (asked or spread_json(head_of(path, encoding)))
    ):
        return _of_format(path, format, rules, rejects)
    lines = encoded_lines(path, encoding)
    if format == "ccks2019":
        # Concatenated files have byte order marks inside; in a plain text, such a mark may be a character.
        lines = map(without_mark, lines)
    lines = check_kind(lines, source_name(path), format)
    if format == "bio":
        records, parse = bio_columns.blocks(lines), _parse_bio
    else:
        records = ([line] for line in lines if line.raw.strip())
        parse = _parse_text if format == "text" else _parse_ccks2019
    return _parsed(records, source_name(path), parse, rules, rejects)


def _of_format(path: str, name: str, rules: _Rules, rejects: Rejects | None) -> Iterator[Located]:
    """Reads records with the reader of the format's module."""
    format = FORMATS[name]
    source = Source(path, rules.options, rules.require_entities, Losses(), [])
    records = format.read(source)
    if format.readings:
        records = resolve(records, format.readings, rules.options, source.notes)
    try:
        for record in records:
            place = record.path or source.name
            try:
                if record.error is not None:
                    raise record.error
                document, dropped = document_of(
                    record, record.default_id(source.name), labels=rules.labels, overlaps=rules.overlaps
                )
            except RecordError as error:
                error.record = record.number if record.number > 1 else None
                _refuse(error, place, record.line, record.raw, rules, rejects)
            else:
                yield Located(document, place, record.line, dropped)
    except RecordError as error:
        error.path = error.path or source.name
        error.remedy = error.remedy or _remedy(error, head_of(path), rules)
        raise
    if rules.is_quiet:
        return
    for note in source.notes:
        logging.info("%s: %s", source.name, note)
    if source.losses:
        logging.warning("%s: not read: %s", source.name, source.losses)


def _refuse(
    error: RecordError, path: str, line: int, raw: bytes, rules: _Rules, rejects: Rejects | None
) -> None:
    """Adds place and remedy to the error of a bad record; raises it, or passes it to `rejects`."""
    error.path = error.path or path
    error.line = error.line or line or None
    error.remedy = error.remedy or _remedy(error, raw, rules)
    if rejects is None:
        raise error
    rejects.add(error, raw)


def _remedy(error: RecordError, raw: bytes, rules: _Rules) -> str | None:
    if error.rule == NOT_UTF8:
        return encoding_remedy(raw, is_first=error.line == 1)
    if not rules.is_found and error.rule == f"`{ccks2019.TEXT}` is missing":
        return _NAME_FORMAT
    return rules.remedies.get(error.option or "")


def _parsed(
    records: Iterator[list[Line]],
    path: str,
    parse: Callable[[Sequence[Line], str, _Rules], tuple[Document, int]],
    rules: _Rules,
    rejects: Rejects | None,
) -> Iterator[Located]:
    for lines in records:
        try:
            document, dropped = parse(lines, f"{path}:{lines[0].number}", rules)
        except RecordError as error:
            raw = b"\n".join(line.raw for line in lines)
            _refuse(error, path, lines[0].number, raw, rules, rejects)
        else:
            yield Located(document, path, lines[0].number, dropped)


def _parse_ccks2019(lines: Sequence[Line], default_id: str, rules: _Rules) -> tuple[Document, int]:
    return ccks2019.parse_record(
        decoded(lines[0]),
        default_id,
        labels=rules.labels,
        overlaps="all" if rules.overlaps in _KEEP_ALL else rules.overlaps,
        require_entities=rules.require_entities,
    )


def _parse_bio(lines: Sequence[Line], default_id: str, rules: _Rules) -> tuple[Document, int]:
    return bio_columns.parse_block(lines, default_id, labels=rules.labels), 0


def _parse_text(lines: Sequence[Line], default_id: str, rules: _Rules) -> tuple[Document, int]:
    return Document(default_id, decoded(lines[0]), extra={}), 0
