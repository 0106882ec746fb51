"""One folder of checkpoints: which one is in force, whether it is whole, and how the next one takes its place."""

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

# TensorFlow's name for the file that says which checkpoint is in force.
_NAMES_THE_NEWEST = "checkpoint"
_NAMED = re.compile(r'^model_checkpoint_path: "(?:[^"\n]*/)?(ckpt-\d+)"$', re.MULTILINE)
# Of that file; the line that counts is its first.
_LONGEST = 65536
_INDEX = re.compile(r"(ckpt-\d+)\.index")


def read_values(checkpoint: tf.train.Checkpoint) -> dict[str, tf.Tensor]:
    """Reads everything that a checkpoint of these objects holds, by its name in the file.

    A value shares the memory of its variable until a later update, which then copies it: reading takes no time, and
    while the values are kept, the memory of the variables is taken twice.
    """
    # `tf.train.Checkpoint.restore`, which reads the file, expects the counter.
    checkpoint.save_counter.assign_add(1)
    # Private in TensorFlow 2.15, whose public methods read and write in one call.
    serialized, *_ = checkpoint._saver._gather_serialized_tensors()
    values = {name: value for found in serialized.values() for name, value in found.items()}
    # A variable comes as a specification that reads it here; an object without a value has none.
    values = {name: getattr(value, "tensor", value) for name, value in values.items()}
    return {name: value for name, value in values.items() if value is not None}


def checkpoint_number(prefix: str) -> int:
    """Returns the number in the name of a checkpoint."""
    return int(prefix.rpartition("ckpt-")[2])


class CheckpointFolder:
    """A folder that keeps one checkpoint, `ckpt-NUMBER`.

    A new checkpoint is written beside the one in force, reaches the disk, and is then put in force by renaming the file
    that names it; only after that the older one is removed. A process killed at any moment, or a full disk, leaves a
    whole checkpoint in force, and perhaps parts of another, which `remove_others` removes.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Names a folder, which need not exist.

        Raises:
            UserError: TensorFlow would not find a checkpoint there.
        """
        self.path = pathlib.Path(path)
        problem = pattern_problem(path)
        if problem:
            raise UserError(f"{self.path}: {problem}")

    def in_force(self) -> str | None:
        """Finds the checkpoint in force and reads all of it once, so that nothing is built on half a file.

        The file `checkpoint` names it. Copies often lack that file, or are older or newer than it: then the newest
        checkpoint whose files are there is in force.

        Returns:
            The prefix of the checkpoint's files; None if the folder has no checkpoint.

        Raises:
            UserError: a file of the checkpoint is missing, empty or cut off.
        """
        name = self._in_force()
        if name is None:
            return None
        _check_whole(self.path / name)
        return str(self.path / name)

    def holds_any(self) -> bool:
        """Returns whether the folder has a checkpoint with an index, whole or not, or the file that names one."""
        return bool(self._with_index()) or (self.path / _NAMES_THE_NEWEST).exists()

    def has_parts(self) -> bool:
        """Returns whether the folder has data of any checkpoint, with or without an index."""
        return any(self.path.glob("ckpt-*.data-*"))

    def save(self, values: Mapping[str, tf.Tensor], number: int) -> None:
        """Saves a checkpoint, which replaces the one in force.

        Args:
            values: values of `read_values`.
            number: names the checkpoint.

        Raises:
            UserError: it cannot be written; the checkpoint in force is still there and still in force.
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
        """Removes the files of checkpoints that are not in force: a killed process was writing or removing them."""
        self._remove_all_but(self._in_force())

    def _in_force(self) -> str | None:
        named, found = self._named(), self._with_index()
        if named is None:
            return found[-1] if found else None
        if any(self.path.glob(f"{named}.*")):
            return named
        if not found:
            raise UserError(
                f"{self.path / _NAMES_THE_NEWEST}: names {named}, and no file of that checkpoint is there; "
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
                text = file.read(_LONGEST)
        except (FileNotFoundError, NotADirectoryError):
            return None
        match = _NAMED.search(text)
        if match is None:
            raise UserError(
                f"{path}: empty or cut off, it must name a checkpoint; remove this file: the newest checkpoint "
                "beside it is then in force"
            )
        return match[1]

    def _with_index(self) -> list[str]:
        """Returns the checkpoints that have an index, the newest last. TensorFlow writes an index after its data."""
        names = os.listdir(self.path) if self.path.is_dir() else []
        return sorted((match[1] for match in map(_INDEX.fullmatch, names) if match), key=checkpoint_number)

    def _remove_all_but(self, name: str | None) -> None:
        kept = set(self.path.glob(f"{name}.*")) if name else set()
        others = {*self.path.glob("ckpt-*"), *self.path.glob("checkpoint.tmp*")} - kept
        # The index first: without it the rest is no checkpoint.
        for path in sorted(others, key=lambda path: path.suffix != ".index"):
            _remove(path)

    @contextlib.contextmanager
    def _parts_removed(self, name: str) -> Iterator[None]:
        """Removes what a failed save leaves, so that it does not fill the disk further."""
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
    """Reads every variable, which also compares the check sums.

    Raises:
        UserError: naming the file that is missing, empty, cut off or damaged.
    """
    reader = open_tensors(prefix)
    _, *data = tensor_paths(prefix)
    source = data[0] if len(data) == 1 else prefix.with_name(f"{prefix.name}.data-*")
    for name in reader.get_variable_to_shape_map():
        read_tensor(reader, name, source)
