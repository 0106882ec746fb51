"""Adapts a bundle to the model interface of Beam's RunInference."""

import logging
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from apache_beam.io.filesystems import FileSystems
from apache_beam.ml.inference.base import ModelHandler

from emr_ner_tf.beam.source import Record, match
from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.versioning import GRAPH, find_versions, group_by_version, no_bundle

if TYPE_CHECKING:
    from emr_ner_tf.exporting.bundle import Bundle

_LOGGER = logging.getLogger(__name__)


def newest_version(path: str) -> str:
    """Returns the directory of a bundle's version, on any Beam file system: `path`, or the highest integer in it.

    A job calls this once, so that all its workers load the same version.

    Raises:
        UserError: there is no bundle, or the newest version has no graph.
    """
    path = path.rstrip("/")
    if match(f"{path}/{GRAPH}"):
        return path
    if "://" in path:
        # Folders are derived from the files, since an object store has no folders.
        files = match(f"{path}/**")
        versions = group_by_version(
            {f"{path}/{file.removeprefix(f'{path}/').partition('/')[0]}" for file in files}
        )
        folders = {number: paths[-1] for number, paths in versions.items() if paths[-1] not in files}
        complete = [number for number, folder in folders.items() if f"{folder}/{GRAPH}" in files]
    else:
        folders = {number: str(folder) for number, folder in find_versions(pathlib.Path(path)).items()}
        complete = [number for number, folder in folders.items() if os.path.exists(f"{folder}/{GRAPH}")]
    if not complete:
        raise no_bundle(path)
    newest = folders[max(folders)]
    if max(folders) not in complete:
        raise UserError(
            f"{newest}: the newest version has no {GRAPH}; copy or export it again, or name version {max(complete)}: "
            f"{folders[max(complete)]}"
        )
    return newest


def fetch(source: str, target: str) -> None:
    """Copies a directory of any Beam file system into a local one."""
    for path in match(f"{source}/**"):
        local = pathlib.Path(target) / path.removeprefix(f"{source}/")
        local.parent.mkdir(parents=True, exist_ok=True)
        with FileSystems.open(path) as file, open(local, "wb") as copy:
            shutil.copyfileobj(file, copy)


class BundleHandler(ModelHandler[Sequence[Record], Sequence[Record], "Bundle"]):
    """Annotates pools of records; RunInference loads one bundle for each process.

    An example of RunInference is a whole pool. Thus, only the positions of records in their files determine which of
    them are annotated together. Within a pool, texts of similar length share a batch (`Annotator.annotate`).
    """

    def __init__(self, bundle: str, threads: int | None) -> None:
        """Stores the arguments; `load_model` loads the bundle.

        Args:
            bundle: directory of a version.
            threads: number of threads of an operation of the graph; None leaves it to TensorFlow.
        """
        super().__init__(min_batch_size=1, max_batch_size=1)
        self._bundle, self._threads = bundle, threads

    def load_model(self) -> "Bundle":
        """Loads the bundle; a remote bundle is first copied to this machine.

        Raises:
            UserError: the bundle is incomplete or has another contract.
        """
        import tensorflow as tf

        from emr_ner_tf.exporting.bundle import Bundle

        if self._threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(self._threads)
            tf.config.threading.set_inter_op_parallelism_threads(self._threads)
        _LOGGER.info("process %d loads %s", os.getpid(), self._bundle)
        if "://" not in self._bundle:
            return Bundle(self._bundle)
        with tempfile.TemporaryDirectory() as folder:
            fetch(self._bundle, folder)
            return Bundle(folder)

    def run_inference(
        self, batch: Sequence[Sequence[Record]], model: "Bundle", inference_args: dict[str, Any] | None = None
    ) -> Iterator[list[Record]]:
        """Yields each pool with the entities found."""
        for pool in batch:
            documents = model.annotate(record.document for record in pool)
            yield [
                record._replace(document=document) for record, document in zip(pool, documents, strict=True)
            ]

    def get_num_bytes(self, batch: Sequence[Sequence[Record]]) -> int:
        """Returns the number of characters, for RunInference's metrics; it would pickle the whole batch otherwise."""
        return sum(len(record.document.text) for pool in batch for record in pool)
