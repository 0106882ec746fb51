"""Reads records from standard input and prints the entities that a bundle finds; export/examples/README.md.

It needs TensorFlow only, any version from 2.15 on.
"""

import itertools
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

import tensorflow as tf

# A mention: half-open offsets in Unicode code points, label, probability.
Entity = tuple[int, int, str, float]


class LoaderError(Exception):
    """An error with a message for the user."""


class Bundle:
    """A version of a bundle in memory."""

    def __init__(self, directory: str) -> None:
        """Loads a version's directory, the one that holds saved_model.pb; raises LoaderError."""
        try:
            # Kept, because a signature does not keep its variables alive.
            self._model = tf.saved_model.load(directory)
            self._signature = self._model.signatures["serving_default"]
        # TensorFlow reports a file that is cut off by any of these.
        except (OSError, LookupError, ValueError, tf.errors.OpError) as error:
            raise LoaderError(f"{directory}: {str(error).partition(chr(10))[0]}") from error

    def entities(self, texts: list[bytes]) -> list[list[Entity]]:
        """Returns the entities of each text; raises LoaderError.

        Bytes that are not UTF-8 count as U+FFFD, as `errors="replace"` decodes them.
        """
        try:
            answer = self._signature(text=tf.constant(texts, tf.string))
        except tf.errors.OpError as error:
            # Its message may hold the text.
            raise LoaderError(f"serving_default failed with {type(error).__name__}") from None
        outputs = {name: value.numpy() for name, value in answer.items()}
        columns = [outputs[name].tolist() for name in ("start", "end", "label", "score")]
        return [
            [
                (start, end, label.decode(), score)
                for start, end, label, score in zip(*(column[row][:count] for column in columns), strict=True)
            ]
            for row, count in enumerate(outputs["num_entities"].tolist())
        ]


def read_records(file: BinaryIO) -> Iterator[bytes]:
    """Yields the records of a stream; raises LoaderError."""
    for record in itertools.count():
        line = file.readline(10)
        if not line:
            return
        where = f"standard input: record {record}"
        if not (line.endswith(b"\n") and line[:-1].isdigit()):
            raise LoaderError(f"{where}: must begin with a line of at most 9 digits, its number of bytes")
        text = file.read(int(line))
        if len(text) < int(line):
            raise LoaderError(f"{where}: must have {int(line)} bytes, got {len(text)}")
        yield text


def main(arguments: list[str]) -> int:
    """Annotates standard input; returns the exit status."""
    if len(arguments) != 1:
        print("usage: python load_bundle.py BUNDLE_VERSION_DIRECTORY < RECORDS", file=sys.stderr)
        return 2
    try:
        bundle = Bundle(arguments[0])
        print(f"TensorFlow {tf.__version__}", file=sys.stderr)
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
        for text in read_records(sys.stdin.buffer):
            (entities,) = bundle.entities([text])
            lines = [f"{start}\t{end}\t{label}\t{score:.6f}" for start, end, label, score in entities]
            print(len(entities), *lines, sep="\n", flush=True)
    except LoaderError as error:
        print(f"loader: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        # Nothing is left for Python to write at its end, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"loader: standard output: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
