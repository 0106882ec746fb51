"""What the Python clients refuse before they send anything: addresses, headers, texts."""

import asyncio

import numpy as np
import pytest
from client_calls import ask

from emr_ner_tf.api import connect
from emr_ner_tf.client.grpc_aio_client import AsyncGrpcClient
from emr_ner_tf.client.options import ClientOptions, ServingError, TlsFiles, handshake_error
from emr_ner_tf.data.document import Document
from emr_ner_tf.errors import UserError
from emr_ner_tf.inference.annotator import POOL_CHARACTERS


@pytest.mark.parametrize("kind", ["grpc", "aio", "rest"])
@pytest.mark.parametrize(
    "target",
    ["", "localhost", "localhost:port", "http://localhost:8501", "localhost:70000", "::1:8500", None],
)
def test_what_is_no_address(kind, target):
    with pytest.raises(UserError, match=f"^{target!r}: a server's address must be HOST:PORT, such as"):
        ask(kind, target, ClientOptions(), ["x"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": 5}, "model must be str, got int"),
        ({"label": 7}, "label must be str or None, got int"),
        ({"version": "3"}, "version must be int or None, got str"),
        ({"version": True}, "version must be int or None, got bool"),
        ({"pin_version": 1}, "pin_version must be bool, got int"),
        ({"deadline_s": None}, "deadline_s must be float or int, got NoneType"),
        ({"max_characters": 2048.5}, "max_characters must be int, got float"),
        ({"tls": "ca.pem"}, r"tls must be .*TlsFiles or None, got str"),
        ({"headers": "a=b"}, "headers must be Mapping, got str"),
        ({"channel_options": None}, "channel_options must be Mapping, got NoneType"),
        ({"channel_options": {"a": None}}, "channel_options must be .* by name, got str and NoneType"),
    ],
)
def test_options_of_another_type(options, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        connect("localhost:1", **options)
    assert ClientOptions(deadline_s=5, retry_timeout_s=0.5, version=0).version == 0
    numbers = ClientOptions(deadline_s=np.float32(5), version=np.int64(3))
    assert (type(numbers.deadline_s), type(numbers.version)) == (float, int)


@pytest.mark.parametrize(
    ("details", "is_final"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1006)", True),
        ("[SSL: UNSUPPORTED_PROTOCOL] unsupported protocol", True),
        ("[SSL] record layer failure", True),
        ("SSL_ERROR_SSL: error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED", True),
        ("Peer name localhost is not in peer certificate", True),
        ("[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol", False),
        ("TLS/SSL connection has been closed (EOF)", False),
        ("Connection reset by peer", False),
    ],
)
def test_which_handshakes_would_fail_again(details, is_final):
    assert (handshake_error("ner:8500", details) is not None) == is_final


def test_the_authorities_to_trust(tmp_path, monkeypatch):
    named = tmp_path / "roots.pem"
    named.touch()
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(named))
    assert TlsFiles().authorities == str(named)
    monkeypatch.delenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")
    monkeypatch.setenv("SSL_CERT_FILE", str(named))
    assert TlsFiles().authorities == str(named)


@pytest.mark.parametrize("kind", ["grpc", "aio", "rest"])
def test_a_host_that_does_not_exist(kind):
    with pytest.raises(
        ServingError,
        match=r"^absent\.invalid:8500: UNAVAILABLE: .*the host name cannot be resolved: is it correct",
    ):
        ask(kind, "absent.invalid:8500", ClientOptions(retry_timeout_s=0, deadline_s=20), ["x"])


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


@pytest.mark.parametrize("kind", ["grpc", "aio", "rest"])
def test_a_lone_surrogate_is_named_where_the_caller_has_it(kind):
    texts = ["患" * 5000, "患" * 3000 + "\ud800", ""]
    with pytest.raises(UserError, match=r"text 1: character 3000 is the lone surrogate U\+D800"):
        ask(kind, "127.0.0.1:1", ClientOptions(max_characters=1024, retry_timeout_s=0), texts)


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
