"""Proof, in fresh processes, that a bundle is what its model is, and that a record's length costs no memory.

.venv/bin/python benchmarks/bundle_proof.py --bundle=DIR --model_dir=DIR --records=FILE --output=FILE

One process calls all four signatures on every record and holds what they say against one another; another one
finds the entities with the model restored from its model directory, which must be the same. Then one text of each
length goes through the bundle in a process of its own, and the most memory that it ever held is read. Status 1 where
something differs, or where the longest text takes more than 1.2 times the memory of the shortest.
"""

import json
import pathlib
import sys

from absl import app, flags
from common_flags import define_bundle, define_output, define_threads
from harness import Worker
from rich.console import Console
from rich.table import Table

_BUNDLE = define_bundle()
_MODEL_DIR = flags.DEFINE_string("model_dir", None, "Model directory of the bundle.", required=True)
_RECORDS = flags.DEFINE_string("records", None, "Records, CCKS2019 JSON lines.", required=True)
_OUTPUT = define_output()
_LENGTHS = flags.DEFINE_multi_integer(
    "length", [10_000, 100_000], "Characters of a text whose memory is measured; from short to long."
)
_THREADS = define_threads()

_MAX_GROWTH = 1.2
_SCORE_TOLERANCE = 1e-3


def main(argv: list[str]) -> None:
    """Asks each process, writes the report, prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    records = {"records": _RECORDS.value}
    by_bundle = _ask({"bundle": _BUNDLE.value} | records, do="signatures")
    by_model = _ask({"model_dir": _MODEL_DIR.value} | records, do="entities")
    memory = {
        str(length): _ask({"bundle": _BUNDLE.value}, do="memory", length=length) for length in _LENGTHS.value
    }
    peaks = [answer["peak_megabytes"] for answer in memory.values()]
    found, expected = by_bundle.pop("entities"), by_model["entities"]
    pairs = list(zip(found, expected, strict=True))
    differing = [i for i, (mine, theirs) in enumerate(pairs) if _spans(mine) != _spans(theirs)]
    scores = [
        abs(left[3] - right[3])
        for i, (mine, theirs) in enumerate(pairs)
        if i not in differing
        for left, right in zip(mine, theirs, strict=True)
    ]
    report = {
        "records": len(found),
        "entities": {"bundle": sum(map(len, found)), "model": sum(map(len, expected))},
        "records_that_differ": differing,
        "largest_score_difference": max(scores, default=0.0),
        "signatures": by_bundle,
        "memory": memory,
        "memory_ratio": peaks[-1] / peaks[0],
    }
    report["proven"] = not (
        differing
        or by_bundle["contradictions"]
        or report["largest_score_difference"] > _SCORE_TOLERANCE
        or report["memory_ratio"] > _MAX_GROWTH
    )
    output = pathlib.Path(_OUTPUT.value)
    output.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    _show(report)
    if not report["proven"]:
        sys.exit(1)


def _ask(arguments: dict, **command: object) -> dict:
    """Returns the answer of a new process to one command."""
    with Worker("ours", "tensorflow_impl.proof", _THREADS.value, arguments) as worker:
        return worker.ask(**command)


def _spans(entities: list) -> list:
    return [entity[:3] for entity in entities]


def _show(report: dict) -> None:
    table = Table(title="bundle and model", show_header=False)
    table.add_row("records, all four signatures on each", str(report["records"]))
    table.add_row("contradictions between signatures", str(len(report["signatures"]["contradictions"])))
    table.add_row("entities of the bundle", str(report["entities"]["bundle"]))
    table.add_row("entities of the model", str(report["entities"]["model"]))
    table.add_row("records in which they differ", str(len(report["records_that_differ"])))
    table.add_row("largest difference of a score", f"{report['largest_score_difference']:.1e}")
    table.add_row("marginals' sums, largest error", f"{report['signatures']['largest_sum_error']:.1e}")
    for length, answer in report["memory"].items():
        table.add_row(
            f"a text of {length} characters",
            f"{answer['peak_megabytes']:.0f} MB, {answer['seconds']:.1f} s, {answer['entities']} entities",
        )
    table.add_row("ratio of memory", f"{report['memory_ratio']:.2f} (at most {_MAX_GROWTH})")
    Console().print(table)


if __name__ == "__main__":
    app.run(main)
