"""Where the time of an update, and of texts to entities, goes: each part timed alone, on both sides.

.venv-bench/bin/python benchmarks/where_time_goes.py --encoder=DIR --records=FILE --output=FILE
"""

import tempfile

from absl import app, flags
from common_flags import define_encoder, define_output, define_records, define_threads, define_tries
from harness import Worker, machine, measure_pairs, write_report

_ENCODER = define_encoder()
_RECORDS = define_records()
_OUTPUT = define_output()
_TEXTS = flags.DEFINE_integer("texts", 24, "Records in the part that goes to entities.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 5, "Times that each part is timed.", lower_bound=1)
_TRIES = define_tries(3)
_THREADS = define_threads()


def main(argv: list[str]) -> None:
    """Times the parts of each side in turn, writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    report = {"benchmark": "where time goes", "machine": machine(_THREADS.value)}
    with tempfile.TemporaryDirectory() as folder:
        arguments = {"folder": folder, "records": _RECORDS.value, "texts": _TEXTS.value}
        training = {"encoder": _ENCODER.value, "batches": 1}
        with Worker("ours", "tensorflow_impl.parts", _THREADS.value, arguments | training) as ours:
            report["shapes"] = ours.ask(do="facts")
            with Worker("peer", "pytorch_baseline.parts", _THREADS.value, arguments) as peer:
                mine, theirs = ours.ask(do="names")["names"], peer.ask(do="names")["names"]
                commands = {name: {"do": "part", "name": name, "repeats": _REPEATS.value} for name in mine}
                parts = measure_pairs(
                    ours,
                    peer,
                    [commands[name] for name in theirs],
                    threads=_THREADS.value,
                    tries=_TRIES.value,
                )
                alone = [ours.ask(**commands[name]) for name in mine if name not in theirs]
    report["parts"] = {name: _both(part) for name, part in zip(theirs, parts, strict=True)}
    report["ours_alone"] = dict(zip((name for name in mine if name not in theirs), alone, strict=True))
    for name, part in (report["parts"] | report["ours_alone"]).items():
        whole = report["parts"][name.partition(":")[0] + ": whole"]["seconds"]["ours"]
        seconds = part["seconds"] if name in report["ours_alone"] else part["seconds"]["ours"]
        part["share_of_ours"] = seconds / whole
    write_report(report, _OUTPUT.value)


def _both(part: dict) -> dict:
    ours, peer = part["ours"]["seconds"], part["peer"]["seconds"]
    return {
        "seconds": {"ours": ours, "peer": peer},
        "ratio_peer_over_ours": peer / ours,
        "others_cpu_share": part["others_cpu_share"],
    }


if __name__ == "__main__":
    app.run(main)
