"""Exports that cannot end well: a full disk, a signal, cut files of the run; and models that find nothing."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest
from small_disk import no_file_beyond

from emr_ner_tf.cli.export import report
from emr_ner_tf.errors import Terminated, UserError
from emr_ner_tf.evaluation.calibration import BestThreshold
from emr_ner_tf.exporting.export import ExportResult, export
from emr_ner_tf.exporting.parity_check import Verification

ROOT_CAN_MOUNT = os.getuid() == 0 and shutil.which("mount") is not None


@pytest.mark.parametrize("at", ["the variables", "the warm-up requests"])
def test_no_room_is_one_line_and_leaves_nothing(trained, bundles, tmp_path, at):
    file = {
        "the variables": "variables/variables.data-00000-of-00001",
        "the warm-up requests": "assets.extra/tf_serving_warmup_requests",
    }[at]
    output = tmp_path / "bundles"
    size = (bundles / "1" / file).stat().st_size // 2
    with no_file_beyond(size), pytest.raises(UserError) as raised:
        export(trained, output)
    message = str(raised.value)
    assert message.startswith(
        f"{output}: nothing is published, the bundle cannot be written: File too large; "
    )
    assert "ulimit -f" in message
    assert "\n" not in message
    assert not output.exists()


@pytest.mark.skipif(not ROOT_CAN_MOUNT, reason="mounts a small file system: needs root")
def test_a_full_disk(trained, tmp_path):
    output = tmp_path / "small"
    output.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", output], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounts a small file system: not allowed here")
    try:
        with pytest.raises(UserError, match="No space left on device; free some space there") as raised:
            export(trained, output)
        assert str(output) in str(raised.value)
        assert list(output.iterdir()) == []
    finally:
        subprocess.run(["umount", output], check=True)


@pytest.mark.skipif(os.getuid() == 0, reason="tests what a user may not write to: root may")
def test_an_output_without_permission_is_named_before_the_work(trained, tmp_path):
    (tmp_path / "mine").mkdir(mode=0o500)
    with pytest.raises(UserError, match="Permission denied; check the permissions"):
        export(trained, tmp_path / "mine" / "bundles")


def test_a_path_that_tensorflow_cannot_open_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"\[1\].*TensorFlow reads \[ in a path as part of a pattern"):
        export(tmp_path, tmp_path / "bundles[1]")
    assert list(tmp_path.iterdir()) == []


def test_sigterm_leaves_nothing(trained, tmp_path):
    output = tmp_path / "bundles"

    def terminate(number, _):
        raise Terminated(number)

    def wait_and_send():
        while not list(output.glob(".unpublished.*/variables*")):
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        threading.Thread(target=wait_and_send, daemon=True).start()
        with pytest.raises(Terminated):
            export(trained, output)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not output.exists()


@pytest.mark.parametrize("content", ["", '{"best": {"epo', "[]", '{"best": {"epoch": 1}}'])
def test_metrics_that_are_cut_off_are_named(trained, tmp_path, content):
    model_dir = shutil.copytree(trained, tmp_path / "model")
    (model_dir / "metrics.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"model/metrics\.json: .*the same training command"):
        export(model_dir, tmp_path / "bundles")
    assert not (tmp_path / "bundles").exists()


def test_a_licence_that_is_no_text(tmp_path):
    (tmp_path / "LICENCE").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="LICENCE: the licence must be a text in UTF-8"):
        export(tmp_path, tmp_path / "bundles", licence=str(tmp_path / "LICENCE"))


def test_a_model_that_finds_nothing_is_called_so(trained, tmp_path):
    model_dir = shutil.copytree(trained, tmp_path / "model")
    metrics = json.loads((model_dir / "metrics.json").read_text(encoding="utf-8"))
    metrics["best"] |= {"f1": 0.0, "precision": 0.0, "recall": 0.0}
    (model_dir / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    records = tmp_path / "records.jsonl"
    records.write_text('{"originalText": "患者胃癌。", "entities": []}\n', encoding="utf-8")
    result = export(model_dir, tmp_path / "bundles", verify_on=str(records))
    assert result.validation_f1 == 0
    card = (tmp_path / "bundles/1/assets/model_card.md").read_text(encoding="utf-8")
    assert "do not use this model" in card


@pytest.mark.parametrize(
    ("f1", "entities", "warned", "next_step"),
    [
        (0.0, 20, "the validation F1 of this checkpoint is 0", False),
        (None, 0, "neither model finds an entity in the 8 records", True),
        (0.9, 0, "neither model finds an entity in the 8 records", True),
        (0.9, 20, None, True),
        (None, 20, None, True),
    ],
)
def test_what_the_command_says(capsys, tmp_path, f1, entities, warned, next_step):
    version = tmp_path / "ner" / "3"
    report(ExportResult(version, Verification(8, entities, 1e-7), 1.0, [tmp_path / "ner" / "2"], f1))
    said = capsys.readouterr()
    assert f"{version}: the reloaded bundle finds the same {entities} entities in 8 records" in said.out
    assert f"{tmp_path}/ner/2: removed" in said.out
    assert ("next: " in said.out) == next_step
    assert f"--bundle={tmp_path}/ner " in said.out or not next_step
    assert said.err == "" if warned is None else f"warning: {version}: {warned}" in said.err


@pytest.mark.parametrize(
    ("threshold", "said"),
    [
        (
            0.49999321,
            "leaves out entities with a probability below 0.49999321: exact F1 0.9000 instead of 0.8000",
        ),
        (
            0.0,
            "leaves out no entity: on the records of --verify_on, no threshold raises exact F1 above 0.8000",
        ),
    ],
)
def test_the_chosen_threshold_can_be_typed_again(capsys, tmp_path, threshold, said):
    chosen = BestThreshold(threshold, 0.9 if threshold else 0.8, 0.8)
    report(ExportResult(tmp_path / "1", Verification(8, 20, 0.0), 1.0, [], 0.9, threshold=chosen))
    assert f"{tmp_path}/1: {said}" in capsys.readouterr().out
