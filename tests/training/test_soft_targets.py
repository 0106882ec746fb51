"""A bundle's marginals as targets of unlabelled windows, and a student that learns them."""

import io
import json

import numpy as np
import pytest

from emr_ner_tf.config import base_config
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.bundle import load_teacher
from emr_ner_tf.progress_bar import enable_bars
from emr_ner_tf.training import soft_targets
from emr_ner_tf.training.soft_targets import soft_examples


@pytest.fixture(scope="module")
def teacher(bundle):
    return bundle


@pytest.fixture(scope="module")
def texts(corpus):
    documents = list(read_documents(corpus / "test.jsonl"))[:6]
    return [*(document.text for document in documents), "无", ""]


def _examples(teacher, texts, folder, window=20):
    table = TagTable(teacher.labels, teacher.definition.config.model.scheme)
    vocabulary = teacher.definition.vocabulary
    return soft_examples(teacher, texts, vocabulary, table, folder, window=window, slack=4), table


def test_targets_are_the_marginals_of_each_character(teacher, texts, tmp_path):
    examples, table = _examples(teacher, texts, tmp_path)
    assert len(examples.targets) == len(examples.token_ids) == sum(map(len, texts))
    alone = np.concatenate([teacher.marginals([text])[0] for text in texts])
    np.testing.assert_allclose(examples.targets, alone, atol=2e-3)
    np.testing.assert_allclose(examples.targets.sum(-1), 1.0, atol=5e-3)
    # Where the teacher is sure, its most probable tags are the tags of the windows.
    sure = alone.max(-1) > 0.9
    assert sure.mean() > 0.5
    inside = np.ones(len(alone), bool)
    inside[examples.offsets[:-1]] = False
    np.testing.assert_array_equal(alone.argmax(-1)[sure & inside], examples.tag_ids[sure & inside])
    assert {table.tags[tag] for tag in examples.tag_ids} > {"O"}


def test_the_teacher_is_asked_once(teacher, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(soft_targets, "_PASSAGES", 3)
    first, _ = _examples(teacher, texts, tmp_path)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3
    files[1].unlink()
    asked = []
    marginals = teacher.marginals

    class Counting:
        name, tags, labels, definition = teacher.name, teacher.tags, teacher.labels, teacher.definition

        def marginals(self, texts):
            asked.extend(texts)
            return marginals(texts)

    again, _ = _examples(Counting(), texts, tmp_path)
    assert sorted(asked) in [sorted(texts[first : first + 3]) for first in (0, 3, 6)]
    np.testing.assert_array_equal(again.targets, first.targets)


def test_a_bar_on_a_terminal(teacher, texts, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    enable_bars(stream)
    try:
        _examples(teacher, texts, tmp_path)
    finally:
        enable_bars(io.StringIO())
    assert "teacher" in stream.getvalue()
    assert f"{len(texts)}/{len(texts)}" in stream.getvalue()


def test_a_damaged_answer_is_named(teacher, tmp_path):
    _examples(teacher, ["患者入院。"], tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    with pytest.raises(UserError, match=rf"{path.name}: cut off or damaged; remove it"):
        _examples(teacher, ["患者入院。"], tmp_path)
    np.save(path, np.zeros([3, 13], np.float16))
    with pytest.raises(UserError, match=r"a row for each of 5 characters, got \[3, 13\]; remove it"):
        _examples(teacher, ["患者入院。"], tmp_path)


@pytest.mark.usefixtures("eager")
def test_a_student(cli, bundles, corpus, smallest_flags, tmp_path):
    passages = tmp_path / "passages.csv"
    texts = [document.text for document in read_documents(corpus / "train.jsonl")]
    passages.write_text("".join(f"{text}\n" for text in ["病历", *texts]), encoding="gb18030")
    flags = (
        *smallest_flags,
        f"--teacher={bundles}",
        f"--unlabelled={passages}",
        "--config.data.unlabelled_format=csv",
        "--config.data.unlabelled_options=encoding=gb18030,text_column=病历",
        f"--config.data.train={corpus}/test.jsonl",
        "--config.train.epochs=1",
        "--config.distillation.ratio=1.5",
    )
    done = cli("distill", *flags, f"--model_dir={tmp_path}/student")
    assert done.returncode == 0, done.stderr
    history = json.loads((tmp_path / "student" / "history.json").read_text(encoding="utf-8"))
    assert np.isfinite(history[0]["loss"])
    assert list((tmp_path / "student" / "teacher").iterdir())
    # As `train` it is the same run.
    again = cli("distill", *flags, f"--model_dir={tmp_path}/student")
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stderr
    other = cli("distill", *flags, "--config.model.scheme=BIOES", f"--model_dir={tmp_path}/other")
    assert other.returncode == 1
    assert "config.distillation.teacher must have the tags of this model" in other.stderr


def test_a_run_keeps_the_version_with_which_it_began(bundles, tmp_path):
    versions, model_dir = tmp_path / "versions", tmp_path / "student"
    versions.mkdir()
    first = next(path for path in bundles.iterdir() if path.name.isdigit())
    (versions / "3").symlink_to(first)
    config = base_config()
    config.distillation.teacher = str(versions)
    assert load_teacher(config, model_dir, "one_device").path == versions / "3"
    assert config.distillation.teacher == f"{versions}/3"
    model_dir.mkdir()
    (model_dir / "config.json").write_text(config.to_json(), encoding="utf-8")
    (versions / "4").symlink_to(first)
    config.distillation.teacher = str(versions)
    assert load_teacher(config, model_dir, "one_device").path == versions / "3"
    config.distillation.teacher = str(versions)
    assert load_teacher(config, tmp_path / "another", "one_device").path == versions / "4"


def test_a_directory_of_another_command(tmp_path):
    (tmp_path / "config.json").write_text('{"masking": {"rate": 0.15}}', encoding="utf-8")
    config = base_config()
    config.distillation.teacher = "bundles"
    with pytest.raises(UserError, match=rf"^{tmp_path}/config.json: unknown key 'masking.rate', of another"):
        load_teacher(config, tmp_path, "one_device")


def test_several_machines_do_not_distil():
    config = base_config()
    config.distillation.teacher = "bundles"
    with pytest.raises(
        UserError, match=r"config.distillation.teacher must be '' on several machines .*bundles"
    ):
        load_teacher(config, "student", "multi_worker_mirrored")


def test_passages_are_needed(two_records, tmp_path, bundles):
    from emr_ner_tf import train

    two_records.distillation.teacher = str(bundles)
    with pytest.raises(
        UserError, match=r"config.data.unlabelled must name passages for config.distillation.teacher"
    ):
        train(two_records, tmp_path)
