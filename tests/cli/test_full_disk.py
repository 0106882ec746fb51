"""Every command that writes meets a full disk: one line with place, cause and remedy; nothing half written."""

import os
import subprocess

import pytest
from small_disk import no_file_beyond

from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.encoders.loading import build_encoder
from emr_ner_tf.encoders.saving import save_encoder
from emr_ner_tf.text.vocabulary import Vocabulary

REMEDY = "ulimit -f"


def _tells(done, place):
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    # A job of several processes says afterwards that it has no result.
    assert any(str(place) in line and REMEDY in line for line in done.stderr.splitlines()[-2:]), done.stderr


@pytest.mark.parametrize(
    ("command", "arguments", "written"),
    [
        ("data", ("convert", "--input=IN", "--output=OUT/a.bio"), "a.bio"),
        ("data", ("validate", "--input=IN", "--output=OUT/a.jsonl"), "a.jsonl"),
        ("data", ("split", "--input=IN", "--output=OUT/split"), "split"),
        ("data", ("stats", "--input=IN", "--output=OUT/a.json"), "a.json"),
        ("synthesize", ("--output_dir=OUT",), "train.jsonl"),
    ],
)
def test_commands_on_records(cli, corpus, tmp_path, command, arguments, written):
    out = tmp_path / "out"
    out.mkdir()
    (out / "other").write_text("of another")
    given = [
        argument.replace("IN", f"{corpus}/train.jsonl").replace("OUT", str(out)) for argument in arguments
    ]
    with no_file_beyond(500):
        done = cli(command, *given)
    _tells(done, out / written)
    assert [path.name for path in out.rglob("*") if path.is_file()] == ["other"]


def test_annotate_and_evaluate(cli_process, corpus, bundles, tmp_path):
    records = f"--input={corpus}/test.jsonl"
    with no_file_beyond(1000):
        done = cli_process("annotate", f"--bundle={bundles}", records, f"--output={tmp_path}/found.jsonl")
        _tells(done, tmp_path / "found.jsonl")
        done = cli_process("evaluate", f"--bundle={bundles}", records, f"--output={tmp_path}/scores.json")
        _tells(done, tmp_path / "scores.json")
    assert not (tmp_path / "found.jsonl").exists()
    assert not (tmp_path / "scores.json").exists()
    # Results from before the disk was full are kept, and the job resumes from there.
    done = cli_process(
        "annotate", f"--bundle={bundles}", records, f"--output={tmp_path}/found.jsonl", "--resume"
    )
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "found.jsonl").read_bytes().splitlines()) == 16


def test_train_and_export(cli, smallest_flags, corpus, trained, tmp_path):
    with no_file_beyond(100_000):
        done = cli(
            "train",
            *smallest_flags,
            f"--config.data.train={corpus}/train.jsonl",
            "--config.train.epochs=1",
            f"--model_dir={tmp_path}/model",
        )
        _tells(done, tmp_path / "model")
        done = cli("export", f"--model_dir={trained}", f"--output={tmp_path}/bundles")
        _tells(done, tmp_path / "bundles")
    assert not (tmp_path / "bundles").exists() or os.listdir(tmp_path / "bundles") == []


@pytest.mark.slow
def test_an_archive(cli_process, corpus, bundles, tmp_path):
    # A child inherits the limit.
    with no_file_beyond(5000):
        done = cli_process(
            "annotate_archive",
            f"--bundle={bundles}",
            f"--input={corpus}/train.jsonl",
            f"--output_dir={tmp_path}/found",
            "--shards=1",
        )
    _tells(done, tmp_path / "found")
    assert not (tmp_path / "found" / "summary.json").exists()


def test_a_small_file_system(cli, corpus, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        done = cli("data", "convert", f"--input={corpus}/train.jsonl", f"--output={disk}/a.bio")
        assert done.returncode == 1
        assert done.stderr == (
            f"{disk}/a.bio: No space left on device; free some space there, or name another place\n"
        )
        assert os.listdir(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_pre_training(cli, corpus, tmp_path):
    text = tmp_path / "text.txt"
    records = read_documents(corpus / "train.jsonl")
    text.write_text("".join(f"{record.text.replace(chr(10), '')}\n" for record in records), encoding="utf-8")
    config = {"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config |= {"intermediate_size": 8, "max_position_embeddings": 40, "type_vocab_size": 2, "vocab_size": 6}
    tokens = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "患")
    save_encoder(build_encoder(config), Vocabulary(tokens), tmp_path / "bert", heads={})
    bert = (f"--config.encoder={tmp_path}/bert", "--config.text.window=32", "--config.train.head_steps=0")
    elmo = (
        *("--config.text.min_count=1", "--config.text.window=16", "--config.model.hidden_size=4"),
        *("--config.model.intermediate_size=4", "--config.model.num_hidden_layers=1"),
    )
    for command, flags in (("pretrain", bert), ("pretrain_elmo", elmo)):
        model_dir = tmp_path / command
        data = f"--config.data.unlabelled={text}"
        with no_file_beyond(3000):
            done = cli(
                *(command, f"--config={command}", data, *flags),
                *(f"--model_dir={model_dir}", f"--output={tmp_path}/{command}_output"),
            )
        _tells(done, model_dir)
        assert not (tmp_path / f"{command}_output").exists()


@pytest.mark.slow
def test_commands_of_several_steps(cli_process, corpus, trained, tmp_path):
    data = (f"--train={corpus}/train.jsonl", f"--test={corpus}/test.jsonl", "--encoder=random")
    places = [f"--{name}={tmp_path}/{name}" for name in ("runs_dir", "work_dir")]
    report = ("--tables=VII", "--rows=bigru_crf", "--seeds=1", "--budget=1", "--report_only")
    for command, flags in (
        ("reproduce", (*report, *data, *places, f"--output={tmp_path}/paper.md")),
        # The step that fails says why; the command itself names the step.
        ("quickstart", (f"--work_dir={tmp_path}/quickstart",)),
        ("try_serving", (f"--model_dir={trained}", f"--output={tmp_path}/bundles", "--text=患者入院。")),
    ):
        with no_file_beyond(500):
            done = cli_process(command, *flags)
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert REMEDY in done.stderr, done.stderr
    assert not (tmp_path / "paper.md").exists()
