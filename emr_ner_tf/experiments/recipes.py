"""Configurations of runs: Table II for a row, another optimizer, a budget, and overrides by key."""

from collections.abc import Iterable
from typing import Any

from emr_ner_tf.config import ConfigDict, flattened
from emr_ner_tf.errors import UsageError
from emr_ner_tf.recipes import read_recipe

RECIPES = ("paper", "default")
PAPER = "paper"
# Keys that the row, the seed or another flag sets.
_SAID_ELSEWHERE = (
    *("model.encoder", "model.context", "model.attention", "encoder", "lexicon.file"),
    *("data.train", "data.unlabelled", "train.seed", "train.epochs"),
)


def row_config(row: str, recipe: str, epochs: int | None) -> ConfigDict:
    """Returns the configuration of a row that is trained on all records, without a validation split.

    Args:
        row: name in `emr_ner_tf.models.registry`.
        recipe: "paper" (Table II unchanged) or "default" (the same architecture with the optimizer and the epochs of
            `configs/default.py`).
        epochs: number of epochs; None uses that of the recipe.

    Raises:
        UserError: the row is unknown.
    """
    config = read_recipe(PAPER, row)
    config.data.validation_fraction = 0.0
    if recipe == "default":
        default = read_recipe("default")
        config.optimizer.update(default.optimizer)
        config.train.epochs = default.train.epochs
    if epochs is not None:
        config.train.epochs = epochs
    return config


def parse_overrides(overrides: Iterable[str], config: ConfigDict) -> dict[str, Any]:
    """Parses `KEY=VALUE` with the type of the key.

    Args:
        overrides: overrides with the keys of `--config.KEY=VALUE` of the train command.
        config: any configuration; only its keys and types are used.

    Returns:
        Values by dotted key, sorted by key.

    Raises:
        UsageError: an override has no `=`, an unknown key, a key that cannot be overridden, a repeated key, or a value
            of another type.
    """
    types = flattened(config)
    values: dict[str, Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise UsageError(f"--override must be KEY=VALUE, got {override!r}")
        if key not in types:
            near = [name for name in types if name.split(".")[0] == key.split(".")[0]] or list(types)
            raise UsageError(f"--override: the key must be one of {', '.join(near)}, got {key!r}")
        if key in _SAID_ELSEWHERE:
            raise UsageError(f"--override: {key} is set by the row or by another flag")
        if key in values:
            raise UsageError(f"--override: {key} is given twice")
        values[key] = _read(key, text, types[key])
    return dict(sorted(values.items()))


def _read(key: str, text: str, like: Any) -> Any:
    kind = type(like)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise UsageError(f"--override: {key} must be true or false, got {text!r}")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"--override: {key} must be of type {kind.__name__}, got {text!r}") from None
