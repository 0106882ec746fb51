"""Raw text to entities: this project's bundle against the same architecture in PyTorch, on real records.

.venv-bench/bin/python benchmarks/text_to_entities.py --model_dir=DIR --bundle=DIR --records=FILE \
  --output=FILE [--peer=float32|bfloat16|onnx_float32|onnx_int8] [--peer_window=510] [--one_by_one]

Ours also computes the probability of each entity. If the records are annotated, the report has the F1 of both sides.
"""

import tempfile

from absl import app, flags
from common_flags import define_bundle, define_output, define_threads, define_tries
from harness import Worker, machine, measure_pairs, summarise, write_report

from emr_ner_tf.data.reading import read_documents

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "Model directory of a finished run.", required=True)
_BUNDLE = define_bundle()
_RECORDS = flags.DEFINE_string("records", None, "Records, CCKS2019 JSON lines.", required=True)
_OUTPUT = define_output()
_PAIRS = flags.DEFINE_integer(
    "pairs", 9, "Measurements of each side; each takes its part of the records.", lower_bound=1
)
_TRIES = define_tries(3)
_THREADS = define_threads()

_PEER = flags.DEFINE_enum(
    "peer",
    "float32",
    ["float32", "bfloat16", "onnx_float32", "onnx_int8"],
    "Computation of the peer: PyTorch in float32, PyTorch with bfloat16 autocast, or ONNX Runtime for the encoder, "
    "in float32 or with dynamic 8-bit quantization.",
)
_PEER_WINDOW = flags.DEFINE_integer(
    "peer_window",
    0,
    "Size of the peer's windows; 0 takes that of the bundle.",
    lower_bound=0,
    upper_bound=510,
)
_ONE_BY_ONE = flags.DEFINE_bool("one_by_one", False, "Annotate one record at a time.")

_TUNED_ON = 16


def main(argv: list[str]) -> None:
    """Compares the entities of all records, measures, writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    report = {"benchmark": "raw text to entities", "machine": machine(_THREADS.value)}
    with tempfile.TemporaryDirectory() as folder:
        arguments = {"records": _RECORDS.value, "folder": folder}
        peer_kind = {"kind": _PEER.value, "window": _PEER_WINDOW.value}
        report |= {"peer": peer_kind, "one_by_one": _ONE_BY_ONE.value}
        bundle = {"model_dir": _MODEL_DIR.value, "bundle": _BUNDLE.value}
        with Worker("ours", "tensorflow_impl.tagging", _THREADS.value, arguments | bundle) as ours:
            mine = ours.ask(do="entities")["entities"]
            with Worker("peer", "pytorch_baseline.tagging", _THREADS.value, arguments | peer_kind) as peer:
                theirs = peer.ask(do="entities")["entities"]
                report["check"] = _check(mine, theirs)
                report["exact_f1"] = {"ours": _f1(mine), "peer": _f1(theirs)}
                report["peer_window_budget"] = peer.ask(do="tune", records=_TUNED_ON)["window_budget"]
                commands = [
                    {"do": "measure", "first": i, "step": _PAIRS.value, "one_by_one": _ONE_BY_ONE.value}
                    for i in range(_PAIRS.value)
                ]
                report["each"] = measure_pairs(
                    ours, peer, commands, threads=_THREADS.value, tries=_TRIES.value
                )
                report["idle_cpu_seconds"] = {"ours": ours.idle_cpu_seconds, "peer": peer.idle_cpu_seconds}
    report |= summarise(report["each"])
    for side in ("ours", "peer"):
        done = [pair[side] for pair in report["each"]]
        characters, seconds = (sum(answer[name] for answer in done) for name in ("characters", "seconds"))
        report["seconds"][side]["characters_per_second"] = characters / seconds
    write_report(report, _OUTPUT.value)


def _check(ours: list, peer: list) -> dict:
    """Returns how many entities both find, and the numbers of the records on which they differ."""
    differing = [i for i, (mine, theirs) in enumerate(zip(ours, peer, strict=True)) if mine != theirs]
    return {
        "records": len(ours),
        "entities": {"ours": sum(map(len, ours)), "peer": sum(map(len, peer))},
        "records_that_differ": differing,
    }


def _f1(found: list) -> float | None:
    """Returns the exact-match F1 against the records' own mentions; None where they have none."""
    documents = list(read_documents(_RECORDS.value, require_entities=False))
    gold = [
        {(entity.start, entity.end, entity.label) for entity in document.entities} for document in documents
    ]
    both = sum(len(wanted & set(map(tuple, members))) for wanted, members in zip(gold, found, strict=True))
    total = sum(map(len, gold)) + sum(map(len, found))
    return 2 * both / total if any(gold) else None


if __name__ == "__main__":
    app.run(main)
