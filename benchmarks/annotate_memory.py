"""Memory of `annotate` by the size of its input.

.venv/bin/python benchmarks/annotate_memory.py --bundle=VERSIONS --output=FILE [--megabytes=10,100,1000]

For each size a file of synthetic records is written, and `emr-ner annotate` reads it in a process of its own. The
report has the peak of that process' resident memory. The exit status is 1 where the largest file needs more than 1.1
times the memory of the smallest, or more than 2,000 MB.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

from absl import app, flags
from common_flags import define_bundle, define_output
from harness import machine, write_report

from emr_ner_tf.data.synthetic.generator import generate
from emr_ner_tf.data.writing import record_line

_BUNDLE = define_bundle()
_OUTPUT = define_output()
_MEGABYTES = flags.DEFINE_list("megabytes", ["10", "100", "1000"], "Sizes of the input, ascending.")

_MAX_RATIO, _MAX_MEGABYTES = 1.1, 2000


def main(argv: list[str]) -> None:
    """Annotates each file and writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    report = {
        "benchmark": "memory of annotate",
        "machine": machine(len(os.sched_getaffinity(0)), ("tensorflow",)),
    }
    lines = [(record_line(document) + "\n").encode() for document in generate("train", records=2000, seed=1)]
    with tempfile.TemporaryDirectory() as folder:
        report["sizes"] = {
            size: _annotate(lines, int(size), pathlib.Path(folder)) for size in _MEGABYTES.value
        }
    peaks = [size["peak_megabytes"] for size in report["sizes"].values()]
    write_report(report | {"ratio": round(peaks[-1] / peaks[0], 3)}, _OUTPUT.value)
    if peaks[-1] > min(_MAX_MEGABYTES, _MAX_RATIO * peaks[0]):
        sys.exit(1)


def _annotate(lines: list[bytes], megabytes: int, folder: pathlib.Path) -> dict:
    records, written = folder / "records.jsonl", 0
    with records.open("wb") as stream:
        while written < megabytes * 1_000_000:
            for line in lines:
                written += stream.write(line)
    command = [
        sys.executable,
        "-m",
        "emr_ner_tf.cli.annotate",
        f"--bundle={_BUNDLE.value}",
        f"--input={records}",
    ]
    started = time.monotonic()
    process = subprocess.Popen([*command, f"--output={folder}/found.jsonl"])
    # This process has only this child, and `wait4` gives the peak of it alone.
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"annotate ended with status {os.waitstatus_to_exitcode(status)}")
    (folder / "found.jsonl").unlink()
    return {
        "bytes": written,
        "peak_megabytes": round(usage.ru_maxrss / 1024, 1),
        "seconds": round(time.monotonic() - started, 1),
    }


if __name__ == "__main__":
    app.run(main)
