"""Checkpoints: which one is current in what a kill or a copy leaves; damage is named; a failed save harms nothing."""

import functools
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from small_disk import no_file_beyond

from emr_ner_tf.errors import UserError
from emr_ner_tf.training.checkpoint_folder import CheckpointFolder, read_values
from emr_ner_tf.training.checkpoints import BEST, LAST, Checkpoints, check_same_data, restore_weights
from emr_ner_tf.training.progress import Progress

INDEX, DATA = "ckpt-12.index", "ckpt-12.data-00000-of-00001"


def _checkpoints(model_dir, size=2):
    step, weight = tf.Variable(0, dtype=tf.int64), tf.Variable(np.zeros(size, np.float32))
    model, optimizer = tf.Module(), tf.keras.optimizers.legacy.SGD()
    model.weight = weight
    progress = Progress("digest")
    checkpoints = Checkpoints(model_dir, model, optimizer, step, progress)
    return checkpoints, model, step, progress


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def model_dir(tmp_path):
    """One with checkpoint 12 as the last and the best, whose weights are twelves."""
    checkpoints, model, step, progress = _checkpoints(tmp_path)
    step.assign(12)
    model.weight.assign([12.0, 12.0])
    progress.end_epoch({"f1": 0.5})
    progress.score_epoch(0.5, 12)
    checkpoints.snapshot(best=True)()
    return tmp_path


def test_parts_of_other_checkpoints_are_removed(tmp_path):
    checkpoints, model, step, _ = _checkpoints(tmp_path)
    folders = [tmp_path / "checkpoints" / which for which in (LAST, BEST)]
    for number in (1, 12):
        step.assign(number)
        model.weight.assign([number, -number])
        checkpoints.snapshot(best=True)()
    whole = [_names(folder) for folder in folders]
    assert whole == [["checkpoint", DATA, INDEX]] * 2
    for folder in folders:
        # A kill while one is written, between its data and its index, and while the one before is removed.
        (folder / "ckpt-120_temp").mkdir()
        for name in (
            "ckpt-120_temp/part-00000-of-00001.data-00000-of-00001",
            "ckpt-120.data-00000-of-00001",
            "ckpt-121.data-00000-of-00001.tempstate0123",
            "ckpt-1.data-00000-of-00001",
            "checkpoint.tmp0123",
        ):
            (folder / name).write_bytes(b"part")
    again, model, step, _ = _checkpoints(tmp_path)
    assert again.restore_last()
    again.tidy()
    assert [_names(folder) for folder in folders] == whole
    assert (step.numpy(), model.weight.numpy().tolist()) == (12, [12.0, -12.0])
    again.snapshot(best=False)()
    assert again.restore_last()


def test_parts_of_a_first_checkpoint_are_removed(tmp_path):
    folder = tmp_path / "checkpoints" / LAST
    folder.mkdir(parents=True)
    (folder / "ckpt-1.data-00000-of-00001").write_bytes(b"part")
    checkpoints, *_ = _checkpoints(tmp_path)
    assert not checkpoints.restore_last()
    checkpoints.tidy()
    assert _names(folder) == []


def test_the_files_are_those_of_tensorflow(model_dir):
    for which in (LAST, BEST):
        folder = model_dir / "checkpoints" / which
        assert tf.train.latest_checkpoint(str(folder)) == str(folder / "ckpt-12")
    # The same values under the same names as TensorFlow's own writer.
    model = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(3,))])
    optimizer = tf.keras.optimizers.legacy.Adam()
    optimizer.apply_gradients([(tf.ones_like(variable), variable) for variable in model.variables])
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, progress=Progress("digest"))
    # As `save` has it, which numbers its files by it.
    checkpoint.save_counter.assign_add(1)
    readers = [tf.train.load_checkpoint(checkpoint.write(str(model_dir / "theirs")))]
    CheckpointFolder(model_dir).save(read_values(checkpoint), 1)
    readers.append(tf.train.load_checkpoint(str(model_dir / "ckpt-1")))
    theirs, ours = (
        {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()} for reader in readers
    )
    assert theirs.pop("save_counter/.ATTRIBUTES/VARIABLE_VALUE") == 1
    assert ours.pop("save_counter/.ATTRIBUTES/VARIABLE_VALUE") == 2
    assert theirs.keys() == ours.keys()
    assert any("OPTIMIZER_SLOT" in name for name in ours)
    for name, value in theirs.items():
        np.testing.assert_array_equal(value, ours[name], err_msg=name)


def test_a_snapshot_is_of_its_moment(tmp_path):
    _, model, step, progress = _checkpoints(tmp_path)
    optimizer = tf.keras.optimizers.legacy.Adam(0.5)
    optimizer._create_all_weights([model.weight])
    both = Checkpoints(tmp_path, model, optimizer, step, progress)
    optimizer.apply_gradients([(tf.constant([1.0, 2.0]), model.weight)])
    step.assign(1)
    moments = optimizer.get_slot(model.weight, "m").numpy(), model.weight.numpy()
    save = both.snapshot(best=True)
    progress.record_step(1.0, 2, 0.5)
    step.assign_add(1)
    optimizer.apply_gradients([(tf.constant([3.0, 4.0]), model.weight)])
    model.weight.assign_sub([1.0, 1.0])
    save()
    assert both.restore_last()
    assert (step.numpy(), progress.step) == (1, 0)
    np.testing.assert_array_equal(optimizer.get_slot(model.weight, "m"), moments[0])
    np.testing.assert_array_equal(model.weight, moments[1])
    model.weight.assign([0.0, 0.0])
    restore_weights(model, tmp_path)
    np.testing.assert_array_equal(model.weight, moments[1])


@pytest.mark.parametrize("kind", ["without", "older", "newer"])
def test_a_copy_whose_checkpoint_file_is_missing_or_of_another_time(model_dir, kind):
    for which in (LAST, BEST):
        path = model_dir / "checkpoints" / which / "checkpoint"
        if kind == "without":
            path.unlink()
        else:
            path.write_text(
                f'model_checkpoint_path: "ckpt-{3 if kind == "older" else 30}"\n', encoding="utf-8"
            )
    checkpoints, model, step, _ = _checkpoints(model_dir)
    assert checkpoints.restore_last()
    assert (step.numpy(), model.weight.numpy().tolist()) == (12, [12.0, 12.0])
    model.weight.assign([0.0, 0.0])
    for which in (LAST, BEST):
        assert restore_weights(model, model_dir, which).endswith(f"{which}/ckpt-12")
        assert model.weight.numpy().tolist() == [12.0, 12.0]
    # The next one takes its place, and is named.
    checkpoints.tidy()
    step.assign(13)
    checkpoints.snapshot(best=False)()
    assert _names(model_dir / "checkpoints/last") == ["checkpoint", DATA.replace("12", "13"), "ckpt-13.index"]


def test_the_newest_of_several_without_a_checkpoint_file(model_dir):
    folder = model_dir / "checkpoints/last"
    for path in (folder / INDEX, folder / DATA):
        shutil.copy(path, folder / path.name.replace("12", "9"))
    (folder / "checkpoint").unlink()
    assert CheckpointFolder(folder).current() == str(folder / "ckpt-12")


def _cut(path, size):
    os.truncate(path, size if size >= 0 else path.stat().st_size + size)


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage", "named", "message"),
    [
        ("checkpoint", lambda path: _cut(path, 0), "checkpoint", "must name a checkpoint"),
        ("checkpoint", lambda path: _cut(path, 28), "checkpoint", "must name a checkpoint"),
        (INDEX, lambda path: _cut(path, 0), INDEX, "the file is empty"),
        (INDEX, lambda path: _cut(path, 20), INDEX, "cut off or damaged"),
        (INDEX, lambda path: _cut(path, -1), INDEX, "cut off or damaged"),
        (INDEX, _flip, INDEX, "cut off or damaged"),
        (INDEX, lambda path: path.unlink(), INDEX, "no such file"),
        (DATA, lambda path: _cut(path, 0), DATA, "the file is empty"),
        (DATA, lambda path: _cut(path, 5), DATA, "cut off"),
        (DATA, lambda path: _cut(path, -1), DATA, "cut off"),
        (DATA, _flip, DATA, "cut off or damaged"),
        (DATA, lambda path: path.unlink(), DATA, "no such file"),
        (
            DATA,
            lambda path: path.rename(f"{path.parent}/ckpt-12.data-00000-of-00002"),
            "ckpt-12.data-00001-of-00002",
            "no such file",
        ),
    ],
)
def test_damage_is_named_and_nothing_is_written(model_dir, name, damage, named, message):
    for which in (LAST, BEST):
        damage(model_dir / "checkpoints" / which / name)
    before = {path: path.stat().st_mtime_ns for path in model_dir.rglob("*")}
    checkpoints, model, *_ = _checkpoints(model_dir)
    with pytest.raises(UserError, match=rf"checkpoints/last/{named}: {message}"):
        checkpoints.restore_last()
    for which in (LAST, BEST):
        with pytest.raises(UserError, match=rf"checkpoints/{which}/{named}: {message}"):
            restore_weights(model, model_dir, which)
    assert before == {path: path.stat().st_mtime_ns for path in model_dir.rglob("*")}


def test_a_checkpoint_file_that_names_what_is_not_there(model_dir):
    folder = model_dir / "checkpoints/best"
    for path in folder.glob("ckpt-*"):
        path.unlink()
    _, model, *_ = _checkpoints(model_dir)
    with pytest.raises(
        UserError, match=r"best/checkpoint: names ckpt-12, but there is no file of that checkpoint"
    ):
        restore_weights(model, model_dir)
    (folder / "checkpoint").unlink()
    with pytest.raises(UserError, match=r"best: no checkpoint .*--checkpoint=last"):
        restore_weights(model, model_dir)
    shutil.rmtree(model_dir / "checkpoints")
    with pytest.raises(UserError, match=r"best: no checkpoint .*train first"):
        restore_weights(model, model_dir)


@pytest.mark.parametrize(
    ("change", "message"), [(lambda saved: "{", "in JSON"), (lambda saved: "[]", "other JSON")]
)
def test_progress_that_is_none(model_dir, monkeypatch, change, message):
    checkpoints, *_ = _checkpoints(model_dir)
    assert checkpoints.restore_last()
    monkeypatch.setattr(Progress, "serialize", change)
    checkpoints.snapshot(best=False)()
    with pytest.raises(UserError, match=rf"last/ckpt-12: must contain the progress of a run.*{message}"):
        check_same_data(f"{model_dir}/checkpoints/last/ckpt-12", "digest")


def test_weights_alone_are_no_state(model_dir):
    shutil.rmtree(model_dir / "checkpoints/last")
    shutil.copytree(model_dir / "checkpoints/best", model_dir / "checkpoints/last")
    with pytest.raises(UserError, match=r"last/ckpt-12: contains weights only"):
        check_same_data(f"{model_dir}/checkpoints/last/ckpt-12", "digest")


def test_a_kill_between_the_last_state_and_the_best_weights(model_dir):
    checkpoints, model, step, progress = _checkpoints(model_dir)
    assert checkpoints.restore_last()
    step.assign(24)
    model.weight.assign([24.0, 24.0])
    progress.end_epoch({"f1": 0.5})
    assert progress.score_epoch(0.5, 24)
    checkpoints.snapshot(best=False)()
    again, model, *_ = _checkpoints(model_dir)
    assert again.restore_last()
    again.tidy()
    assert restore_weights(model, model_dir).endswith("best/ckpt-24")
    assert model.weight.numpy().tolist() == [24.0, 24.0]


def test_best_weights_that_were_not_copied(model_dir, caplog):
    checkpoints, _, step, progress = _checkpoints(model_dir)
    assert checkpoints.restore_last()
    step.assign(24)
    progress.end_epoch({"f1": 0.25})
    assert not progress.score_epoch(0.25, 24)
    checkpoints.snapshot(best=False)()
    shutil.rmtree(model_dir / "checkpoints/best")
    again, _, _, progress = _checkpoints(model_dir)
    assert again.restore_last()
    assert "has no ckpt-12, the weights of epoch 1" in caplog.text
    # A score below that of the weights that are gone.
    progress.end_epoch({"f1": 0.125})
    assert progress.score_epoch(0.125, 36)
    assert progress.best_epoch == 3


@pytest.mark.parametrize("size", [100, 40_000])
def test_a_save_that_fails_harms_nothing(tmp_path, size):
    checkpoints, model, step, _ = _checkpoints(tmp_path, 20_000)
    step.assign(1)
    checkpoints.snapshot(best=True)()
    before = {path: path.read_bytes() for path in tmp_path.rglob("ckpt-*")}
    step.assign(2)
    best, weights = CheckpointFolder(tmp_path / "checkpoints/best"), tf.train.Checkpoint(model=model)
    save_best = functools.partial(best.save, read_values(weights), 2)
    for save, which in ((checkpoints.snapshot(best=True), LAST), (save_best, BEST)):
        with no_file_beyond(size), pytest.raises(UserError) as caught:
            save()
        message = str(caught.value)
        assert message.startswith(
            f"{tmp_path}/checkpoints/{which}: cannot be written: File too large; raise "
        )
        assert "run the same command again" in message
        assert "\n" not in message
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("ckpt-*")}
    again, _, step, _ = _checkpoints(tmp_path, 20_000)
    assert again.restore_last()
    assert step.numpy() == 1
    # With space again, it is saved as ever.
    step.assign(2)
    again.snapshot(best=False)()
    assert _names(tmp_path / "checkpoints/last")[1:] == ["ckpt-2.data-00000-of-00001", "ckpt-2.index"]


def test_the_file_that_names_the_newest_cannot_be_written(model_dir):
    folder = model_dir / "checkpoints/last"
    checkpoints, _, step, _ = _checkpoints(model_dir)
    (folder / "checkpoint").unlink()
    # No folder can be made there, not even by root.
    (folder / "checkpoint").symlink_to("/proc/none/checkpoint")
    step.assign(13)
    with pytest.raises(UserError, match=r"cannot be written: No such file.* resumes from the last whole"):
        checkpoints.snapshot(best=False)()
    (folder / "checkpoint").unlink()
    assert _names(folder) == [DATA, INDEX]
    assert _checkpoints(model_dir)[0].restore_last()


@pytest.mark.parametrize("name", ["a[1]", "a\\b"])
def test_a_path_that_tensorflow_takes_for_a_pattern(tmp_path, name):
    with pytest.raises(UserError, match="as part of a pattern"):
        _checkpoints(tmp_path / name)


@pytest.mark.parametrize("name", ["a*", "a?", "a]", "名 1"])
def test_a_path_with_signs_that_do_no_harm(tmp_path, name):
    checkpoints, *_ = _checkpoints(tmp_path / name)
    checkpoints.snapshot(best=False)()
    assert _checkpoints(tmp_path / name)[0].restore_last()


def test_scores_of_epochs():
    progress = Progress("digest")
    told = []
    for number, f1 in enumerate([0.0, 0.0, 0.0, 0.5, 0.25, 0.5, 0.75, 0.75, 0.0], start=1):
        progress.end_epoch({"f1": f1})
        told.append(
            (
                progress.score_epoch(f1, 10 * number),
                progress.best_epoch,
                progress.best_step,
                progress.epochs_without_improvement,
            )
        )
    assert told == [
        (True, 1, 10, 0),
        (True, 2, 20, 0),
        (True, 3, 30, 0),
        (True, 4, 40, 0),
        (False, 4, 40, 1),
        # An equal score is the best one, but does not count as an improvement.
        (True, 6, 60, 2),
        (True, 7, 70, 0),
        (True, 8, 80, 1),
        (False, 8, 80, 2),
    ]
    progress = Progress("digest")
    for number in (1, 2):
        progress.end_epoch({})
        assert progress.score_epoch(None, number)
    assert (progress.best_epoch, progress.epochs_without_improvement) == (2, 0)


@pytest.mark.parametrize(("scores", "best"), [([0.0, 0.5, 0.5], 2), ([0.0, 0.0], 1), ([None, None], 2)])
def test_progress_of_an_older_version(scores, best):
    progress = Progress("digest")
    for f1 in scores:
        progress.end_epoch({} if f1 is None else {"f1": f1})
    saved = json.loads(progress.serialize())
    del saved["best_epoch"], saved["best_step"]
    progress.deserialize(json.dumps(saved))
    assert (progress.best_epoch, progress.best_step) == (best, 0)
