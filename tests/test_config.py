"""The configuration: unknown keys and wrong values are refused by name; what is saved comes back."""

import importlib.util
import os
import pathlib

import pytest

from emr_ner_tf.config import (
    ConfigDict,
    base_config,
    check_config,
    diff_configs,
    load_config,
    save_config,
    set_keys,
)
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.registry import ZOO
from emr_ner_tf.training.model_dir import write_json

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"


def _recipe(name, *arguments):
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(*arguments)


@pytest.mark.parametrize("recipe", [("default",), ("quickstart",), *(("paper", row) for row in ZOO)])
def test_recipes_are_whole_and_come_back(recipe, tmp_path):
    config = _recipe(*recipe)
    check_config(config)
    save_config(config, tmp_path / "config.json")
    assert diff_configs(config, load_config(tmp_path / "config.json")) == []
    with pytest.raises(AttributeError, match=r"Other fields present.*epochs"):
        config.train.no_such_key = 1


def test_a_path_that_is_not_utf8_comes_back(tmp_path):
    config = base_config()
    config.data.train = f"{tmp_path}/{os.fsdecode('病.jsonl'.encode('gb18030'))}"
    for write in (lambda path: save_config(config, path), lambda path: write_json(path, config.to_dict())):
        write(tmp_path / "config.json")
        assert load_config(tmp_path / "config.json").data.train == config.data.train


def test_paper_row_has_table_ii():
    config = _recipe("paper", "bert_bigru_att_crf")
    assert (config.text.window + 2, config.model.units, config.model.dropout) == (256, 512, 0.25)
    assert (config.optimizer.encoder_rate, config.optimizer.head_rate, config.train.batch_size) == (
        1e-4,
        1e-4,
        10,
    )


def test_every_system_of_the_paper_has_its_name():
    names = """bilstm_crf bigru_crf lattice_lstm bilstm_crf_elmo cnn_crf idcnn_crf bert_idcnn_crf bert_bilstm_crf
        bert_bigru_crf bert_bilstm_att_crf bert_bigru_att_crf bert_bigru_plain_att_crf bigru_att_crf bert_crf"""
    assert {*names.split()} <= set(ZOO)
    with pytest.raises(UserError, match=f"must be one of {', '.join(ZOO)}, got 'no_such_row'"):
        _recipe("paper", "no_such_row")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.precision", "float8", r"config.train.precision .*mixed_bfloat16.*'float8'"),
        ("data.overlaps", "shortest", "config.data.overlaps"),
        ("train.epochs", 0, r"config.train.epochs must be at least 1, got 0"),
        ("train.epochs", -5, r"config.train.epochs must be at least 1, got -5"),
        ("train.seed", -2, r"config.train.seed must be at least 0, got -2"),
        ("train.seed", 2**32, r"config.train.seed must be at most 4294967295, got 4294967296"),
        ("model.units", None, r"config.model.units must be of type int, got NoneType"),
        ("model.dropout", 1.0, r"below 1, got 1.0"),
        ("text.overlap", 250, r"below config.text.window"),
    ],
)
def test_wrong_values_are_named(key, value, message):
    config = base_config()
    section, name = key.split(".")
    config[section][name] = value
    with pytest.raises(UserError, match=message):
        check_config(config)


def test_the_recipe_of_another_command_is_refused():
    config = base_config().to_dict()
    with pytest.raises(UserError, match=r"^--config: must give a ConfigDict, got dict; name a recipe"):
        check_config(config)
    config["masking"] = {"rate": 0.1}
    with pytest.raises(UserError, match=r"^--config: the recipe has the unknown key 'masking.rate'; name a"):
        check_config(ConfigDict(config))
    del config["masking"], config["text"]["slack"]
    with pytest.raises(UserError, match=r"^--config: the recipe lacks key 'text.slack'; name a recipe"):
        check_config(ConfigDict(config))


def test_a_wrong_type_is_refused():
    with pytest.raises(TypeError):
        base_config().train.epochs = "many"


def test_files_that_are_no_configuration(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load_config(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="JSON"):
        load_config(tmp_path / "config.json")
    (tmp_path / "config.json").write_text('{"train": {"no_such_key": 1}}', encoding="utf-8")
    with pytest.raises(UserError, match=r"config.json: unknown key 'train.no_such_key', of another command"):
        load_config(tmp_path / "config.json")
    for value, got in (("null", "NoneType"), ("2.5", "float"), ("true", "bool"), ('"2"', "str")):
        (tmp_path / "config.json").write_text(f'{{"train": {{"epochs": {value}}}}}', encoding="utf-8")
        with pytest.raises(UserError, match=rf"config.json: train.epochs must be of type int, got {got}$"):
            load_config(tmp_path / "config.json")
    (tmp_path / "config.json").write_text('{"optimizer": {"clip_norm": 2}}', encoding="utf-8")
    assert load_config(tmp_path / "config.json").optimizer.clip_norm == 2


def test_a_saved_key_may_have_its_old_name(tmp_path):
    (tmp_path / "config.json").write_text('{"data": {"held_fraction": 0.25}}', encoding="utf-8")
    base = ConfigDict({"data": {"heldout_fraction": 0.02}})
    assert load_config(tmp_path / "config.json", base=lambda: base).data.heldout_fraction == 0.25


def test_differences_name_the_key():
    one, other = base_config(), base_config()
    other.train.epochs = 3
    assert diff_configs(one, other) == ["train.epochs: 10 -> 3"]


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("optimizer.encoder_rate", float("nan"), "finite"),
        ("optimizer.clip_norm", float("inf"), "finite"),
        ("optimizer.head_rate", -1.0, "at least 0"),
        ("optimizer.beta_1", 2.0, "below 1"),
        ("train.seed", -1, "at least 0"),
        ("train.seed", 10**20, "at most 4294967295"),
        ("random_encoder.hidden_dropout_prob", 2.0, "below 1"),
        ("model.units", 99_999_999_999, "at most 65536"),
        ("train.batch_size", 10**12, "at most 2147483647"),
        ("distillation.ratio", 1e308, "at most 1000"),
        ("optimizer.epsilon", 0.0, "at least 1e-30"),
    ],
)
def test_numbers_that_cannot_be(key, value, says):
    config = base_config()
    set_keys(config, {key: value})
    with pytest.raises(UserError, match=rf"^config\.{key} must .*{says}"):
        check_config(config)
