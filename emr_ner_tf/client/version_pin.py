"""Which version of the model a client asks for, so that its answers are all of one model."""

import dataclasses
import threading

from emr_ner_tf.client.options import ClientOptions, ServingError


class VersionGoneError(ServingError):
    """The server no longer has the version that the earlier answers came from.

    Attributes:
        version: its number.
    """

    def __init__(self, target: str, version: int, message: str) -> None:
        super().__init__(
            target,
            "NOT_FOUND",
            f"{message}; version {version} gave the earlier answers and is no longer served: serve it again, or "
            "start again with another version (pin_version=False takes whatever version answers)",
        )
        self.version = version


class VersionPin:
    """The version that is asked for: that of the options or, after the first answer, the one that gave it.

    Attributes:
        asked: the options as the next request names them.
    """

    def __init__(self, target: str, options: ClientOptions) -> None:
        self.asked = options
        self._target = target
        self._options = options
        self._lock = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether the version is still to be learned from an answer."""
        return self.asked.pin_version and self.asked.version is None

    def take(self, version: int | None, asked: ClientOptions) -> bool:
        """Takes the version that an answer names.

        Args:
            version: None where the answer names none.
            asked: `asked` as it was when the request was made.

        Returns:
            Whether the answer is of the version that is asked for now. It is not where another request, in flight at
            the same time, was answered first, and by another version: ask again then.

        Raises:
            ServingError: the answer names no version, or not the one that was asked for.
        """
        if asked.version is not None:
            if version not in (None, asked.version):
                raise ServingError(
                    self._target,
                    "UNKNOWN",
                    f"asked for version {asked.version}, answered by version {version}",
                )
            return True
        if not asked.pin_version:
            return True
        if version is None:
            raise ServingError(
                self._target,
                "UNKNOWN",
                "the answer does not say which version it is of, so that later ones may be of another; name the "
                "version, or set pin_version to False",
            )
        with self._lock:
            if self.asked.version is None:
                self.asked = dataclasses.replace(self._options, version=version, label=None)
            return self.asked.version == version

    def explain(self, failure: ServingError, asked: ClientOptions) -> ServingError:
        """Returns `failure`, or what it means where the version of the earlier answers is gone."""
        pinned = asked.version is not None and self._options.version is None
        if failure.code != "NOT_FOUND" or not pinned:
            return failure
        return VersionGoneError(self._target, asked.version, failure.message)
