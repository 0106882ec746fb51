"""Merged requests: each answered as if it were alone; limits and deadlines."""

import concurrent.futures
import gc
import random
import threading
import time
import weakref

import grpc
import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.exporting.bundle import find_version
from emr_ner_tf.server.batcher import Batcher, BatchingOptions, PendingRequest
from emr_ner_tf.server.errors import RequestError
from emr_ner_tf.server.servable import Servable, split_rows

SECRET = "!某某某身份证"


class Recorded(Servable):
    """Notes how many rows each call of the graph has, and how many calls there are at the same time."""

    def __init__(self, path, version):
        super().__init__(path, version)
        self.rows = []
        self.active = self.most_active = 0

    def run(self, name, inputs):
        self.rows.append(len(next(iter(inputs.values()))))
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            return super().run(name, inputs)
        finally:
            self.active -= 1


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.fixture(scope="module")
def live(bundles):
    return Recorded(find_version(bundles), 1)


@pytest.fixture(scope="module")
def toy(toys):
    return Recorded(toys / "one", 1)


@pytest.fixture
def batcher():
    made = []

    def make(**options):
        made.append(Batcher(BatchingOptions(**options)))
        return made[-1]

    yield make
    for one in made:
        assert one.close(30)


def work(model, texts, deadline=None):
    longest = max(map(len, texts), default=0)
    inputs = {"text": np.array([text.encode() for text in texts], object)}
    return PendingRequest(model, "serving_default", inputs, len(texts), longest, deadline)


def together(batcher, works):
    """Runs all at the same time; answers or errors in order."""
    with concurrent.futures.ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(batcher.run, one) for one in works]
        return [future.exception() or future.result() for future in futures]


def test_every_caller_gets_what_it_would_have_got_alone(live, batcher):
    randomness = random.Random(5)
    alphabet = "患者因右肺上叶腺癌入院，行胸部CT检查。𠮷😀 "
    requests = [
        ["".join(randomness.choices(alphabet, k=randomness.choice((0, 1, 7, 40, 90)))) for _ in range(rows)]
        for rows in randomness.choices((0, 1, 1, 1, 2, 5), k=40)
    ]
    alone = [live.run("serving_default", work(live, texts).inputs) for texts in requests]
    assert len({outputs["start"].shape[1] for outputs in alone}) > 5
    live.rows.clear()
    answers = together(batcher(timeout_s=0.05), [work(live, texts) for texts in requests])
    assert len(live.rows) < len(requests) / 2
    for answer, expected in zip(answers, alone, strict=True):
        assert answer.keys() == expected.keys()
        for name, value in expected.items():
            assert answer[name].shape == value.shape
            if name == "score":
                np.testing.assert_allclose(answer[name], value, atol=1e-5, rtol=1e-4)
            else:
                assert (answer[name] == value).all()


def test_rows_are_cut_to_their_own_width():
    outputs = {
        "num_entities": np.array([0, 2, 0, 1]),
        "start": np.array([[-1, -1], [0, 3], [-1, -1], [4, -1]]),
    }
    parts = split_rows(outputs, [1, 1, 0, 2])
    assert [part["start"].tolist() for part in parts] == [[[]], [[0, 3]], [], [[-1], [4]]]
    assert [part["num_entities"].tolist() for part in parts] == [[0], [2], [], [0, 1]]


def test_a_bad_request_fails_alone_and_without_its_text(toy, batcher):
    toy.rows.clear()
    works = [work(toy, [text]) for text in ("x", SECRET, "xx", "-")]
    answers = together(batcher(timeout_s=30, threads=1, max_rows=4), works)
    assert toy.rows == [4, 1, 1, 1, 1]
    assert [len(a["start"][0]) for a in answers if isinstance(a, dict)] == [1, 2, 0]
    assert isinstance(answers[1], RequestError)
    assert answers[1].code == grpc.StatusCode.INVALID_ARGUMENT
    assert SECRET[1:] not in str(answers[1])


@pytest.mark.parametrize(
    ("options", "rows"),
    [({"max_rows": 3}, [3, 3, 3]), ({"max_characters": 20}, [5, 5]), ({"enabled": False}, [1, 1, 1])],
)
def test_limits_of_a_merged_call(toy, batcher, options, rows):
    toy.rows.clear()
    answers = together(batcher(timeout_s=30, **options), [work(toy, ["x--x"]) for _ in range(sum(rows))])
    assert [answer["start"].tolist() for answer in answers] == [[[0, 3]]] * sum(rows)
    assert toy.rows == rows


def test_a_request_above_the_limits_is_run_alone(toy, batcher):
    toy.rows.clear()
    (answer,) = together(batcher(max_rows=2, max_characters=4), [work(toy, ["xxxxx"] * 3)])
    assert (answer["num_entities"].tolist(), toy.rows) == ([5, 5, 5], [3])


def test_too_many_requests_and_a_deadline_in_the_queue(toy, batcher):
    one = batcher(threads=1, timeout_s=0, max_requests=2, enabled=False)
    toy.rows.clear()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = pool.submit(one.run, work(toy, ["slow x"]))
        wait_for(lambda: toy.rows)
        entered = []
        waiting = pool.submit(one.run, work(toy, ["late"], deadline=time.monotonic() + 0.1), entered.append)
        wait_for(lambda: entered)
        with pytest.raises(RequestError, match="waiting or running") as caught:
            one.run(work(toy, ["x"]))
        assert caught.value.code == grpc.StatusCode.UNAVAILABLE
        assert waiting.exception().code == grpc.StatusCode.DEADLINE_EXCEEDED
        assert not running.done(), "the answer came no earlier than its turn"
        assert running.result()["num_entities"].tolist() == [1]
    one.run(work(toy, ["x", "x"]))
    assert toy.rows == [1, 2], "what was too late has been run"


def test_a_request_whose_caller_has_gone_is_not_run(toy, batcher):
    one = batcher(threads=1, timeout_s=0, enabled=False)
    toy.rows.clear()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = pool.submit(one.run, work(toy, ["slow"]))
        wait_for(lambda: toy.rows)
        cancels = []
        gone = pool.submit(one.run, work(toy, ["x"]), cancels.append)
        wait_for(lambda: cancels)
        assert cancels[0]()
        assert gone.exception().code == grpc.StatusCode.CANCELLED
        running.result()
    one.run(work(toy, ["x", "x"]))
    assert toy.rows == [1, 2]


def test_two_threads_run_two_calls_at_the_same_time(toy, batcher):
    toy.most_active = 0
    together(batcher(threads=2, timeout_s=0, enabled=False), [work(toy, ["slow"]) for _ in range(2)])
    assert toy.most_active == 2


def test_after_the_end_a_request_is_refused(toy):
    one = Batcher(BatchingOptions())
    assert one.close(5)
    with pytest.raises(RequestError, match="shutting down"):
        one.run(work(toy, ["x"]))


class Stub:
    """A model that waits for a signal."""

    def __init__(self):
        self.started, self.go = threading.Event(), threading.Event()

    def merges(self, name):
        return True

    def run(self, name, inputs):
        self.started.set()
        assert self.go.wait(60)
        return {"num_entities": np.zeros(len(inputs["text"]), np.int32)}


def test_queued_requests_get_an_error_at_the_end(batcher):
    model, one = Stub(), batcher(threads=1, enabled=False)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = pool.submit(one.run, work(model, ["x"]))
        assert model.started.wait(60)
        entered = []
        queued = pool.submit(one.run, work(model, ["x"]), entered.append)
        wait_for(lambda: entered)
        one.drain()
        error = queued.exception(60)
        model.go.set()
        assert running.result()["num_entities"].tolist() == [0]
    assert (error.code, str(error)) == (grpc.StatusCode.UNAVAILABLE, "the server is shutting down")


def test_nothing_of_an_answered_request_is_kept(batcher):
    one, model = batcher(threads=2), Stub()
    model.go.set()
    request = work(model, ["x"])
    kept = [weakref.ref(held) for held in (model, request, one.run(request)["num_entities"])]
    del request, model
    # The threads may be about to wait still.
    wait_for(lambda: gc.collect() >= 0 and not any(ref() for ref in kept))


def test_limits_of_the_server(local, stub_of, request_of, caplog):
    stub = stub_of(
        local(max_characters=100, max_message_bytes=1000, batching=BatchingOptions(max_requests=1)).port
    )
    assert stub.Predict(request_of(["x" * 100]), timeout=30).outputs["num_entities"].int_val == [100]
    for texts, code in (
        (["x" * 101], "INVALID_ARGUMENT"),
        # The width of the longest counts for all.
        (["x" * 51, ""], "INVALID_ARGUMENT"),
        (["x" * 1000], "RESOURCE_EXHAUSTED"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(request_of(texts), timeout=30)
        assert caught.value.code() == grpc.StatusCode[code]
    # Clients do not show a server's words of such a refusal: they say "see its log".
    assert len([line for line in caplog.messages if line.startswith("refused: ") and "100" in line]) == 2
    slow, refused = stub.Predict.future(request_of(["slow"]), timeout=30), []
    while not (refused or slow.done()):
        try:
            stub.Predict(request_of(["x"]), timeout=30)
        except grpc.RpcError as error:
            refused.append(error)
    # Whichever of the two came second.
    (error, *_) = [*refused, slow.exception()]
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request_of(["slow"]), timeout=0.1)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_failing_graph_over_the_wire(local, stub_of, request_of, caplog):
    stub = stub_of(local().port)
    errors = []

    def fail():
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(request_of([SECRET]), timeout=30)
        errors.append(caught.value)

    thread = threading.Thread(target=fail)
    thread.start()
    answers = [stub.Predict(request_of(["xx"]), timeout=30) for _ in range(10)]
    thread.join()
    assert [answer.outputs["num_entities"].int_val[0] for answer in answers] == [2] * 10
    assert errors[0].code() == grpc.StatusCode.INVALID_ARGUMENT
    assert SECRET[1:] not in errors[0].details() + caplog.text


def test_the_graph_is_given_strings_as_they_are(toy):
    texts = np.array([b"x\x00\x00", b"\xff x", b""], object)
    outputs = toy.run("serving_default", {"text": texts})
    assert outputs["start"].tolist() == [[0], [2], [-1]]
    assert tf.make_ndarray(tf.make_tensor_proto(texts, tf.string)).tolist() == texts.tolist()
