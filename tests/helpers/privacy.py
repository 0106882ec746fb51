"""No record's text in what a command prints: checked after every command that a test runs."""

import json
import pathlib
import re

# Shorter runs of characters occur in labels, messages and names of files, too.
SIZE = 8
_MAX_BYTES = 4_000_000
_CHINESE = re.compile("[\u4e00-\u9fff]")
# Records are their result; what goes to standard error is checked all the same.
_PRINTS_RECORDS = frozenset(("annotate", "data", "try_serving", "quickstart"))


def assert_no_record_text(command: str, arguments: tuple[object, ...], stdout: str, stderr: str) -> None:
    """Fails where the output holds `SIZE` characters in a row of a record that the arguments name."""
    told = _runs(stderr) if command in _PRINTS_RECORDS else _runs(stderr) | _runs(stdout)
    arguments = tuple(map(str, arguments))
    # Arguments of the test itself, such as a path, may be printed.
    told -= _runs("\n".join(argument for argument in arguments if not argument.startswith("--text=")))
    for text in _texts(arguments):
        shared = told & _runs(text)
        assert not shared, f"{command} prints {len(shared)} runs of {SIZE} characters of a record"


def _runs(text: str) -> set[str]:
    """Runs that hold a Chinese character: the format's own keys are no text."""
    runs = (text[i : i + SIZE] for i in range(len(text) - SIZE + 1))
    return {run for run in runs if _CHINESE.search(run)}


def _texts(arguments: tuple[str, ...]):
    for argument in arguments:
        flag, _, value = argument.partition("=")
        if flag == "--text":
            yield value
        for name in value.split(","):
            path = pathlib.Path(name)
            try:
                if path.suffix not in (".jsonl", ".txt", ".bio") or path.stat().st_size > _MAX_BYTES:
                    continue
                lines = path.read_bytes().splitlines()
            except (OSError, ValueError):
                continue
            if path.suffix == ".bio":
                yield "".join(line.decode("utf-8", "replace")[:1] for line in lines)
            else:
                yield from map(_text, lines)


def _text(line: bytes) -> str:
    decoded = line.decode("utf-8", "replace")
    try:
        record = json.loads(decoded)
        return record["originalText"] if isinstance(record["originalText"], str) else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        return decoded
