"""Resolves labels: the six of CCKS2019, those in a file, or those of the records."""

import os
from collections.abc import Sequence

from emr_ner_tf.data.file_kinds import read_text_lines
from emr_ner_tf.data.formats.options import DEFAULT_OPTIONS, FormatOptions
from emr_ner_tf.data.formats.table import AUTO
from emr_ner_tf.data.lines import check_rereadable
from emr_ner_tf.data.reading import read_labels
from emr_ner_tf.data.rejects import CountedRejects
from emr_ner_tf.data.validation import label_problem
from emr_ner_tf.errors import UserError

CCKS2019_LABELS: dict[str, str] = {
    "疾病和诊断": "Diseases",
    "影像检查": "Image",
    "实验室检验": "Laboratory",
    "手术": "Operation",
    "药物": "Drug",
    "解剖部位": "Anatomy",
}


def resolve_labels(
    spec: str,
    paths: Sequence[str | os.PathLike[str]] = (),
    *,
    format: str = AUTO,
    overlaps: str = "longest",
    require_entities: bool = False,
    options: FormatOptions = DEFAULT_OPTIONS,
    or_none: bool = False,
) -> tuple[str, ...]:
    """Resolves the user's choice of labels.

    Args:
        spec: "ccks2019"; "infer", the labels of the records in `paths`, sorted by code point, so that the order of
            records and files does not matter; or a file with one label per line, whose order is kept.
        paths: files of records, read for "infer" only. Bad records are skipped, because another pass reports them.
        format: format of `paths`.
        overlaps: as the records are read afterwards. With "longest", the labels of mentions that are left out count,
            too, because another file may have such a label on a mention that is kept.
        require_entities: as the records are read afterwards.
        options: as the records are read afterwards.
        or_none: whether "infer" accepts records without any mention, which have no labels.

    Returns:
        The labels in their order.

    Raises:
        UserError: there is no such file, a label in it is bad or repeated, or there is no label at all.
    """
    if spec == "ccks2019":
        return tuple(CCKS2019_LABELS)
    if spec == "infer":
        return _inferred(paths, format, overlaps, require_entities, options, or_none)
    return _labels_of_file(spec)


def _inferred(
    paths: Sequence[str | os.PathLike[str]],
    format: str,
    overlaps: str,
    require_entities: bool,
    options: FormatOptions,
    or_none: bool,
) -> tuple[str, ...]:
    labels: set[str] = set()
    bad = CountedRejects()
    for path in paths:
        check_rereadable(path, "labels=infer reads it once for the labels and once for the records")
        labels |= read_labels(
            path,
            format=format,
            overlaps=overlaps,
            require_entities=require_entities,
            rejects=bad,
            options=options,
        )
    if not labels and not or_none:
        names = ", ".join(map(os.fspath, paths))
        problem = f"labels=infer: no good record of {names} has a mention to take a label from"
        if not bad.count:
            raise UserError(
                f"{problem}; name the labels: --labels=ccks2019, or a file with one label per line"
            )
        raise UserError(f"{problem}; {bad.count} records are bad, the first of them: {bad.errors[0]}")
    return tuple(sorted(labels))


def _labels_of_file(path: str) -> tuple[str, ...]:
    if not os.path.exists(path):
        choices = "ccks2019, infer, or a file with one label per line"
        raise UserError(f"labels must be {choices}, got {path!r}, but there is no such file")
    labels: dict[str, int] = {}
    for number, label in read_text_lines(path):
        if not label.strip():
            continue
        problem = label_problem(label)
        if problem is not None:
            raise UserError(f"{path}:{number}: the label {problem}")
        if label in labels:
            raise UserError(f"{path}:{number}: the label must be unique; it is also on line {labels[label]}")
        labels[label] = number
    if not labels:
        raise UserError(f"{path}: must contain one label per line, got none")
    return tuple(labels)
