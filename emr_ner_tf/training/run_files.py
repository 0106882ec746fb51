"""Files that every kind of run leaves in its model directory, and the check that it is the run it was."""

import importlib.metadata
import json
import os
import pathlib
import platform
from collections.abc import Callable
from typing import Any

from emr_ner_tf.config import ConfigDict, base_config, differences, load_config
from emr_ner_tf.data.files import atomic_writer
from emr_ner_tf.errors import UserError

CONFIG, HISTORY, METRICS, VERSIONS = "config.json", "history.json", "metrics.json", "versions.json"
_PACKAGES = ("tensorflow", "tensorflow-addons", "keras-nlp", "transformers", "numpy", "emr_ner_tf")


def check_same_settings(
    config: ConfigDict,
    model_dir: str | os.PathLike[str],
    base: Callable[[], ConfigDict] = base_config,
) -> None:
    """Checks that a run goes on with the settings that it was begun with.

    Args:
        config: of now.
        model_dir: holds the configuration of then, or none yet.
        base: as in `load_config`.

    Raises:
        UserError: they differ; the message lists each key.
    """
    path = pathlib.Path(model_dir) / CONFIG
    if not path.exists():
        return
    changed = differences(load_config(path, base), config)
    if changed:
        raise UserError(
            f"{model_dir} holds a run with other settings ({'; '.join(changed)}); "
            "name another --model_dir, or the same settings to go on with that run"
        )


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that a result depends on."""
    found = {package: importlib.metadata.version(package) for package in _PACKAGES}
    return {"python": platform.python_version()} | found


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes a value as JSON, whole or not at all."""
    with atomic_writer(path) as file:
        json.dump(value, file, ensure_ascii=False, indent=2)
        file.write("\n")
