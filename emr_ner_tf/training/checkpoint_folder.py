"""A folder with one current checkpoint: finds it, checks that it is complete, and replaces it by the next one."""

import contextlib
import os
import pathlib
import re
import shutil
from collections.abc import Iterator, Mapping

import tensorflow as tf
from absl import logging

from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.encoders.tensor_files import open_tensors, pattern_problem, read_tensor, tensor_paths
from emr_ner_tf.errors import UserError
from emr_ner_tf.training.failed_writes import failed_writes_named

# TensorFlow's name for the file that names the current checkpoint.
_NAMES_THE_NEWEST = "checkpoint"
_NAMED = re.compile(r'^model_checkpoint_path: "(?:[^"\n]*/)?(ckpt-\d+)"$', re.MULTILINE)
# Maximum number of characters to read of that file; only its first line matters.
_MAX_CHARACTERS = 65536
_INDEX = re.compile(r"(ckpt-\d+)\.index")


def read_values(checkpoint: tf.train.Checkpoint) -> dict[str, tf.Tensor]:
    """Reads all values that a checkpoint of these objects contains, by their names in the file.

    A value shares the memory of its variable until the next update copies it. Reading therefore takes no time, but
    while the values are kept, the variables need twice their memory.
    """
    # `tf.train.Checkpoint.restore`, which will read the file, expects the counter.
    checkpoint.save_counter.assign_add(1)
    # This method is private in TensorFlow 2.15, whose public methods read and write in one call.
    serialized, *_ = checkpoint._saver._gather_serialized_tensors()
    values = {name: value for found in serialized.values() for name, value in found.items()}
    # For a variable, this is a specification, whose `tensor` reads the value; an object without a value has None.
    values = {name: getattr(value, "tensor", value) for name, value in values.items()}
    return {name: value for name, value in values.items() if value is not None}


def checkpoint_number(prefix: str) -> int:
    """Returns the number in the name of a checkpoint."""
    return int(prefix.rpartition("ckpt-")[2])


class CheckpointFolder:
    """A folder that keeps one checkpoint, `ckpt-NUMBER`.

    A new checkpoint is written beside the current one and flushed to the disk. It becomes the current one when the file
    that names it is renamed; after that, the previous one is removed. If the process is killed at any moment, or the
    disk is full, the current checkpoint is complete; parts of another one are removed by `remove_others`.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Stores the path of a folder, which need not exist.

        Raises:
            UserError: TensorFlow would not find a checkpoint there.
        """
        self.path = pathlib.Path(path)
        problem = pattern_problem(path)
        if problem:
            raise UserError(f"{self.path}: {problem}")

    def current(self) -> str | None:
        """Finds the current checkpoint and reads all of it, so that an incomplete file is noticed.

        The file `checkpoint` names it. In a copied folder, that file is often missing, or names another checkpoint than
        the copied ones: then the newest checkpoint that has its files is the current one.

        Returns:
            The prefix of the checkpoint's files; None if the folder has no checkpoint.

        Raises:
            UserError: a file of the checkpoint is missing, empty or cut off.
        """
        name = self._current_name()
        if name is None:
            return None
        _check_whole(self.path / name)
        return str(self.path / name)

    def holds_any(self) -> bool:
        """Returns whether the folder has a checkpoint with an index, complete or not, or the file that names one."""
        return bool(self._with_index()) or (self.path / _NAMES_THE_NEWEST).exists()

    def has_parts(self) -> bool:
        """Returns whether the folder has data of any checkpoint, with or without an index."""
        return any(self.path.glob("ckpt-*.data-*"))

    def save(self, values: Mapping[str, tf.Tensor], number: int) -> None:
        """Saves a checkpoint, which replaces the current one.

        Args:
            values: values from `read_values`.
            number: number in the name of the checkpoint.

        Raises:
            UserError: it cannot be written; the current checkpoint is unchanged.
        """
        name = f"ckpt-{number}"
        with failed_writes_named(self.path), self._parts_removed(name):
            self.path.mkdir(parents=True, exist_ok=True)
            tf.raw_ops.SaveV2(
                prefix=str(self.path / name),
                tensor_names=list(values),
                shape_and_slices=[""] * len(values),
                tensors=list(values.values()),
            )
            for path in self.path.glob(f"{name}.*"):
                _sync(path)
            with atomic_writer(self.path / _NAMES_THE_NEWEST) as file:
                file.write(f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n')
        self._remove_all_but(name)

    def remove_others(self) -> None:
        """Removes the files of all but the current checkpoint, which a killed process was writing or removing."""
        self._remove_all_but(self._current_name())

    def _current_name(self) -> str | None:
        named, found = self._named(), self._with_index()
        if named is None:
            return found[-1] if found else None
        if any(self.path.glob(f"{named}.*")):
            return named
        if not found:
            raise UserError(
                f"{self.path / _NAMES_THE_NEWEST}: names {named}, but there is no file of that checkpoint; "
                f"copy {named}.* here, too"
            )
        logging.warning(
            "%s has no %s, which its file `checkpoint` names: %s is used", self.path, named, found[-1]
        )
        return found[-1]

    def _named(self) -> str | None:
        path = self.path / _NAMES_THE_NEWEST
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read(_MAX_CHARACTERS)
        except (FileNotFoundError, NotADirectoryError):
            return None
        match = _NAMED.search(text)
        if match is None:
            raise UserError(
                f"{path}: must name a checkpoint, but is empty or cut off; remove this file, and the newest "
                "checkpoint beside it is used"
            )
        return match[1]

    def _with_index(self) -> list[str]:
        """Returns the checkpoints that have an index, the newest last. TensorFlow writes an index after its data."""
        names = os.listdir(self.path) if self.path.is_dir() else []
        return sorted((match[1] for match in map(_INDEX.fullmatch, names) if match), key=checkpoint_number)

    def _remove_all_but(self, name: str | None) -> None:
        kept = set(self.path.glob(f"{name}.*")) if name else set()
        others = {*self.path.glob("ckpt-*"), *self.path.glob("checkpoint.tmp*")} - kept
        # The index is removed first; without it, the other files are no checkpoint.
        for path in sorted(others, key=lambda path: path.suffix != ".index"):
            _remove(path)

    @contextlib.contextmanager
    def _parts_removed(self, name: str) -> Iterator[None]:
        """Removes the files of a failed save, so that they do not occupy the full disk."""
        try:
            yield
        except (tf.errors.OpError, OSError):
            if self._named() != name:
                for path in self.path.glob(f"{name}.*"):
                    _remove(path)
            raise


def _remove(path: pathlib.Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: pathlib.Path) -> None:
    """Waits until a file is on the disk; some file systems report only here that they are full."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_whole(prefix: pathlib.Path) -> None:
    """Reads every variable, which also compares the checksums.

    Raises:
        UserError: a file is missing, empty, cut off or damaged; the message names it.
    """
    reader = open_tensors(prefix)
    _, *data = tensor_paths(prefix)
    source = data[0] if len(data) == 1 else prefix.with_name(f"{prefix.name}.data-*")
    for name in reader.get_variable_to_shape_map():
        read_tensor(reader, name, source)
