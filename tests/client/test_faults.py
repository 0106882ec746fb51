"""The Python clients against servers of a few lines: what they send, what they say of faults, what they try again."""

import asyncio
import concurrent.futures
import contextlib
import http.server
import json
import os
import socket
import threading

import grpc
import pytest
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from emr_ner_tf.client.grpc_aio_client import AsyncGrpcClient
from emr_ner_tf.client.grpc_client import GrpcClient
from emr_ner_tf.client.options import ClientOptions, ServingError, TlsFiles
from emr_ner_tf.client.rest_client import RestClient
from emr_ner_tf.data.document import Document
from emr_ner_tf.errors import UserError
from emr_ner_tf.inference.annotator import POOL_CHARACTERS

SECRET = "某某某身份证"
EMPTY = {"num_entities": [0], "start": [[]], "end": [[]], "label": [[]], "score": [[]]}


async def _awaited(target, options, texts):
    async with AsyncGrpcClient(target, options) as client:
        return await client.predict(texts)


def _ask(kind, target, options, texts):
    if kind == "aio":
        return asyncio.run(_awaited(target, options, texts))
    return {"grpc": GrpcClient, "rest": RestClient}[kind](target, options).predict(texts)


@pytest.fixture
def http_server():
    """The function that starts a server with these answers, one after the other: a status, a body, and whether the
    body is announced as longer than it is. A request for the metadata gets version 1, or `metadata`."""
    servers = []

    def start(*answers, metadata=None, location=None):
        left = list(answers)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                status, body, broken = left.pop(0)
                self.send_response(status)
                if location is not None:
                    self.send_header("Location", location)
                self.send_header("Content-Length", str(len(body) + 100 * broken))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                body = json.dumps({"model_spec": {"version": "1"}} if metadata is None else metadata).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        servers.append(http.server.HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


GOOD = (200, json.dumps({"outputs": EMPTY}).encode(), False)
BROKEN = (200, b'{"outputs"', True)


def test_an_answer_that_breaks_off_is_asked_for_again(http_server):
    assert RestClient(http_server(BROKEN, GOOD)).predict(["x"]) == [()]
    with pytest.raises(ServingError, match="UNAVAILABLE: no connection"):
        RestClient(http_server(BROKEN), ClientOptions(retry_timeout_s=0)).predict(["x"])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, SECRET.encode(), False), "UNKNOWN: the answer is not JSON"),
        ((400, json.dumps({"error": SECRET}).encode(), False), "INVALID_ARGUMENT: .*not shown"),
        ((500, json.dumps({"error": SECRET}).encode(), False), "UNKNOWN: .*not shown"),
        ((404, json.dumps({"error": "no such version"}).encode(), False), "NOT_FOUND: no such version"),
    ],
)
def test_what_rest_says(http_server, answer, message):
    with pytest.raises(ServingError, match=message) as caught:
        RestClient(http_server(answer)).predict([SECRET])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"result": SECRET},
        {"outputs": [[0.5]]},
        {"outputs": {"probabilities": [0.5]}},
        {"outputs": EMPTY | {"num_entities": [1]}},
        {"outputs": EMPTY | {"num_entities": 1}},
        {"outputs": EMPTY | {"start": []}},
    ],
)
def test_rest_answers_of_another_kind(http_server, answer):
    with pytest.raises(ServingError, match="UNKNOWN: the answer is not that of a bundle"):
        RestClient(http_server((200, json.dumps(answer).encode(), False))).predict(["x"])


@pytest.mark.parametrize("rows", [0, 2])
def test_rest_answers_with_another_number_of_rows(http_server, rows):
    columns = {name: column * rows for name, column in EMPTY.items()}
    answers = [(200, json.dumps({"outputs": EMPTY | columns}).encode(), False)] * 2
    target = http_server(*answers)
    with pytest.raises(
        ServingError, match=rf"^{target}: UNKNOWN: .* has {rows} for 1 texts; is a bundle served"
    ):
        RestClient(target).predict(["x"])


def test_a_surplus_row_of_one_answer_is_no_row_of_the_next(http_server):
    two, none = ({name: column * rows for name, column in EMPTY.items()} for rows in (2, 0))
    target = http_server(*((200, json.dumps({"outputs": rows}).encode(), False) for rows in (two, none)))
    with pytest.raises(ServingError, match="has 2 for 1 texts"):
        RestClient(target, ClientOptions(max_records=1)).predict(["x", "y"])


@pytest.mark.parametrize("metadata", [[], {"model_spec": 5}, {"model_spec": {"version": "newest"}}])
@pytest.mark.parametrize("call", [RestClient.status, RestClient.signatures, lambda c: c.predict(["x"])])
def test_rest_metadata_of_another_kind(http_server, metadata, call):
    with pytest.raises(ServingError, match="UNKNOWN: the answer is not that of a bundle"):
        call(RestClient(http_server(metadata=metadata)))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_rest_sends_texts_to_no_other_server(http_server, status):
    other = http_server(GOOD)
    moved = http_server((status, b"", False), location=f"http://{other}/v1/models/ner:predict")
    with pytest.raises(
        ServingError, match=f"HTTP {status}: the server redirects to another address; name that"
    ):
        RestClient(moved, ClientOptions(retry_timeout_s=0)).predict([SECRET])


def test_rest_takes_no_answer_that_is_too_large(http_server):
    large = (200, json.dumps({"outputs": EMPTY, "more": "x" * 100_000}).encode(), False)
    with pytest.raises(ServingError, match="RESOURCE_EXHAUSTED: an answer must have at most 200 bytes"):
        RestClient(http_server(large), ClientOptions(max_message_bytes=200)).predict(["x"])


@pytest.fixture
def raw_server():
    """The function that starts a server which answers whatever it hears with these bytes, and then waits."""
    with contextlib.ExitStack() as stack:

        def start(answer):
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve():
                with contextlib.suppress(OSError):
                    connection, _ = listening.accept()
                    stack.push(connection)
                    connection.recv(1 << 16)
                    connection.sendall(answer)

            threading.Thread(target=serve, daemon=True).start()
            return f"127.0.0.1:{listening.getsockname()[1]}"

        yield start


def test_rest_waits_no_longer_than_it_says(raw_server):
    options = ClientOptions(deadline_s=0.3)
    for answer in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n["):
        with pytest.raises(ServingError, match=r"DEADLINE_EXCEEDED: no answer within 0\.3 s"):
            RestClient(raw_server(answer), options).predict(["x"])


def test_tls_to_a_plain_port_is_no_wrong_certificate(raw_server):
    target = raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ServingError, match="does the server use TLS on this port"):
        RestClient(target, ClientOptions(tls=TlsFiles())).predict(["x"])


@pytest.mark.parametrize("kind", ["grpc", "aio", "rest"])
@pytest.mark.parametrize(
    "target", ["", "localhost", "localhost:port", "http://localhost:8501", "localhost:70000", "::1:8500"]
)
def test_what_is_no_address(kind, target):
    with pytest.raises(UserError, match=f"^{target!r}: a server's address must be HOST:PORT, such as"):
        _ask(kind, target, ClientOptions(), ["x"])


@pytest.mark.parametrize("kind", ["grpc", "aio", "rest"])
def test_a_host_that_does_not_exist(kind):
    with pytest.raises(
        ServingError,
        match=r"^absent\.invalid:8500: UNAVAILABLE: .*the host name cannot be resolved: is it correct",
    ):
        _ask(kind, "absent.invalid:8500", ClientOptions(retry_timeout_s=0, deadline_s=20), ["x"])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("Authorization", "Bearer token\n", "'Authorization': its value must be printable ASCII, got a line break"),
        ("x-a", "token患", "header 'x-a': its value must be printable ASCII, got a non-ASCII character as character 6"),
        ("x-a", " token", "header 'x-a': its value must not begin or end with a space"),
        ("Authorization: Bearer token", "", r"'Authorization'\.\.\.: a name may only have .*got ':' as character 14"),
        ("姓名", "token", r"header ''\.\.\.: a name may only have letters.*got a non-ASCII character as character 1"),
        ("", "token", "header must have a name"),
        ("x-token-bin", "token", "header 'x-token-bin': gRPC reserves names that end in -bin for binary values"),
        ("grpc-timeout", "token", "header 'grpc-timeout': is reserved"),
        ("Content-Length", "5", "header 'Content-Length': is reserved"),
    ],
)  # fmt: skip
def test_headers_that_cannot_be_sent(name, value, message):
    with pytest.raises(UserError, match=message) as caught:
        ClientOptions(headers={name: value})
    assert "Bearer token" not in str(caught.value)
    assert value not in str(caught.value) or len(value) < 6


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
    assert _ask(kind, target, options, [""]) == [()]
    ((request, metadata),) = asked
    assert metadata["authorization"] == "Bearer x"
    # Or TensorFlow Serving would not merge it with others.
    assert not request.output_filter
    with pytest.raises(ServingError, match=r"INVALID_ARGUMENT: .*not shown") as caught:
        _ask(kind, target, options, [SECRET])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("kind", ["grpc", "aio"])
@pytest.mark.parametrize(
    "change", [lambda o: o.clear(), lambda o: o["num_entities"].int_val.__setitem__(0, 1)]
)
def test_grpc_answers_of_another_kind(service, kind, change):
    service[0].change = change
    with pytest.raises(ServingError, match="UNKNOWN: the answer is not that of a bundle"):
        _ask(kind, service[1], ClientOptions(retry_timeout_s=0), [""])


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
        _ask(kind, service[1], ClientOptions(retry_timeout_s=0, version=version), [""])


@pytest.mark.parametrize("kind", ["grpc", "aio"])
def test_requests_in_flight(service, kind):
    # Each request is answered only while another one waits.
    service[0].meet = threading.Barrier(2, timeout=60)
    options = ClientOptions(retry_timeout_s=0, concurrency=2, max_records=1, version=1)
    assert _ask(kind, service[1], options, [""] * 6) == [()] * 6


def test_the_requests_in_flight_end_with_the_first_that_fails(service):
    options = ClientOptions(retry_timeout_s=0, concurrency=2, max_records=1, version=1)
    with pytest.raises(ServingError, match=r"INVALID_ARGUMENT: .*not shown"):
        _ask("grpc", service[1], options, [SECRET] * 9)
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
    assert done.stderr == f"{tmp_path}: must be a file, and it is a directory\n"


@pytest.mark.parametrize("kind", ["grpc", "aio", "rest"])
def test_a_lone_surrogate_is_named_where_the_caller_has_it(kind):
    texts = ["患" * 5000, "患" * 3000 + "\ud800", ""]
    with pytest.raises(UserError, match=r"text 1: character 3000 is the lone surrogate U\+D800"):
        _ask(kind, "127.0.0.1:1", ClientOptions(max_characters=1024, retry_timeout_s=0), texts)


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
        _ask(kind, service[1], ClientOptions(retry_timeout_s=0), texts)
    assert SECRET not in str(caught.value)
    assert not service[0].asked


def test_the_asyncio_client_holds_few_characters():
    async def found():
        held = []
        async with AsyncGrpcClient("127.0.0.1:1") as client:

            async def predict(texts):
                held.append(len(texts))
                return [()] * len(texts)

            client.predict = predict
            documents = (Document(str(i), "患" * (POOL_CHARACTERS // 2)) for i in range(5))
            return [document.id async for document in client.annotate(documents)], held

    assert asyncio.run(found()) == (["0", "1", "2", "3", "4"], [2, 2, 1])
