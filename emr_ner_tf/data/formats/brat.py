"""brat standoff: the text and its annotations are in two files; the types of annotations are plain ASCII names.

Any other label is written as its code points (`U75C5_7406`), and `visual.conf` has the label.
"""

import contextlib
import functools
import os
import pathlib
import re
from collections.abc import Iterator, Mapping

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.folders import FolderWriter, files_of, new_folder, read_pairs, read_text_file
from emr_ner_tf.data.formats.format import Format
from emr_ner_tf.data.formats.losses import FRAGMENTS, MENTION_KEYS, Losses
from emr_ner_tf.data.formats.offsets import Reading, readings
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.records import Mention, Record, Source, whole_number
from emr_ner_tf.data.formats.written import offsets_of
from emr_ner_tf.data.record_error import RecordError, describe_value

TEXT, ANNOTATIONS = ".txt", ".ann"
VISUAL = "visual.conf"
_WRITTEN = Reading("codepoint", "exclusive", "one")
_TYPE = re.compile(r"[A-Za-z0-9_-]+")
_CODED = re.compile(r"U[0-9A-F]{4,6}(_[0-9A-F]{4,6})*")
_SEPARATOR = f"{ord('|'):04X}"
_BOUND = re.compile(r"(\S+) ([0-9]+ [0-9]+(?:;[0-9]+ [0-9]+)*)")
_BREAKS = re.compile(r"\r\n|[\r\n\t]")
_OTHERS = {"R": "relations", "E": "events", "A": "attributes", "M": "attributes", "N": "normalizations"}
_OTHERS |= {"#": "notes", "*": "equivalences"}


def _read(source: Source) -> Iterator[Record]:
    texts, annotations = files_of(source, TEXT, ANNOTATIONS)
    orphans = sum(not path.with_suffix(TEXT).exists() for path in annotations)
    source.losses.add("files of annotations without their text", orphans)
    pairs = ((path.stem, path.with_suffix(TEXT), path.with_suffix(ANNOTATIONS)) for path in texts)
    labels = functools.cache(_labels)
    yield from read_pairs(source, pairs, lambda path: _mentions(path, labels(path.with_name(VISUAL)), source))


def _labels(path: pathlib.Path) -> dict[str, str]:
    """Returns the displayed names by type, from the section `[labels]`."""
    if not path.exists():
        return {}
    found, section = {}, ""
    for line in read_text_file(path, "utf-8").splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == "[labels]" and "|" in line and not line.startswith("#"):
            name, label, *_ = (part.strip() for part in line.split("|"))
            found[name] = label
    return found


def _mentions(path: pathlib.Path, labels: Mapping[str, str], source: Source) -> Iterator[Mention]:
    number = 0
    for line, row in enumerate(read_text_file(path, source.options.encoding).split("\n"), start=1):
        row = row.removesuffix("\r")
        if not row.strip():
            continue
        if not row.startswith("T"):
            source.losses.add(_OTHERS.get(row[0], "annotations of other kinds"))
            continue
        number += 1
        _, _, rest = row.partition("\t")
        bound, tab, own = rest.partition("\t")
        match = _BOUND.fullmatch(bound.strip())
        if match is None or not tab:
            problem = "the line is not T1, a tab, type, start and end, a tab, and the mention's text"
            raise RecordError(problem, value=describe_value(row), entity=number, line=line)
        numbers = [whole_number(digits, "start, end", number, line) for digits in re.split("[ ;]", match[2])]
        parts = list(zip(numbers[::2], numbers[1::2], strict=True))
        yield Mention(
            *(parts[0][0], parts[-1][1], _label(match[1], labels), own),
            line=line,
            parts=tuple(parts) if len(parts) > 1 else (),
        )


def _label(name: str, labels: Mapping[str, str]) -> str:
    # Names that other programs display for their types are no labels, and several types may share one.
    if not _CODED.fullmatch(name):
        return name
    if name in labels:
        return labels[name]
    # Only labels that `visual.conf` cannot represent are decoded; a type U2019 of another program is a name.
    if _SEPARATOR in name[1:].split("_"):
        return "".join(chr(min(int(code, 16), 0x10FFFF)) for code in name[1:].split("_"))
    return name


def type_of(label: str) -> str:
    """Returns the type for a label."""
    if _TYPE.fullmatch(label) and not _CODED.fullmatch(label):
        return label
    return "U" + "_".join(f"{ord(character):04X}" for character in label)


class _BratWriter(FolderWriter):
    """Writes the two files of each document, and at the end the configuration files with the types."""

    def __init__(self, folder: pathlib.Path, path: str | os.PathLike[str], losses: Losses) -> None:
        super().__init__(folder, path)
        self._labels: dict[str, str] = {}
        self._losses = losses

    def write(self, document: Document) -> None:
        """Writes a document."""
        offsets = offsets_of(document, _WRITTEN)
        rows = []
        for number, entity in enumerate(document.entities, start=1):
            self._labels.setdefault(type_of(entity.label), entity.label)
            parts = _parts(entity, document.text)
            self._losses.add(MENTION_KEYS, FRAGMENTS in entity.extra and len(parts) == 1)
            spans = ";".join(
                "{} {}".format(*offsets(Entity(start, end, entity.label))) for start, end in parts
            )
            own = " ".join(_BREAKS.sub(" ", document.text[start:end]) for start, end in parts)
            rows.append(f"T{number}\t{type_of(entity.label)} {spans}\t{own}\n")
        name, is_id = self.names.of(document)
        self._losses.add("ids", document.extra.get("id") not in (None, "") and not is_id)
        self.save(f"{name}{TEXT}", document.text)
        self.save(f"{name}{ANNOTATIONS}", "".join(rows))

    def finish(self) -> None:
        """Writes the configuration."""
        types = "".join(f"{name}\n" for name in self._labels)
        self.save("annotation.conf", f"[entities]\n{types}\n[relations]\n\n[events]\n\n[attributes]\n")
        # A label that contains the separator is decoded from the code points of its type.
        shown = "".join(f"{name} | {label}\n" for name, label in self._labels.items() if "|" not in label)
        self.save(VISUAL, f"[labels]\n{shown}\n[drawing]\n")


def _parts(entity: Entity, text: str) -> list[tuple[int, int]]:
    """Returns the parts of a discontinuous mention that was joined; for any other mention, the mention itself."""
    kept = entity.extra.get(FRAGMENTS)
    try:
        parts = [(start, end) for start, end in kept or ()]
        flat = [at for part in parts for at in part]
        if (
            all(type(at) is int for at in flat)
            and all(start < end for start, end in parts)
            and flat == sorted(flat)
            and (flat[0], flat[-1]) == (entity.start, entity.end)
            # The reader joins parts that have only line ends between them.
            and any(text[end:start].strip("\r\n") for end, start in zip(flat[1::2], flat[2::2], strict=False))
        ):
            return parts
    except (TypeError, ValueError, IndexError):
        # The key of this name has another meaning.
        pass
    return [(entity.start, entity.end)]


@contextlib.contextmanager
def _open(path: str | os.PathLike[str], options: FormatOptions, losses: Losses) -> Iterator[_BratWriter]:
    with new_folder(path) as folder:
        yield _BratWriter(folder, path, losses)


FORMAT = Format(
    name="brat",
    summary="brat standoff: a folder with X.txt and X.ann for each record",
    extension="",
    unit="code points, exclusive ends, CR LF as one",
    holds=frozenset(
        (
            *("ids", "overlapping mentions", "mentions", "records without text"),
            "parts of discontinuous mentions",
        )
    ),
    read=_read,
    options=("discontinuous",),
    readings=readings(crlf="one"),
    open=_open,
    folder=True,
)
