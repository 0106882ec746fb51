"""Memory of reading and writing large CSV and XLSX tables, each in a process of its own.

.venv/bin/python benchmarks/table_memory.py --output=FILE

For each format and each number of rows, one process writes a table of synthetic records with one mention in each, and
another reads it. The report has the peak of each process' resident memory and its seconds. The memory is flat where the
peak of the larger table is at most 1.1 times that of the smaller one; the exit status is 1 where it is not.
"""

import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from absl import app, flags
from common_flags import define_output
from harness import machine, write_report

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.synthetic.generator import generate
from emr_ner_tf.data.writing import write_documents

_OUTPUT = define_output()
_ROWS = flags.DEFINE_list("rows", ["10000", "100000"], "Numbers of rows of the smaller and the larger table.")

_FORMATS = ("csv", "xlsx")
_MAX_RATIO = 1.1


def main(argv: list[str]) -> None:
    """Measures all processes and writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    report = {"benchmark": "memory of tables", "machine": machine(1, ("openpyxl", "numpy")), "cases": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name in _FORMATS:
            for work in ("write", "read"):
                cases = {rows: _measure(work, name, int(rows), folder) for rows in _ROWS.value}
                few, many = (case["megabytes"] for case in cases.values())
                report["cases"][f"{work} {name}"] = {"rows": cases, "ratio": round(many / few, 3)}
    write_report(report, _OUTPUT.value)
    if any(case["ratio"] > _MAX_RATIO for case in report["cases"].values()):
        sys.exit(1)


def _measure(work: str, name: str, rows: int, folder: str) -> dict:
    path = pathlib.Path(folder) / f"{rows}.{name}"
    argv = [sys.executable, __file__, "--worker", work, name, str(rows), str(path)]
    return json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


def _worker(work: str, name: str, rows: str, path: str) -> None:
    """Writes or reads one table and prints the figures of this process."""
    started = time.monotonic()
    if work == "write":
        write_documents(path, _documents(int(rows)), name)
    elif sum(1 for _ in read_documents(path, format=name)) != int(rows):
        raise SystemExit(f"{path}: not {rows} records")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"megabytes": round(peak, 1), "seconds": round(time.monotonic() - started, 1)}))


def _documents(rows: int):
    """Yields records with one mention each: a row of a table."""
    few = list(generate("train", records=100, seed=1))
    for i in range(rows):
        document = few[i % len(few)]
        first = document.entities[0]
        yield Document(str(i), f"{i}：{document.text}", (_moved(first, len(f"{i}：")),), {"id": str(i)})


def _moved(entity: Entity, by: int) -> Entity:
    return Entity(entity.start + by, entity.end + by, entity.label)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        _worker(*sys.argv[2:])
    else:
        app.run(main)
