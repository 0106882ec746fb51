"""The settings and files of a run, its name, and the list of runs."""

import dataclasses
import os
import pathlib
import shutil

import pytest

from emr_ner_tf.config import RATE_BY_SIZE, check_config
from emr_ner_tf.errors import UsageError, UserError
from emr_ner_tf.experiments.data_summary import describe
from emr_ner_tf.experiments.recipes import parse_overrides, row_config
from emr_ner_tf.experiments.runner import train_command
from emr_ner_tf.experiments.runs import Experiment, plan

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_projects_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def experiment(corpus):
    return Experiment(
        train=f"{corpus}/train.jsonl",
        test=f"{corpus}/test.jsonl",
        encoders={"base": "random"},
        epochs=2,
        overrides=("model.units=16",),
    )


def _run(experiment, row="bert_bigru_crf", seeds=1):
    return plan(experiment, ["V", "VI", "VII", "VIII", "ours"], [row], seeds)[-1]


def test_recipes():
    paper = row_config("bert_bilstm_att_crf", "paper", None)
    assert (paper.train.epochs, paper.optimizer.head_rate, paper.optimizer.decay) == (30, 1e-4, "none")
    default = row_config("bert_bilstm_att_crf", "default", 3)
    assert (default.train.epochs, default.optimizer.head_rate, default.optimizer.decay) == (3, 1e-3, "linear")
    assert (default.optimizer.encoder_rate, default.optimizer.clip_norm) == (RATE_BY_SIZE, 1.0)
    assert default.model == paper.model
    assert (default.model.context, default.model.units, default.train.batch_size) == ("bilstm", 512, 10)
    check_config(default)


def test_overrides():
    config = row_config("bert_crf", "paper", None)
    given = (
        "train.precision=mixed_bfloat16",
        "model.units=64",
        "model.dropout=0",
        "text.extend_vocabulary=False",
    )
    assert parse_overrides(given, config) == {
        "model.dropout": 0.0,
        "model.units": 64,
        "text.extend_vocabulary": False,
        "train.precision": "mixed_bfloat16",
    }
    for wrong, message in (
        ("model.units", "KEY=VALUE"),
        ("model.width=3", r"model\.units.*'model\.width'"),
        ("train.seed=3", "train.seed is set by"),
        ("model.units=many", "type int.*'many'"),
        ("text.extend_vocabulary=1", "true or false"),
    ):
        with pytest.raises(UsageError, match=message):
            parse_overrides([wrong], config)
    with pytest.raises(UsageError, match="twice"):
        parse_overrides(["model.units=1", "model.units=2"], config)


def test_the_command_says_what_differs_from_the_recipe(experiment, corpus):
    command = train_command(_run(experiment), "work/model")
    assert command[:3] == ["-m", "emr_ner_tf.cli.train", "--config=paper:bert_bigru_crf"]
    assert {
        f"--config.data.train={corpus}/train.jsonl",
        "--config.encoder=random",
        "--config.model.units=16",
        "--config.train.epochs=2",
        "--config.data.validation_fraction=0.0",
        "--config.optimizer.head_rate=0.001",
        "--model_dir=work/model",
    } <= set(command)
    assert not any(flag.startswith("--config.model.context") for flag in command)


def test_names_tell_runs_apart_and_nothing_else(experiment, corpus, tmp_path):
    name = _run(experiment).name
    assert name.startswith("bert_bigru_crf-base-default-2epochs-seed1-")
    others = [
        _run(experiment, row="bert_bilstm_crf"),
        _run(dataclasses.replace(experiment, epochs=3)),
        _run(dataclasses.replace(experiment, recipe="paper")),
        _run(dataclasses.replace(experiment, overrides=("model.units=17",))),
        _run(dataclasses.replace(experiment, train=experiment.test)),
        _run(dataclasses.replace(experiment, test=experiment.train)),
    ]
    assert len({run.name for run in others}) == len(others)
    assert _run(experiment, seeds=2).name == name.replace("seed1", "seed2")
    digests = [run.name.rpartition("-")[2] for run in others]
    assert len({name.rpartition("-")[2], *digests}) == 1 + len(others)
    # The same files in another place, how often it logs, an override that changes nothing, and what it does not read.
    shutil.copy(corpus / "train.jsonl", tmp_path / "train.jsonl")
    shutil.copy(corpus / "test.jsonl", tmp_path / "other_name.jsonl")
    moved = dataclasses.replace(
        experiment,
        train=f"{tmp_path}/train.jsonl",
        test=f"{tmp_path}/other_name.jsonl",
        overrides=(*experiment.overrides, "train.log_seconds=1", "model.heads=8"),
        unlabelled=f"{tmp_path}/train.jsonl",
    )
    assert _run(moved).name == name
    assert moved.setup()["overrides"] == experiment.setup()["overrides"] == {"model.units": 16}
    settings = _run(moved).settings()
    assert (settings["data.train"], settings["data.unlabelled"]) == ("train.jsonl", "")
    assert not any(str(tmp_path) in str(value) for value in (*settings.values(), *moved.setup().values()))


def _folder(path, label="疾病和诊断"):
    (path / "ward").mkdir(parents=True)
    (path / "ward" / "1.txt").write_text("胃癌。\n", encoding="utf-8")
    (path / "ward" / "1.ann").write_text(f"T1\t{label} 0 2\t胃癌\n", encoding="utf-8")


def test_folders_of_records_count_by_what_they_hold(experiment, tmp_path):
    for name in ("a/brat", "b/brat", "c/brat", "d/brat"):
        _folder(tmp_path / name, "手术" if name == "c/brat" else "疾病和诊断")
    (tmp_path / "b/brat/.DS_Store").write_text("of the file manager")
    (tmp_path / "d/brat/ward/1.txt").rename(tmp_path / "d/brat/ward/2.txt")

    def run(name, key):
        return _run(dataclasses.replace(experiment, **{key: f"{tmp_path}/{name}"}))

    for key in ("train", "test"):
        assert run("a/brat", key).name == run("b/brat", key).name
        assert len({run(f"{name}/brat", key).name for name in "acd"}) == 3
        assert run("a/brat", key).setup[key]["name"] == "brat"
    settings = run("a/brat", "train").settings()
    assert settings["data.train"] == "brat"
    assert not any(str(tmp_path) in str(value) for value in settings.values())
    # The same records are described before any run.
    described = describe(
        f"{tmp_path}/a/brat", f"{tmp_path}/c/brat", f"{tmp_path}/a", experiment.config().data
    )
    assert (described["train"], described["test"]) == ({"records": 1, "mentions": 1},) * 2


def test_names_that_are_not_utf8_can_be_written(experiment, corpus, tmp_path):
    path = tmp_path / os.fsdecode("病.jsonl".encode("gb18030"))
    shutil.copy(corpus / "train.jsonl", path)
    run = _run(dataclasses.replace(experiment, train=str(path)))
    assert run.name == _run(experiment).name
    assert run.settings()["data.train"] == run.setup["train"]["name"] == r"\udcb2\udca1.jsonl"


def test_all_records_are_trained_on_unless_an_override_sets_some_apart(experiment):
    assert _run(experiment).config.data.validation_fraction == 0.0
    assert experiment.setup()["overrides"] == {"model.units": 16}
    same = dataclasses.replace(experiment, overrides=("model.units=16", "data.validation_fraction=0"))
    assert same.setup() == experiment.setup()
    assert _run(same).name == _run(experiment).name
    # A tenth is what configs/paper.py has; it is another experiment all the same.
    apart = dataclasses.replace(experiment, overrides=("model.units=16", "data.validation_fraction=0.1"))
    assert apart.setup()["overrides"] == {"data.validation_fraction": 0.1, "model.units": 16}
    assert _run(apart).config.data.validation_fraction == 0.1
    assert _run(apart).name != _run(experiment).name


def test_an_encoder_counts_by_what_it_holds(experiment, tmp_path):
    for place in ("a/enc", "b/enc"):
        (tmp_path / place).mkdir(parents=True)
        config = '{"model_type": "bert", "vocab_size": 1}'
        for file, text in (("config.json", config), ("vocab.txt", "[PAD]\n"), ("model.safetensors", "w")):
            (tmp_path / place / file).write_text(text, encoding="utf-8")
    first, second = (
        _run(dataclasses.replace(experiment, encoders={"adapted": f"{tmp_path}/{place}/"}))
        for place in ("a/enc", "b/enc")
    )
    assert first.kind == "adapted"
    assert first.name == second.name
    assert first.fingerprints["encoder"].name == "enc"
    (tmp_path / "c").mkdir()
    shutil.copytree(tmp_path / "b/enc", tmp_path / "c/enc")
    (tmp_path / "c/enc/model.safetensors").write_text("v", encoding="utf-8")
    third = _run(dataclasses.replace(experiment, encoders={"adapted": f"{tmp_path}/c/enc"}))
    assert third.name != first.name
    with pytest.raises(UserError, match=r"config\.json"):
        _run(dataclasses.replace(experiment, encoders={"adapted": f"{tmp_path}/c"}))


def test_the_lattice_alone_reads_words_and_passages(experiment, tmp_path):
    passages, words = tmp_path / "passages.txt", tmp_path / "words.txt"
    passages.write_text("患者入院。\n", encoding="utf-8")
    words.write_text("患者\n", encoding="utf-8")
    experiment = dataclasses.replace(experiment, unlabelled=str(passages))
    built = _run(experiment, row="lattice_lstm")
    assert built.config.data.unlabelled == str(passages)
    read = _run(dataclasses.replace(experiment, lexicon=str(words)), row="lattice_lstm")
    assert (read.config.lexicon.file, read.config.data.unlabelled) == (str(words), "")
    assert built.name != read.name
    vectors = dataclasses.replace(experiment, overrides=("char.word2vec=true",))
    assert _run(vectors, row="bigru_crf").config.data.unlabelled == str(passages)
    # A row without character embeddings trains no vectors, whatever holds for all rows.
    assert _run(vectors, row="bert_crf").config.data.unlabelled == ""


def test_another_way_to_build_a_lexicon_renames_the_rows_that_build_one(experiment, monkeypatch, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("右肺\n", encoding="utf-8")
    runs = [
        _run(experiment, "lattice_lstm"),
        _run(dataclasses.replace(experiment, lexicon=str(words)), "lattice_lstm"),
        _run(experiment),
    ]
    before = [run.name for run in runs]
    monkeypatch.setattr("emr_ner_tf.experiments.runs._LEXICON_VERSION", 9)
    assert [run.name == name for run, name in zip(runs, before, strict=True)] == [False, True, True]


def test_the_plan(experiment):
    runs = plan(experiment, ["VII"], [], 2)
    assert [run.seed for run in runs] == [1] * (len(runs) // 2) + [2] * (len(runs) // 2)
    assert {run.kind for run in runs} == {"none", "base"}
    assert len({run.name for run in runs}) == len(runs)
    with_elmo = dataclasses.replace(experiment, encoders={"elmo": "random"})
    assert [run.row for run in plan(with_elmo, ["VII"], ["bilstm_crf_elmo", "cnn_crf"], 1)] == [
        "bilstm_crf_elmo"
    ]
    with pytest.raises(UserError, match=r"model\.dropout.*2\.0"):
        plan(dataclasses.replace(experiment, overrides=("model.dropout=2",)), ["VII"], [], 1)
    # Errors that the model itself would raise, hours after the rows before it.
    for override, message in (
        ("model.heads=5", "model.heads must divide .*model.context=bilstm, 32 with .*, got 5"),
        ("text.window=511", "text.window must be at most 510"),
    ):
        with pytest.raises(UserError, match=rf"config\.{message}"):
            plan(dataclasses.replace(experiment, overrides=("model.units=16", override)), ["VII"], [], 1)
    with pytest.raises(UserError, match="no_such"):
        plan(dataclasses.replace(experiment, train="no_such.jsonl"), ["VII"], [], 1)


def test_a_rate_by_size_is_a_number_in_the_name(experiment, tmp_path):
    (tmp_path / "config.json").write_text(
        '{"model_type": "bert", "vocab_size": 9, "hidden_size": 512, "num_hidden_layers": 8}'
    )
    for name in ("vocab.txt", "model.safetensors"):
        (tmp_path / name).write_text("x")
    of_size = dataclasses.replace(experiment, encoders={"base": str(tmp_path)})
    for row, rate in (("bert_crf", 1e-4), ("bigru_crf", 2e-4)):
        run = _run(of_size, row)
        assert run.config.optimizer.encoder_rate == rate
        said = dataclasses.replace(of_size, overrides=(*of_size.overrides, f"optimizer.encoder_rate={rate}"))
        assert _run(said, row).name == run.name
    (tmp_path / "config.json").write_text('{"model_type": "distilbert", "vocab_size": 9, "n_layers": 3}')
    assert _run(of_size, "bert_crf").config.optimizer.encoder_rate == RATE_BY_SIZE


def test_outside_the_project(experiment, monkeypatch, tmp_path):
    here = [run.name for run in plan(experiment, ["VII"], [], 1)]
    monkeypatch.chdir(tmp_path)
    assert [run.name for run in plan(experiment, ["VII"], [], 1)] == here
