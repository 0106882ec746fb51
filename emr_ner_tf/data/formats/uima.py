"""UIMA CAS, the exchange format of INCEpTION, as XMI and as JSON, with dkpro-cassis (the extra `uima`)."""

import contextlib
import functools
import io
import os
import pathlib
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.folders import FolderWriter, check_file_name, files_of, new_folder
from emr_ner_tf.data.formats.format import Format
from emr_ner_tf.data.formats.losses import Losses
from emr_ner_tf.data.formats.offsets import CODE_POINTS
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.records import Mention, Record, Source
from emr_ner_tf.data.formats.written import offsets_of
from emr_ner_tf.data.lines import read_error
from emr_ner_tf.data.record_error import RecordError, describe_value
from emr_ner_tf.errors import UserError

NAMED_ENTITY = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"
METADATA = "de.tudarmstadt.ukp.dkpro.core.api.metadata.type.DocumentMetaData"
TYPE_SYSTEM = "TypeSystem.xml"
_ANNOTATION = "uima.tcas.Annotation"
_FEATURES = ("value", "label", "name", "type")
# Characters that XML 1.0 cannot represent.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def import_cassis() -> Any:
    """Returns the module `cassis`.

    Raises:
        UserError: the package is not installed.
    """
    try:
        import cassis
    except ImportError:
        raise UserError("UIMA CAS needs the package dkpro-cassis: pip install 'emr_ner_tf[uima]'") from None
    return cassis


def has_doctype(xml: bytes) -> bool:
    """Returns whether the library's parser, which expands entities, finds a document type, in any encoding."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True)
    return bool(etree.parse(io.BytesIO(xml), parser).docinfo.doctype)


def _read(suffix: str, source: Source) -> Iterator[Record]:
    cassis = import_cassis()
    systems: dict[pathlib.Path, Any] = {}
    layer = _Layer(source)
    for path in files_of(source, suffix)[0]:
        record = Record(1, b"", path=os.fspath(path), extra={"id": path.stem})
        try:
            record.raw = path.read_bytes()
            if path.parent not in systems:
                systems[path.parent] = _type_system(cassis, path.parent)
            if suffix == ".xmi":
                _check_doctype(record.raw)
            # Its warnings may contain names from the record.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                load = cassis.load_cas_from_xmi if suffix == ".xmi" else cassis.load_cas_from_json
                _fill(record, load(io.BytesIO(record.raw), typesystem=systems[path.parent]), layer, source)
            if record.extra["id"] == path.stem:
                check_file_name(path.stem)
        except RecordError as error:
            record.error, record.line = error, 0
        except UserError:
            raise
        except OSError as error:
            record.error, record.line = read_error(path, error), 0
        except Exception as error:
            # The library raises any error of its parsers, whose messages may contain text of the record.
            record.error = RecordError("cannot be read as a CAS", value=type(error).__name__)
            record.line = 0
        yield record
    layer.check_found()


def _type_system(cassis: Any, folder: pathlib.Path) -> Any:
    found = sorted(path for path in folder.glob("*.xml") if "typesystem" in path.name.lower())
    if not found:
        return None
    try:
        content = found[0].read_bytes()
        _check_doctype(content)
        return cassis.load_typesystem(io.BytesIO(content))
    except OSError as error:
        raise read_error(found[0], error) from None
    except RecordError as error:
        error.path = os.fspath(found[0])
        raise
    except Exception as error:
        problem = "cannot be read as a type system"
        raise RecordError(problem, value=type(error).__name__, path=os.fspath(found[0])) from None


def _check_doctype(xml: bytes) -> None:
    if has_doctype(xml):
        raise RecordError(
            "the file declares a document type, whose entities could make it grow without limit",
            remedy="export it without one",
        )


def _fill(record: Record, cas: Any, layer: "_Layer", source: Source) -> None:
    record.text = cas.sofa_string or ""
    annotations = list(cas.select_all())
    for annotation in annotations:
        if annotation.type.name == METADATA and getattr(annotation, "documentId", None):
            record.extra["id"] = annotation.documentId
    types = {annotation.type.name for annotation in annotations if hasattr(annotation, "begin")}
    types -= {"uima.tcas.DocumentAnnotation", METADATA}
    name = layer.of(cas.typesystem, types, record.path)
    for annotation in annotations:
        if annotation.type.name != name:
            source.losses.add("annotations of other layers", annotation.type.name in types)
            continue
        _check_span(annotation, len(record.text), len(record.mentions) + 1)
        if annotation.begin == annotation.end:
            source.losses.add("mentions without characters")
            continue
        label = _label(annotation, layer.feature)
        record.mentions.append(Mention(annotation.begin, annotation.end, label))


def _check_span(annotation: Any, size: int, number: int) -> None:
    least = 0
    for key in ("begin", "end"):
        value = getattr(annotation, key)
        if type(value) is not int or not least <= value <= size:
            problem = f"is not a whole number from {least} to {size}, the end of the text"
            raise RecordError(problem, key=key, value=describe_value(value), entity=number)
        least = value


class _Layer:
    """The layer that is read: the same one in all documents of an input."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._asked, _, self.feature = source.options.layer.partition(":")
        # The layer, and the first document that has it.
        self._found: tuple[str, str] | None = None
        self._types: set[str] | None = None

    def of(self, system: Any, types: set[str], path: str) -> str | None:
        """Returns the layer to read in a document; None if the document does not have it.

        Args:
            system: the type system of the document.
            types: the types of its annotations.
            path: the document.

        Raises:
            UserError: there are several layers to choose from, in the document or in the input.
        """
        self._types = types | (self._types or set())
        name = self._named(system, types) if self._asked else self._only(types)
        first, where = self._found or (name, path)
        if name is None or first is None or name == first:
            self._found = (first, where) if first else None
            return first
        if first == NAMED_ENTITY and not self._asked:
            # The document has no named entities; annotations of its other layers are no mentions.
            return first
        raise UserError(
            f"{self._source.name}: one layer is read, and {where} has {first}, but {path} has {name}; name it with "
            "--layer=NAME or --layer=NAME:FEATURE"
        )

    def check_found(self) -> None:
        """Raises an error if no document has the layer of `--layer`."""
        if self._asked and self._types is not None and self._found is None:
            raise self._none(self._types)

    def _named(self, system: Any, types: set[str]) -> str | None:
        """Returns the layer that `--layer` names; a document need not have it, and may have its own type system."""
        known = {each.name for each in system.get_types(built_in=True)}
        found = self._matching(types) or self._matching(known)
        if len(found) > 1:
            raise self._none(found)
        for layer in found:
            features = [each.name for each in system.get_type(layer).all_features]
            if self.feature and self.feature not in features:
                names = ", ".join(sorted(features))
                raise UserError(
                    f"{self._source.name}: --layer: a feature must be one of {names}, got {self.feature!r}"
                )
            return layer
        return None

    def _matching(self, types: set[str]) -> set[str]:
        return {name for name in types if name == self._asked or name.endswith(f".{self._asked}")}

    def _none(self, types: set[str]) -> UserError:
        there = ", ".join(sorted(types)) or "no annotations"
        return UserError(
            f"{self._source.name}: --layer must name one layer, and there are {there}; got {self._asked!r}"
        )

    def _only(self, types: set[str]) -> str | None:
        if NAMED_ENTITY in types:
            return NAMED_ENTITY
        built_in = ("de.tudarmstadt.ukp.", "uima.", "org.dkpro.")
        found = {name for name in types if not name.startswith(built_in)} or types & {_ANNOTATION}
        if len(found) > 1 and (self._found is None or self._found[0] != NAMED_ENTITY):
            names = ", ".join(sorted(found))
            raise UserError(
                f"{self._source.name}: one layer is read, and there are {names}; name it with --layer=NAME or "
                "--layer=NAME:FEATURE"
            )
        return min(found, default=None)


def _label(annotation: Any, feature: str) -> str:
    for name in (feature,) if feature else _FEATURES:
        value = getattr(annotation, name, None)
        if isinstance(value, str) and value:
            return value
    return annotation.type.name.rpartition(".")[2]


class _CasWriter(FolderWriter):
    """Writes a CAS for each document, and the type system once."""

    def __init__(
        self, folder: pathlib.Path, path: str | os.PathLike[str], suffix: str, losses: Losses
    ) -> None:
        super().__init__(folder, path)
        self._cassis = import_cassis()
        self._suffix = suffix
        self._losses = losses
        self._types = self._cassis.TypeSystem()
        self._entity = self._types.create_type(NAMED_ENTITY, supertypeName=_ANNOTATION)
        self._types.create_feature(self._entity, "value", "uima.cas.String")
        self._types.create_feature(self._entity, "identifier", "uima.cas.String")
        self._metadata = self._types.create_type(METADATA, supertypeName=_ANNOTATION)
        for feature in ("documentId", "documentTitle"):
            self._types.create_feature(self._metadata, feature, "uima.cas.String")

    def write(self, document: Document) -> None:
        """Writes a document.

        Raises:
            RecordError: XML cannot represent a character of the document.
        """
        identifier = document.extra.get("id")
        if self._suffix == ".xmi":
            _check_xml(document.text, "text")
            _check_xml(str(identifier or ""), "id")
        offsets = offsets_of(document, CODE_POINTS)
        cas = self._cassis.Cas(typesystem=self._types)
        cas.sofa_string = document.text
        cas.sofa_mime = "text/plain"
        if identifier not in (None, ""):
            end = len(document.text)
            cas.add(
                self._metadata(begin=0, end=end, documentId=str(identifier), documentTitle=str(identifier))
            )
        for entity in document.entities:
            begin, end = offsets(entity)
            cas.add(self._entity(begin=begin, end=end, value=entity.label))
        name, _ = self.names.of(document)
        self.save(f"{name}{self._suffix}", cas.to_xmi() if self._suffix == ".xmi" else cas.to_json())

    def finish(self) -> None:
        """Writes the type system."""
        self.save(TYPE_SYSTEM, self._types.to_xml())


def _check_xml(value: str, key: str) -> None:
    illegal = _ILLEGAL.search(value)
    if illegal is not None:
        found = f"<U+{ord(illegal[0]):04X} at character {illegal.start()}>"
        problem = "holds a character that XML cannot hold; write uima_json instead"
        raise RecordError(problem, key=key, value=found)


@contextlib.contextmanager
def _open(
    suffix: str, path: str | os.PathLike[str], options: FormatOptions, losses: Losses
) -> Iterator[_CasWriter]:
    with new_folder(path) as folder:
        yield _CasWriter(folder, path, suffix, losses)


def _format(name: str, suffix: str, summary: str) -> Format:
    read: Callable[[Source], Iterator[Record]] = functools.partial(_read, suffix)
    return Format(
        name=name,
        summary=summary,
        extension="",
        unit="UTF-16 units, exclusive ends",
        holds=frozenset(("ids", "overlapping mentions", "mentions", "records without text")),
        read=read,
        options=("layer",),
        open=functools.partial(_open, suffix),
        folder=True,
    )


XMI = _format("uima_xmi", ".xmi", "UIMA CAS as XMI (INCEpTION): a folder of files, or one")
JSON = _format("uima_json", ".json", "UIMA CAS as JSON: a folder of files, or one")
