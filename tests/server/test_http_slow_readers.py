"""Clients that read large answers slowly or not at all, while the server works and at its end."""

import concurrent.futures
import json
import time

import pytest
from http_connection import Connection

from emr_ner_tf.server import http_protocol

# More than the buffers of both sides hold.
LARGE = json.dumps({"instances": ["x" * 20_000] * 10}).encode()


@pytest.fixture
def slow_reader():
    """The function that connects a client whose buffer is small, and asks for a large answer."""
    connections = []

    def start(server):
        connection = Connection(server.rest_port, receive_buffer=1 << 15)
        connections.append(connection)
        return connection.post(LARGE)

    yield start
    for connection in connections:
        connection.close()


def test_a_slow_reader_is_served_and_one_that_reads_nothing_is_not(slow_reader, local, monkeypatch):
    monkeypatch.setattr(http_protocol, "_STALLED_S", 1.0)
    server = local(rest_port=0, max_characters=1 << 20)
    slow, none = slow_reader(server), slow_reader(server)
    length = 0
    while line := slow.file.readline().strip():
        if line.lower().startswith(b"content-length: "):
            length = int(line.split()[1])
    body = bytearray()
    while len(body) < length:
        # It takes several times as long as nothing may be taken.
        time.sleep(0.03)
        body += slow.file.read(min(length // 100, length - len(body)))
    assert len(json.loads(bytes(body))["predictions"]) == 10
    with pytest.raises((ConnectionResetError, EOFError, ValueError)):
        json.loads(none.answer()[2])


def test_the_end_waits_for_answers_to_be_read(slow_reader, local):
    server = local(rest_port=0, max_characters=1 << 20)
    reader = slow_reader(server)
    _wait_for_answers(server)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(server.stop, 3000)
        assert len(json.loads(reader.answer()[2])["predictions"]) == 10
        assert stopped.result()


def test_an_answer_that_nobody_reads_is_not_called_answered(slow_reader, local):
    server = local(rest_port=0, max_characters=1 << 20)
    slow_reader(server)
    _wait_for_answers(server)
    assert not server.stop(0.5)


def _wait_for_answers(server):
    until = time.monotonic() + 60
    while not any(c.transport.get_write_buffer_size() for c in server._rest._server.server_state.connections):
        assert time.monotonic() < until
        time.sleep(0.01)
