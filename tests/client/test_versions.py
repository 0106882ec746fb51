"""Versions exchanged under the clients' load: every answer is one version's own, and none is an error."""

import asyncio
import itertools
import shutil
import threading
import time

import pytest

from emr_ner_tf.client.grpc_aio_client import AsyncGrpcClient
from emr_ner_tf.client.grpc_client import GrpcClient
from emr_ner_tf.client.options import ClientOptions
from emr_ner_tf.client.rest_client import RestClient
from emr_ner_tf.exporting.bundle import Bundle

# The toys find each `x`, the trained model what is between them.
TEXTS = ["x患者因右肺上叶腺癌入院，行胸部CT检查。x", "", "既往高血压病史10年x，口服硝苯地平控释片。"]
# One try each: a refusal that a second try would hide is an error here.
ONCE = ClientOptions(retry_timeout_s=0, pin_version=False)
# Between two questions of a caller, so that the load leaves a new version time to be loaded.
PAUSE_S = 0.02


def _answer(found):
    return tuple(tuple((one.start, one.end, one.label) for one in entities) for entities in found)


def _toy_answer(label):
    return tuple(
        tuple((at, at + 1, label) for at, character in enumerate(text) if character == "x") for text in TEXTS
    )


def _copy_bit_by_bit(source, target):
    """Copies a version where the server looks, file by file, the graph before its weights, and slowly."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            time.sleep(0.2)


class _Load:
    """Callers that send requests until they are stopped.

    Attributes:
        answers: of each caller, in their order.
        errors: what ended a caller before.
    """

    def __init__(self, address, rest_address):
        self.answers, self.errors = [], []
        self._address = address
        self._ended = threading.Event()
        shared, own, rest = (
            GrpcClient(address, ONCE),
            GrpcClient(address, ONCE),
            RestClient(rest_address, ONCE),
        )
        self._clients = (shared, own, rest)
        # A client of gRPC is good for several threads.
        calls = [(self._ask, client) for client in (shared, shared, own, rest)] + [(self._ask_async, 3)]
        self._threads = [threading.Thread(target=self._guarded, args=call) for call in calls]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads:
            thread.join(60)
        for client in self._clients:
            client.close()

    def wait_for(self, answer, callers=7, seconds=600):
        """Waits until this is the last answer of every caller."""
        until = time.monotonic() + seconds
        while [each[-1] for each in self.answers if each] != [answer] * callers:
            assert not self.errors
            assert time.monotonic() < until
            time.sleep(0.05)

    def _guarded(self, ask, argument):
        try:
            ask(argument)
        except Exception as error:
            self.errors.append(error)

    def _ask(self, client):
        self.answers.append(answers := [])
        while not self._ended.is_set():
            answers.append(_answer(client.predict(TEXTS)))
            time.sleep(PAUSE_S)

    def _ask_async(self, callers):
        async def ask(client):
            self.answers.append(answers := [])
            while not self._ended.is_set():
                answers.append(_answer(await client.predict(TEXTS)))
                await asyncio.sleep(PAUSE_S)

        async def ask_all():
            async with AsyncGrpcClient(self._address, ONCE) as client:
                await asyncio.gather(*(ask(client) for _ in range(callers)))

        asyncio.run(ask_all())


@pytest.mark.slow
def test_versions_are_exchanged_under_load(serve, toy_versions, bundles, tmp_path):
    trained = _answer(Bundle(bundles).predict(TEXTS))
    assert sum(map(len, trained)) > 2
    one, two = _toy_answer("one"), _toy_answer("two")
    flags = (f"--bundle={toy_versions.directory}", "--poll_s=0.1")
    with serve(tmp_path / "stderr", *flags) as server:
        rest_address = f"127.0.0.1:{server.ready['rest_port']}"
        with _Load(server.address, rest_address) as load:
            load.wait_for(one)
            toy_versions(2)
            load.wait_for(two)
            _copy_bit_by_bit(bundles / "1", toy_versions.directory / "3")
            load.wait_for(trained)
        assert not load.errors
        until = time.monotonic() + 60
        with GrpcClient(server.address, ONCE) as client:
            # An old version ends with the first poll after its last request.
            while {one.version: one.state for one in client.status()} != {3: "AVAILABLE", 2: "END", 1: "END"}:
                assert time.monotonic() < until
                time.sleep(0.05)
    for answers in load.answers:
        # Each caller had the three in turn, and nothing else.
        assert [answer for answer, _ in itertools.groupby(answers)] == [one, two, trained]
