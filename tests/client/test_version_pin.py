"""A client's answers are all of one version of the model, whatever the server does meanwhile."""

import asyncio
import concurrent.futures
import json
import threading

import grpc
import pytest
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from emr_ner_tf.client.grpc_aio_client import AsyncGrpcClient
from emr_ner_tf.client.grpc_client import GrpcClient
from emr_ner_tf.client.options import ClientOptions, ServingError
from emr_ner_tf.client.rest_client import RestClient
from emr_ner_tf.client.version_pin import VersionGoneError, VersionPin


class _Loop:
    """The asyncio client, with an event loop of its own, behind the face of the others."""

    def __init__(self, target, options):
        self._loop = asyncio.new_event_loop()
        self._client = self._loop.run_until_complete(self._made(target, options))

    async def _made(self, target, options):
        return AsyncGrpcClient(target, options)

    def predict(self, texts):
        return self._loop.run_until_complete(self._client.predict(texts))

    @property
    def version(self):
        return self._client.version

    def close(self):
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


CLIENTS = {"grpc": GrpcClient, "aio": _Loop, "rest": RestClient}


@pytest.fixture(params=list(CLIENTS))
def connect(request):
    """The function that makes a client of a server in this process; it is closed at the end."""
    made = []

    def client(server, **options):
        port = server.rest_port if request.param == "rest" else server.port
        made.append(CLIENTS[request.param](f"127.0.0.1:{port}", ClientOptions(retry_timeout_s=0, **options)))
        return made[-1]

    yield client
    for one in made:
        one.close()


def _label(client):
    ((entity,),) = client.predict(["-x"])
    return entity.label


def test_the_first_answers_version_is_asked_for_from_then_on(local, toy_versions, connect):
    server = local(num_versions=2, poll_s=0, rest_port=0)
    pinned, free = connect(server), connect(server, pin_version=False)
    assert pinned.version is None
    assert (_label(pinned), _label(free)) == ("one", "one")
    toy_versions(2)
    server.versions.refresh()
    assert (_label(pinned), _label(free), _label(connect(server))) == ("one", "two", "two")
    assert (pinned.version, free.version) == (1, None)


def test_a_version_that_is_gone_is_an_error_that_says_how_to_go_on(local, toy_versions, connect):
    server = local(poll_s=0, rest_port=0)
    client, named = connect(server), connect(server, version=1)
    assert (_label(client), _label(named)) == ("one", "one")
    toy_versions(2)
    server.versions.refresh()
    with pytest.raises(
        VersionGoneError, match=r"not every server has version 1 \(any more, or yet\), .* serve it again"
    ) as caught:
        client.predict(["x"])
    assert (caught.value.code, caught.value.version) == ("NOT_FOUND", 1)
    # Nobody has to be told about a version that he has named himself.
    with pytest.raises(ServingError) as caught:
        named.predict(["x"])
    assert type(caught.value) is ServingError


def test_a_label_is_asked_once(local, toy_versions, connect):
    toy_versions(2)
    server = local(labels={"stable": 1}, poll_s=0, rest_port=0)
    client = connect(server, label="stable")
    assert (_label(client), client.version) == ("one", 1)
    server.versions._labels["stable"] = 2
    assert _label(client) == "one"
    assert _label(connect(server, label="stable")) == "two"


class _Newest(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers by a newer version each time, where none is named; the first requests wait until all are there."""

    def __init__(self, together=1, named=True):
        self.asked = []
        self._named = named
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(together)
        self._together = together

    def Predict(self, request, context):
        with self._lock:
            spec = request.model_spec
            self.asked.append(spec.version.value if spec.HasField("version") else None)
            place = len(self.asked)
        if place <= self._together:
            self._barrier.wait(30)
        answer = predict_pb2.PredictResponse()
        if self._named:
            answer.model_spec.version.value = self.asked[place - 1] or place
        for name, dtype in (("num_entities", 3), ("start", 3), ("end", 3), ("label", 7), ("score", 1)):
            tensor = answer.outputs[name]
            tensor.dtype = dtype
            tensor.tensor_shape.dim.add(size=1)
            if name != "num_entities":
                tensor.tensor_shape.dim.add(size=1)
        answer.outputs["num_entities"].int_val.append(1)
        answer.outputs["start"].int_val.append(0)
        answer.outputs["end"].int_val.append(1)
        # The answer itself says by which version it is.
        answer.outputs["label"].string_val.append(str(self.asked[place - 1] or place).encode())
        answer.outputs["score"].float_val.append(0.5)
        return answer


@pytest.fixture
def newest():
    """The function that starts such a server; it gives the servicer and the address."""
    servers = []

    def start(kind=_Newest, **options):
        servicer = kind(**options)
        servers.append(grpc.server(concurrent.futures.ThreadPoolExecutor(8)))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, servers[-1])
        port = servers[-1].add_insecure_port("127.0.0.1:0")
        servers[-1].start()
        return servicer, f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)


@pytest.mark.parametrize("kind", ["grpc", "aio"])
def test_first_requests_at_the_same_time_end_with_one_version(newest, kind):
    servicer, target = newest(together=4)
    options = ClientOptions(max_records=1)
    if kind == "aio":
        client = _Loop(target, options)
        found = client.predict(["x"] * 8)
    else:
        client = GrpcClient(target, options)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = [one for (one,) in pool.map(client.predict, [["x"]] * 8)]
    # Four asked for the newest and were answered by four versions; three of them asked again.
    assert servicer.asked.count(None) == 4
    assert {entity.label for (entity,) in found} == {str(client.version)}
    client.close()


def test_an_answer_without_a_version_is_not_taken(newest):
    _, target = newest(named=False)
    with pytest.raises(ServingError, match=r"does not name the version .* set pin_version to False"):
        GrpcClient(target).predict(["x"])
    for options in (ClientOptions(pin_version=False), ClientOptions(version=3)):
        assert len(GrpcClient(target, options).predict(["x"])) == 1


def test_an_answer_by_another_version_is_not_taken():
    options = ClientOptions(version=3)
    with pytest.raises(ServingError, match="version 4 answered a request for version 3"):
        VersionPin("host:1", options).take(4, options)


_RETURNS = 1000


class _Leaves(_Newest):
    """As `_Newest`, until it has answered a few requests; then version 1 is gone."""

    def __init__(self, answers):
        super().__init__()
        self.left = answers

    def Predict(self, request, context):
        self.left -= 1
        if not 0 <= self.left < _RETURNS and request.model_spec.version.value == 1:
            self.asked.append(1)
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request: Specific(ner, 1)")
        return super().Predict(request, context)


class _Rollout(_Newest):
    """Servers behind one name, of which one has another version: each third request finds no version."""

    def Predict(self, request, context):
        if len(self.asked) % 3 == 2:
            self.asked.append(0)
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request: Specific(ner, 1)")
        return super().Predict(request, context)


@pytest.mark.parametrize("kind", ["grpc", "aio"])
def test_a_pinned_version_that_one_of_the_servers_lacks_is_asked_for_again(newest, kind):
    servicer, target = newest(kind=_Rollout)
    client = CLIENTS[kind](target, ClientOptions(max_records=1, concurrency=1))
    found = client.predict(["x"] * 4)
    client.close()
    assert {entity.label for (entity,) in found} == {"1"}
    assert len(servicer.asked) == 5
    servicer.asked.clear()
    # The caller's own version may be wrong.
    client = CLIENTS[kind](target, ClientOptions(max_records=1, concurrency=1, version=1))
    with pytest.raises(ServingError, match="NOT_FOUND"):
        client.predict(["x"] * 4)
    client.close()


def test_a_job_whose_version_leaves_is_resumed_with_that_version_only(cli, tmp_path):
    servicer = _Leaves(300)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    source, output, partial = (tmp_path / name for name in ("in.jsonl", "out.jsonl", "out.jsonl.partial"))
    # More than a pool of records, so that the first ones are written before the version goes.
    source.write_text("".join(f'{{"originalText": "x{i}"}}\n' for i in range(400)), encoding="utf-8")
    flags = ("annotate", f"--server={target}", f"--input={source}", f"--output={output}", "--max_records=1")
    try:
        done = cli(*flags, "--retry_timeout_s=0")
        assert done.returncode == 1
        (message,) = [line for line in done.stderr.splitlines() if "version 1" in line]
        assert "not every server has version 1 of ner (any more, or yet)" in message
        assert f"which annotated the records in {partial}; serve it again" in message
        assert "--resume" in message
        lines = partial.read_text(encoding="utf-8").splitlines()
        assert json.loads(lines[0]) == {"partial_output_of": f"{target} ner", "version": 1}
        assert len(lines) == 257
        assert partial.stat().st_mode & 0o777 == 0o600
        done = cli(*flags, "--resume", "--version=2")
        assert done.returncode == 1
        assert "give --version=1" in done.stderr
        servicer.asked.clear()
        # One server lacks the version at first, as in a rollout.
        servicer.left = _RETURNS + 2
        done = cli(*flags, "--resume")
        assert done.returncode == 0, done.stderr
        assert set(servicer.asked) == {1}
    finally:
        server.stop(None)
    records = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert len(records) == 400
    assert {entity["label_type"] for record in records for entity in record["entities"]} == {"1"}
