"""The gRPC clients against a server of a few lines: what they and `annotate` send, and what they say of faults."""

import concurrent.futures
import os
import threading
import time

import grpc
import pytest
from client_calls import SECRET, ask
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from emr_ner_tf.client.options import ClientOptions, ServingError, TlsFiles, TlsHandshakeError
from emr_ner_tf.errors import UserError


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self):
        self.asked = []
        self.meet = None
        self.change = lambda outputs: None

    def Predict(self, request, context):
        self.asked.append((request, dict(context.invocation_metadata())))
        if self.meet is not None:
            self.meet.wait()
        (text,) = request.inputs["text"].string_val
        if text:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"cannot parse {text.decode()}")
        answer = predict_pb2.PredictResponse()
        answer.model_spec.version.value = 1
        for name, dtype in (("num_entities", 3), ("start", 3), ("end", 3), ("label", 7), ("score", 1)):
            answer.outputs[name].dtype = dtype
            answer.outputs[name].tensor_shape.dim.add(size=1)
            if name == "num_entities":
                answer.outputs[name].int_val.append(0)
            else:
                answer.outputs[name].tensor_shape.dim.add(size=0)
        self.change(answer.outputs)
        return answer


@pytest.fixture
def service():
    """A server and its address."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    service = _Service()
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield service, f"127.0.0.1:{port}"
    server.stop(None)


@pytest.mark.parametrize("kind", ["grpc", "aio"])
def test_what_grpc_sends_and_says(service, kind, monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    asked, target = service[0].asked, service[1]
    options = ClientOptions(retry_timeout_s=0, headers={"Authorization": "Bearer x"})
    assert ask(kind, target, options, [""]) == [()]
    ((request, metadata),) = asked
    assert metadata["authorization"] == "Bearer x"
    # Or TensorFlow Serving would not merge it with others.
    assert not request.output_filter
    with pytest.raises(ServingError, match=r"INVALID_ARGUMENT: .*not shown") as caught:
        ask(kind, target, options, [SECRET])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("kind", ["grpc", "aio"])
def test_a_tls_handshake_that_fails_is_not_repeated(kind, certificates, monkeypatch):
    monkeypatch.delenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", raising=False)
    key, certificate = ((certificates / f"server.{suffix}").read_bytes() for suffix in ("key", "pem"))
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Service(), server)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    server.start()
    try:
        begun = time.monotonic()
        for tls in (TlsFiles(), TlsFiles(str(certificates / "stranger.pem"))):
            with pytest.raises(TlsHandshakeError, match="does each side trust the other's certificate"):
                ask(kind, f"127.0.0.1:{port}", ClientOptions(retry_timeout_s=60, tls=tls), [""])
        assert time.monotonic() - begun < 30
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
        assert ask(kind, f"127.0.0.1:{port}", ClientOptions(tls=TlsFiles()), [""]) == [()]
    finally:
        server.stop(None)


@pytest.mark.parametrize("kind", ["grpc", "aio"])
@pytest.mark.parametrize(
    "change", [lambda o: o.clear(), lambda o: o["num_entities"].int_val.__setitem__(0, 1)]
)
def test_grpc_answers_of_another_kind(service, kind, change):
    service[0].change = change
    with pytest.raises(ServingError, match="UNKNOWN: the answer is not that of a bundle"):
        ask(kind, service[1], ClientOptions(retry_timeout_s=0), [""])


@pytest.mark.parametrize("kind", ["grpc", "aio"])
@pytest.mark.parametrize("rows", [0, 2])
# Without a version, the first answer pins it; with one, the requests are in flight at the same time.
@pytest.mark.parametrize("version", [None, 1])
def test_grpc_answers_with_another_number_of_rows(service, kind, rows, version):
    def change(outputs):
        outputs["num_entities"].int_val[:] = [0] * rows
        for tensor in outputs.values():
            tensor.tensor_shape.dim[0].size = rows

    service[0].change = change
    with pytest.raises(
        ServingError, match=rf"^{service[1]}: UNKNOWN: .* has {rows} for 1 texts; is a bundle"
    ):
        ask(kind, service[1], ClientOptions(retry_timeout_s=0, version=version), [""])


@pytest.mark.parametrize("kind", ["grpc", "aio"])
def test_requests_in_flight(service, kind):
    # Each request is answered only while another one waits.
    service[0].meet = threading.Barrier(2, timeout=60)
    options = ClientOptions(retry_timeout_s=0, concurrency=2, max_records=1, version=1)
    assert ask(kind, service[1], options, [""] * 6) == [()] * 6


def test_the_requests_in_flight_end_with_the_first_that_fails(service):
    options = ClientOptions(retry_timeout_s=0, concurrency=2, max_records=1, version=1)
    with pytest.raises(ServingError, match=r"INVALID_ARGUMENT: .*not shown"):
        ask("grpc", service[1], options, [SECRET] * 9)
    assert len(service[0].asked) <= 2


def test_the_command_keeps_as_many_requests_in_flight_as_its_flag_says(service, cli, tmp_path):
    service[0].meet = threading.Barrier(2, timeout=60)
    (tmp_path / "in.jsonl").write_text('{"originalText": ""}\n' * 6, encoding="utf-8")
    flags = (f"--server={service[1]}", f"--input={tmp_path}/in.jsonl", "--max_records=1", "--version=1")
    done = cli("annotate", *flags, "--concurrency=2")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 6


def test_the_command_sends_the_settings_of_its_flags(service, cli, tmp_path):
    asked, target = service[0].asked, service[1]
    (tmp_path / "in.jsonl").write_text('{"originalText": ""}\n{"originalText": ""}\n', encoding="utf-8")
    flags = (f"--server={target}", f"--input={tmp_path}/in.jsonl", "--max_records=1")
    done = cli("annotate", *flags, "--header=Authorization=Bearer x", "--header=x-a=b=c")
    assert done.returncode == 0, done.stderr
    assert [len(request.inputs["text"].string_val) for request, _ in asked] == [1, 1]
    assert [(sent["authorization"], sent["x-a"]) for _, sent in asked] == [("Bearer x", "b=c")] * 2
    done = cli("annotate", *flags, "--header=Bearer")
    assert done.returncode == 2
    assert "--header must be NAME=VALUE, got 6 characters in another form" in done.stderr
    for header, message in (
        ("x-患=secret", "--header: header 'x-'...: a name may only have letters"),
        ("x-a=secret\n", "--header: header 'x-a': its value must be printable ASCII"),
    ):
        done = cli("annotate", *flags, f"--header={header}")
        assert done.returncode == 2
        assert message in done.stderr
        assert "secret" not in done.stderr
    done = cli("annotate", *flags, "--header=x-a=1", "--header=X-A=2")
    assert done.returncode == 2
    assert "'X-A' is given twice" in done.stderr


def test_a_stream_takes_records_as_they_come(service, cli, tmp_path):
    flags = ("annotate", f"--server={service[1]}", "--text=")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text, encoding="utf-8")
        done = cli(*flags, f"--output={pipe}")
        assert done.returncode == 0, done.stderr
        piped = read.result(60)
    # No partial file, and the pipe is still one.
    assert list(tmp_path.iterdir()) == [pipe]
    assert pipe.is_fifo()
    done = cli(*flags, "--output=-", "--colour=always")
    assert done.returncode == 0, done.stderr
    assert done.stdout == piped == '{"originalText": "", "entities": []}\n'
    refused = cli(*flags, "--output=-", "--resume")
    assert refused.returncode == 2
    assert "--resume requires --output to be a file" in refused.stderr
    done = cli(*flags, f"--output={tmp_path}")
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path}: must be a file, got a directory\n"


@pytest.mark.parametrize("kind", ["grpc", "aio", "rest"])
@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (SECRET, r"texts must be a list of strings, got one str; put it into a list: \[text\]"),
        (SECRET.encode(), "got one bytes"),
        (["", SECRET.encode()], "text 1: must be a string, got bytes"),
        (["", None], "text 1: must be a string, got NoneType"),
    ],
)
def test_what_is_no_list_of_texts_is_not_sent(service, kind, texts, message):
    with pytest.raises(UserError, match=message) as caught:
        ask(kind, service[1], ClientOptions(retry_timeout_s=0), texts)
    assert SECRET not in str(caught.value)
    assert not service[0].asked
