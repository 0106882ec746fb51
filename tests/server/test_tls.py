"""TLS and mutual TLS, with certificates made here: the right ones are let in, and nobody else."""

import ssl
import urllib.error
import urllib.request

import grpc
import pytest
from certificates import issue_all
from cryptography.hazmat.primitives import serialization
from tensorflow_serving.apis import prediction_service_pb2_grpc

from emr_ner_tf.errors import UserError
from emr_ner_tf.server.tls import Tls


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return issue_all(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def predict(certificates, request_of):
    """Asks a port by TLS; gives the number of mentions, or the status."""

    def ask(port, *, ca="ca", client=None):
        def read(name):
            return (certificates / name).read_bytes()

        pair = (None, None) if client is None else (read(f"{client}.key"), read(f"{client}.pem"))
        credentials = grpc.ssl_channel_credentials(read(f"{ca}.pem"), *pair)
        with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            try:
                return stub.Predict(request_of(["xx"]), timeout=20).outputs["num_entities"].int_val[0]
            except grpc.RpcError as error:
                return error.code()

    return ask


def status_by_rest(certificates, port, client=None):
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    if client is not None:
        context.load_cert_chain(certificates / f"{client}.pem", certificates / f"{client}.key")
    with urllib.request.urlopen(
        f"https://127.0.0.1:{port}/v1/models/ner", context=context, timeout=20
    ) as answer:
        return answer.status


def test_tls(local, certificates, predict, stub_of, request_of):
    tls = Tls(str(certificates / "server.pem"), str(certificates / "server.key"))
    server = local(tls=tls, rest_port=0)
    assert predict(server.port) == 2
    assert predict(server.port, ca="stranger") == grpc.StatusCode.UNAVAILABLE
    with pytest.raises(grpc.RpcError) as caught:
        stub_of(server.port).Predict(request_of(["x"]), timeout=20)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert status_by_rest(certificates, server.rest_port) == 200
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"https://127.0.0.1:{server.rest_port}/v1/models/ner", timeout=20)


def test_mutual_tls(local, certificates, predict):
    paths = [str(certificates / name) for name in ("server.pem", "server.key", "ca.pem")]
    server = local(tls=Tls(*paths), rest_port=0)
    assert predict(server.port, client="client") == 2
    assert predict(server.port) == grpc.StatusCode.UNAVAILABLE
    assert predict(server.port, client="intruder") == grpc.StatusCode.UNAVAILABLE
    assert predict(server.port, client="client") == 2
    assert status_by_rest(certificates, server.rest_port, "client") == 200
    for client in (None, "intruder"):
        with pytest.raises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
            status_by_rest(certificates, server.rest_port, client)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("ca.pem", "server.key", None), "not a certificate and its key"),
        (("server.key", "server.key", None), "not a certificate and its key"),
        (("server.pem", "server.key", "server.key"), "server.key: not a certificate"),
    ],
)
def test_wrong_files(certificates, files, message):
    paths = [None if name is None else str(certificates / name) for name in files]
    with pytest.raises(UserError, match=message):
        Tls(*paths).context()


def test_a_key_with_a_password(certificates, tmp_path):
    key = serialization.load_pem_private_key((certificates / "server.key").read_bytes(), None)
    path = tmp_path / "encrypted.key"
    for kind in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        encryption = serialization.BestAvailableEncryption(b"word")
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, encryption))
        with pytest.raises(UserError, match=r"encrypted\.key: a key must have no password.*openssl pkey"):
            Tls(str(certificates / "server.pem"), str(path)).context()


def test_a_certificate_that_is_not_pem(certificates, tmp_path):
    path = tmp_path / "server.der"
    path.write_bytes(ssl.PEM_cert_to_DER_cert((certificates / "server.pem").read_text()))
    with pytest.raises(UserError, match=r"server\.key: not a certificate and its key in PEM$"):
        Tls(str(path), str(certificates / "server.key")).context()


def test_a_missing_file_is_named(certificates):
    with pytest.raises(FileNotFoundError) as caught:
        Tls(str(certificates / "absent.pem"), str(certificates / "server.key")).credentials()
    assert str(caught.value.filename).endswith("absent.pem")
