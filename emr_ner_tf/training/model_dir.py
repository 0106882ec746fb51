"""The files that every run writes to its model directory, and the checks that a run may continue there."""

import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
from collections.abc import Callable, Iterator
from typing import Any

import filelock
from absl import logging

from emr_ner_tf.config import (
    CONFIG_FILE,
    RUNTIME_ONLY_KEYS,
    ConfigDict,
    base_config,
    diff_configs,
    load_config,
)
from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.data.lines import indented_json
from emr_ner_tf.errors import UserError
from emr_ner_tf.training.checkpoints import BEST, LAST, checkpoint_folder
from emr_ner_tf.training.failed_writes import failed_writes_named

CONFIG, HISTORY, METRICS, VERSIONS = CONFIG_FILE, "history.json", "metrics.json", "versions.json"
_LOCK = ".lock"
_PACKAGES = ("tensorflow", "tensorflow-addons", "keras-nlp", "transformers", "numpy", "emr_ner_tf")


@contextlib.contextmanager
def exclusive_lock(model_dir: str | os.PathLike[str], *, chief: bool) -> Iterator[None]:
    """Keeps other processes from training in a directory; the lock ends with the process, however that ends.

    Args:
        model_dir: directory, created if necessary; it is removed again if nothing is written to it.
        chief: whether this process writes to the directory; other processes take no lock.

    Raises:
        UserError: another process has the lock.
    """
    if not chief:
        yield
        return
    folder = pathlib.Path(model_dir)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / _LOCK)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise UserError(
            f"{model_dir}: another process is training in this directory; wait until it has finished, or stop it"
        ) from None
    except OSError as error:
        logging.warning(
            "%s: cannot be locked: %s; make sure that no other process trains there",
            model_dir,
            error.strerror,
        )
    try:
        yield
    finally:
        if os.listdir(folder) == [_LOCK]:
            (folder / _LOCK).unlink()
            if made:
                folder.rmdir()
        lock.release()


def check_same_settings(
    config: ConfigDict,
    model_dir: str | os.PathLike[str],
    base: Callable[[], ConfigDict] = base_config,
) -> None:
    """Checks that a resumed run has the settings that it was started with.

    Args:
        config: the current configuration.
        model_dir: model directory, with the configuration of the run if there is one.
        base: as in `load_config`.

    Raises:
        UserError: they differ in a key that affects the result; the message lists each key.
    """
    path = pathlib.Path(model_dir) / CONFIG
    if not path.exists():
        return
    changed = diff_configs(load_config(path, base), config, ignore=RUNTIME_ONLY_KEYS)
    if changed:
        raise UserError(
            f"{model_dir} holds a run with other settings ({'; '.join(changed)}); "
            "name another --model_dir, or use the same settings to resume that run"
        )


def check_resumable(model_dir: str | os.PathLike[str]) -> str | None:
    """Checks that a run in a directory can be resumed, before anything is written over it.

    Args:
        model_dir: model directory of a run, of a run that was killed before its first checkpoint, or of none.

    Returns:
        The path of the last checkpoint; None if there is none.

    Raises:
        UserError: there is a run without its last state, or a file of the state is missing, empty or cut off.
    """
    folder = pathlib.Path(model_dir)
    last, best = (checkpoint_folder(folder, which) for which in (LAST, BEST))
    path = last.current()
    if path is not None and not (folder / CONFIG).exists():
        raise UserError(
            f"{folder / CONFIG}: no such file, though {last.path} holds the state of a run; copy it here, too, or "
            "name another --model_dir"
        )
    found = [name for name in (METRICS, HISTORY) if (folder / name).is_file()]
    # A run that was killed before its first checkpoint may have measured, and has a history without an epoch.
    if HISTORY in found and path is None and _has_no_epoch(folder / HISTORY):
        found.remove(HISTORY)
    if best.holds_any():
        found.append(os.path.relpath(best.path, folder))
    if last.has_parts() and not (folder / CONFIG).exists():
        found.append(os.path.relpath(last.path, folder))
    if found and path is None:
        raise UserError(
            f"{folder} holds a run ({', '.join(found)}), and no checkpoint in {last.path} to resume it from; copy the "
            f"files of that run's checkpoints/{LAST} there, name another --model_dir, or remove {folder} to start over"
        )
    return path


def _has_no_epoch(history: pathlib.Path) -> bool:
    try:
        entries = json.loads(history.read_text(encoding="utf-8"))
        return not any("loss" in entry for entry in entries)
    except (ValueError, TypeError):
        return False


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that a result depends on."""
    found = {package: importlib.metadata.version(package) for package in _PACKAGES}
    return {"python": platform.python_version()} | found


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes a value as JSON to a file that is either whole or unchanged.

    Raises:
        UserError: the file cannot be written.
    """
    with failed_writes_named(path), atomic_writer(path) as file:
        file.write(indented_json(value))
