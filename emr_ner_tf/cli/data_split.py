"""The work of `emr-ner data split`: two files of records, apart by chance or by groups of near-duplicates."""

import itertools
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.near_duplicates import near_duplicate_groups
from emr_ner_tf.data.splitting import assign_split
from emr_ner_tf.data.writing import document_writers
from emr_ner_tf.errors import UsageError, UserError


def split(
    documents: Iterator[Document],
    read_again: Callable[[], Iterator[Document]],
    paths: Sequence[pathlib.Path],
    *,
    ratio: str,
    seed: int,
    together: bool,
    format: str,
    options: FormatOptions,
) -> None:
    """Writes each record to one of two files, and prints their numbers.

    Args:
        documents: the records.
        read_again: reads them a second time, so that they need not be kept in memory.
        paths: the file of the training records and that of the others.
        ratio: numbers of training and of other records, such as "7:3".
        seed: seed of the choice.
        together: whether near-duplicates are on the same side.
        format: format of the files.
        options: its settings.

    Raises:
        UserError: the ratio is invalid, a record cannot be written, or the records changed between the two readings.
    """
    match = re.fullmatch(r"([1-9][0-9]*):([1-9][0-9]*)", ratio)
    if match is None:
        raise UsageError(f"--ratio must be two whole numbers above 0, such as 7:3, got {ratio!r}")
    if together:
        texts = ((document.text for document in each) for each in (documents, read_again()))
        groups = near_duplicate_groups(*texts)
    else:
        groups = list(range(sum(1 for _ in documents)))
    sides = assign_split(groups, (int(match[1]), int(match[2])), seed)
    with document_writers(paths, format, options=options) as (write_train, write_heldout):
        for train, document in itertools.zip_longest(sides, read_again()):
            if train is None or document is None:
                raise UserError("--input changed between two readings; split reads its files twice")
            (write_train if train else write_heldout)(document)
    for path, records in zip(paths, (sum(sides), len(sides) - sum(sides)), strict=True):
        print(f"{path}: {records} records")
    if together:
        print(f"{len(set(groups))} groups, none of them on both sides")
