"""Settings of readers and writers that a file does not state itself."""

import codecs
import dataclasses
import os

from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.data.record_error import truncate
from emr_ner_tf.errors import UserError

OFFSET_UNITS = ("codepoint", "utf16", "grapheme")
OFFSET_ENDS = ("exclusive", "inclusive")
OFFSET_CRLF = ("one", "two")
OFFSETS = ("offset_unit", "offset_end", "offset_crlf")
SCHEMES = ("bio", "iob1", "io", "bioes", "bmes", "bilou")
DISCONTINUOUS = ("error", "join")
LABEL_STUDIO = ("annotations", "predictions")
# Codecs of host names and of nothing, which fail in other ways than those of files.
_NOT_OF_FILES = ("idna", "undefined")
_CHOICES = {
    "offset_unit": OFFSET_UNITS,
    "offset_end": OFFSET_ENDS,
    "offset_crlf": OFFSET_CRLF,
    "scheme": SCHEMES,
    "label_studio": LABEL_STUDIO,
}


@dataclasses.dataclass(frozen=True, slots=True)
class FormatOptions:
    """Settings of readers and writers; with "", the reader finds the value by looking at the file.

    Attributes:
        encoding: character encoding of text files, a name that Python knows; UTF-8 may have a byte order mark.
        offset_unit: unit of offsets: "codepoint", "utf16" or "grapheme".
        offset_end: "exclusive", one past the last character of a mention, or "inclusive".
        offset_crlf: whether CR LF counts as "one" unit or as "two".
        scheme: tag scheme of columns: "bio", "iob1", "io", "bioes", "bmes" or "bilou".
        tag_column: column of the tags, counted from 1; 0 is the last one.
        tag_names: file with one tag name per line, in the order of their numbers (Hugging Face).
        text_column: column or key of the text (CSV, XLSX, Label Studio).
        id_column: column of the id (CSV, XLSX).
        layer: annotation layer, as `TYPE` or `TYPE:FEATURE` (WebAnno, UIMA).
        discontinuous: "error" refuses mentions of several parts; "join" reads them as one span from the first part to
            the last and keeps the parts under the key `fragments`.
        label_studio: "annotations" or "predictions" (Label Studio). By default, annotations are read if a task has any,
            and predictions are written if every mention of a record has a score.
    """

    encoding: str = "utf-8"
    offset_unit: str = ""
    offset_end: str = ""
    offset_crlf: str = ""
    scheme: str = ""
    tag_column: int = 0
    tag_names: str = ""
    text_column: str = ""
    id_column: str = ""
    layer: str = ""
    discontinuous: str = "error"
    label_studio: str = ""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value and value not in choices:
                raise UserError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        if self.discontinuous not in DISCONTINUOUS:
            raise UserError(
                f"discontinuous must be one of {', '.join(DISCONTINUOUS)}, got {self.discontinuous!r}"
            )
        if self.tag_column < 0:
            raise UserError(
                f"tag_column must be 0 (the last column) or counted from 1, got {self.tag_column}"
            )
        self._check_encoding()

    @property
    def is_of_conll(self) -> bool:
        """Whether a setting is given that only CoNLL columns have, and BIO columns do not."""
        return self.scheme not in ("", "bio") or self.tag_column > 0

    def _check_encoding(self) -> None:
        try:
            codec = codecs.lookup(self.encoding)
        except (LookupError, ValueError):
            raise UserError(
                f"encoding must be a name such as utf-8, gb18030 or utf-16, got {self.encoding!r}"
            ) from None
        if not codec._is_text_encoding or codec.name in _NOT_OF_FILES:
            raise UserError(f"encoding must be a character encoding, got {self.encoding!r}")


DEFAULT_OPTIONS = FormatOptions()


def parse_options(text: str, name: str) -> FormatOptions:
    """Parses options from a string.

    Args:
        text: `NAME=VALUE` of `FormatOptions`, several separated by commas; "" for the defaults.
        name: the flag or key that holds it, for the message.

    Raises:
        UserError: a name is unknown or a value is invalid.
    """
    names = [field.name for field in dataclasses.fields(FormatOptions)]
    values: dict[str, str | int] = {}
    for part in split_paths(text, name):
        key, equals, value = part.partition("=")
        if not equals or key not in names:
            raise UserError(f"{name} must be NAME=VALUE,... with a name of {', '.join(names)}, got {part!r}")
        if key == "tag_column" and not (value.isdecimal() and len(value) < 10):
            raise UserError(f"{name}: tag_column must be a whole number, got {truncate(value)!r}")
        values[key] = int(value) if key == "tag_column" else value
    if "tag_names" in values:
        values["tag_names"] = os.path.expanduser(values["tag_names"])
    return FormatOptions(**values)


def option_flags(options: FormatOptions) -> list[str]:
    """Returns the flags of a command for the options that differ from their defaults."""
    return [
        f"--{field.name}={getattr(options, field.name)}"
        for field in dataclasses.fields(options)
        if getattr(options, field.name) != field.default
    ]
