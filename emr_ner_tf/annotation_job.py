"""Annotation of a file into a file, in flat memory, that can be killed and resumed."""

import json
import os
import pathlib
import shutil
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from absl import logging

from emr_ner_tf.annotator import TagTexts, annotate
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.files import atomic_writer
from emr_ner_tf.data.writing import record_line
from emr_ner_tf.errors import UserError

_LOG_SECONDS = 10.0


class JobResult(NamedTuple):
    """What a job did.

    Attributes:
        records: in the output, those of earlier tries included.
        resumed: how many of them an earlier try had left.
        entities: found by this process.
        seconds: that this process took.
    """

    records: int
    resumed: int
    entities: int
    seconds: float


def annotate_to_file(
    documents: Iterable[Document],
    tag_texts: TagTexts,
    output: str | os.PathLike[str],
    *,
    model: str,
    resume: bool = False,
) -> JobResult:
    """Writes annotated records as JSON lines, in order.

    Finished lines go to `OUTPUT.partial`, whose first line names the model; at the end the others become `output`,
    whole. A job that dies leaves the partial file, and `resume` goes on after its last whole line.

    Args:
        documents: the same, in the same order, when a job is resumed.
        tag_texts: texts to entities.
        output: JSON lines in CCKS2019 form.
        model: identifies what tags; a job is not resumed by another one.
        resume: whether to go on where a partial file ends.

    Returns:
        Counts and time.

    Raises:
        UserError: a partial file stands there and `resume` is off, or it is of another model or other records.
    """
    output = pathlib.Path(output)
    partial = output.with_name(f"{output.name}.partial")
    header = json.dumps({"partial_output_of": model}, ensure_ascii=False)
    documents = iter(documents)
    done = 0
    if partial.exists():
        if not resume:
            raise UserError(
                f"{partial}: an earlier job left it; go on with --resume, or remove it to start again"
            )
        done = _skip_finished(partial, header, documents)
        logging.info("resumed after %d records", done)
    output.parent.mkdir(parents=True, exist_ok=True)
    began = said = time.monotonic()
    written = entities = 0
    with open(partial, "a", encoding="utf-8", newline="\n") as file:
        if file.tell() == 0:
            file.write(f"{header}\n")
        for document in annotate(documents, tag_texts):
            file.write(f"{record_line(document)}\n")
            written += 1
            entities += len(document.entities)
            now = time.monotonic()
            if now - said >= _LOG_SECONDS:
                file.flush()
                logging.info("%d records, %.1f a second", done + written, written / (now - began))
                said = now
    _finish(partial, output)
    return JobResult(done + written, done, entities, time.monotonic() - began)


def _skip_finished(partial: pathlib.Path, header: str, documents: Iterator[Document]) -> int:
    """Cuts a half-written last line off and takes the records that stand in `partial` off `documents`."""
    done, end = -1, 0
    with open(partial, "r+b") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            if number == 1:
                if line != f"{header}\n".encode():
                    raise UserError(
                        f"{partial}:1: not the beginning of a job with this model; remove the file to start again"
                    )
            else:
                document = next(documents, None)
                if document is None or _text_of(line, partial, number) != document.text:
                    raise UserError(
                        f"{partial}:{number}: not made from this input; name the same --input, "
                        "or remove the file to start again"
                    )
            end += len(line)
            done = number - 1
        file.truncate(end)
    return max(done, 0)


def _text_of(line: bytes, partial: pathlib.Path, number: int) -> str:
    try:
        return json.loads(line)["originalText"]
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{partial}:{number}: not a record that a job has written; remove the file to start again"
        ) from None


def _finish(partial: pathlib.Path, output: pathlib.Path) -> None:
    """Copies all lines but the first beside `output`, renames, and removes the partial file."""
    with open(partial, "rb") as source, atomic_writer(output, "wb") as target:
        source.readline()
        shutil.copyfileobj(source, target)
    partial.unlink()
