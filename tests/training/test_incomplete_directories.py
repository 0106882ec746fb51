"""A model directory that was copied in part, or whose disk is full: resumed or refused, and never trained over."""

import contextlib
import json
import shutil

import pytest
import tensorflow as tf
from small_disk import no_file_beyond

from emr_ner_tf.errors import UserError
from emr_ner_tf.training import tagging_task
from emr_ner_tf.training.checkpoint_folder import CheckpointFolder
from emr_ner_tf.training.loading import restore
from emr_ner_tf.training.model_dir import write_json
from emr_ner_tf.training.trainer import train


def _content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.fixture
def finished(two_records, tmp_path):
    """A finished run and what `train` said of it."""
    two_records.train.epochs = 1
    return tmp_path / "model", train(two_records, str(tmp_path / "model"))


@pytest.mark.usefixtures("eager")
def test_a_copy_in_part(two_records, finished, tmp_path):
    whole, metrics = finished

    def copied(*left_out):
        folder = tmp_path / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        for name in left_out:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return folder

    def refused(folder):
        before = _content(folder)
        with pytest.raises(UserError) as caught:
            train(two_records, str(folder))
        assert _content(folder) == before
        assert "\n" not in str(caught.value)
        return str(caught.value)

    last = "checkpoints/last"
    step = metrics["updates"]
    message = refused(copied(last))
    assert message.startswith(
        f"{tmp_path}/copy holds a run (metrics.json, history.json, checkpoints/best), and no "
    )
    assert "copy the files of that run's checkpoints/last there, name another --model_dir" in message
    assert "(checkpoints/best)" in refused(copied(last, "metrics.json", "history.json"))
    assert "(history.json)" in refused(copied("checkpoints", "metrics.json"))
    # A copy that stopped.
    assert f"ckpt-{step}.index: no such file" in refused(copied(f"{last}/ckpt-{step}.index"))
    assert "config.json: no such file" in refused(copied("config.json"))
    folder = copied(last, "metrics.json", "history.json", "checkpoints/best", "config.json")
    (folder / last).mkdir(parents=True)
    (folder / last / "ckpt-7.data-00000-of-00001").write_bytes(b"part")
    assert "(checkpoints/last)" in refused(folder)
    folder = copied(last)
    (folder / "metrics.json").unlink()
    (folder / "history.json").write_bytes(b"")
    assert "(history.json, checkpoints/best)" in refused(folder)
    folder = copied()
    (folder / "config.json").write_bytes((folder / "config.json").read_bytes()[:100])
    assert f"{folder}/config.json: not JSON" in refused(folder)
    # Whole but for the files that name the newest, and for some that a run writes again at its end.
    names = ("metrics.json", "history.json", "learning_curve.png")
    folder = copied(f"{last}/checkpoint", "checkpoints/best/checkpoint", *names)
    before = _content(folder / "checkpoints")
    assert train(two_records, str(folder)) == metrics
    assert before == _content(folder / "checkpoints")
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}
    # A run that is killed before its first checkpoint leaves this (pre-training measures before it learns).
    folder = copied("checkpoints", "metrics.json")
    (folder / "history.json").write_text(json.dumps([{"name": "before", "held": {}}]), encoding="utf-8")
    (folder / last).mkdir(parents=True)
    (folder / last / "ckpt-7.data-00000-of-00001").write_bytes(b"part")
    assert train(two_records, str(folder))["updates"] == step
    assert not (folder / last / "ckpt-7.data-00000-of-00001").exists()


@pytest.mark.usefixtures("eager")
def test_a_definition_in_part(finished):
    folder, _ = finished
    assert restore(folder)
    for name, damage, message in (
        ("config.json", lambda text: text[:-3], "not JSON"),
        ("config.json", lambda text: "", "the file is empty"),
        ("config.json", lambda text: "[]", "must be a JSON object"),
        ("encoder.json", lambda text: text[:-3], "not JSON"),
        ("encoder.json", lambda text: "", "the file is empty"),
        ("labels.txt", lambda text: text[:-1], "its last line has no end"),
        ("labels.txt", lambda text: "", "the file is empty"),
        ("vocab.txt", lambda text: text[:-1], "its last line has no end"),
        # At the end of a line.
        (
            "vocab.txt",
            lambda text: text[:-2].rpartition("\n")[0] + "\n",
            "must hold as many tokens as `vocab_size`",
        ),
        ("vocab.txt", lambda text: None, "no such file"),
    ):
        whole = (folder / name).read_text(encoding="utf-8")
        if (part := damage(whole)) is None:
            (folder / name).unlink()
        else:
            (folder / name).write_text(part, encoding="utf-8")
        with pytest.raises(UserError, match=rf"^{folder}/{name}: {message}[^\n]*$"):
            restore(folder)
        (folder / name).write_text(whole, encoding="utf-8")
    labels = (folder / "labels.txt").read_text(encoding="utf-8")
    (folder / "labels.txt").write_text(labels.partition("\n")[0] + "\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"^[^\n]*best/ckpt-\d+: does not fit the model that .*labels.txt[^\n]*$"
    ):
        restore(folder)


@pytest.mark.usefixtures("eager")
def test_a_full_disk(two_records, monkeypatch, tmp_path):
    two_records.train.epochs = 4
    # Every epoch is then the best, and no function that scores is traced.
    two_records.data.validation, two_records.data.validation_fraction = "", 0.0
    folder = tmp_path / "model"

    def on_a_full_disk(function):
        def call(*arguments, **options):
            with no_file_beyond(8):
                return function(*arguments, **options)

        return call

    def on_a_full_disk_for_the_best(save):
        full_disk = on_a_full_disk(save)
        return lambda folder, *arguments: (full_disk if folder.path.name == "best" else save)(
            folder, *arguments
        )

    def filling_the_disk(function):
        def call(*arguments, **options):
            function(*arguments, **options)
            full.enter_context(no_file_beyond(8))

        return call

    # Drawn after each epoch, however short.
    monkeypatch.setattr(tagging_task, "_CURVE_SECONDS", 0.0)
    for owner, at, change, named in (
        (CheckpointFolder, "save", on_a_full_disk_for_the_best, "checkpoints/best"),
        (tagging_task, "draw_learning_curve", on_a_full_disk, "learning_curve.png"),
        # The next file to write.
        (tagging_task, "draw_learning_curve", filling_the_disk, "tensorboard"),
    ):
        with monkeypatch.context() as patch, contextlib.ExitStack() as full:
            patch.setattr(owner, at, change(getattr(owner, at)))
            with pytest.raises(UserError) as caught:
                train(two_records, str(folder))
        message = str(caught.value)
        assert message.startswith(f"{folder}/{named}: cannot be written: File too large; raise the limit"), (
            message
        )
        assert message.endswith("then run the same command again: it resumes from the last whole checkpoint")
        assert "\n" not in message
    # The same command ends as if nothing had been.
    metrics = train(two_records, str(folder))
    assert metrics["epochs"] == 4
    for which in ("last", "best"):
        newest = tf.train.latest_checkpoint(str(folder / "checkpoints" / which))
        assert newest == f"{folder}/checkpoints/{which}/ckpt-{metrics['updates']}"
    assert len(json.loads((folder / "history.json").read_text(encoding="utf-8"))) == 4
    assert not list(folder.rglob("*tmp*"))


def test_a_full_device(tmp_path):
    (tmp_path / "history.json").symlink_to("/dev/full")
    with pytest.raises(
        UserError, match=r"history.json: cannot be written: No space left on device; free some space"
    ):
        write_json(tmp_path / "history.json", [])
