"""What a client of TensorFlow Serving is told: where the server is, how patient to be, how much to send at once."""

import dataclasses
import pathlib
import random
import time
from collections.abc import Iterator, Mapping

from emr_ner_tf.errors import UserError

# What TensorFlow's operations and JSON parsers fail with; their messages hold the value at fault.
_MAY_QUOTE = frozenset(("INVALID_ARGUMENT", "OUT_OF_RANGE", "INTERNAL", "UNKNOWN"))


class ServingError(UserError):
    """A server's refusal, or its silence.

    Attributes:
        code: name of gRPC's status code, for REST too: "UNAVAILABLE".
    """

    def __init__(self, target: str, code: str, message: str) -> None:
        super().__init__(f"{target}: {code}: {message}")
        self.code = code


def refused(target: str, code: str, message: str) -> ServingError:
    """The error of what a server has answered; its own words are left out where they may quote a text."""
    if code in _MAY_QUOTE:
        message = (
            "the server refused or failed; its own words may quote a text and are not shown: see its log, and "
            "whether model, version or label, max_records (at most the server's max_batch_size) and max_characters "
            "are what it takes"
        )
    return ServingError(target, code, message)


def pause_before_next(failure: ServingError, pauses: Iterator[float]) -> float:
    """Seconds to wait before the next attempt.

    Raises:
        ServingError: `failure`, where a repeat would not mend it, or the patience is at its end.
    """
    pause = next(pauses, None) if failure.code == "UNAVAILABLE" else None
    if pause is None:
        raise failure
    return pause


@dataclasses.dataclass(frozen=True)
class TlsFiles:
    """PEM files of a secured connection.

    Attributes:
        ca: authority that signed the server's certificate; None takes the machine's own authorities.
        cert: the client's certificate, where the server wants one (mTLS); with `key`.
        key: of `cert`.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise UserError("a client's certificate and its key go together, got one of the two")
        for path in (self.ca, self.cert, self.key):
            if path is not None and not pathlib.Path(path).is_file():
                raise UserError(f"{path}: no such file")


@dataclasses.dataclass(frozen=True)
class ClientOptions:
    """Settings of a client.

    Attributes:
        model: name under which the bundle is served.
        version: a number; None takes what the server takes, which is its newest.
        label: of a version, instead of its number.
        deadline_s: seconds that one attempt of one request may take; over REST, that it may wait for the server at
            a time.
        patience_s: seconds over which a request is tried again while the server is away or full; 0 never tries
            again. Annotation changes nothing on a server, so that a repeat is safe; still only UNAVAILABLE is
            repeated, since every other code would come back.
        max_records: most texts of a request; no more than the server's own `max_batch_size`.
        max_characters: most characters of a request, each text counted as long as its longest; a longer text is
            cut into overlapping pieces.
        max_message_bytes: most bytes of a request or an answer; checked before a request is sent.
        tls: for a secured connection; None is plain text.
        headers: sent with every request (metadata in gRPC), an access token for example.
        channel_options: further gRPC channel arguments by name.
    """

    model: str = "ner"
    version: int | None = None
    label: str | None = None
    deadline_s: float = 60.0
    patience_s: float = 30.0
    max_records: int = 32
    max_characters: int = 16_384
    max_message_bytes: int = 64 << 20
    tls: TlsFiles | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    channel_options: Mapping[str, str | int] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.version is not None and self.label is not None:
            raise UserError("a request names a version or a label, got both")
        for name, least in (
            ("deadline_s", 0.001),
            ("patience_s", 0),
            ("max_records", 1),
            ("max_characters", 1024),
        ):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be at least {least}, got {getattr(self, name)}")

    def pauses(self) -> Iterator[float]:
        """Yields how long to wait before each further attempt: twice as long each time, at most 5 s, jittered.

        Ends when `patience_s` is over, counted from the first call.
        """
        end, pause = time.monotonic() + self.patience_s, 0.1
        while time.monotonic() < end:
            # Jitter, so that clients that failed together do not come back together.
            yield min(pause * random.uniform(0.5, 1.0), max(0.0, end - time.monotonic()))
            pause = min(2 * pause, 5.0)
