"""Checks the headers that a client sends with each request: HTTP and gRPC must both allow them."""

import re
from collections.abc import Mapping

from emr_ner_tf.errors import UserError

_NAME = re.compile(r"[0-9A-Za-z_.-]*")
_VALUE = re.compile(r"[\x20-\x7e]*")
# HTTP and gRPC set these headers themselves.
_RESERVED = frozenset(
    ("connection", "content-length", "content-type", "host", "te", "trailer", "transfer-encoding", "upgrade")
)


def check_headers(headers: Mapping[str, str]) -> None:
    """Checks that both gRPC and HTTP can send the headers.

    Raises:
        UserError: a header cannot be sent. The message never contains a value, or the part of a name after an invalid
            character, since it may be a token.
    """
    seen: set[str] = set()
    for name, value in headers.items():
        problem = _problem(name, value)
        if problem is None and name.lower() in seen:
            problem = f"header {name!r}: is given twice; names are compared without regard to case"
        if problem is not None:
            raise UserError(problem)
        seen.add(name.lower())


def _problem(name: str, value: str) -> str | None:
    if not isinstance(name, str) or not isinstance(value, str):
        return (
            f"a header's name and value must be strings, got {type(name).__name__} and {type(value).__name__}"
        )
    good = _NAME.match(name)[0]
    if good != name:
        return (
            f"header {good!r}...: a name may only have letters, digits, '-', '_' and '.', "
            f"got {_character(name, len(good))}"
        )
    if not name:
        return "a header must have a name, got an empty one"
    if name.lower().startswith("grpc-") or name.lower() in _RESERVED:
        return f"header {name!r}: is reserved for the protocol; leave it out"
    if name.lower().endswith("-bin"):
        return f"header {name!r}: gRPC reserves names that end in -bin for binary values; choose another name"
    good = _VALUE.match(value)[0]
    if good != value:
        return f"header {name!r}: its value must be printable ASCII, got {_character(value, len(good))}"
    if value != value.strip(" "):
        return f"header {name!r}: its value must not begin or end with a space"
    return None


def _character(text: str, place: int) -> str:
    code = ord(text[place])
    kind = "a line break" if code in (10, 13) else "a non-ASCII character" if code > 126 else None
    kind = kind or ("a control character" if code < 32 else repr(text[place]))
    return f"{kind} as character {place + 1}"
