"""Finds the versions of a model in a directory, loads new ones while others serve, and unloads unused ones."""

import contextlib
import dataclasses
import gc
import os
import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping

import grpc
from absl import logging
from tensorflow_serving.apis import get_model_status_pb2, model_pb2

from emr_ner_tf.errors import UserError, describe_os_error
from emr_ner_tf.exporting.versioning import GRAPH, find_versions
from emr_ner_tf.server.errors import RequestError, invalid_argument
from emr_ner_tf.server.servable import Servable

State = get_model_status_pb2.ModelVersionStatus.State


@dataclasses.dataclass
class _Version:
    """State of a version: `model` is set only while it serves; `files` is the state of its files when it was loaded."""

    state: int = State.START
    error: str = ""
    model: Servable | None = None
    users: int = 0
    files: frozenset = frozenset()


class VersionManager:
    """The versions of one model of the server.

    The newest `count` versions and those that a label names are served. A version is loaded while others serve. Old
    versions are unloaded when all wanted versions are loaded and their last requests have ended.

    Attributes:
        name: name of the model.
    """

    def __init__(
        self,
        name: str,
        directory: str | os.PathLike[str],
        *,
        count: int = 1,
        labels: Mapping[str, int] | None = None,
        load: Callable[[pathlib.Path, int], Servable] = Servable,
        closing: threading.Event | None = None,
    ) -> None:
        self.name = name
        self._directory = pathlib.Path(directory)
        self._count = count
        self._labels = dict(labels or {})
        self._load = load
        self._known: dict[int, _Version] = {}
        self._lock = threading.Lock()
        self._closing = closing or threading.Event()
        self._watcher: threading.Thread | None = None

    def start(self, poll_s: float) -> None:
        """Loads the versions in the directory, then looks for new versions every `poll_s` seconds; 0 disables polling.

        Raises:
            UserError: no version could be loaded, or not the one that a label names.
            OSError: the directory cannot be listed.
        """
        if (self._directory / GRAPH).exists():
            raise UserError(
                f"{self._directory}: is the directory of one version; name the directory of all versions, "
                f"{self._directory.resolve().parent}"
            )
        if not self._directory.is_dir():
            raise UserError(
                f"{self._directory}: must be a directory of versions, but there is no such directory"
            )
        if not find_versions(self._directory, _is_version):
            raise UserError(
                f"{self._directory}: has no version; a version is a folder whose name is an integer"
            )
        self.refresh()
        if not self.available():
            raise UserError(f"{self._directory}: no version could be loaded: {self._reasons()}")
        self._check_labels()
        if poll_s > 0:
            self._watcher = threading.Thread(target=self._watch, args=(poll_s,), name="versions", daemon=True)
            self._watcher.start()

    def close(self, timeout_s: float) -> None:
        """Ends polling; loaded versions stay loaded.

        Args:
            timeout_s: maximum time to wait for it; loading a version cannot be aborted.
        """
        self._closing.set()
        if self._watcher is not None:
            self._watcher.join(timeout_s)

    def available(self) -> list[int]:
        """Returns the versions that serve, in order."""
        with self._lock:
            return sorted(version for version, known in self._known.items() if known.model is not None)

    def refresh(self) -> None:
        """Loads the wanted versions that do not serve yet, then unloads the others.

        A version with running requests is unloaded by the first call after they have ended.
        """
        # Before another version is loaded, since this frees memory.
        self._end_unused()
        found = find_versions(self._directory, _is_version)
        wanted = {*sorted(found)[-self._count :], *(set(self._labels.values()) & found.keys())}
        for version in sorted(wanted):
            self._load_version(version, found[version])
        available = set(self.available())
        # Old versions are served until their replacements are loaded.
        if wanted and wanted <= available:
            for version in sorted(available - wanted):
                self._set(self._known[version], State.UNLOADING, model=None)
            self._end_unused()

    @contextlib.contextmanager
    def use(self, spec: model_pb2.ModelSpec) -> Iterator[Servable]:
        """Yields the version of a request and keeps it loaded within the context.

        Raises:
            RequestError: INVALID_ARGUMENT, no name or an unknown label; NOT_FOUND, unknown model or version.
        """
        with self._lock:
            known = self._known[self._resolve(spec)]
            model = known.model
            known.users += 1
        try:
            yield model
        finally:
            with self._lock:
                known.users -= 1

    def status(self, spec: model_pb2.ModelSpec) -> get_model_status_pb2.GetModelStatusResponse:
        """Returns the state of the named version, or of each version ever seen.

        Raises:
            RequestError: NOT_FOUND.
        """
        response = get_model_status_pb2.GetModelStatusResponse()
        with self._lock:
            known = self._known if spec.name == self.name else {}
            if spec.HasField("version"):
                version = spec.version.value
                if version not in known:
                    message = f"Could not find version {version} of model {spec.name}"
                    raise RequestError(grpc.StatusCode.NOT_FOUND, message)
                known = {version: known[version]}
            if not known:
                message = f"Could not find any versions of model {spec.name}"
                raise RequestError(grpc.StatusCode.NOT_FOUND, message)
            for version in sorted(known, reverse=True):
                status = response.model_version_status.add(version=version, state=known[version].state)
                if known[version].error:
                    status.status.error_code = grpc.StatusCode.UNKNOWN.value[0]
                    status.status.error_message = known[version].error
                else:
                    status.status.SetInParent()
        return response

    def _resolve(self, spec: model_pb2.ModelSpec) -> int:
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        serving = {}
        if spec.name == self.name:
            serving = {version for version, known in self._known.items() if known.model is not None}
        choice = spec.WhichOneof("version_choice")
        if choice is None:
            if not serving:
                raise _not_found(f"Latest({spec.name})")
            return max(serving)
        version = spec.version.value
        if choice == "version_label":
            if spec.name != self.name or spec.version_label not in self._labels:
                raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
            version = self._labels[spec.version_label]
        if version not in serving:
            raise _not_found(f"Specific({spec.name}, {version})")
        return version

    def _load_version(self, version: int, path: pathlib.Path) -> None:
        with self._lock:
            known = self._known.setdefault(version, _Version())
            if known.model is not None:
                return
        files = _files(path)
        if known.error and files == known.files:
            return
        self._set(known, State.LOADING, files=files, error="")
        try:
            model = self._load(path, version)
        except Exception as error:
            reason = _reason(error)
            self._set(known, State.END, error=reason)
            logging.error("%s: version %d could not be loaded: %s", self.name, version, reason)
            return
        self._set(known, State.AVAILABLE, model=model)
        logging.info("%s: version %d is served", self.name, version)

    def _reasons(self) -> str:
        with self._lock:
            failed = {version: known.error for version, known in self._known.items() if known.error}
        return "; ".join(f"version {version}: {failed[version]}" for version in sorted(failed))

    def _check_labels(self) -> None:
        """Refuses a label whose version cannot be served."""
        available = self.available()
        for label, version in self._labels.items():
            if version in available:
                continue
            known = self._known.get(version)
            if known is not None:
                cause = f"version {version} could not be loaded: {known.error}"
            else:
                there = ", ".join(map(str, sorted(find_versions(self._directory, _is_version))))
                cause = f"there is no version {version}, only {there}"
            raise UserError(
                f"{self._directory}: label {label!r}: {cause}; export that version first, or give the label to another"
            )

    def _end_unused(self) -> None:
        """Ends the versions that are being unloaded and have no more requests."""
        with self._lock:
            ended = [
                version
                for version, known in self._known.items()
                if known.state == State.UNLOADING and not known.users
            ]
            for version in ended:
                self._known[version].state = State.END
        if ended:
            # The objects of a SavedModel refer to each other in cycles.
            gc.collect()
        for version in ended:
            logging.info("%s: version %d is no longer served", self.name, version)

    def _set(self, known: _Version, state: int, **values: object) -> None:
        with self._lock:
            known.state = state
            for name, value in values.items():
                setattr(known, name, value)

    def _watch(self, poll_s: float) -> None:
        last_logged = ""
        while not self._closing.wait(poll_s):
            problem = ""
            try:
                self.refresh()
            except OSError as error:
                problem = describe_os_error(error)
            except Exception as error:
                # An uncaught error would end polling without a message, and no other version would ever be loaded.
                problem = f"{self._directory}: {_reason(error)}"
            if problem and problem != last_logged:
                logging.warning("%s; checking again every %g s", problem, poll_s)
            last_logged = problem


def _is_version(path: pathlib.Path) -> bool:
    """Returns whether an entry is a folder, or a broken link, whose state then reports the reason."""
    try:
        return path.is_dir() or (path.is_symlink() and not path.exists())
    except OSError:
        # An entry without read permission; loading it reports the reason.
        return True


def _files(path: pathlib.Path) -> frozenset:
    """Returns the current state of all files of a version; for a file that cannot be read, the reason."""
    found = set()

    def note(error: OSError) -> None:
        found.add((str(error.filename), error.errno or 0, -1))

    for folder, _, names in os.walk(path, onerror=note, followlinks=True):
        for name in names:
            file = os.path.join(folder, name)
            try:
                stat = os.stat(file)
            except OSError as error:
                note(error)
            else:
                found.add((file, stat.st_mtime_ns, stat.st_size))
    return frozenset(found)


def _reason(error: Exception) -> str:
    """Returns the first line of an error; TensorFlow's continue with graphs and traces."""
    if isinstance(error, UserError):
        text = str(error)
    elif isinstance(error, OSError):
        text = describe_os_error(error)
    else:
        text = f"{type(error).__name__}: {error}"
    return text.partition("\n")[0]


def _not_found(what: str) -> RequestError:
    return RequestError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {what}")
