"""Where the time of an update, and of texts to entities, goes: each part timed alone, on both sides.

.venv-bench/bin/python benchmarks/where_time_goes.py --encoder=DIR --records=FILE --output=FILE
"""

import tempfile

from absl import app, flags
from harness import Worker, machine, write_report

_ENCODER = flags.DEFINE_string("encoder", None, "Encoder in the Hugging Face layout.", required=True)
_RECORDS = flags.DEFINE_string("records", None, "Annotated records, CCKS2019 JSON lines.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Takes the report, JSON.", required=True)
_TEXTS = flags.DEFINE_integer("texts", 24, "Records in the part that goes to entities.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 5, "Times that each part is timed.", lower_bound=1)
_THREADS = flags.DEFINE_integer("threads", 2, "Threads, and processors, of each side.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Times the parts of each side in turn, writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    report = {"benchmark": "where time goes", "machine": machine(_THREADS.value)}
    with tempfile.TemporaryDirectory() as folder:
        arguments = {"folder": folder, "records": _RECORDS.value, "texts": _TEXTS.value}
        training = {"encoder": _ENCODER.value, "batches": 1}
        with Worker("ours", "ours.parts", _THREADS.value, arguments | training) as ours:
            report["shapes"] = ours.ask(do="facts")
            with Worker("peer", "peer.parts", _THREADS.value, arguments) as peer:
                known = set(peer.ask(do="names")["names"])
                report["parts"] = {
                    name: {
                        side.name: side.ask(do="part", name=name, repeats=_REPEATS.value)["seconds"]
                        for side in ((ours, peer) if name in known else (ours,))
                    }
                    for name in ours.ask(do="names")["names"]
                }
    for name, seconds in report["parts"].items():
        whole = report["parts"][name.partition(":")[0] + ": whole"]["ours"]
        seconds["share_of_ours"] = seconds["ours"] / whole
        if "peer" in seconds:
            seconds["ratio_peer_over_ours"] = seconds["peer"] / seconds["ours"]
    write_report(report, _OUTPUT.value)


if __name__ == "__main__":
    app.run(main)
