"""UIMA CAS: characters that XML cannot hold, offsets that are none, and document types."""

import re

import pytest

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.reading import RecordError, RejectsWriter, read_documents
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UserError

DOCUMENT = Document("1", "左肾结石", (Entity(1, 3, "病"),), {"id": "1"})


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (Document("1", "左\x0b"), "`text`=<U+000B at character 1>"),
        (Document("1", "左", (), {"id": "x\x0by"}), "`id`=<U+000B at character 1>"),
    ],
)
def test_characters_that_xml_cannot_hold_are_refused(tmp_path, document, problem):
    with pytest.raises(RecordError, match=rf"{re.escape(problem)} holds a character .*; write uima_json"):
        write_documents(tmp_path / "out", [document], "uima_xmi")
    assert not (tmp_path / "out").exists()
    assert write_documents(tmp_path / "json", [document], "uima_json") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("uima_xmi", value) for value in ("", "x", "1.5", "-1", "9", "9" * 5000)),
        *(("uima_json", value) for value in ("null", '"1"', "[]", "1.5", "-1", "9", "9" * 5000)),
    ],
)
def test_offsets_that_are_none_are_refused(tmp_path, name, value):
    path = tmp_path / "in"
    write_documents(path, [DOCUMENT, Document("2", "右肾", (), {"id": "2"})], name)
    (file,) = path.glob("1.*")
    before, after = (
        ('begin="1"', f'begin="{value}"') if name == "uima_xmi" else ('"begin": 1', f'"begin": {value}')
    )
    content = file.read_text(encoding="utf-8")
    assert content.count(before) == 1
    file.write_text(content.replace(before, after), encoding="utf-8")
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        (document,) = read_documents(path, format=name, rejects=rejects)
    assert (document.id, rejects.count) == ("2", 1)


LAUGHS = '<!DOCTYPE a [<!ENTITY a "左"><!ENTITY b "&a;&a;"><!ENTITY c "&b;&b;">]>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("doctype", [LAUGHS, "<!DOCTYPE a>", '<!DOCTYPE a SYSTEM "a.dtd">'])
def test_a_document_type_in_a_file_is_refused(tmp_path, doctype, encoding):
    path = tmp_path / "in"
    write_documents(path, [DOCUMENT, Document("2", "右肾", (), {"id": "2"})], "uima_xmi")
    file = path / "1.xmi"
    _, _, rest = file.read_text(encoding="utf-8").partition("?>")
    assert rest.count("左肾结石") == 1
    text = rest.replace("左肾结石", "&c;肾") if doctype == LAUGHS else rest
    file.write_text(f"<?xml version='1.0' encoding='{encoding}'?>{doctype}{text}", encoding=encoding)
    with pytest.raises(RecordError, match=r"in/1\.xmi: the file declares a document type.*without one"):
        list(read_documents(path))
    with RejectsWriter(tmp_path / "rejects.jsonl") as rejects:
        (document,) = read_documents(path, rejects=rejects)
    assert (document.text, rejects.count) == ("右肾", 1)


@pytest.mark.parametrize("name", ["uima_xmi", "uima_json"])
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda xml: xml.replace("?>", f"?>{LAUGHS}", 1), "the file declares a document type"),
        (lambda xml: xml[:-9], "cannot be read as a type system: XMLSyntaxError"),
        (lambda xml: "", "cannot be read as a type system: XMLSyntaxError"),
    ],
)
def test_a_bad_type_system_is_named(tmp_path, name, change, problem):
    path = tmp_path / "in"
    write_documents(path, [DOCUMENT], name)
    types = path / "TypeSystem.xml"
    types.write_text(change(types.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(RecordError, match=rf"in/TypeSystem\.xml: {problem}"):
        list(read_documents(path, format=name))


@pytest.mark.parametrize(
    ("layers", "asked", "found"),
    [
        # The second document has no named entity, and its annotation of another layer is no mention.
        ((("NamedEntity", "custom.Mood"), ("custom.Mood",)), "", [["NamedEntity"], []]),
        ((("NamedEntity",), ("custom.Mood", "custom.Other")), "", [["NamedEntity"], []]),
        ((("custom.Mood",), (), ("custom.Mood",)), "", [["Mood"], [], ["Mood"]]),
        (
            (("custom.Mood",), ("NamedEntity",)),
            "",
            r"a\.json has custom\.Mood, but .*b\.json has .*NamedEntity; name",
        ),
        (
            (("custom.Mood",), ("custom.Other",)),
            "",
            r"a\.json has custom\.Mood, but .*b\.json has custom\.Other",
        ),
        # Each document has its own type system.
        ((("custom.Mood",), ("NamedEntity",)), "NamedEntity", [[], ["NamedEntity"]]),
        ((("x.Mood",), ("y.Mood",)), "Mood", r"a\.json has x\.Mood, but .*b\.json has y\.Mood"),
        ((("custom.Mood",), ()), "Foo", "must name one layer, and there are custom.Mood; got 'Foo'"),
        (((),), "Foo", "must name one layer, and there are no annotations; got 'Foo'"),
    ],
)
def test_all_documents_have_one_layer(tmp_path, layers, asked, found):
    cassis = pytest.importorskip("cassis")
    for name, names in zip("abc", layers, strict=False):
        types = cassis.TypeSystem()
        cas = cassis.Cas(typesystem=types, sofa_string="左肾结石")
        for layer in names:
            full = layer if "." in layer else f"de.tudarmstadt.ukp.dkpro.core.api.ner.type.{layer}"
            cas.add(types.create_type(full, supertypeName="uima.tcas.Annotation")(begin=0, end=1))
        (tmp_path / f"{name}.json").write_text(cas.to_json(), encoding="utf-8")
    documents = read_documents(tmp_path, format="uima_json", options=FormatOptions(layer=asked))
    if isinstance(found, str):
        with pytest.raises(UserError, match=found):
            list(documents)
    else:
        assert [[entity.label for entity in document.entities] for document in documents] == found


@pytest.mark.parametrize("name", ["uima_xmi", "uima_json"])
def test_a_layer_or_feature_that_is_not_there_is_refused(tmp_path, name):
    path = tmp_path / "in"
    write_documents(path, [DOCUMENT, Document("2", "右肾", (), {"id": "2"})], name)
    for layer, label in (
        ("NamedEntity", "病"),
        ("NamedEntity:value", "病"),
        ("NamedEntity:identifier", "NamedEntity"),
    ):
        documents = read_documents(path, options=FormatOptions(layer=layer))
        assert [[entity.label for entity in document.entities] for document in documents] == [[label], []]
    for layer, problem in (
        ("NamedEntty", r"must name one layer, and there are .*NamedEntity; got 'NamedEntty'"),
        ("NamedEntity:valeu", r"a feature must be one of begin, end, identifier, sofa, value, got 'valeu'"),
    ):
        with pytest.raises(UserError, match=rf"in: --layer:? {problem}"):
            list(read_documents(path, options=FormatOptions(layer=layer)))
