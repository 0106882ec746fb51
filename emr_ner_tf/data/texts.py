"""Checks that texts of callers can be encoded as UTF-8, for all taggers and clients, and escapes names that cannot."""

from collections.abc import Iterable, Mapping, Set

from emr_ner_tf.errors import UserError


def check_texts(texts: Iterable[str]) -> list[str]:
    """Returns the texts as a list, so that an iterator is only read once.

    Args:
        texts: an ordered collection of strings.

    Raises:
        UserError: `texts` is a single string, bytes or not an ordered collection; or a text is not a string or contains
            a lone surrogate. The message gives the index of the text and never contains any part of it.
    """
    kind = type(texts).__name__
    if isinstance(texts, (str, bytes, bytearray)):
        raise UserError(f"texts must be a list of strings, got one {kind}; put it into a list: [text]")
    if isinstance(texts, (Mapping, Set)) or not isinstance(texts, Iterable):
        raise UserError(f"texts must be a list of strings, got {kind}; put the strings into a list")
    return [check_text(text, f"text {i}") for i, text in enumerate(texts)]


def check_text(text: str, name: str) -> str:
    """Returns the text after checking it.

    Args:
        text: a value.
        name: name of the value in messages.

    Raises:
        UserError: the value is not a string that UTF-8 can encode.
    """
    if not isinstance(text, str):
        remedy = "; decode it first" if isinstance(text, (bytes, bytearray)) else ""
        raise UserError(f"{name}: must be a string, got {type(text).__name__}{remedy}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"{name}: character {error.start} is the lone surrogate U+{ord(text[error.start]):04X}; "
            "UTF-8 cannot hold it"
        ) from None
    return text


def escape_surrogates(text: str) -> str:
    r"""Returns text that UTF-8 can encode: a lone surrogate becomes its escape, such as `\udcb2`.

    The name of a file that is not UTF-8 is read with lone surrogates. Inside a string of JSON, the escape represents
    the same character.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
