"""Flags of every command that reads records: the format, and settings that a file does not state itself."""

import os
from typing import Any

from absl import flags

from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.data.formats.options import (
    DISCONTINUOUS,
    LABEL_STUDIO,
    OFFSET_CRLF,
    OFFSET_ENDS,
    OFFSET_UNITS,
    SCHEMES,
    FormatOptions,
)
from emr_ner_tf.data.formats.table import AUTO, READ_FORMATS, WRITE_FORMATS

# A flag belongs to the command that defines it, so that its help lists it.
flags.disclaim_key_flags()

_ENUMS = {
    "offset_unit": (OFFSET_UNITS, "Unit of the offsets, if the mentions' own text does not decide it."),
    "offset_end": (OFFSET_ENDS, "Whether a mention's end is one past its last character or that character."),
    "offset_crlf": (OFFSET_CRLF, "Whether CR LF counts as one or as two in the offsets."),
    "scheme": (SCHEMES, "Tag scheme of columns; by default, found by looking."),
    "label_studio": (
        LABEL_STUDIO,
        "Results of Label Studio to read, and for `data` to write, too; by default, annotations are read where there "
        "are any, and predictions are written where every mention of a record has a score.",
    ),
}
_STRINGS = {
    "text_column": "Column (CSV, XLSX) or key (Label Studio) of the text; by default, found by its name.",
    "id_column": "Column of the id (CSV, XLSX).",
    "layer": "Annotation layer to read, as NAME or NAME:FEATURE (WebAnno, UIMA).",
}

# Formats that are chosen by the extension of a file.
_NAMED = ("csv", "xlsx", "conll", "bio")


def define_format_flags(what: str = "--input") -> flags.FlagHolder[str]:
    """Defines `--format` and the flags of `FormatOptions`.

    Args:
        what: the flags that name the files, for the help.

    Returns:
        The holder of `--format`.
    """
    holder = flags.DEFINE_enum(
        "format", AUTO, [AUTO, *READ_FORMATS], f"Format of {what}; auto finds it by looking at the file."
    )
    flags.DEFINE_string(
        "encoding", "utf-8", f"Character encoding of {what}, such as gb18030 or utf-16; never guessed."
    )
    for name, (choices, help) in _ENUMS.items():
        flags.DEFINE_enum(name, None, list(choices), help)
    for name, help in _STRINGS.items():
        flags.DEFINE_string(name, "", help)
    flags.DEFINE_integer("tag_column", 0, "Column of the tags, counted from 1; 0 is the last one (conll).", 0)
    define_path("tag_names", None, "File with one tag per line, in the order of their numbers (huggingface).")
    flags.DEFINE_enum(
        "discontinuous",
        "error",
        list(DISCONTINUOUS),
        "What to do with mentions of several parts (brat): error refuses them, join reads one span over all parts.",
    )
    return holder


def define_on_error(rejects: str, default: str = "raise") -> flags.FlagHolder[str]:
    """Defines `--on_error`.

    Args:
        rejects: the file of bad records, for the help.
        default: "raise" or "skip".

    Returns:
        The holder of the flag.
    """
    return flags.DEFINE_enum(
        "on_error",
        default,
        ["raise", "skip"],
        f"What to do with a bad record: raise stops with an error, skip writes it to {rejects}.",
    )


def define_to(default: str) -> flags.FlagHolder[str | None]:
    """Defines `--to`.

    Args:
        default: the format if neither the flag nor the name of the output decides, for the help.

    Returns:
        The holder of the flag, whose value is an argument of `output_format`.
    """
    names = " or ".join(f".{name}" for name in _NAMED)
    return flags.DEFINE_enum(
        "to",
        None,
        WRITE_FORMATS,
        f"Format of --output. By default, that of its name if it ends in {names}, else {default}",
    )


def output_format(to: str | None, path: str | None, default: str) -> str:
    """Returns the format of an output.

    Args:
        to: value of `--to`.
        path: path of the output; None if its name does not matter.
        default: the format if neither decides; "ccks2019" replaces a format that can only be read.
    """
    if to is not None:
        return to
    suffix = os.path.splitext(path or "")[1].lower().removeprefix(".")
    if suffix in _NAMED:
        return suffix
    is_json = suffix in ("json", "jsonl") and default == "bio"
    return "ccks2019" if is_json or default not in WRITE_FORMATS else default


def format_options(**others: Any) -> FormatOptions:
    """Returns the options from the flags.

    Args:
        others: options that do not come from these flags.

    Raises:
        UserError: a value is invalid.
    """
    names = (*_ENUMS, *_STRINGS, "encoding", "tag_column", "tag_names", "discontinuous")
    values = {name: flags.FLAGS[name].value for name in names}
    return FormatOptions(**{name: value for name, value in values.items() if value is not None} | others)
