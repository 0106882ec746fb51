#!/usr/bin/env python3
"""Sends requests to TensorFlow Serving from many threads and reads from its metrics whether they were merged.

serving/smoke_batching.py HOST:PORT METRICS_URL

smoke.sh runs it.
"""

import concurrent.futures
import re
import sys
import urllib.request
from typing import NamedTuple

REQUESTS = 64
_METRIC = r"^:tensorflow:serving:batching_session:{}\{{.*\}} (\d+)$"


class Counts(NamedTuple):
    """The number of requests that went through the batching queue, and of runs of the graph for them."""

    requests: int
    runs: int


def counts(page: str) -> Counts:
    """Returns the counts of a page of metrics."""
    return Counts(
        *(
            sum(map(int, re.findall(_METRIC.format(name), page, re.MULTILINE)))
            for name in ("queuing_latency_count", "wrapped_run_count")
        )
    )


def verdict(sent: int, before: Counts, after: Counts) -> str:
    """Returns the problem after `sent` requests; empty if some were merged."""
    requests, runs = after.requests - before.requests, after.runs - before.runs
    if requests < sent:
        return f"{sent} requests were sent, but only {requests} went through the batching queue"
    return f"none of {requests} requests was merged with another" if runs >= requests else ""


def main(server: str, metrics: str) -> None:
    """Sends the requests; exits with the problem, if any."""
    from emr_ner_tf.client.grpc_client import GrpcClient

    def read() -> Counts:
        with urllib.request.urlopen(metrics, timeout=20) as answer:
            return counts(answer.read().decode())

    before = read()
    with GrpcClient(server) as client, concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(client.predict, [[f"患者因腹痛{i}天入院。"] for i in range(REQUESTS)]))
    if wrong := verdict(REQUESTS, before, read()):
        sys.exit(f"batching: {wrong}")


if __name__ == "__main__":
    main(*sys.argv[1:])
