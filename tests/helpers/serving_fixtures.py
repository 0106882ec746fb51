"""Servers: the tiny model's bundle behind `emr-ner serve`, and a model of a few operations in this process."""

import contextlib
import dataclasses
import json
import pathlib
import shutil
import subprocess
import threading

import grpc
import pytest
from forked_command import start_command
from tensorflow_serving.apis import model_service_pb2_grpc, predict_pb2, prediction_service_pb2_grpc


@dataclasses.dataclass
class Running:
    """A server in a process of its own."""

    process: subprocess.Popen
    ready: dict
    log: pathlib.Path

    @property
    def address(self):
        return f"127.0.0.1:{self.ready['port']}"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.ready['rest_port']}"


@contextlib.contextmanager
def run_serve(log, *flags):
    """Runs the command until the end of the block, from when it is ready."""
    flags = ("--port=0", "--rest_port=0", *flags)
    with open(log, "wb") as stderr:
        process = start_command("serve", *flags, stdout=subprocess.PIPE, stderr=stderr, text=True)
    killer = threading.Timer(3000, process.kill)
    killer.start()
    try:
        line = process.stdout.readline()
        assert line, log.read_text(encoding="utf-8")
        yield Running(process, json.loads(line), log)
    finally:
        killer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def serve():
    """The function that runs the command."""
    return run_serve


@pytest.fixture(scope="session")
def server(bundles, tmp_path_factory):
    """The tiny model behind `emr-ner serve`, with the label `stable` on its one version."""
    log = tmp_path_factory.mktemp("serve") / "stderr"
    with run_serve(log, f"--bundle={bundles}", "--label=stable:1", "--max_message_mb=1") as running:
        yield running


@pytest.fixture(scope="session")
def stub(server):
    """PredictionService of `server`."""
    with grpc.insecure_channel(server.address) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="session")
def models(server):
    """ModelService of `server`."""
    with grpc.insecure_channel(server.address) as channel:
        yield model_service_pb2_grpc.ModelServiceStub(channel)


def predict_request(texts, **spec):
    """Returns a Predict request for texts, str or bytes."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = spec.pop("name", "ner")
    for key, value in spec.items():
        if key == "version":
            request.model_spec.version.value = value
        else:
            setattr(request.model_spec, key, value)
    proto = request.inputs["text"]
    proto.dtype = 7
    proto.tensor_shape.dim.add(size=len(texts))
    proto.string_val.extend(text.encode() if isinstance(text, str) else text for text in texts)
    return request


@pytest.fixture(scope="session")
def request_of():
    """The function that makes a Predict request for texts."""
    return predict_request


def _toy(label):
    import tensorflow as tf

    class Toy(tf.Module):
        """Every `x` of a text is a mention; a text that begins with `slow` takes half a second, with `!` it fails."""

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def entities(self, text):
            slow = tf.reduce_any(tf.strings.regex_full_match(text, "slow.*"))
            until = tf.timestamp() + 0.5 * tf.cast(slow, tf.float64)
            rounds = tf.while_loop(lambda i: tf.timestamp() < until, lambda i: i + 1, [0])[0]
            number = tf.strings.to_number(tf.where(tf.strings.regex_full_match(text, "!.*"), text, "0.5"))
            codes = tf.strings.unicode_decode(text, "UTF-8").to_tensor()
            places = tf.where(codes == ord("x"))
            start = tf.RaggedTensor.from_value_rowids(
                tf.cast(places[:, 1], tf.int32), places[:, 0], nrows=tf.size(text, tf.int64)
            ).to_tensor(-1)
            real = start >= 0
            return {
                "num_entities": tf.reduce_sum(tf.cast(real, tf.int32), 1) + 0 * rounds,
                "start": start,
                "end": tf.where(real, start + 1, -1),
                "label": tf.where(real, label, ""),
                "mention": tf.where(real, "x", ""),
                "score": tf.where(real, number[:, None], 0.0),
            }

    return Toy()


@pytest.fixture(scope="session")
def toys(tmp_path_factory):
    """SavedModels by label, `one` and `two`, of the contract's signature and of a few operations."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("toys")
    for label in ("one", "two"):
        toy = _toy(label)
        tf.saved_model.save(toy, str(folder / label), signatures={"serving_default": toy.entities})
    return folder


@pytest.fixture
def toy_versions(toys, tmp_path):
    """The function that publishes a toy as a version, and the directory: version 1 is there."""

    def publish(version, label="two"):
        beside = tmp_path / f"beside{version}"
        shutil.copytree(toys / label, beside)
        return beside.rename(tmp_path / "toy" / str(version))

    (tmp_path / "toy").mkdir()
    publish(1, "one")
    publish.directory = tmp_path / "toy"
    return publish


@pytest.fixture(scope="module")
def toy_server(toys, tmp_path_factory):
    """The function that serves the toy `one` from this process, for all tests of a module that change nothing."""
    from emr_ner_tf.server.server import Server, ServerOptions

    folder = tmp_path_factory.mktemp("toy")
    (folder / "1").symlink_to(toys / "one")
    servers = []

    def start(**options):
        defaults = {"port": 0, "rest_port": 0, "poll_s": 0}
        servers.append(Server(ServerOptions(bundle=str(folder), **defaults | options)))
        return servers[-1]

    yield start
    for running in servers:
        running.stop(5)


@pytest.fixture
def local(toy_versions):
    """The function that serves `toy_versions` from this process, and stops at the test's end."""
    from emr_ner_tf.server.server import Server, ServerOptions

    servers = []

    def start(**options):
        defaults = {"port": 0, "rest_port": None, "poll_s": 0.05, "model_name": "ner"}
        servers.append(Server(ServerOptions(bundle=str(toy_versions.directory), **defaults | options)))
        return servers[-1]

    yield start
    for running in servers:
        running.stop(5)


@pytest.fixture
def stub_of():
    """The function that gives the PredictionService of a port of this machine."""
    channels = []

    def stub(port):
        channels.append(grpc.insecure_channel(f"127.0.0.1:{port}"))
        return prediction_service_pb2_grpc.PredictionServiceStub(channels[-1])

    yield stub
    for channel in channels:
        channel.close()
