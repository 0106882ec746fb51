"""No record's text in a log or an error of the server and of its clients, whatever is wrong."""

import asyncio
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import traceback

import grpc
import pytest
import requests
from canary_text import ALL_REMARKS, CANARY, assert_silent, run_all
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from emr_ner_tf.client.grpc_aio_client import AsyncGrpcClient
from emr_ner_tf.client.grpc_client import GrpcClient
from emr_ner_tf.client.options import ClientOptions
from emr_ner_tf.client.rest_client import RestClient
from emr_ner_tf.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]


@contextlib.contextmanager
def _serving(bundles, log):
    command = [
        sys.executable,
        "-m",
        "emr_ner_tf.cli.serve",
        "--port=0",
        "--rest_port=0",
        "--max_message_mb=1",
    ]
    with (
        open(log, "wb") as stderr,
        subprocess.Popen(
            [*command, f"--bundle={bundles}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=os.environ | ALL_REMARKS,
            text=True,
        ) as process,
    ):
        try:
            line = process.stdout.readline()
            assert line, log.read_text(encoding="utf-8")
            yield process, json.loads(line)
        finally:
            process.kill()


def _predict_requests():
    """Requests of gRPC, each with the marker and something wrong, but for the first."""
    good = predict_pb2.PredictRequest()
    good.model_spec.name = "ner"
    good.inputs["text"].dtype = 7
    good.inputs["text"].tensor_shape.dim.add(size=2)
    good.inputs["text"].string_val.extend([CANARY.encode(), CANARY.encode() + b"\xff"])
    yield good

    def wrong(change):
        request = predict_pb2.PredictRequest()
        request.CopyFrom(good)
        change(request)
        return request

    text = CANARY.encode()
    yield wrong(lambda request: request.ClearField("model_spec"))
    yield wrong(lambda request: setattr(request.model_spec, "name", "other"))
    yield wrong(lambda request: setattr(request.model_spec, "signature_name", "marginals"))
    yield wrong(lambda request: setattr(request.inputs["text"], "dtype", 1))
    yield wrong(lambda request: setattr(request.inputs["text"], "tensor_content", text))
    yield wrong(lambda request: request.inputs["text"].string_val.append(text))
    yield wrong(lambda request: request.inputs["text"].tensor_shape.dim.add(size=3))
    yield wrong(lambda request: request.inputs["text"].string_val.__setitem__(0, text * 20_000))
    yield wrong(lambda request: request.inputs["text"].string_val.__setitem__(0, text * 100_000))
    yield wrong(lambda request: request.inputs["other"].CopyFrom(request.inputs["text"]))
    yield wrong(lambda request: request.output_filter.append("spans"))


BODIES = (
    b'{"instances": ["' + CANARY.encode(),
    b'{"instances": ["' + CANARY.encode() + b'\xff"]}',
    f'["{CANARY}"]'.encode(),
    f'{{"{CANARY}": 1}}'.encode(),
    *(
        json.dumps(document).encode()
        for document in (
            {"instances": CANARY},
            {"instances": [CANARY, [CANARY]]},
            {"instances": [CANARY, {"text": CANARY}]},
            {"instances": [{"text": [CANARY]}]},
            {"instances": [{CANARY: CANARY}]},
            {"instances": [{"b64": CANARY}]},
            {"instances": [f"{CANARY}\ud800"]},
            {"instances": [CANARY * 20_000]},
            {"instances": [CANARY * 100_000]},
            {"inputs": {CANARY: [CANARY]}},
            {"inputs": {"token_ids": [CANARY], "length": CANARY}, "signature_name": "decode"},
            {"inputs": [CANARY], "signature_name": "spans"},
        )
    ),
)


def _ask_async(target, options, texts):
    async def ask():
        async with AsyncGrpcClient(target, options) as client:
            return await client.predict(texts)

    return asyncio.run(ask())


def _client_faults(ports, absent):
    """Calls that fail in the client, on the way, or at the server, by what is wrong."""
    texts, once = [CANARY, f"{CANARY}患者。" * 100], ClientOptions(retry_timeout_s=0)
    wrongs = {
        "a surrogate": (once, [f"{CANARY}\ud800"], None),
        "too large to send": (ClientOptions(max_message_bytes=500), texts, None),
        "too large to take": (ClientOptions(max_characters=2_000_000), [CANARY * 100_000], None),
        "too many characters": (ClientOptions(max_characters=2_000_000), [CANARY * 15_000], None),
        "late": (ClientOptions(deadline_s=0.001), [f"{CANARY}患者。" * 5000], None),
        "another model": (ClientOptions(model="other"), texts, None),
        "another version": (ClientOptions(version=7), texts, None),
        "absent": (once, texts, absent),
    }
    for name, (options, given, other) in wrongs.items():
        for kind, client in (("port", GrpcClient), ("rest_port", RestClient)):
            target = f"127.0.0.1:{other or ports[kind]}"
            yield f"{name}, {kind}", lambda c=client, t=target, o=options, g=given: c(t, o).predict(g)
        target = f"127.0.0.1:{other or ports['port']}"
        yield f"{name}, asyncio", lambda t=target, o=options, g=given: _ask_async(t, o, g)
    yield "gRPC to REST", lambda: GrpcClient(f"127.0.0.1:{ports['rest_port']}", once).predict(texts)
    yield "REST to gRPC", lambda: RestClient(f"127.0.0.1:{ports['port']}", once).predict(texts)


@pytest.mark.slow
def test_server_and_clients(folder, quiet, bundles, tmp_path):
    log = tmp_path / "stderr"
    with _serving(bundles, log) as (process, ports), socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        absent = closed.getsockname()[1]
        with grpc.insecure_channel(f"127.0.0.1:{ports['port']}") as channel:
            first, *wrong = _predict_requests()
            predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
            assert len(predict(first, timeout=60).outputs["num_entities"].int_val) == 2
            for i, request in enumerate(wrong):
                with pytest.raises(grpc.RpcError) as caught:
                    predict(request, timeout=60)
                assert_silent(f"{caught.value.code()} {caught.value.details()}", f"gRPC request {i}")
        url = f"http://127.0.0.1:{ports['rest_port']}/v1/models/ner:predict"
        for body in BODIES:
            answer = requests.post(url, data=body, timeout=60)
            assert answer.status_code >= 400
            assert_silent(answer.text, f"REST body {BODIES.index(body)}")
        for name, call in _client_faults(ports, absent):
            with pytest.raises(UserError) as caught:
                call()
            assert_silent("".join(traceback.format_exception(caught.value)), name)
        raw, found = f"--input={folder}/raw.jsonl", f"--output={tmp_path}/found.jsonl"
        run_all(
            [
                lambda: quiet(
                    "annotate", f"--server=127.0.0.1:{ports['port']}", raw, "--on_error=skip", found
                ),
                lambda: quiet(
                    *("annotate", f"--server=127.0.0.1:{ports['rest_port']}", "--protocol=rest", raw),
                    status=1,
                    records_on_stdout=True,
                ),
                lambda: quiet(
                    *("annotate", f"--server=127.0.0.1:{absent}", "--retry_timeout_s=0", f"--text={CANARY}"),
                    status=1,
                ),
            ]
        )
        process.terminate()
        assert process.wait(60) == 0
        assert_silent(process.stdout.read(), "serve")
    said = log.read_text(encoding="utf-8")
    assert_silent(said, "serve")
    assert "Traceback" not in said
