"""The end of the server by a signal: it answers the requests that it has accepted and accepts no more."""

import concurrent.futures
import signal
import socket
import threading
import time
import types

import grpc
import pytest
import requests
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc

from emr_ner_tf.errors import UserError
from emr_ner_tf.server.batcher import BatchingOptions, PendingRequest

SECRET = "某某某身份证"


def test_sigterm_under_load(serve, tmp_path, request_of, toy_versions):
    log = tmp_path / "stderr"
    statuses, answered, refused = [], [], []
    with (
        serve(log, f"--bundle={toy_versions.directory}") as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        stub.Predict(request_of(["x"]), timeout=60)

        def watch():
            try:
                for answer in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()):
                    statuses.append(answer.status)
            except grpc.RpcError:
                pass

        def ask():
            while True:
                try:
                    answered.append(stub.Predict(request_of([f"slow {SECRET} xx"]), timeout=60))
                except grpc.RpcError as error:
                    refused.append(error.code())
                    return

        def ask_by_rest():
            while True:
                try:
                    document = {"instances": [f"slow {SECRET}"]}
                    answer = requests.post(f"{running.url}/v1/models/ner:predict", json=document, timeout=60)
                except requests.ConnectionError:
                    return
                (answered if answer.status_code == 200 else refused).append(answer.status_code)

        threads = [threading.Thread(target=what) for what in (watch, ask, ask, ask, ask_by_rest)]
        for thread in threads:
            thread.start()
        while not (answered and statuses):
            time.sleep(0.01)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
        for thread in threads:
            thread.join(60)
    # A caller that comes too late is refused with the code that clients try again on.
    assert set(refused) <= {grpc.StatusCode.UNAVAILABLE, 503}
    assert statuses == [
        health_pb2.HealthCheckResponse.SERVING,
        health_pb2.HealthCheckResponse.NOT_SERVING,
    ]
    lines = log.read_text(encoding="utf-8")
    assert "stopped: every request was answered" in lines
    assert SECRET not in lines
    assert "Traceback" not in lines


def test_a_request_that_outlives_the_grace_is_broken_off(serve, toy_versions, tmp_path, request_of):
    flags = (
        f"--bundle={toy_versions.directory}",
        "--grace_s=0.2",
        "--rest_port=-1",
        "--threads=1",
        "--nobatching",
    )
    with serve(tmp_path / "stderr", *flags) as running:
        assert running.ready["rest_port"] is None
        with grpc.insecure_channel(running.address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            stub.Predict(request_of(["x"]), timeout=60)
            slow = [stub.Predict.future(request_of(["slow"]), timeout=60) for _ in range(12)]
            time.sleep(0.2)
            running.process.send_signal(signal.SIGINT)
            assert running.process.wait(60) == 1
            # Half a second each, one after the other, in whatever order they came.
            assert sum(isinstance(answer.exception(), grpc.RpcError) for answer in slow) > 2
    assert "requests were aborted" in (tmp_path / "stderr").read_text(encoding="utf-8")


def _kept_busy(server, pool):
    """Returns a request that the server has in work, and the event that ends it."""
    busy, go = threading.Event(), threading.Event()

    def run(name, inputs):
        busy.set()
        return {"ended": go.wait(60)}

    model = types.SimpleNamespace(merges=lambda name: False, run=run)
    running = pool.submit(server._batcher.run, PendingRequest(model, "serving_default", {}, 1, 1))
    assert busy.wait(60)
    return running, go


def test_waiting_requests_get_an_error_at_the_end_of_the_grace_period(local, stub_of, request_of):
    server = local(rest_port=0, batching=BatchingOptions(threads=1, enabled=False))
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/ner:predict"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running, go = _kept_busy(server, pool)
        call = stub_of(server.port).Predict.future(request_of(["x"]), timeout=60)
        answer = pool.submit(requests.post, url, json={"instances": ["x"]}, timeout=60)
        while len(server._batcher._queue) < 2:
            assert not call.done()
            assert not answer.done()
            time.sleep(0.01)
        in_time = server.stop(0.01)
        error, answer = call.exception(), answer.result()
        go.set()
        assert running.result() == {"ended": True}
    assert not in_time
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "the server is shutting down")
    assert (answer.status_code, answer.json()) == (503, {"error": "the server is shutting down"})


def test_new_requests_get_an_error_during_the_grace_period(local):
    server = local(rest_port=0, batching=BatchingOptions(threads=1, enabled=False))
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/ner"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running, go = _kept_busy(server, pool)
        server._rest.drain()
        # A connection of its own, which nobody had taken up before.
        answer = requests.get(url, timeout=10)
        assert (answer.status_code, answer.json()) == (503, {"error": "the server is shutting down"})
        go.set()
        assert running.result() == {"ended": True}
        assert server.stop(10)
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=10)


def test_a_taken_port(local):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for options in ({"port": port}, {"rest_port": port}):
            with pytest.raises(UserError, match=f"127.0.0.1:{port}: "):
                local(**options)
