"""The Go and Java clients, built, with their own tests, and run against the development server."""

import concurrent.futures
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

import grpc
import pytest
from framing import (
    check,
    corpus_texts,
    expected,
    frame,
    hard_records,
    mixed_records,
    real_records,
    run,
    run_raw,
)
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from toolchains import java, maven

from emr_ner_tf.exporting.bundle import Bundle
from emr_ner_tf.server.tls import Tls

pytestmark = pytest.mark.slow

CLIENTS = pathlib.Path(__file__).parents[2] / "serving/clients"
TOOLS = {"go": ("go", "make"), "java": ("mvn", "javac")}
# Each language's own units, and how many of them a text has.
UNITS = {
    "go": ("bytes", lambda text: len(text.encode())),
    "java": ("utf16", lambda text: len(text.encode("utf-16-le")) // 2),
}


@pytest.fixture(scope="module", params=list(TOOLS))
def language(request):
    missing = [tool for tool in TOOLS[request.param] if not shutil.which(tool)]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    return request.param


@pytest.fixture(scope="module")
def client(language, tmp_path_factory):
    """The command of a client, built here, whose own tests have passed."""
    folder = tmp_path_factory.mktemp(language)
    shutil.copy(CLIENTS / "protos.py", folder)
    ignored = shutil.ignore_patterns("target", "build", "stubs", "protos.binpb")
    project = pathlib.Path(shutil.copytree(CLIENTS / language, folder / "client", ignore=ignored))
    if language == "go":
        command = ["make", "client", "test", f"PYTHON={sys.executable}"]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "emrner/client/ner" in done.stdout
        return [project / "build/client"]
    command = [sys.executable, "../protos.py", "--descriptor_set=protos.binpb"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    printed = maven(project, "test")
    assert "Tests run: 11, Failures: 0, Errors: 0, Skipped: 0" in printed
    return java(project, "emrner.client.Main")


@pytest.fixture(scope="module")
def bundle(bundles):
    return Bundle(bundles)


def test_a_full_disk_is_no_success(client, server):
    with open("/dev/full", "wb") as full:
        command = [*client, f"--server={server.address}"]
        done = subprocess.run(command, input=frame([b"x"]), stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"client: " in done.stderr


def test_hard_records_in_both_units(client, language, server, bundle, corpus):
    records = hard_records(corpus_texts(corpus), malformed=False)
    wanted = expected(bundle, records)
    assert sum(map(len, wanted)) > 50
    command = [*client, f"--server={server.address}", "--max_records=7"]
    check(run(command, records), wanted, score_within=1e-5)
    unit, length = UNITS[language]
    texts = [record.decode() for record in records]
    converted = [
        [(length(text[:start]), length(text[:end]), label, score) for start, end, label, score in entities]
        for text, entities in zip(texts, wanted, strict=True)
    ]
    assert converted != wanted
    check(run([*command, f"--units={unit}"], records), converted, score_within=1e-5)


def test_texts_of_mixed_lengths_fit_the_server(client, server, bundle, corpus):
    records = mixed_records(corpus_texts(corpus))
    wanted = expected(bundle, records)
    assert len({len(entities) for entities in wanted}) > 3, "records in another order would pass"
    check(run([*client, f"--server={server.address}"], records), wanted, score_within=1e-5)


def test_real_records(client, server, bundle, shared):
    records = real_records(shared)
    wanted = expected(bundle, records)
    assert sum(map(len, wanted)) > 50
    check(run([*client, f"--server={server.address}"], records), wanted, score_within=1e-5)


def test_the_server_refuses_or_is_absent(client, server):
    def refused(record, *flags, address=server.address):
        done = run_raw([*client, f"--server={address}", *flags], frame([record]))
        assert (done.returncode, done.stdout) == (1, b"")
        assert record[:3] not in done.stderr
        return done.stderr.decode().lower().replace("_", "")

    text = "秘密".encode()
    assert "notfound" in refused(text, "--model=absent")
    assert "notfound" in refused(text, "--version=99")
    assert "refused" in refused(text, "--retry_timeout=0", address="127.0.0.1:1")
    assert "it was not sent" in refused(text * 1000, "--max_message_bytes=1000")
    # The server's own limit is 1 MiB.
    assert "resourceexhausted" in refused(text * 200_000)
    assert run([*client, f"--server={server.address}", "--version=1"], [b""]) == [[]]


def test_a_wrong_call_and_broken_input(client, server):
    for flags in ([], [f"--server={server.address}", "--nonsense=1"], ["--server=a", "--units=metres"]):
        assert run_raw([*client, *flags], b"").returncode == 2
    for stdin, message in (
        (b"-1\n", "record 0: must begin with"),
        (b"0\n3\nab", "record 1: must have 3 bytes, got 2"),
        (frame([b"ab", "秘".encode() + b"\xff"]), "1: must be UTF-8"),
    ):
        done = run_raw([*client, f"--server={server.address}"], stdin)
        assert (done.returncode, done.stdout) == (1, b"")
        assert message in done.stderr.decode()
        assert "秘" not in done.stderr.decode()


def test_a_deadline_passes(client, local):
    running = local()
    done = run_raw([*client, f"--server=127.0.0.1:{running.port}", "--deadline=0.1"], frame([b"slow"]))
    assert done.returncode == 1
    assert "deadlineexceeded" in done.stderr.decode().lower().replace("_", "")


def test_a_server_that_comes_late(client, local):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [*map(str, client), f"--server=127.0.0.1:{port}", "--retry_timeout=120"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as waiting:
        waiting.stdin.write(frame([b"axx"]))
        waiting.stdin.close()
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(timeout=2)
        local(port=port)
        assert waiting.wait(timeout=60) == 0
        assert waiting.stdout.read() == b"2\n1\t2\tone\t0.500000\n2\t3\tone\t0.500000\n"


class _FailsLate(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Is away after a second of work, the first time; then it knows no model."""

    def __init__(self):
        self.attempts = 0

    def Predict(self, request, context):
        self.attempts += 1
        if self.attempts == 1:
            time.sleep(1)
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        context.abort(grpc.StatusCode.NOT_FOUND, "absent")


def test_the_retry_timeout_begins_at_the_first_failure(client):
    servicer = _FailsLate()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        # Its old name still works.
        done = run_raw(
            [*client, f"--server=127.0.0.1:{port}", "--patience=0.5", "--keep_alive=10"], frame([b"x"])
        )
    finally:
        server.stop(None)
    assert (done.returncode, servicer.attempts) == (1, 2)
    assert "patience is deprecated: use" in done.stderr.decode()
    assert "notfound" in done.stderr.decode().lower().replace("_", "")


class _Newest(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers by a newer version each time if none is named, and by version 1 as often as a test sets.

    After that, as many requests for version 1 as `missed` do not find it.
    """

    def __init__(self, lasts, named=True, missed=1000):
        self.asked, self.lasts, self.named, self.missed = [], lasts, named, missed

    def Predict(self, request, context):
        spec = request.model_spec
        self.asked.append(spec.version.value if spec.HasField("version") else None)
        if self.lasts < self.asked.count(1) <= self.lasts + self.missed:
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found")
        answer = predict_pb2.PredictResponse()
        if self.named:
            answer.model_spec.version.value = self.asked[-1] or len(self.asked)
        for name, dtype in (("num_entities", 3), ("start", 3), ("end", 3), ("label", 7), ("score", 1)):
            answer.outputs[name].dtype = dtype
            answer.outputs[name].tensor_shape.dim.add(size=1)
            if name != "num_entities":
                answer.outputs[name].tensor_shape.dim.add(size=0)
        answer.outputs["num_entities"].int_val.append(0)
        return answer


def test_all_answers_are_of_the_first_ones_version(client):
    def run_with(servicer, *flags):
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            command = [*client, f"--server=127.0.0.1:{port}", "--max_records=1", *flags]
            return run_raw(command, frame([b"x"] * 3))
        finally:
            server.stop(None)

    for flags, asked in (
        ([], [None, 1, 1]),
        (["--pin_version=false"], [None, None, None]),
        (["--version=5"], [5, 5, 5]),
    ):
        servicer = _Newest(2)
        done = run_with(servicer, *flags)
        assert (done.returncode, done.stdout) == (0, b"0\n0\n0\n"), done.stderr
        assert servicer.asked == asked
    # One of several servers does not have the version yet.
    servicer = _Newest(1, missed=2)
    done = run_with(servicer)
    assert (done.returncode, done.stdout) == (0, b"0\n0\n0\n"), done.stderr
    assert servicer.asked == [None, 1, 1, 1, 1]
    done = run_with(_Newest(1), "--retry_timeout=0.3")
    assert (done.returncode, done.stdout) == (1, b"")
    assert "not every server has version 1 (any more, or yet), which gave the earlier" in done.stderr.decode()
    done = run_with(_Newest(2, named=False))
    assert (done.returncode, done.stdout) == (1, b"")
    assert "the answer does not say which version it is from" in done.stderr.decode()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--version=9223372036854775808", "version"),
        ("--max_records=99999999999999999999", "max_records"),
        ("--deadline=nan", "-deadline must be at least 0 and at most 1000000 seconds, got nan"),
        ("--retry_timeout=inf", "-retry_timeout must be at least 0 and at most 1000000 seconds, got "),
        ("--keep_alive=-inf", "-keep_alive must be at least 0 and at most 1000000 seconds, got "),
    ],
)
def test_numbers_that_do_not_fit(client, language, flag, message):
    if language == "java":
        flag = flag.replace("nan", "NaN").replace("inf", "Infinity")
    done = run_raw([*client, "--server=127.0.0.1:1", flag], b"")
    assert (done.returncode, done.stdout) == (2, b"")
    assert message in done.stderr.decode().replace("NaN", "nan")


def test_a_proxy_is_not_asked(client, language, local):
    proxies = {
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "NO_PROXY": "",
        "no_proxy": "",
        "JAVA_TOOL_OPTIONS": "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=1 -Dhttp.nonProxyHosts=",
    }
    # Go spares 127.0.0.1 of itself, Java does not connect to 0.0.0.0.
    host = {"go": "0.0.0.0", "java": "127.0.0.1"}[language]
    command = [*client, f"--server={host}:{local().port}", "--retry_timeout=0"]
    assert len(run(command, [b"xx"], env=proxies)[0]) == 2


def test_certificates(client, local, certificates):
    files = [str(certificates / name) for name in ("server.pem", "server.key", "ca.pem")]
    address = f"--server=127.0.0.1:{local(tls=Tls(*files)).port}"
    ours = [f"--cert={certificates}/client.pem", f"--key={certificates}/client.key"]
    assert len(run([*client, address, f"--ca={certificates}/ca.pem", *ours], [b"xx"])[0]) == 2
    refused = re.escape(address.removeprefix("--server=")) + ": unavailable: "
    for flags, message in (
        # These the server breaks off without a word.
        ([], refused + "."),
        ([f"--ca={certificates}/ca.pem"], refused + "."),
        ([f"--ca={certificates}/stranger.pem", *ours], refused + "(.|\n)*certif"),
        (["--ca=/absent.pem"], "/absent.pem.*no such file"),
    ):
        done = run_raw([*client, address, "--retry_timeout=0", *flags], frame([b"xx"]))
        assert (done.returncode, done.stdout) == (1, b"")
        assert re.search(f"^client: .*{message}", done.stderr.decode().lower(), re.MULTILINE), done.stderr


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
@pytest.mark.parametrize(("language", "target"), [("go", "stubs"), ("java", "protos.binpb")])
def test_stubs_that_were_broken_off_are_made_again(tmp_path, language, target):
    shutil.copy(CLIENTS / "protos.py", tmp_path)
    (tmp_path / "client").mkdir()
    for name in ("Makefile", "go.mod"):
        if (CLIENTS / language / name).exists():
            shutil.copy(CLIENTS / language / name, tmp_path / "client")
    broken = tmp_path / "broken"
    broken.write_text(f"#!/bin/sh\nmkdir -p stubs\n[ -d {target} ] || echo some > {target}\nexit 1\n")
    broken.chmod(0o700)

    def made(*arguments):
        command = ["make", "client", f"PYTHON={broken}", *arguments]
        return subprocess.run(command, cwd=tmp_path / "client", capture_output=True, text=True, check=False)

    assert made().returncode != 0
    assert "protos.py" in made("--dry-run").stdout
