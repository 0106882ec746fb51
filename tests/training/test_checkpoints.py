"""Checkpoints: what a killed process leaves beside them goes, what is in force stays."""

import tensorflow as tf

from emr_ner_tf.training.checkpoints import BEST, LAST, Checkpoints, Progress


def _checkpoints(model_dir):
    step, weight = tf.Variable(0, dtype=tf.int64), tf.Variable([0.0, 0.0])
    model, optimizer = tf.Module(), tf.keras.optimizers.legacy.SGD()
    model.weight = weight
    return Checkpoints(model_dir, model, optimizer, step, Progress("digest")), step, weight


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_parts_of_other_checkpoints_are_removed(tmp_path):
    checkpoints, step, weight = _checkpoints(tmp_path)
    folders = [tmp_path / "checkpoints" / which for which in (LAST, BEST)]
    for number in (1, 12):
        step.assign(number)
        weight.assign([number, -number])
        checkpoints.save_last()
        checkpoints.save_best()
    whole = [_names(folder) for folder in folders]
    for folder in folders:
        # A kill while one is written, between its data and its index, and while the one before is removed.
        (folder / "ckpt-120_temp").mkdir()
        for name in (
            "ckpt-120_temp/part-00000-of-00001.data-00000-of-00001",
            "ckpt-120.data-00000-of-00001",
            "ckpt-1.data-00000-of-00001",
            "checkpoint.tmp0123",
        ):
            (folder / name).write_bytes(b"part")
    again, step, weight = _checkpoints(tmp_path)
    assert again.restore_last()
    again.remove_parts()
    assert [_names(folder) for folder in folders] == whole
    assert (step.numpy(), weight.numpy().tolist()) == (12, [12.0, -12.0])
    again.save_last()
    assert again.restore_last()


def test_parts_of_a_first_checkpoint_are_removed(tmp_path):
    folder = tmp_path / "checkpoints" / LAST
    folder.mkdir(parents=True)
    (folder / "ckpt-1.data-00000-of-00001").write_bytes(b"part")
    checkpoints, _, _ = _checkpoints(tmp_path)
    assert not checkpoints.restore_last()
    checkpoints.remove_parts()
    assert _names(folder) == []
