"""A raw connection to an HTTP port, on which a test decides what is sent when."""

import json
import socket

TEXT = "腹痛xx"
PATH = "/v1/models/ner:predict"
BODY = json.dumps({"instances": [TEXT]}).encode()


class Connection:
    """A connection to a port of this machine."""

    def __init__(self, port, receive_buffer=None):
        self.socket = socket.socket()
        self.socket.settimeout(60)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def send(self, start, *headers, body=b""):
        """Sends a request as it is given; the only header of its own is Host."""
        lines = [start, "Host: localhost", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode("latin-1") + body)
        return self

    def post(self, body=BODY, *headers, path=PATH):
        return self.send(f"POST {path} HTTP/1.1", f"Content-Length: {len(body)}", *headers, body=body)

    def answer(self, has_body=True):
        """Status, headers by lower-case name, and body of the next answer."""
        version, status, _ = self.file.readline().decode().split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {}
        while line := self.file.readline().decode().rstrip("\r\n"):
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, name
            headers[name.lower()] = value
        length = int(headers.get("content-length", 0)) if has_body else 0
        return int(status), headers, self.file.read(length)

    def refusal(self):
        """Status of an answer that is an error in TensorFlow Serving's form."""
        status, headers, body = self.answer()
        assert headers["content-type"] == "application/json"
        assert list(json.loads(body)) == ["error"]
        return status

    def is_closed(self):
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.file.close()
        self.socket.close()
