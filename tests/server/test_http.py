"""HTTP over raw sockets, on which a test decides what is sent when: what the library and the protocol's limits do."""

import gzip
import json
import os
import re
import resource
import signal
import socket
import time
import types

import pytest
from http_connection import BODY, PATH, TEXT, Connection


@pytest.fixture
def connect():
    """The function that connects to a server."""
    connections = []

    def start(server):
        connections.append(Connection(server.rest_port))
        return connections[-1]

    yield start
    for connection in connections:
        connection.close()


@pytest.fixture(scope="module")
def server(toy_server):
    return toy_server(max_message_bytes=4096)


def is_prediction(answer):
    status, _, body = answer
    return status == 200 and json.loads(body)["predictions"][0]["num_entities"] == 2


def chunked(*parts):
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


def test_a_body_in_chunks(connect, server):
    connection = connect(server)
    connection.send(f"POST {PATH} HTTP/1.1", "Transfer-Encoding: chunked", body=chunked(BODY[:7], BODY[7:]))
    assert is_prediction(connection.answer())
    connection.send(f"POST {PATH} HTTP/1.1", "Transfer-Encoding: chunked", body=chunked(*[b"x" * 1000] * 5))
    assert connection.refusal() == 413
    # The rest of what was refused is not taken for the next request.
    assert is_prediction(connection.post().answer())
    connection.send(f"POST {PATH} HTTP/1.1", "Transfer-Encoding: chunked", body=b"no number\r\n")
    assert connection.refusal() == 400
    assert connection.is_closed()


def test_a_compressed_body(connect, server):
    connection = connect(server)
    for encoding in ("gzip", "GZIP", "x-gzip", "identity"):
        body = BODY if encoding == "identity" else gzip.compress(BODY)
        assert is_prediction(connection.post(body, f"Content-Encoding: {encoding}").answer())
    packed = gzip.compress(BODY)
    for body, encoding, status in (
        (gzip.compress(b" " * 100_000), "gzip", 413),
        (BODY, "gzip", 400),
        (packed[:-1], "gzip", 400),
        (packed + b"x", "gzip", 400),
        (packed * 2, "gzip", 400),
        (BODY, "br", 415),
        (packed, "gzip, gzip", 415),
    ):
        assert connection.post(body, f"Content-Encoding: {encoding}").refusal() == status, encoding


def test_the_body_of_get_is_read(connect, server):
    connection = connect(server)
    for _ in range(2):
        connection.send(
            "GET /v1/models/ner HTTP/1.1", "Content-Length: 25", body=b"GET /v1/models/other HTTP"
        )
        status, _, body = connection.answer()
        assert (status, json.loads(body)["model_version_status"][0]["state"]) == (200, "AVAILABLE")
    connection.send("GET /v1/models/ner HTTP/1.1", "Transfer-Encoding: chunked", body=chunked(b"GET /"))
    assert connection.answer()[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 33", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "content-length: 33"),
        ("Content-Length: 33", "Content-Length: 33"),
        ("Content-Length: 33", "CONTENT-LENGTH: 5"),
        ("Content-Length: 33, 33",),
        ("Content-Length: +33",),
        ("Content-Length : 33",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip, chunked",),
        ("Content-Length: 33", "Host: other"),
        ("Content-Length: 33", "Content-Type: a", "Content-Type: b"),
        ("Content-Length: 33", "Content-Encoding: gzip", "Content-Encoding: gzip"),
        ("Content-Length: 33", "no colon"),
        ("Content-Length: 33", "x: \x00"),
    ],
    ids=lambda headers: " ".join(headers).replace("\x00", "NUL"),
)
def test_ambiguous_requests_are_refused(connect, server, headers):
    connection = connect(server)
    connection.send(f"POST {PATH} HTTP/1.1", *headers, body=chunked(b"") + b"GET /v1/models/ner HTTP/1.1\r\n")
    assert connection.refusal() == 400
    assert connection.is_closed()


def test_head_is_get_without_a_body(connect, server):
    connection = connect(server)
    for path, status in (("/v1/models/ner", 200), ("/v1/models/other", 404), ("/no", 400)):
        connection.send(f"GET {path} HTTP/1.1")
        of_get = connection.answer()
        connection.send(f"HEAD {path} HTTP/1.1")
        of_head = connection.answer(has_body=False)
        assert (of_get[0], of_head[0]) == (status, status)
        for name in ("content-type", "content-length"):
            assert of_head[1][name] == of_get[1][name]


def test_options_and_other_methods(connect, server):
    connection = connect(server)
    for path in (PATH, "*", "/"):
        connection.send(f"OPTIONS {path} HTTP/1.1", "Origin: https://example.org")
        status, headers, body = connection.answer()
        assert (status, headers["allow"], body) == (204, "GET, HEAD, POST, OPTIONS", b"")
        assert not any(name.startswith("access-control") for name in headers)
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "NO"):
        connection.send(f"{method} /v1/models/ner HTTP/1.1")
        assert connection.refusal() == 405


@pytest.mark.parametrize("allowed", ["https://example.org", "*"])
def test_cors_by_option(connect, local, allowed):
    connection = connect(local(rest_port=0, cors_origins=[allowed]))
    asked = ("Origin: https://example.org", "Access-Control-Request-Method: POST")
    connection.send(f"OPTIONS {PATH} HTTP/1.1", *asked, "Access-Control-Request-Headers: content-type")
    status, headers, _ = connection.answer()
    assert (status, headers["access-control-allow-origin"]) == (200, allowed)
    assert "POST" in headers["access-control-allow-methods"]
    answer = connection.post(BODY, "Origin: https://example.org").answer()
    assert is_prediction(answer)
    assert answer[1]["access-control-allow-origin"] == allowed
    _, headers, _ = connection.post(BODY, "Origin: https://example.com").answer()
    assert headers.get("access-control-allow-origin") == ("*" if allowed == "*" else None)


def test_a_limit_on_connections(connect, local):
    server = local(rest_port=0, max_connections=2)
    first, second = connect(server), connect(server)
    for connection in (first, second):
        assert is_prediction(connection.post().answer())
    third = connect(server)
    assert third.refusal() == 503
    assert third.is_closed()
    assert is_prediction(first.post().answer())
    second.close()
    while True:
        # The server learns of the end of a connection in its own time.
        another = connect(server)
        another.post()
        try:
            if is_prediction(another.answer()):
                break
        except ConnectionResetError:
            pass


def test_connections_wait_while_there_are_no_descriptors(connect, serve, toy_versions, tmp_path):
    with serve(tmp_path / "stderr", f"--bundle={toy_versions.directory}", "--poll_s=0") as running:
        pid, port = running.process.pid, types.SimpleNamespace(rest_port=running.ready["rest_port"])
        known = connect(port)
        assert is_prediction(known.post().answer())
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        most = max(int(number) for number in os.listdir(f"/proc/{pid}/fd")) + 3
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, hard))
        others = [connect(port).post() for _ in range(most)]
        until = time.monotonic() + 60
        while "Too many open files" not in running.log.read_text(encoding="utf-8"):
            assert time.monotonic() < until
            time.sleep(0.01)
        # It tries again every second.
        time.sleep(2.5)
        assert is_prediction(known.post().answer())
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        for other in others:
            assert is_prediction(other.answer())
        # Neither do its attempts outlive the port.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, hard))
        connect(port)
        assert is_prediction(known.post().answer())
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
        lines = running.log.read_text(encoding="utf-8").splitlines()
    assert [line.partition(" ")[2] for line in lines if re.search("connections? (wait|failed):", line)] == [
        "new connections wait: Too many open files; raise the limit of open files (ulimit -n)"
    ]


def test_a_slow_request_is_broken_off(connect, local):
    server = local(rest_port=0, rest_timeout_s=0.5, max_message_bytes=4096)
    head, body, refused = (connect(server) for _ in range(3))
    head.socket.sendall(b"POST /v1/models/ner:predict HTTP/1.1\r\nHost:")
    body.send(f"POST {PATH} HTTP/1.1", f"Content-Length: {len(BODY)}", body=BODY[:-1])
    for connection in (head, body):
        assert connection.refusal() == 408
        assert connection.is_closed()
    # Who is refused early may send the rest of the body, but not for ever.
    refused.send(f"POST {PATH} HTTP/1.1", "Content-Length: 5000", body=b"x")
    assert refused.refusal() in (413, 408)
    assert refused.is_closed()


def test_a_slow_body_does_not_hold_up_the_end(connect, local):
    server = local(rest_port=0, rest_timeout_s=0.5)
    connection = connect(server)
    connection.send(f"POST {PATH} HTTP/1.1", f"Content-Length: {len(BODY)}", body=BODY[:-1])
    while not server._rest.requests._active:
        pass
    # The grace is longer than the test may take.
    assert server.stop(3000)
    assert connection.refusal() == 408
    assert connection.is_closed()


def test_byte_order_marks(connect, server):
    connection = connect(server)
    assert connection.post(b"\xef\xbb\xbf" + BODY).refusal() == 400
    connection.socket.sendall(b"\xef\xbb\xbfGET /v1/models/ner HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert connection.refusal() == 400
    assert connection.is_closed()


@pytest.mark.parametrize(
    "url",
    [
        "//v1/models/ner",
        "/v1/models/../models/ner",
        "/v1/models/ner/",
        "/v1/models/ner/versions/1/metadata/x",
        "/v1/models/ner%00",
        "/v1/models/%ff%fe",
        "/v1/models/%e6%82%a3",
        "/v1/models/%",
        "http://[::1",
        "http://localhost",
        "https://",
        "ftp://localhost/v1/models/ner",
        "v1/models/ner",
        "*",
        "localhost:80",
        "/v1/models/ner\\..",
        "/v1/models/患者",
        "/" + "a" * 70_000,
    ],
    ids=lambda url: url[:30],
)
def test_a_strange_url_is_the_callers_mistake(connect, server, url):
    connection = connect(server)
    connection.socket.sendall(f"GET {url} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert connection.refusal() in (400, 404)


def test_an_url_with_a_host(connect, server):
    connection = connect(server)
    assert is_prediction(connection.post(path=f"http://localhost:80{PATH}?a=b").answer())


def test_requests_that_do_not_wait_for_answers(connect, server):
    connection = connect(server)
    connection.post().send("GET /v1/models/other HTTP/1.1").post()
    assert is_prediction(connection.answer())
    assert connection.refusal() == 404
    assert is_prediction(connection.answer())


def test_a_client_that_closes_its_side_reads_the_answer(connect, server):
    connection = connect(server)
    connection.post(json.dumps({"instances": ["slow xx"]}).encode())
    connection.socket.shutdown(socket.SHUT_WR)
    assert is_prediction(connection.answer())
    assert connection.is_closed()


def test_all_requests_before_the_end_are_answered(connect, server):
    slow = json.dumps({"instances": ["slow xx"]}).encode()
    for incomplete in (b"", b"POST "):
        connection = connect(server).post(slow).send("GET /v1/models/other HTTP/1.1").post(slow)
        connection.socket.sendall(incomplete)
        connection.socket.shutdown(socket.SHUT_WR)
        assert is_prediction(connection.answer())
        assert connection.refusal() == 404
        assert is_prediction(connection.answer())
        assert connection.is_closed()


def test_a_last_request_that_closes_is_answered(connect, server):
    slow = json.dumps({"instances": ["slow xx"]}).encode()
    head = (f"POST {PATH} HTTP/1.1", f"Content-Length: {len(slow)}", "Connection: close")
    for before in (0, 1):
        connection = connect(server)
        for _ in range(before):
            connection.post(slow)
        connection.send(*head, body=slow)
        connection.socket.shutdown(socket.SHUT_WR)
        for _ in range(before + 1):
            assert is_prediction(connection.answer())
        assert connection.is_closed()


def test_http_1_0_and_a_client_that_waits_to_be_asked_for_the_body(connect, server):
    connection = connect(server)
    connection.send(f"POST {PATH} HTTP/1.1", f"Content-Length: {len(BODY)}", "Expect: 100-continue")
    assert connection.answer()[0] == 100
    connection.socket.sendall(BODY)
    assert is_prediction(connection.answer())
    connection.send(f"POST {PATH} HTTP/1.0", f"Content-Length: {len(BODY)}", body=BODY)
    assert is_prediction(connection.answer())
    assert connection.is_closed()


def test_metrics_by_option(connect, server, local, stub_of, request_of):
    path = "GET /monitoring/prometheus/metrics HTTP/1.1"
    assert connect(server).send(path).refusal() == 400
    counted = local(rest_port=0, metrics=True)
    connection = connect(counted)
    assert is_prediction(connection.post().answer())
    stub_of(counted.port).Predict(request_of([TEXT]), timeout=60)
    connection.post(b'{"instances": [1]}').answer()
    connection.post(b'{"inputs": {"text": []}, "signature_name": "no"}').answer()
    connection.post(path="/v1/models/other:predict").answer()
    _, headers, body = connection.send(path).answer()
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = body.decode().splitlines()
    assert ':tensorflow:serving:request_count{model_name="ner",status="OK"} 2' in lines
    # Bodies that cannot be read are requests to the model, too.
    refused = [line for line in lines if "request_count{" in line and 'status="OK"' not in line]
    assert sum(int(line.rpartition(" ")[2]) for line in refused) == 2
    for entrypoint in ("GRPC", "REST"):
        labels = f'model_name="ner",API="Predict",entrypoint="{entrypoint}"'
        assert f":tensorflow:serving:request_latency_count{{{labels}}} 1" in lines
        assert f':tensorflow:serving:request_latency_bucket{{{labels},le="+Inf"}} 1' in lines
    assert "other" not in body.decode()


def test_further_models(connect, local, toy_versions, tmp_path, toys):
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "7").symlink_to(toys / "two")
    server = local(rest_port=0, more_models={"second": str(tmp_path / "second")})
    connection = connect(server)
    for path, label in ((PATH, "one"), ("/v1/models/second:predict", "two")):
        _, _, body = connection.post(path=path).answer()
        assert json.loads(body)["predictions"][0]["label"] == [label] * 2
    connection.send("GET /v1/models/second HTTP/1.1")
    assert json.loads(connection.answer()[2])["model_version_status"][0]["version"] == "7"
    assert connection.post(path="/v1/models/third:predict").refusal() == 404
