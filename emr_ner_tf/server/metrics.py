"""Counts and latencies of requests, in Prometheus' text form under TensorFlow Serving's names."""

import bisect
import collections
import itertools
import threading

CONTENT_TYPE = "text/plain; version=0.0.4"
_COUNT = ":tensorflow:serving:request_count"
_LATENCY = ":tensorflow:serving:request_latency"
# Upper bounds in microseconds, as in TensorFlow Serving.
_BOUNDS = [10 * 1.8**i for i in range(33)]


class Metrics:
    """Durations and outcomes of the requests to Predict."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self._latencies: dict[tuple[str, str], list[int]] = {}
        self._sums: collections.Counter[tuple[str, str]] = collections.Counter()

    def record(self, model: str, status: str, entrypoint: str, seconds: float) -> None:
        """Counts a request.

        Args:
            model: name of the model.
            status: name of the gRPC status code.
            entrypoint: "GRPC" or "REST".
            seconds: time from the arrival of the request to its answer; only used for successful requests.
        """
        microseconds = 1e6 * seconds
        with self._lock:
            self._counts[model, status] += 1
            if status == "OK":
                buckets = self._latencies.setdefault((model, entrypoint), [0] * (len(_BOUNDS) + 1))
                buckets[bisect.bisect_left(_BOUNDS, microseconds)] += 1
                self._sums[model, entrypoint] += int(microseconds)

    def text(self) -> str:
        """Returns the metrics in Prometheus' text format."""
        with self._lock:
            lines = [f"# TYPE {_COUNT} counter"]
            for (model, status), count in sorted(self._counts.items()):
                lines.append(f'{_COUNT}{{model_name="{_escaped(model)}",status="{status}"}} {count}')
            lines.append(f"# TYPE {_LATENCY} histogram")
            for (model, entrypoint), buckets in sorted(self._latencies.items()):
                labels = f'model_name="{_escaped(model)}",API="Predict",entrypoint="{entrypoint}"'
                totals = list(itertools.accumulate(buckets))
                for bound, total in zip([*map("{:g}".format, _BOUNDS), "+Inf"], totals, strict=True):
                    lines.append(f'{_LATENCY}_bucket{{{labels},le="{bound}"}} {total}')
                lines.append(f"{_LATENCY}_sum{{{labels}}} {self._sums[model, entrypoint]}")
                lines.append(f"{_LATENCY}_count{{{labels}}} {totals[-1]}")
        return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
