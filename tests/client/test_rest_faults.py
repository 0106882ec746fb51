"""The REST client against servers of a few lines: what it says of faults, and what it tries again."""

import contextlib
import http.server
import json
import socket
import ssl
import struct
import threading

import pytest
from client_calls import SECRET

from emr_ner_tf.client.options import ClientOptions, ServingError, TlsFiles, TlsHandshakeError
from emr_ner_tf.client.rest_client import RestClient

EMPTY = {"num_entities": [0], "start": [[]], "end": [[]], "label": [[]], "score": [[]]}


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


def test_a_pinned_version_that_one_of_the_servers_lacks_is_asked_for_again(http_server):
    absent = (404, b'{"error": "Servable not found for request: Specific(ner, 1)"}', False)
    assert RestClient(http_server(absent, GOOD)).predict(["x"]) == [()]
    with pytest.raises(
        ServingError, match=r"NOT_FOUND: .*not every server has version 1 \(any more, or yet\)"
    ):
        RestClient(http_server(absent), ClientOptions(retry_timeout_s=0)).predict(["x"])


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
        RestClient(http_server(answer), ClientOptions(retry_timeout_s=0)).predict([SECRET])
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
    with pytest.raises(TlsHandshakeError, match="does the server use TLS on this port"):
        RestClient(target, ClientOptions(tls=TlsFiles())).predict(["x"])


@pytest.fixture
def breaking_tls_server(certificates):
    """The function that starts a TLS server which breaks its first connection, in the handshake or after a request."""
    with contextlib.ExitStack() as stack:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem", certificates / "server.key")

        def start(place):
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(GOOD[1])}\r\n\r\n".encode()

            def serve():
                with contextlib.suppress(OSError):
                    for number in range(2):
                        connection, _ = listening.accept()
                        if number or place == "request":
                            connection = context.wrap_socket(connection, server_side=True)
                            connection.recv(1 << 16)
                        if number:
                            connection.sendall(head + GOOD[1])
                        elif place == "request":
                            # Without a wait for the other side, closing is a reset.
                            connection.setsockopt(
                                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                            )
                        connection.close()

            threading.Thread(target=serve, daemon=True).start()
            return f"127.0.0.1:{listening.getsockname()[1]}"

        yield start


@pytest.mark.parametrize("place", ["handshake", "request"])
def test_a_tls_connection_that_breaks_is_asked_for_again(breaking_tls_server, certificates, place):
    target, tls = breaking_tls_server(place), TlsFiles(str(certificates / "ca.pem"))
    assert RestClient(target, ClientOptions(version=1, tls=tls)).predict(["x"]) == [()]


def test_without_an_authority_those_of_the_machine_are_trusted(
    breaking_tls_server, certificates, monkeypatch
):
    monkeypatch.delenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", raising=False)
    options = ClientOptions(version=1, tls=TlsFiles())
    with pytest.raises(TlsHandshakeError, match="does each side trust the other's certificate"):
        RestClient(breaking_tls_server("handshake"), options).predict(["x"])
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    assert RestClient(breaking_tls_server("handshake"), options).predict(["x"]) == [()]
