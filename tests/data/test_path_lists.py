"""Lists of paths that are separated by commas."""

import pathlib

import pytest

from emr_ner_tf.config import base_config, check_config
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.errors import UsageError
from emr_ner_tf.pretraining.elmo_settings import check_elmo_config, elmo_config
from emr_ner_tf.pretraining.settings import check_pretrain_config, pretrain_config


def test_paths_keep_their_order():
    assert split_paths("b,a b,./c", "--train") == ["b", "a b", "./c"]
    assert split_paths("", "--train") == []


@pytest.mark.parametrize(
    ("joined", "place"),
    [
        ("a,", "path 2 of 2"),
        (",a", "path 1 of 2"),
        ("a,,b", "path 2 of 3"),
        ("a, ,b", "path 2 of 3"),
        (",", "path 1"),
    ],
)
def test_an_empty_path_is_named_by_flag_and_place(joined, place):
    with pytest.raises(UsageError) as caught:
        split_paths(joined, "--train")
    assert str(caught.value).startswith("--train must be paths")
    assert place in str(caught.value)
    assert repr(joined) in str(caught.value)


@pytest.mark.parametrize("key", ["train", "validation", "unlabelled"])
def test_every_list_of_a_training_is_checked_before_any_work(key):
    config = base_config()
    config.data[key] = "a.jsonl,"
    with pytest.raises(UsageError, match=f"config.data.{key} must be paths .* path 2 of 2 has an empty name"):
        check_config(config)


@pytest.mark.parametrize("key", ["unlabelled", "records", "exclude_shared_with"])
@pytest.mark.parametrize(
    ("base", "check"), [(pretrain_config, check_pretrain_config), (elmo_config, check_elmo_config)]
)
def test_every_list_of_a_pretraining_is_checked_before_any_work(base, check, key):
    config = base()
    config.data[key] = "a.txt,,b.txt"
    with pytest.raises(UsageError, match=f"config.data.{key} must be paths .* path 2 of 3 has an empty name"):
        check(config)


@pytest.mark.parametrize(
    ("word", "flag"),
    [
        ("evaluate", "train"),
        ("reproduce", "train"),
        ("reproduce", "unlabelled"),
        ("reproduce", "all_records"),
    ],
)
def test_a_flag_with_an_empty_path_is_named(cli, word, flag):
    done = cli(word, f"--{flag}=a.jsonl,")
    assert done.returncode == 2
    assert f"--{flag}" in done.stderr
    assert "path 2 of 2 has an empty name" in done.stderr
    assert "no such file" not in done.stderr


def test_no_other_place_splits_at_commas():
    package = pathlib.Path(__file__).parents[2] / "emr_ner_tf"
    # `local_paths` looks into every string of a configuration, of which few are lists of paths.
    allowed = {package / "data/path_lists.py", package / "cli/path_flags.py"}
    for path in set(package.rglob("*.py")) - allowed:
        assert '.split(",")' not in path.read_text(encoding="utf-8"), path
