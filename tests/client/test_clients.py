"""The Python clients over real sockets: the bundle's own entities, hard strings, faults, TLS, a server's restart."""

import asyncio
import itertools
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest
from certificates import issue_all
from cryptography.hazmat.primitives import serialization

from emr_ner_tf.client.grpc_aio_client import AsyncGrpcClient
from emr_ner_tf.client.grpc_client import GrpcClient
from emr_ner_tf.client.options import ClientOptions, ServingError, TlsFiles
from emr_ner_tf.client.rest_client import RestClient
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]
HARD = [
    "",
    "😀𠮷野家",
    "e\u0301\u200d\u202e\ufeff",
    "a\x00\x07\r\n\t\u3000",
    "患者胃癌术后。" * 200,
    "\ufffd",
]
ONCE = ClientOptions(retry_timeout_s=0)


class _Awaited:
    """The asyncio client behind the face of the others."""

    def __init__(self, target, options=None):
        self.target, self.options = target, options

    def __getattr__(self, name):
        async def call(*arguments):
            async with AsyncGrpcClient(self.target, self.options) as client:
                if name == "annotate":
                    return [document async for document in client.annotate(*arguments)]
                return await getattr(client, name)(*arguments)

        return lambda *arguments: asyncio.run(call(*arguments))


CLIENTS = {"grpc": GrpcClient, "aio": _Awaited, "rest": RestClient}


def _target(server, kind):
    return f"127.0.0.1:{server.ready['rest_port' if kind == 'rest' else 'port']}"


@pytest.fixture(scope="module", params=list(CLIENTS))
def kind(request):
    return request.param


def _same(found, expected):
    assert found == expected  # scores are not compared by ==
    for one, other in zip(found, expected, strict=True):
        assert [e.score for e in one] == pytest.approx([e.score for e in other], abs=1e-4)


def test_entities_are_the_bundles(server, bundle, corpus, kind):
    documents = list(read_documents(corpus / "test.jsonl"))
    documents += [Document(f"hard {i}", text) for i, text in enumerate(HARD)]
    client = CLIENTS[kind](_target(server, kind), ClientOptions(max_records=5))
    found = list(client.annotate(documents))
    assert [(d.id, d.text) for d in found] == [(d.id, d.text) for d in documents]
    assert sum(len(d.entities) for d in found) > 20
    _same([d.entities for d in found], [bundle.predict([d.text])[0] for d in documents])
    assert client.predict([]) == []


def test_a_bundle_takes_a_list_of_texts(bundle):
    with pytest.raises(UserError, match="texts must be a list of strings, got one str"):
        bundle.predict("患者胃癌")
    assert len(bundle.predict(text for text in ("患者胃癌", ""))) == 2


def test_a_long_text_goes_in_pieces(server, bundle, kind):
    text = "患者因右肺上叶腺癌入院，既往高血压病史10年，口服硝苯地平控释片。\n" * 150
    client = CLIENTS[kind](_target(server, kind), ClientOptions(max_characters=1024))
    (found,) = client.predict([text])
    assert all(one.end <= two.start for one, two in itertools.pairwise(found))
    (whole,) = bundle.predict([text])
    # A window begins elsewhere in a piece, which this model notices at most where one ends.
    assert len(set(found) & set(whole)) > 0.95 * len(set(whole))
    assert {entity.start // 512 for entity in found} == {entity.start // 512 for entity in whole}


def test_status_and_signatures(server, kind):
    client = CLIENTS[kind](_target(server, kind))
    (version,) = client.status()
    assert (version.version, version.state, version.error) == (1, "AVAILABLE", "")
    signatures = client.signatures()
    assert set(signatures) == {"serving_default", "tag", "decode", "marginals"}
    assert signatures["serving_default"].inputs["text"] == ("string", (None,))
    assert signatures["serving_default"].outputs["start"] == ("int32", (None, None))


def test_versions_and_labels(server, kind):
    for options in (ClientOptions(version=1), ClientOptions(label="stable")):
        assert len(CLIENTS[kind](_target(server, kind), options).predict(["患者入院。"])) == 1
    for wrong in ({"version": 7}, {"label": "canary"}, {"model": "absent"}):
        client = CLIENTS[kind](_target(server, kind), ClientOptions(**wrong))
        with pytest.raises(ServingError) as caught:
            client.predict(["患者入院。"])
        assert caught.value.code in ("NOT_FOUND", "INVALID_ARGUMENT")
        assert "患者" not in str(caught.value)


def test_server_absent(kind):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ServingError, match=rf"^{target}: UNAVAILABLE: .*is the server running"):
            CLIENTS[kind](target, ONCE).predict(["患者入院。"])


def test_deadline_passed(server, kind):
    client = CLIENTS[kind](_target(server, kind), ClientOptions(deadline_s=0.001))
    with pytest.raises(ServingError, match=r"DEADLINE_EXCEEDED: .*deadline_s"):
        client.predict(["患者因腹痛入院。" * 1000])


def test_message_too_large(server, kind):
    client = CLIENTS[kind](_target(server, kind), ClientOptions(max_message_bytes=2000))
    with pytest.raises(ServingError, match=r"at most 2000 bytes.* got \d{4,}; it was not sent"):
        client.predict(["患者因腹痛入院。" * 100])
    # The server of these tests takes 1 MiB.
    client = CLIENTS[kind](_target(server, kind), ClientOptions(max_characters=2_000_000))
    with pytest.raises(ServingError, match=r"RESOURCE_EXHAUSTED|INVALID_ARGUMENT"):
        client.predict(["患" * 600_000])


def test_lone_surrogates_are_refused_here(server, kind):
    client = CLIENTS[kind](_target(server, kind))
    with pytest.raises(UserError, match=r"character 1 is the lone surrogate U\+D800"):
        client.predict(["患\ud800"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": 1, "label": "stable"}, "version and label cannot be given together"),
        ({"max_characters": 5}, "max_characters must be at least 1024, got 5"),
        ({"deadline_s": 0}, "deadline_s must be at least"),
        ({"deadline_s": float("nan")}, "deadline_s must be at least .* got nan"),
        ({"deadline_s": float("inf")}, "deadline_s must be at least .* and at most 1000000, got inf"),
        ({"retry_timeout_s": float("nan")}, "retry_timeout_s must be at least .* got nan"),
        (
            {"version": 1 << 63},
            "version must be at least 0 and at most 9223372036854775807, got 9223372036854775808",
        ),
        ({"version": -1}, "version must be at least 0"),
        ({"max_message_bytes": 1 << 31}, "max_message_bytes must be at least 1 and at most 2147483647"),
        ({"label": ""}, "label must not be empty"),
        ({"model": ""}, "model must not be empty"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(UserError, match=message):
        ClientOptions(**options)


def test_the_main_annotates_from_a_server_as_from_the_bundle(cli, server, bundles, corpus, tmp_path):
    outputs = []
    for where in (
        [f"--bundle={bundles}"],
        [f"--server={_target(server, 'grpc')}"],
        [f"--server={_target(server, 'rest')}", "--protocol=rest"],
    ):
        output = tmp_path / f"{len(outputs)}.jsonl"
        done = cli("annotate", *where, f"--input={corpus}/test.jsonl", f"--output={output}")
        assert done.returncode == 0, done.stderr
        outputs.append([d.entities for d in read_documents(output)])
    assert outputs[1] == outputs[0] == outputs[2]
    neither = cli("annotate", "--text=患者")
    assert neither.returncode == 2
    assert "exactly one of --bundle and --server" in neither.stderr


def test_a_server_that_is_killed_and_comes_back(serve, bundles, bundle, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = [f"--bundle={bundles}", f"--port={port}", "--rest_port=-1", "--warmup_s=0"]
    texts = [f"患者{i}因右肺上叶腺癌入院。" for i in range(300)]
    answered, failed = [], []

    def work(begin):
        try:
            with GrpcClient(f"127.0.0.1:{port}", ClientOptions(retry_timeout_s=120)) as client:
                for i in range(begin, len(texts), 3):
                    answered.append((i, client.predict([texts[i]])[0]))
        except ServingError as error:
            failed.append(error)

    with serve(tmp_path / "first", *flags) as first:
        workers = [threading.Thread(target=work, args=(i,)) for i in range(3)]
        for worker in workers:
            worker.start()
        while len(answered) < 20:
            time.sleep(0.01)
        first.process.kill()
        first.process.wait()
    with serve(tmp_path / "second", *flags):
        for worker in workers:
            worker.join()
    assert not failed
    # Each record is answered once, and with its own entities.
    assert sorted(i for i, _ in answered) == list(range(len(texts)))
    for i, entities in answered[:5] + answered[-5:]:
        assert entities == bundle.predict([texts[i]])[0]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return issue_all(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secured(serve, bundles, certificates, tmp_path_factory):
    flags = [f"--tls_cert={certificates}/server.pem", f"--tls_key={certificates}/server.key"]
    log = tmp_path_factory.mktemp("secured") / "stderr"
    with serve(
        log, f"--bundle={bundles}", "--warmup_s=0", *flags, f"--tls_client_ca={certificates}/ca.pem"
    ) as running:
        yield running


def _tls(folder, ca="ca", client="client"):
    files = (str(folder / f"{client}.pem"), str(folder / f"{client}.key")) if client else (None, None)
    return TlsFiles(str(folder / f"{ca}.pem"), *files)


def test_mutual_tls(secured, bundle, certificates, kind):
    client = CLIENTS[kind](_target(secured, kind), ClientOptions(tls=_tls(certificates)))
    text = "患者因右肺上叶腺癌入院。"
    _same(client.predict([text]), bundle.predict([text]))


@pytest.mark.parametrize("wrong", [{"ca": "stranger"}, {"client": "intruder"}, {"client": None}, None])
def test_wrong_certificates_are_refused(secured, certificates, kind, wrong):
    tls = None if wrong is None else _tls(certificates, **wrong)
    client = CLIENTS[kind](_target(secured, kind), ClientOptions(tls=tls, retry_timeout_s=0))
    with pytest.raises(ServingError, match=r"127.0.0.1:\d+: (UNAVAILABLE|UNKNOWN)"):
        client.predict(["患者入院。"])


@pytest.mark.parametrize("names", [["ca"], ["cert", "key"]])
def test_files_without_permission_are_named(names):
    # Not `tmp_path`, into which no other user may look.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        files = {name: f"{folder}/{name}.pem" for name in names}
        for path in files.values():
            pathlib.Path(path).touch(0)
        user = os.geteuid()
        # Root may read everything.
        if user == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(UserError, match="Permission denied; check the permissions") as raised:
                TlsFiles(**files)
        finally:
            os.seteuid(user)
        assert str(raised.value).startswith(f"{', '.join(files.values())}: ")


def test_a_key_with_a_password(certificates, tmp_path):
    cert, locked = certificates / "client.pem", tmp_path / "locked.key"
    key = serialization.load_pem_private_key((certificates / "client.key").read_bytes(), None)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked.write_bytes(key.private_bytes(encoding, form, serialization.BestAvailableEncryption(b"x")))
    with pytest.raises(
        UserError, match=rf"{locked}: a key must have no password, .* `openssl pkey -in {locked} "
    ):
        TlsFiles(cert=str(cert), key=str(locked))
    with pytest.raises(UserError, match=r"not a certificate and its key in PEM$"):
        TlsFiles(cert=str(certificates / "client.key"), key=str(certificates / "client.key"))


def test_certificate_without_its_key(certificates):
    with pytest.raises(UserError, match="must be given together"):
        TlsFiles(cert=str(certificates / "client.pem"))
    with pytest.raises(UserError, match=r"absent\.pem: no such file"):
        TlsFiles(ca=str(certificates / "absent.pem"))
    with pytest.raises(UserError, match=r"client\.key: not a certificate in PEM"):
        TlsFiles(ca=str(certificates / "client.key"))
    with pytest.raises(
        UserError, match=r"client\.pem, .*server\.key: not a certificate and its key in PEM: "
    ):
        TlsFiles(cert=str(certificates / "client.pem"), key=str(certificates / "server.key"))


def test_clients_need_no_training_stack():
    code = (
        "import sys, emr_ner_tf.client.grpc_client, emr_ner_tf.client.rest_client, emr_ner_tf.client.grpc_aio_client\n"
        "assert not {'keras_nlp', 'transformers', 'tensorflow_addons'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
