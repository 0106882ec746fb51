"""What a client of TensorFlow Serving is told: where the server is, how patient to be, how much to send at once."""

import dataclasses
import pathlib
import re
import ssl
from collections.abc import Mapping

from emr_ner_tf.client.headers import check_headers
from emr_ner_tf.errors import UserError

# What TensorFlow's operations and JSON parsers fail with; their messages hold the value at fault.
_MAY_QUOTE = frozenset(("INVALID_ARGUMENT", "OUT_OF_RANGE", "INTERNAL", "UNKNOWN"))
# As TensorFlow Serving counts versions, gRPC bytes, and sockets seconds (in milliseconds of 32 bits).
MAX_VERSION = (1 << 63) - 1
MAX_MESSAGE_BYTES = (1 << 31) - 1
MAX_SECONDS = 1_000_000
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
_RESOLVERS = frozenset(("dns", "ipv4", "ipv6", "unix", "unix-abstract", "vsock", "xds"))


class ServingError(UserError):
    """A server's refusal, or its silence.

    Attributes:
        code: name of gRPC's status code, for REST too: "UNAVAILABLE".
        message: without target and code.
    """

    def __init__(self, target: str, code: str, message: str) -> None:
        super().__init__(f"{target}: {code}: {message}")
        self.code = code
        self.message = message


class TlsHandshakeError(ServingError):
    """There is a server, but no secured connection to it; unlike its silence, this does not pass with time."""


def redacted_error(target: str, code: str, message: str) -> ServingError:
    """The error of what a server has answered; its own words are left out where they may quote a text."""
    if code in _MAY_QUOTE:
        message = (
            "the server refused or failed; its own words may quote a text and are not shown: see its log, and "
            "whether model, version or label, max_records (at most the server's max_batch_size) and max_characters "
            "are what it takes"
        )
    return ServingError(target, code, message)


def check_target(target: str, *, resolvers: bool) -> str:
    """Returns the address of a server.

    Args:
        target: `HOST:PORT`.
        resolvers: whether it may also begin with the name of one of gRPC's resolvers, as in `dns:///ner:8500`.

    Raises:
        UserError: it is no such address.
    """
    match = _ADDRESS.fullmatch(target)
    if match is None or int(match[2]) > 65_535:
        if resolvers and target.partition(":")[0] in _RESOLVERS:
            return target
        raise UserError(
            f"{target!r}: a server's address must be HOST:PORT, such as localhost:8500, without http:// or a path"
        )
    return target


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
        self._check_content()

    def _check_content(self) -> None:
        """Reads the files: gRPC would only say that there is no connection."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca is not None:
            try:
                context.load_verify_locations(self.ca)
            except ssl.SSLError as error:
                raise UserError(f"{self.ca}: not a certificate in PEM: {error.reason}") from None
        if self.cert is not None and self.key is not None:
            try:
                # Without a password Python would ask for one where the key is encrypted.
                context.load_cert_chain(self.cert, self.key, password="")
            except ssl.SSLError as error:
                raise UserError(
                    f"{self.cert}, {self.key}: not a certificate and its unencrypted key in PEM: {error.reason}"
                ) from None


@dataclasses.dataclass(frozen=True)
class ClientOptions:
    """Settings of a client.

    Attributes:
        model: name under which the bundle is served.
        version: a number; None takes what the server takes, which is its newest.
        label: of a version, instead of its number.
        pin_version: without `version`, the client asks for the version of its first answer from then on, so that no
            two of its answers are of different models; once the server no longer has that version, requests fail
            with NOT_FOUND. False takes, for each request anew, the newest version, or the one that the label has.
        deadline_s: seconds that one attempt of one request may take; over REST, that it may wait for the server at
            a time.
        retry_timeout_s: seconds over which a request is tried again while the server is away or full; 0 never tries
            again. Annotation changes nothing on a server, so that a repeat is safe; still only UNAVAILABLE is
            repeated, since every other code would come back.
        max_records: most texts of a request; no more than the server's own `max_batch_size`.
        max_characters: most characters of a request, each text counted as long as its longest; a longer text is
            cut into overlapping pieces.
        max_message_bytes: most bytes of a request or an answer; checked before a request is sent.
        tls: for a secured connection; None is plain text.
        headers: sent with every request (metadata in gRPC), an access token for example; printable ASCII.
        channel_options: further gRPC channel arguments by name.
    """

    model: str = "ner"
    version: int | None = None
    label: str | None = None
    pin_version: bool = True
    deadline_s: float = 60.0
    retry_timeout_s: float = 30.0
    max_records: int = 32
    max_characters: int = 16_384
    max_message_bytes: int = 64 << 20
    tls: TlsFiles | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    channel_options: Mapping[str, str | int] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.version is not None and self.label is not None:
            raise UserError("a request names a version or a label, got both")
        for name in ("model", "label"):
            if getattr(self, name) == "":
                raise UserError(f"{name} must not be empty")
        for name, least, most in (
            ("version", 0, MAX_VERSION),
            ("deadline_s", 0.001, MAX_SECONDS),
            ("retry_timeout_s", 0, MAX_SECONDS),
            ("max_records", 1, None),
            ("max_characters", 1024, None),
            ("max_message_bytes", 1, MAX_MESSAGE_BYTES),
        ):
            value = getattr(self, name)
            if value is not None and not (least <= value and (most is None or value <= most)):
                at_most = "" if most is None else f" and at most {most}"
                raise UserError(f"{name} must be at least {least}{at_most}, got {value}")
        check_headers(self.headers)
