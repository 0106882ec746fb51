"""Paired, interleaved measurements of two worker processes, and what is said of them as JSON.

A worker answers commands, one JSON line each, on its standard input and output. The driver starts both, lets
both warm up, and then has them work in turn, never at once: A B, B A, A B, ... Each pair of measurements does
the same work within seconds of each other, so that what else the machine does falls on both.
"""

import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from emr_ner_tf.processor import processor_fact

FOLDER = pathlib.Path(__file__).parent
_PACKAGES = ("tensorflow", "keras-nlp", "torch", "transformers", "pytorch-crf", "numpy")
# Share of the processors' time that other processes may take while a pair is measured.
_MAX_OTHERS = 0.03
# A worker's functions by command; each gets the other keys of the command as arguments.
Handlers = Mapping[str, Callable[..., dict[str, Any]]]


class Asked(Protocol):
    """A process that answers commands.

    Attributes:
        cpu_seconds: processor time that it had taken when it last answered.
    """

    cpu_seconds: float

    def ask(self, **command: Any) -> dict[str, Any]:
        """Answers one command."""
        ...


class Worker:
    """A worker process.

    Attributes:
        name: "ours" or "peer".
        cpu_seconds: processor time that it had taken when it last answered.
        idle_cpu_seconds: processor time that it took between commands.
    """

    def __init__(self, name: str, module: str, threads: int, arguments: Mapping[str, Any]) -> None:
        """Starts `python -m MODULE ARGUMENTS`, these as JSON, on the first `threads` processors."""
        path = os.pathsep.join(filter(None, [str(FOLDER), os.environ.get("PYTHONPATH")]))
        # transformers would import the other side's framework wherever it finds it.
        environment = {"PYTHONPATH": path, "OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "2"}
        self.name = name
        self.cpu_seconds = 0.0
        self.idle_cpu_seconds = 0.0
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps({"threads": threads} | arguments)],
            env=os.environ | environment | {"USE_TF" if name == "peer" else "USE_TORCH": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, _processors(threads)),
        )

    def ask(self, **command: Any) -> dict[str, Any]:
        """Sends a command and waits for its answer.

        Raises:
            RuntimeError: the process ended instead.
        """
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self._process.wait()} at {command['do']!r}")
        answer = json.loads(line)
        started, ended = answer.pop("cpu_seconds")
        # Before its first command it loads.
        self.idle_cpu_seconds += started - self.cpu_seconds if self.cpu_seconds else 0.0
        self.cpu_seconds = ended
        return answer

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def serve(load: Callable[..., Handlers]) -> None:
    """Loads a worker with the arguments of its command line, then answers commands until the input ends.

    Args:
        load: from arguments to the worker's answers.
    """
    # The answers have the standard output for themselves: libraries may print.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    handlers = load(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        command = json.loads(line)
        started = time.process_time()
        answer = handlers[command.pop("do")](**command)
        answers.write(json.dumps(answer | {"cpu_seconds": [started, time.process_time()]}) + "\n")
        answers.flush()


def measure_pairs(
    ours: Asked, peer: Asked, commands: Sequence[Mapping[str, Any]], *, threads: int, tries: int
) -> list[dict[str, Any]]:
    """Has both sides carry out each command, the first to go changing from pair to pair.

    A pair during which other processes took more than a few hundredths of the processors says little. It is measured
    again, and of its tries the one that they disturbed least counts, whatever it says.

    Args:
        ours: answers with its `seconds`, and whatever else.
        peer: likewise.
        commands: one for each pair.
        threads: of each side.
        tries: most that a pair is measured.

    Returns:
        For each pair both answers, which came first, the share of the processors' time that went to anything
        else, and the number of tries.
    """
    return [
        _measure_pair(ours, peer, command, i % 2 == 0, threads, tries) for i, command in enumerate(commands)
    ]


def _measure_pair(
    ours: Asked, peer: Asked, command: Mapping[str, Any], ours_first: bool, threads: int, tries: int
) -> dict[str, Any]:
    done: list[dict[str, Any]] = []
    while len(done) < tries and not (done and done[-1]["others_cpu_share"] <= _MAX_OTHERS):
        started, busy = time.perf_counter(), _busy_seconds(threads)
        own = ours.cpu_seconds + peer.cpu_seconds
        first, second = (ours, peer) if ours_first else (peer, ours)
        one, other = first.ask(**command), second.ask(**command)
        mine, theirs = (one, other) if ours_first else (other, one)
        others = _busy_seconds(threads) - busy - (ours.cpu_seconds + peer.cpu_seconds - own)
        share = others / (len(_processors(threads)) * (time.perf_counter() - started))
        leader = "ours" if ours_first else "peer"
        done.append({"first": leader, "others_cpu_share": share, "ours": mine, "peer": theirs})
    return min(done, key=lambda pair: pair["others_cpu_share"]) | {"tries": len(done)}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Returns the median and the quartiles, the latter by linear interpolation."""
    low, middle, high = np.quantile(np.asarray(values, np.float64), [0.25, 0.5, 0.75])
    return {
        "median": float(middle),
        "quartile_1": float(low),
        "quartile_3": float(high),
        "iqr": float(high - low),
    }


def summarise(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Seconds of each side, and the ratio of each pair: above 1, ours is the faster."""
    ours = [pair["ours"]["seconds"] for pair in pairs]
    peer = [pair["peer"]["seconds"] for pair in pairs]
    ratios = [theirs / mine for mine, theirs in zip(ours, peer, strict=True)]
    return {
        "pairs": len(pairs),
        "seconds": {"ours": spread(ours), "peer": spread(peer)},
        "ratio_peer_over_ours": spread(ratios) | {"each": ratios},
        "others_cpu_share": spread([pair["others_cpu_share"] for pair in pairs]),
    }


def part_handlers(parts: Mapping[str, Callable[[], Any]]) -> Handlers:
    """Answers `names` of parts, and `part`: the median time of one, after two calls that are not counted."""

    def part(name: str, repeats: int) -> dict[str, Any]:
        seconds = []
        for _ in range(repeats + 2):
            started = time.perf_counter()
            parts[name]()
            seconds.append(time.perf_counter() - started)
        return {"seconds": statistics.median(seconds[2:])}

    return {"names": lambda: {"names": list(parts)}, "part": part}


def machine(threads: int, packages: Sequence[str] = _PACKAGES) -> dict[str, Any]:
    """Returns the processor, threads, load and versions."""
    flags = (processor_fact("flags") or "").split()
    return {
        "processor": processor_fact("model name") or platform.processor(),
        "processors": os.cpu_count(),
        "threads": threads,
        "load_average_before": os.getloadavg(),
        # Its vector and matrix instructions.
        "features": sorted(name for name in flags if name.startswith(("avx", "amx", "fma"))),
        # None where TensorFlow has been left its own choice (docs/decisions/0025-onednn-on-x86.md).
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        "versions": {"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in packages},
    }


def write_report(report: Mapping[str, Any], output: str) -> None:
    """Writes the whole report, and prints all but the single measurements."""
    pathlib.Path(output).write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    shown = {name: value for name, value in report.items() if name != "each"}
    print(json.dumps(shown, ensure_ascii=False, indent=2))


def _processors(threads: int) -> list[int]:
    """Returns the processors that both sides run on."""
    return sorted(os.sched_getaffinity(0))[:threads]


def _busy_seconds(threads: int) -> float:
    """Returns the time that those processors together have been busy since the machine started."""
    names = {f"cpu{number}" for number in _processors(threads)}
    ticks = 0
    for line in pathlib.Path("/proc/stat").read_text(encoding="utf-8").splitlines():
        name, *counts = line.split()
        if name in names:
            user, nice, system, _, _, interrupts, soft, stolen = map(int, counts[:8])
            ticks += user + nice + system + interrupts + soft + stolen
    return ticks / os.sysconf("SC_CLK_TCK")
