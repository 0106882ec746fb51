"""Settings of the clients, such as versions, timeouts, limits and TLS, and the errors that clients raise."""

import dataclasses
import numbers
import os
import pathlib
import re
import ssl
from collections.abc import Mapping

from emr_ner_tf.client.headers import check_headers
from emr_ner_tf.errors import UserError
from emr_ner_tf.pem_files import load_authority, load_key_pair

# Codes of failed TensorFlow operations and JSON parsers, whose messages may quote the invalid value.
_MAY_QUOTE = frozenset(("INVALID_ARGUMENT", "OUT_OF_RANGE", "INTERNAL", "UNKNOWN"))
OTHER_ANSWER = (
    "the answer is not that of a bundle; is the target a TensorFlow Serving, and is a bundle served under the name of "
    "the model?"
)
# Limits of TensorFlow Serving's versions, of gRPC's messages, and of sockets (milliseconds in 32 bits).
MAX_VERSION = (1 << 63) - 1
MAX_MESSAGE_BYTES = (1 << 31) - 1
MAX_SECONDS = 1_000_000
NO_CONNECTION = (
    "; is the server running, does it use TLS as this client does, and does it require a client certificate?"
)
# Reasons in OpenSSL's and gRPC's messages that a repeated TLS handshake would meet again. A connection that breaks,
# as at a server's restart, has none of them.
_HANDSHAKE_FAILURES = re.compile(
    r"\[SSL(?:\]|: (?!UNEXPECTED_EOF))"
    r"|OPENSSL_internal:(?:CERTIFICATE_VERIFY_FAILED|WRONG_VERSION_NUMBER|UNSUPPORTED_PROTOCOL|\w+_ALERT_\w+)"
    "|Hostname Verification Check failed|is not in peer certificate"
)
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
_RESOLVERS = frozenset(("dns", "ipv4", "ipv6", "unix", "unix-abstract", "vsock", "xds"))


class ServingError(UserError):
    """The server refused a request or did not answer.

    Attributes:
        code: name of a gRPC status code, also over REST, such as "UNAVAILABLE".
        message: the message without target and code.
    """

    def __init__(self, target: str, code: str, message: str) -> None:
        super().__init__(f"{target}: {code}: {message}")
        self.code = code
        self.message = message


class TlsHandshakeError(ServingError):
    """The TLS handshake with the server failed; unlike other UNAVAILABLE errors, it is not retried."""


def handshake_error(target: str, details: str) -> TlsHandshakeError | None:
    """Returns the error of a TLS handshake that would fail again; None if `details` names no such reason."""
    if not _HANDSHAKE_FAILURES.search(details):
        return None
    return TlsHandshakeError(
        target,
        "UNAVAILABLE",
        "the TLS handshake failed: does the server use TLS on this port (TensorFlow Serving has no TLS for REST), does "
        "each side trust the other's certificate, and is the server's for the host of this address?",
    )


def redacted_error(target: str, code: str, message: str) -> ServingError:
    """Returns the error for a server's answer, without the server's message if that may quote a text."""
    if code in _MAY_QUOTE:
        message = (
            "the request was refused or failed; the server's message is not shown, since it may quote a text. See the "
            "server's log, and check model, version or label, max_records (at most the server's max_batch_size) and "
            "max_characters"
        )
    return ServingError(target, code, message)


def check_target(target: str, *, resolvers: bool) -> str:
    """Checks and returns the address of a server.

    Args:
        target: `HOST:PORT`.
        resolvers: whether the address may also start with the name of a gRPC resolver, as in `dns:///ner:8500`.

    Raises:
        UserError: `target` is not such an address.
    """
    address = target if isinstance(target, str) else ""
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match[2]) > 65_535:
        if resolvers and address.partition(":")[0] in _RESOLVERS:
            return target
        raise UserError(
            f"{target!r}: a server's address must be HOST:PORT, such as localhost:8500, without http:// or a path"
        )
    return target


@dataclasses.dataclass(frozen=True)
class TlsFiles:
    """PEM files for TLS.

    Attributes:
        ca: certificate authority that signed the server's certificate; None uses those of the machine (see
            `authorities`).
        cert: client certificate, if the server requires one (mTLS); requires `key`.
        key: private key of `cert`.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise UserError("a client certificate and its key must be given together, got one of the two")
        for path in (self.ca, self.cert, self.key):
            if path is not None and not pathlib.Path(path).is_file():
                raise UserError(f"{path}: no such file")
        self._check_content()

    @property
    def authorities(self) -> str | None:
        """The file of the authorities to trust; None if there is no such file.

        It is `ca`, or that of gRPC's variable GRPC_DEFAULT_SSL_ROOTS_FILE_PATH, or OpenSSL's on this machine.
        """
        if self.ca is not None:
            return self.ca
        machine, named = ssl.get_default_verify_paths(), os.environ.get("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")
        # On Debian, OpenSSL names a folder only, which has this file for programs that need one.
        debian = machine.capath and os.path.join(machine.capath, "ca-certificates.crt")
        return next(filter(os.path.isfile, filter(None, (named, machine.cafile, debian))), None)

    def _check_content(self) -> None:
        """Reads the files, because gRPC would only report that there is no connection."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca is not None:
            load_authority(context, self.ca)
        if self.cert is not None and self.key is not None:
            load_key_pair(context, self.cert, self.key)


@dataclasses.dataclass(frozen=True)
class ClientOptions:
    """Settings of a client.

    Attributes:
        model: name of the model on the server.
        version: version of the model; None lets the server choose, which is its newest version.
        label: label of a version, instead of its number.
        pin_version: whether, without `version`, the client asks for the version of its first answer from then on, so
            that all answers come from one model. If the server does not have that version for `retry_timeout_s`,
            requests fail with NOT_FOUND. If False, each request gets the newest version, or the one that has the label
            at that moment.
        deadline_s: timeout of one attempt of a request, in seconds; over REST, timeout of each wait for the server.
        retry_timeout_s: seconds after the first failure during which a request is retried while the server is
            UNAVAILABLE, or does not have the pinned version; 0 disables retries. No other error is retried, since it
            would occur again. Retries are safe, because annotation does not change the server's state.
        max_records: maximum number of texts in a request; must not exceed the server's `max_batch_size`.
        max_characters: maximum number of characters in a request, padding to its longest text included; a longer
            text is cut into overlapping pieces.
        concurrency: maximum number of requests in flight at a time, over gRPC; a server with batching computes them
            together. The REST client sends one at a time.
        max_message_bytes: maximum size of a request or an answer; checked before a request is sent.
        tls: files for TLS; None means plain text.
        headers: headers of every request (metadata in gRPC), such as an access token; printable ASCII.
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
    concurrency: int = 4
    max_message_bytes: int = 64 << 20
    tls: TlsFiles | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    channel_options: Mapping[str, str | int] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_types()
        if self.version is not None and self.label is not None:
            raise UserError("version and label cannot be given together")
        for name in ("model", "label"):
            if getattr(self, name) == "":
                raise UserError(f"{name} must not be empty")
        for name, least, most in (
            ("version", 0, MAX_VERSION),
            ("deadline_s", 0.001, MAX_SECONDS),
            ("retry_timeout_s", 0, MAX_SECONDS),
            ("max_records", 1, None),
            ("max_characters", 1024, None),
            ("concurrency", 1, None),
            ("max_message_bytes", 1, MAX_MESSAGE_BYTES),
        ):
            value = getattr(self, name)
            if value is not None and not (least <= value and (most is None or value <= most)):
                at_most = "" if most is None else f" and at most {most}"
                raise UserError(f"{name} must be at least {least}{at_most}, got {value}")
        check_headers(self.headers)

    def _check_types(self) -> None:
        for field in dataclasses.fields(self):
            # A mapping without the types of its items, and whole numbers of seconds.
            kind = float | int if field.type is float else getattr(field.type, "__origin__", field.type)
            value = getattr(self, field.name)
            if isinstance(value, numbers.Real) and not isinstance(value, int | float):
                # Such as NumPy's.
                value = int(value) if isinstance(value, numbers.Integral) else float(value)
                object.__setattr__(self, field.name, value)
            if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
                expected = str(getattr(kind, "__name__", kind)).replace(" | ", " or ")
                raise UserError(f"{field.name} must be {expected}, got {type(value).__name__}")
        for name, value in self.channel_options.items():
            if not isinstance(name, str) or not isinstance(value, str | int):
                got = f"{type(name).__name__} and {type(value).__name__}"
                raise UserError(f"channel_options must be strings or integers by name, got {got}")
