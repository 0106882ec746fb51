"""Pins a client to one version of the model, so that all its answers come from that version."""

import dataclasses
import threading

from emr_ner_tf.client.options import ClientOptions, ServingError


class VersionGoneError(ServingError):
    """A server does not have the version that gave the earlier answers: no longer, or, in a rollout, not yet.

    Attributes:
        version: number of that version.
    """

    def __init__(self, target: str, version: int, message: str) -> None:
        super().__init__(
            target,
            "NOT_FOUND",
            f"{message}; not every server has version {version} (any more, or yet), which gave the earlier answers: "
            "serve it again, or start again with another version (pin_version=False accepts any version)",
        )
        self.version = version


class VersionPin:
    """The version that requests ask for: that of the options or, after the first answer, the one that gave it.

    Attributes:
        requested: the options of the next request.
    """

    def __init__(self, target: str, options: ClientOptions) -> None:
        self.requested = options
        self._target = target
        self._options = options
        self._lock = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether the version is not known yet and will be that of the first answer."""
        return self.requested.pin_version and self.requested.version is None

    def pin(self, version: int) -> None:
        """Asks for a version that has already given answers, as to the earlier part of a job."""
        self.requested = dataclasses.replace(self._options, version=version, label=None)

    def take(self, version: int | None, requested: ClientOptions) -> bool:
        """Records the version that gave an answer.

        Args:
            version: the version in the answer; None if the answer does not name it.
            requested: value of `requested` when the request was made.

        Returns:
            Whether the answer comes from the pinned version. If a concurrent request was answered first, by another
            version, it does not, and the request must be repeated.

        Raises:
            ServingError: the answer names no version, or not the requested one.
        """
        if requested.version is not None:
            if version not in (None, requested.version):
                raise ServingError(
                    self._target,
                    "UNKNOWN",
                    f"version {version} answered a request for version {requested.version}",
                )
            return True
        if not requested.pin_version:
            return True
        if version is None:
            raise ServingError(
                self._target,
                "UNKNOWN",
                "the answer does not name the version of the model, so later answers may come from another one; set "
                "version, or set pin_version to False",
            )
        with self._lock:
            if self.requested.version is None:
                self.pin(version)
            return self.requested.version == version

    def explain(self, failure: ServingError, requested: ClientOptions) -> ServingError:
        """Returns `failure`, or a `VersionGoneError` if a server does not have the pinned version."""
        pinned = requested.version is not None and self._options.version is None
        if failure.code != "NOT_FOUND" or not pinned:
            return failure
        return VersionGoneError(self._target, requested.version, failure.message)
