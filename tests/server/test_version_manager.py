"""Versions that come and go under a running server."""

import os
import re
import shutil
import socket
import threading
import time

import grpc
import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_pb2

from emr_ner_tf.errors import UserError
from emr_ner_tf.server.servable import Servable
from emr_ner_tf.server.server import Server, ServerOptions
from emr_ner_tf.server.version_manager import VersionManager

LABELS = {1: "one", 2: "two", 3: "two"}


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def states(versions):
    status = versions.status(model_pb2.ModelSpec(name="ner"))
    names = get_model_status_pb2.ModelVersionStatus.State.Name
    return {version.version: names(version.state) for version in status.model_version_status}


def test_a_swap_under_load_loses_nothing(local, toy_versions, stub_of, request_of):
    server = local()
    answers, errors, ended = [], [], threading.Event()

    def ask():
        stub = stub_of(server.port)
        while not ended.is_set():
            try:
                answers.append(stub.Predict(request_of(["x-x", "", "xx-"]), timeout=30))
            except grpc.RpcError as error:
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in (2, 3):
        toy_versions(version)
        wait_for(lambda version=version: server.versions.available() == [version])
    time.sleep(0.1)
    ended.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert {answer.model_spec.version.value for answer in answers} == {1, 2, 3}
    for answer in answers:
        label = LABELS[answer.model_spec.version.value].encode()
        assert list(answer.outputs["label"].string_val) == [label, label, b"", b"", label, label]
        assert list(answer.outputs["start"].int_val) == [0, 2, -1, -1, 0, 1]
    wait_for(lambda: states(server.versions) == {3: "AVAILABLE", 2: "END", 1: "END"})


def test_a_version_goes_only_when_its_last_request_has_ended(toy_versions):
    versions = VersionManager("ner", toy_versions.directory)
    versions.start(0)
    toy_versions(2)
    with versions.use(model_pb2.ModelSpec(name="ner")) as held:
        versions.refresh()
        assert states(versions) == {1: "UNLOADING", 2: "AVAILABLE"}
        with versions.use(model_pb2.ModelSpec(name="ner")) as other:
            assert (held.version, other.version) == (1, 2)
        # A long request does not keep further versions from being loaded.
        toy_versions(3)
        versions.refresh()
        assert states(versions) == {1: "UNLOADING", 2: "END", 3: "AVAILABLE"}
    versions.refresh()
    assert states(versions) == {1: "END", 2: "END", 3: "AVAILABLE"}


def test_the_old_version_serves_on_if_the_new_one_cannot_be_loaded(
    local, toy_versions, stub_of, request_of, caplog
):
    server = local()
    stub = stub_of(server.port)
    # Broken before it is there: the server looks all the time.
    beside = toy_versions.directory.parent / "broken"
    beside.mkdir()
    (beside / "saved_model.pb").write_bytes(b"\x00 nothing")
    broken = beside.rename(toy_versions.directory / "2")
    wait_for(lambda: states(server.versions).get(2) == "END")
    time.sleep(0.3)
    assert caplog.text.count("version 2 could not be loaded") == 1, (
        "it was tried again though nothing changed"
    )
    assert states(server.versions)[1] == "AVAILABLE"
    assert stub.Predict(request_of(["x"]), timeout=30).model_spec.version.value == 1
    broken.rename(beside)
    toy_versions(2)
    wait_for(lambda: server.versions.available() == [2])
    assert stub.Predict(request_of(["x"]), timeout=30).outputs["label"].string_val == [b"two"]


def test_several_versions_and_labels(local, toy_versions, stub_of, request_of):
    toy_versions(2)
    toy_versions(3)
    server = local(num_versions=1, labels={"stable": 1}, poll_s=0)
    stub = stub_of(server.port)
    assert server.versions.available() == [1, 3]
    for spec, version in (({}, 3), ({"version_label": "stable"}, 1), ({"version": 1}, 1)):
        assert stub.Predict(request_of(["x"], **spec), timeout=30).model_spec.version.value == version
    for spec, code in (({"version": 2}, "NOT_FOUND"), ({"version_label": "next"}, "INVALID_ARGUMENT")):
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(request_of(["x"], **spec), timeout=30)
        assert caught.value.code().name == code


def test_the_newest_by_number(toy_versions, tmp_path):
    for version in (2, 10):
        toy_versions(version)
    (tmp_path / "toy" / "temporary-11").mkdir()
    (tmp_path / "toy" / "12").write_text("a file")
    loaded = []
    versions = VersionManager(
        "ner", tmp_path / "toy", count=2, load=lambda path, version: loaded.append(path.name)
    )
    versions.refresh()
    assert loaded == ["2", "10"]


def test_a_deleted_version_is_served_until_another_replaces_it(local, toy_versions):
    server = local(poll_s=0)
    shutil.rmtree(toy_versions.directory / "1")
    server.versions.refresh()
    assert server.versions.available() == [1]


def test_nothing_to_serve(tmp_path, toy_versions):
    def message(directory):
        with pytest.raises(UserError) as caught:
            Server(ServerOptions(bundle=str(directory), port=0, rest_port=None))
        return str(caught.value)

    absent, empty = tmp_path / "absent", tmp_path / "empty"
    empty.mkdir()
    assert message(absent).startswith(
        f"{absent}: must be a directory of versions, but there is no such directory"
    )
    assert "whose name is an integer" in message(empty)
    assert str(toy_versions.directory) in message(toy_versions.directory / "1")
    graph = toy_versions.directory / "1" / "saved_model.pb"
    # An empty folder is the newest version, as in TensorFlow Serving.
    newest = toy_versions.directory / "9"
    newest.mkdir()
    absent = f"version 9: {newest}/saved_model.pb: No such file or directory; copy or export the version again, or "
    assert message(newest.parent).endswith(f"no version could be loaded: {absent}remove its folder")
    newest.rmdir()
    for content in (b"", b"\x00 nothing", graph.read_bytes()[:-100]):
        graph.write_bytes(content)
        damaged = f"version 1: {graph}: is empty, cut off or damaged; copy or export the bundle again"
        assert message(graph.parents[1]).endswith(f"no version could be loaded: {damaged}")


def test_a_label_names_a_version_that_is_there(toy_versions):
    toy_versions(3)
    for version, cause in ((9, "there is no version 9, only 1, 3;"), (1, "version 1 could not be loaded: ")):
        (toy_versions.directory / "1" / "saved_model.pb").write_bytes(b"\x00 nothing")
        with pytest.raises(UserError) as caught:
            VersionManager("ner", toy_versions.directory, labels={"stable": version}).start(0)
        assert f"{toy_versions.directory}: label 'stable': {cause}" in str(caught.value)
        assert "give the label to another" in str(caught.value)


def _unlistable(path, how):
    if how == "loop":
        path.symlink_to(path.name)
    elif how == "broken link":
        path.symlink_to("absent")
    else:
        if os.geteuid() == 0:
            pytest.skip("root may list everything")
        path.mkdir(0)


def _reason(versions, version):
    (status,) = versions.status(
        model_pb2.ModelSpec(name="ner", version={"value": version})
    ).model_version_status
    return get_model_status_pb2.ModelVersionStatus.State.Name(status.state), status.status.error_message


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("broken link", "2/saved_model.pb: No such file or directory"),
        ("loop", "2/saved_model.pb: Too many levels of symbolic links"),
        ("no permission", "2/saved_model.pb: Permission denied; check the permissions"),
    ],
)
def test_a_version_that_cannot_be_listed_ends_with_the_reason(toy_versions, how, cause):
    versions = VersionManager("ner", toy_versions.directory)
    versions.start(0)
    path = toy_versions.directory / "2"
    _unlistable(path, how)
    for _ in range(2):
        versions.refresh()
        state, reason = _reason(versions, 2)
        assert state == "END"
        assert reason.startswith(f"{path.parent}/{cause}")
        assert versions.available() == [1]
    # Once it can be read, it is served.
    path.unlink() if path.is_symlink() else path.rmdir()
    toy_versions(2)
    versions.refresh()
    assert versions.available() == [2]


def test_a_link_within_a_version_that_leads_nowhere(toy_versions):
    versions = VersionManager("ner", toy_versions.directory)
    versions.start(0)
    path = toy_versions(2)
    (path / "assets" / "note").symlink_to("absent")
    versions.refresh()
    assert versions.available() == [2]


def test_polling_continues_after_an_error(toy_versions, caplog):
    def load(path, version):
        return path

    versions = VersionManager("ner", toy_versions.directory, load=load)
    versions.start(0.01)
    real, failures = versions.refresh, iter([OSError(5, "Input/output error", "disk"), ValueError("odd")])

    def refresh():
        error = next(failures, None)
        if error is not None:
            raise error
        real()

    versions.refresh = refresh
    toy_versions(2)
    wait_for(lambda: versions.available() == [2])
    versions.close(5)
    assert [message.partition(";")[0] for message in caplog.messages if "checking again" in message] == [
        "disk: Input/output error",
        f"{toy_versions.directory}: ValueError: odd",
    ]


@pytest.mark.parametrize("rest_port", [None, 0])
@pytest.mark.parametrize(
    ("host", "cause"),
    [
        ("absent.invalid", "this machine cannot find a host of that name"),
        ("a..b", "this machine cannot find a host of that name"),
        ("192.0.2.1", "this machine has no such address"),
    ],
)
def test_a_host_that_is_not_this_machines(toy_versions, host, cause, rest_port):
    with pytest.raises(UserError, match=rf"^{re.escape(host)}:0: gRPC cannot listen there: {cause}"):
        Server(ServerOptions(bundle=str(toy_versions.directory), host=host, port=0, rest_port=rest_port))


def test_a_port_that_is_taken(toy_versions):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for ports, front in (((port, None), "gRPC"), ((0, port), "REST")):
            with pytest.raises(
                UserError, match=f"^127.0.0.1:{port}: {front} cannot listen there: the port is in use"
            ):
                Server(ServerOptions(bundle=str(toy_versions.directory), port=ports[0], rest_port=ports[1]))


def test_warm_up_requests_are_played(toy_versions, request_of, local):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    def write(version, texts):
        extra = toy_versions.directory / str(version) / "assets.extra"
        extra.mkdir()
        with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request_of(texts))
            writer.write(log.SerializeToString())

    # A request that fails is how one sees that it was played.
    write(1, ["x"])
    server = local(poll_s=0)
    toy_versions(2)
    write(2, ["!"])
    server.versions.refresh()
    assert states(server.versions) == {2: "END", 1: "AVAILABLE"}
    closing = threading.Event()
    closing.set()
    Servable(toy_versions.directory / "2", 2, warm_up_s=60, closing=closing)


def test_the_end_does_not_wait_for_a_version_that_is_being_loaded(toy_versions):
    loading, go = threading.Event(), threading.Event()

    def load(path, version):
        if version == 2:
            loading.set()
            assert go.wait(60)
        return path

    versions = VersionManager("ner", toy_versions.directory, load=load)
    versions.start(0.01)
    toy_versions(2)
    assert loading.wait(60)
    started = time.monotonic()
    versions.close(0.1)
    assert time.monotonic() - started < 30
    go.set()
