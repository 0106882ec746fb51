"""Reads the records with predictions that `evaluate --compare` names."""

import collections
import dataclasses
import os
from collections.abc import Sequence

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.detection import detect
from emr_ner_tf.data.formats.flag_names import flags_named
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.table import AUTO
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.errors import UserError


def is_model(path: str, format: str, options: FormatOptions) -> bool:
    """Returns whether --compare is a directory of a model, and not one of records such as brat's.

    Args:
        path: its value.
        format: value of --compare_format, which only records have.
        options: those of --compare_options.
    """
    return os.path.isdir(path) and format == AUTO and detect(path, options.encoding) is None


def read_predictions(
    path: str,
    gold: Sequence[Document],
    *,
    format: str,
    overlaps: str,
    options: FormatOptions,
    rejected: int = 0,
) -> list[Document]:
    """Returns annotated documents with the mentions that a file or a folder of predictions has for them.

    Args:
        path: value of --compare: a file of the same records in the same order, or a folder of one file for each record.
        gold: the annotated documents.
        format: as in `read_documents`.
        overlaps: as in `read_documents`.
        options: as in `read_documents`.
        rejected: number of records of --input that were rejected; the predictions may still have them.

    Raises:
        RecordError: a record is bad.
        UserError: the records are others than those of `gold`.
    """
    with flags_named("--compare_format", "--compare_options"):
        predicted = list(read_documents(path, format=format, overlaps=overlaps, options=options))
    if not len(gold) <= len(predicted) <= len(gold) + rejected:
        also = f", or up to {len(gold) + rejected} with those that were rejected" if rejected else ""
        raise UserError(
            f"--compare={path}: must have the records of --input, got {len(predicted)} records instead of "
            f"{len(gold)}{also}"
        )
    if os.path.isdir(path) or len(predicted) > len(gold):
        predicted = _in_order_of(gold, predicted, path)
    for number, (one, other) in enumerate(zip(gold, predicted, strict=True), start=1):
        if one.text != other.text:
            raise UserError(
                f"--compare={path}: record {number}: the text must be that of record {number} of --input, got another "
                f"one, of {len(other.text)} instead of {len(one.text)} characters"
            )
    # A record without an id is named after its file, so the ids differ.
    pairs = zip(gold, predicted, strict=True)
    return [dataclasses.replace(one, entities=other.entities) for one, other in pairs]


def _in_order_of(gold: Sequence[Document], predicted: Sequence[Document], path: str) -> list[Document]:
    """Returns the predicted documents that have the texts of `gold`, in its order.

    Those of a folder are in the order of its files' names, and those of a file may have rejected ones between them.
    """
    with_text = collections.defaultdict(collections.deque)
    for document in predicted:
        with_text[document.text].append(document)
    ordered = []
    for number, document in enumerate(gold, start=1):
        if not with_text[document.text]:
            raise UserError(
                f"--compare={path}: must have the records of --input, got none with the text of record {number}, of "
                f"{len(document.text)} characters"
            )
        ordered.append(with_text[document.text].popleft())
    return ordered
