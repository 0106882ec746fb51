"""The CRF's loss with its gradient, and its decoding, against pytorch-crf and tensorflow-addons.

.venv-bench/bin/python benchmarks/crf.py --output=benchmarks/results/crf.json
"""

import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import app
from common_flags import define_output, define_pairs, define_threads, define_tries
from harness import Worker, machine, measure_pairs, summarise, write_report

from emr_ner_tf.cli.number_flags import define_float
from emr_ner_tf.data.tag_scheme import TagTable

_OUTPUT = define_output()
_PAIRS = define_pairs(7)
_TRIES = define_tries(2)
_SECONDS = define_float("seconds", 0.2, "Minimum duration of one measurement.", 0.0)
_THREADS = define_threads()

_PACKAGES = ("tensorflow", "tensorflow-addons", "torch", "pytorch-crf", "numpy")
_PEERS = {"pytorch-crf": "pytorch_baseline.crf", "tensorflow-addons": "tensorflow_impl.crf"}
# Records and positions. The first of each task is the size of a training batch, or of one record.
_SHAPES = {
    "loss": ((10, 254), (64, 254)),
    "decode": ((1, 2000), (16, 1000), (64, 254)),
    "decode_and_score": ((1, 2000), (16, 1000), (64, 254)),
}
_LABELS = 6
# The score that users of pytorch-crf give to a forbidden transition.
_FORBIDDEN = -1e4
_TOLERANCE = 1e-3
_SEED = 1


def main(argv: list[str]) -> None:
    """Checks that all sides compute the same, measures, writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    report: dict[str, Any] = {
        "benchmark": "CRF",
        "machine": machine(_THREADS.value, _PACKAGES),
        "results": {},
        "each": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "cases.npz"
        np.savez(data, **_cases())
        for name, module in _PEERS.items():
            with (
                Worker("ours", "tensorflow_impl.crf", _THREADS.value, _arguments(data, "ours")) as ours,
                Worker("peer", module, _THREADS.value, _arguments(data, "peer")) as peer,
            ):
                for task, shapes in _SHAPES.items():
                    for batch, steps in shapes:
                        result, each = _compare(ours, peer, task, f"{batch}x{steps}")
                        report["results"][f"{task} {batch}x{steps} against {name}"] = result
                        report["each"][f"{task} {batch}x{steps} against {name}"] = each
    write_report(report, _OUTPUT.value)


def _arguments(data: pathlib.Path, side: str) -> dict[str, str]:
    return {"data": str(data), "side": side}


def _compare(ours: Worker, peer: Worker, task: str, shape: str) -> tuple[dict[str, Any], list[dict]]:
    command = {"task": task, "shape": shape}
    check = _check(ours.ask(do="check", **command), peer.ask(do="check", **command))
    commands = [{"do": "measure", "seconds": _SECONDS.value, **command}] * _PAIRS.value
    each = measure_pairs(ours, peer, commands, threads=_THREADS.value, tries=_TRIES.value)
    return {"check": check} | summarise(each), each


def _check(ours: Mapping[str, Any], peer: Mapping[str, Any]) -> dict[str, Any]:
    """Returns both answers; a relative difference of more than 0.1 % ends the benchmark."""
    for name, value in peer.items():
        if not np.allclose(ours[name], value, rtol=_TOLERANCE):
            raise SystemExit(f"the two sides do not compute the same: ours {ours}, peer {peer}")
    return {"ours": ours, "peer": peer}


def _cases() -> dict[str, np.ndarray]:
    """Returns random potentials for each shape and weights; the transitions for decoding exclude what BIO forbids."""
    rng = np.random.default_rng(_SEED)
    table = TagTable(tuple(f"label{i}" for i in range(_LABELS)))
    tags = table.num_tags
    shapes = {"transitions": (tags, tags), "start": (tags,), "end": (tags,)}
    rules = {"transitions": table.allowed, "start": table.allowed_start, "end": table.allowed_end}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    for name, allowed in rules.items():
        arrays[f"allowed_{name}"] = np.where(allowed, arrays[name], np.float32(_FORBIDDEN))
    for batch, steps in sorted({shape for some in _SHAPES.values() for shape in some}):
        name = f"{batch}x{steps}"
        emissions = rng.normal(scale=3, size=(batch, steps, tags))
        emissions[:, :, 0] += 3
        length = rng.integers(steps * 7 // 10, steps + 1, batch)
        length[0] = steps
        arrays[f"emissions {name}"] = emissions.astype(np.float32)
        arrays[f"length {name}"] = length.astype(np.int32)
        arrays[f"tag_ids {name}"] = rng.integers(0, tags, (batch, steps)).astype(np.int32)
    return arrays


if __name__ == "__main__":
    app.run(main)
