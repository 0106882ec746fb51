"""Texts that UTF-8 can hold: those of callers are checked once for every tagger and client, names are escaped."""

from collections.abc import Iterable, Mapping, Set

from emr_ner_tf.errors import UserError


def check_texts(texts: Iterable[str]) -> list[str]:
    """Returns the texts as a list, so that an iterator is read once only.

    Args:
        texts: an ordered collection of strings.

    Raises:
        UserError: `texts` is a single string, bytes or no ordered collection; a text is no string or holds a lone
            surrogate. The message names the text by its place and never holds any of it.
    """
    kind = type(texts).__name__
    if isinstance(texts, (str, bytes, bytearray)):
        raise UserError(f"texts must be a list of strings, got one {kind}; put it into a list: [text]")
    if isinstance(texts, (Mapping, Set)) or not isinstance(texts, Iterable):
        raise UserError(f"texts must be a list of strings, got {kind}; put the strings into a list")
    return [check_text(text, f"text {i}") for i, text in enumerate(texts)]


def check_text(text: str, name: str) -> str:
    """Returns the text.

    Args:
        text: value that should be a string that UTF-8 can encode.
        name: its name in messages.

    Raises:
        UserError: it is not.
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
