"""Passages: what is screened, what is held out, and what is too little."""

import json

import pytest

from emr_ner_tf.data.splitting import without_shared
from emr_ner_tf.errors import UserError
from emr_ner_tf.pretraining.passage_selection import data_settings, gather_passages


@pytest.fixture
def settings(texts, tmp_path):
    settings = data_settings()
    (tmp_path / "passages.txt").write_text("\n".join(["", *texts[:12], texts[12][5:60]]), encoding="utf-8")
    records = [json.dumps({"originalText": text}, ensure_ascii=False) for text in texts[10:20]]
    (tmp_path / "records.jsonl").write_text("\n".join(records), encoding="utf-8")
    (tmp_path / "held.jsonl").write_text("\n".join(records[:3]), encoding="utf-8")
    settings.unlabelled = str(tmp_path / "passages.txt")
    return settings


def test_remedies_name_the_keys_of_the_configuration(settings, tmp_path):
    (tmp_path / "passages.txt").write_bytes("患者入院。\n".encode("gb18030"))
    with pytest.raises(UserError, match=r"; read it with --config\.data\.options=encoding=gb18030, or"):
        gather_passages(settings, seed=1)


def test_training_records_stay(settings, texts, tmp_path):
    settings.records = str(tmp_path / "records.jsonl")
    settings.exclude_shared_with = str(tmp_path / "held.jsonl")
    found = gather_passages(settings, seed=1)
    kept = without_shared(texts[:12], texts[10:13])
    assert found.left_out == 13 - len(kept) >= 3
    assert sorted(found.train + found.heldout) == sorted(kept + texts[10:20])
    assert len(found.heldout) == 1


def test_held_out_passages_are_chosen_by_seed(settings):
    settings.heldout_fraction = 0.3
    one, same, other = (gather_passages(settings, seed=seed) for seed in (1, 1, 2))
    assert len(one.heldout) == 4
    assert one == same
    assert one.heldout != other.heldout
    assert not set(one.heldout) & set(one.train)


def test_a_screen_that_could_find_nothing_is_refused(settings, tmp_path):
    (tmp_path / "short.txt").write_text("无殊。\n" + "字" * 29 + "\n", encoding="utf-8")
    settings.exclude_shared_with = str(tmp_path / "short.txt")
    with pytest.raises(
        UserError, match=r"short\.txt: must contain a text of at least 30 characters.* got at most 29"
    ):
        gather_passages(settings, seed=1)


@pytest.mark.parametrize("fraction", [0.0, 0.97, 0.999])
def test_one_passage_at_least_is_held_out_and_one_is_left(settings, fraction):
    settings.heldout_fraction = fraction
    found = gather_passages(settings, seed=1)
    assert (len(found.heldout), len(found.train)) == ((1, 12) if fraction == 0 else (12, 1))


@pytest.mark.parametrize(
    ("content", "rule"),
    [("", "must hold passages"), ("\n  \n", "must hold passages"), ("一段\n", "at least 2 passages")],
)
def test_too_little_text(settings, tmp_path, content, rule):
    path = tmp_path / "small.txt"
    path.write_text(content, encoding="utf-8")
    settings.unlabelled = str(path)
    with pytest.raises(UserError, match=rule) as error:
        gather_passages(settings, seed=1)
    assert str(path) in str(error.value)


def test_an_empty_file_among_others(settings, tmp_path):
    (tmp_path / "empty.txt").touch()
    settings.unlabelled += f",{tmp_path}/empty.txt"
    with pytest.raises(UserError, match=r"empty\.txt: must hold passages"):
        gather_passages(settings, seed=1)


def test_no_file_and_a_bad_line(settings, tmp_path):
    settings.unlabelled = ""
    with pytest.raises(UserError, match=r"config.data.unlabelled must name a file"):
        gather_passages(settings, seed=1)
    (tmp_path / "bad.jsonl").write_text('{"originalText": "一段"}\n{"text": "另一段"}\n', encoding="utf-8")
    settings.unlabelled = str(tmp_path / "bad.jsonl")
    with pytest.raises(UserError, match=r"bad.jsonl:2: `originalText`"):
        gather_passages(settings, seed=1)
