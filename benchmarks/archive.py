"""The pipeline for archives beside `annotate` on the same synthetic records; killed half way, and repeated.

.venv/bin/python benchmarks/archive.py --bundle=DIR --output=FILE

Four files of records, one of each bad, are annotated by `annotate` and then by `annotate_archive` with --workers:
counts and entities must be equal. Then the pipeline is run again, killed with all its processes at half the time that
it took before, and repeated: it must write the same bytes. Status 1 where something differs. On an idle machine; the
rates hold the start of the processes, too, a few seconds.
"""

import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable

from absl import app, flags
from common_flags import define_bundle, define_output
from harness import machine, write_report

from emr_ner_tf.data.synthetic.generator import generate
from emr_ner_tf.data.writing import record_line

_BUNDLE = define_bundle()
_OUTPUT = define_output()
_RECORDS = flags.DEFINE_integer("records", 20_000, "Number of records in the archive.", lower_bound=4)
_WORKERS = flags.DEFINE_integer("workers", 2, "Processes of the pipeline.", lower_bound=1)

_FILES = 4
_BAD = '{"originalText": 5}\n'
_SCORE_TOLERANCE = 1e-3


def main(argv: list[str]) -> None:
    """Runs both, compares, kills, repeats, writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    processors = len(os.sched_getaffinity(0))
    report = {
        "machine": machine(processors, ("tensorflow", "apache-beam", "numpy")),
        "workers": _WORKERS.value,
    }
    with tempfile.TemporaryDirectory() as folder:
        report |= _measure(pathlib.Path(folder))
    write_report(report, _OUTPUT.value)
    if not all(report["proven"].values()):
        sys.exit(1)


def _measure(folder: pathlib.Path) -> dict:
    """Returns the results of both sides, which run in a folder of their own."""
    _write_archive(folder)
    found, again, alone = folder / "found", folder / "again", folder / "alone.jsonl"
    argv = ("annotate_archive", f"--input={folder}/part-*.jsonl", f"--workers={_WORKERS.value}")
    seconds = {
        "annotate": _run("annotate", f"--input={folder}/all.jsonl", f"--output={alone}", "--on_error=skip"),
        "annotate_archive": _run(*argv, f"--output_dir={found}"),
    }
    _run(*argv, f"--output_dir={again}", kill_after=seconds["annotate_archive"] / 2)
    unfinished = not (again / "summary.json").exists()
    _run(*argv, f"--output_dir={again}")

    summary = json.loads((found / "summary.json").read_text(encoding="utf-8"))
    ours, theirs = _read(found.glob("out-*")), _read([alone])
    rejects = len(pathlib.Path(f"{alone}.rejects.jsonl").read_text(encoding="utf-8").splitlines())
    pairs = list(zip(ours, theirs, strict=False))
    differences = [_score_difference(mine, other) for mine, other in pairs]
    records = len(theirs)
    return {
        "summary": summary,
        "proven": {
            "counts_equal": records == len(ours) == summary["records"] and rejects == summary["rejected"],
            "entities_equal": None not in differences and max(differences) <= _SCORE_TOLERANCE,
            "killed_without_a_result": unfinished,
            "repeat_exact": _contents(again) == _contents(found),
        },
        "largest_score_difference": max((value for value in differences if value is not None), default=None),
        "seconds": seconds,
        "records_per_second": {name: records / value for name, value in seconds.items()},
    }


def _write_archive(folder: pathlib.Path) -> None:
    """Writes the records without their mentions: in parts for the pipeline, and in one file for `annotate`."""
    with open(folder / "all.jsonl", "w", encoding="utf-8") as whole:
        for part in range(_FILES):
            lines = [_BAD]
            for document in generate("train", records=_RECORDS.value // _FILES, seed=part):
                record = json.loads(record_line(document)) | {"entities": []}
                lines.append(json.dumps(record, ensure_ascii=False) + "\n")
            (folder / f"part-{part}.jsonl").write_text("".join(lines), encoding="utf-8")
            whole.writelines(lines)


def _run(command: str, *arguments: str, kill_after: float | None = None) -> float:
    """Returns the seconds that a command took, or kills it with all its processes."""
    argv = [sys.executable, "-m", f"emr_ner_tf.cli.{command}", f"--bundle={_BUNDLE.value}", *arguments]
    started = time.perf_counter()
    process = subprocess.Popen(argv, start_new_session=True)
    try:
        status = process.wait(kill_after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    else:
        if status:
            raise RuntimeError(f"{command} ended with status {status}")
    return time.perf_counter() - started


def _read(paths: Iterable[pathlib.Path]) -> list[dict]:
    """Returns all records, by id."""
    lines = itertools.chain.from_iterable(path.read_text(encoding="utf-8").splitlines() for path in paths)
    return sorted((json.loads(line) for line in lines), key=lambda record: record["id"])


def _score_difference(mine: dict, other: dict) -> float | None:
    """Returns the largest difference of an entity's score if two records are the same otherwise, and None if not."""
    scores = [[entity.pop("score") for entity in record["entities"]] for record in (mine, other)]
    if mine != other:
        return None
    return max((abs(left - right) for left, right in zip(*scores, strict=True)), default=0.0)


def _contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


if __name__ == "__main__":
    app.run(main)
