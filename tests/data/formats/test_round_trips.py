"""Any document through each writer and reader: equal, or the losses named."""

import collections
import contextlib
import dataclasses
import io
import logging

import hypothesis
import pytest
from format_cases import PIECES, documents, plain
from hypothesis import strategies as st

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.table import FORMATS, WRITE_FORMATS
from emr_ner_tf.data.reading import RecordError, read_documents
from emr_ner_tf.data.writing import write_documents

# doccano's files have no text of a mention, and say nothing of how they count.
READING = {"doccano": FormatOptions(offset_unit="utf16", offset_crlf="two")}
BOTH_WAYS = [name for name in WRITE_FORMATS if name != "text"]
# Those of which XML can hold every character.
XML_PIECES = tuple(piece for piece in PIECES if piece not in ("\x0b", "\x00"))


def _splits_crlf(document):
    bounds = {at for entity in document.entities for at in (entity.start, entity.end)}
    return any(document.text[at - 1 : at + 1] == "\r\n" for at in bounds if at)


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_documents_come_back(tmp_path_factory, name):
    format = FORMATS[name]
    pieces = XML_PIECES if name == "uima_xmi" else PIECES
    drawn = documents(overlapping="overlapping mentions" in format.holds, pieces=pieces)
    if name == "brat":
        drawn = drawn.filter(lambda document: not _splits_crlf(document))
    unique = {"unique_by": lambda document: document.text} if name == "uie" else {}

    @hypothesis.settings(max_examples=20)
    @hypothesis.given(st.lists(drawn, max_size=3, **unique))
    def check(given):
        path = tmp_path_factory.mktemp(name) / f"records.{format.extension}"
        assert write_documents(path, given, name) == len(given)
        options = READING.get(name, FormatOptions())
        found = [
            plain(document)
            for document in read_documents(path, format=name, overlaps="keep", options=options)
        ]
        expected = [
            plain(document, scores="scores" in format.holds)
            for document in given
            if document.text or "records without text" in format.holds
        ]
        # Files of a folder come in the order of their names.
        if format.folder:
            found, expected = sorted(found, key=repr), sorted(expected, key=repr)
        assert found == expected

    check()


# Names that some format has a meaning for, and one that none has.
RECORD_KEYS = (
    "id",
    "text",
    "data",
    "originalText",
    "content",
    "entities",
    "label",
    "labels",
    "annotations",
    "relations",
)
RECORD_KEYS += (
    "tokens",
    "words",
    "sentence",
    "ner_tags",
    "tags",
    "prompt",
    "result_list",
    "meta",
    "drafts",
    "科室",
)
MENTION_KEYS = (
    "label_type",
    "start_pos",
    "end_pos",
    "start_idx",
    "end_idx",
    "start",
    "end",
    "type",
    "label",
    "score",
)
MENTION_KEYS += ("entity", "text", "mention", "overlap", "fragments", "prompt", "parts", "备注")
_VALUES = st.sampled_from(("x", "", None, True, 7, ["x"], {"x": 1}))
_IDS = ({}, {"id": "a"}, {"id": "a.txt"}, {"id": "x/y"}, {"id": 7})
_FRAGMENTS = ([[0, 1], [2, 3]], [[0, 1], [1, 3]], [[0, 3]], [[0, 0], [1, 3]], [])


@st.composite
def _with_keys(draw):
    """Returns records of different texts, with any keys; one may be without text."""
    documents = []
    texts = st.sampled_from(("左肾结石", "肝癌痛", "患者。", ""))
    for text in draw(st.lists(texts, min_size=1, max_size=3, unique=True)):
        if not text:
            documents.append(Document("-", "", extra={}))
            continue
        extra = draw(st.dictionaries(st.sampled_from(RECORD_KEYS[1:]), _VALUES, max_size=4))
        extra |= draw(st.sampled_from(_IDS))
        entities = []
        for start, end in draw(st.sampled_from((((0, 3),), ((0, 2), (2, 3)), ()))):
            keys = draw(st.dictionaries(st.sampled_from(MENTION_KEYS), _VALUES, max_size=4))
            if end - start == 3 and draw(st.booleans()):
                keys["fragments"] = draw(st.sampled_from(_FRAGMENTS))
            entities.append(Entity(start, end, "病", draw(st.none() | st.just(0.5)), keys))
        documents.append(Document(str(extra.get("id", "-")), text, tuple(entities), extra))
    return documents


def _differences(given, found):
    """Counts by kind what documents have and those of the same text that were read again have not."""
    again = {document.text: document for document in found}
    assert len(again) == len(found)
    assert set(again) <= {document.text for document in given}
    lost = collections.Counter()
    for document in given:
        other = again.get(document.text)
        if other is None:
            lost["records without text"] += 1
            assert not document.text
            continue
        before, after = dict(document.extra), dict(other.extra)
        identifier = before.pop("id", None)
        # A table has no numbers among its ids.
        lost["ids"] += identifier is not None and str(identifier) != str(after.get("id"))
        lost["keys of records"] += _changed(before, after)
        mentions = {(entity.start, entity.end, entity.label): entity for entity in other.entities}
        assert len(mentions) == len(other.entities)
        for entity in document.entities:
            same = mentions.pop((entity.start, entity.end, entity.label), None)
            if same is None:
                lost["mentions"] += 1
                continue
            lost["keys of mentions"] += _changed(entity.extra, same.extra)
            lost["scores"] += entity.score != same.score
        assert not mentions
    return +lost


def _changed(before, after):
    return sum(key not in after or after[key] != value for key, value in before.items())


@pytest.mark.parametrize("name", WRITE_FORMATS)
def test_every_difference_is_named_and_every_loss_that_is_named_is_one(tmp_path_factory, name):
    options = READING.get(name, FormatOptions())
    options = dataclasses.replace(options, discontinuous="join" if name == "brat" else "error")

    @hypothesis.settings(max_examples=40)
    @hypothesis.given(_with_keys())
    def check(given):
        path = tmp_path_factory.mktemp(name) / f"records.{FORMATS[name].extension}"
        with _logged() as logged:
            write_documents(path, given, name)
        found = list(read_documents(path, format=name, overlaps="keep", options=options))
        log = logged.getvalue()
        named = collections.Counter()
        if log:
            head, losses = log.rstrip("\n").split("cannot represent them: ")
            assert head == f"{path}: not written, because {name} "
            named.update(
                {kind: int(number) for number, kind in (each.split(" ", 1) for each in losses.split(", "))}
            )
        # Parts are the value of a key; what has a value that is no parts counts as a key.
        named["keys of mentions"] += named.pop("parts of discontinuous mentions", 0)
        assert +named == _differences(given, found)
        assert not any(document.text in log for document in given if document.text)

    check()


@pytest.mark.parametrize("name", WRITE_FORMATS)
def test_parts_that_are_lost_are_named(tmp_path, name):
    keys = {"fragments": [[0, 1], [2, 3]]}
    document = Document("a", "左、肾", (Entity(0, 3, "病", extra=keys),), {"id": "a"})
    with _logged() as logged:
        write_documents(tmp_path / "out", [document], name)
    if "mentions" not in FORMATS[name].holds:
        return
    options = READING.get(name, FormatOptions(discontinuous="join" if name == "brat" else "error"))
    (found,) = read_documents(tmp_path / "out", format=name, options=options)
    is_lost = found.entities[0].extra.get("fragments") != keys["fragments"]
    assert ("1 parts of discontinuous mentions" in logged.getvalue()) == is_lost


@contextlib.contextmanager
def _logged():
    """Yields the log of the block; Hypothesis cannot use `caplog`."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger("absl").addHandler(handler)
    try:
        yield stream
    finally:
        logging.getLogger("absl").removeHandler(handler)


def test_a_label_that_uie_reads_as_a_relation_is_refused(tmp_path):
    labelled = [Entity(0, 2, "手术"), Entity(2, 4, "手术的时间")]
    document = Document("1", "手术昨日行", tuple(labelled))
    with pytest.raises(
        RecordError, match=r"record 1: entity 2: `label`='手术的时间' is a relation in UIE.*; rename"
    ):
        write_documents(tmp_path / "out", [document], "uie")
    assert not (tmp_path / "out").exists()
    # Without a mention of that text it is none.
    write_documents(tmp_path / "out", [Document("1", "手术昨日行", (labelled[1],))], "uie")
    (found,) = read_documents(tmp_path / "out")
    assert [entity.label for entity in found.entities] == ["手术的时间"]


def test_records_of_one_text_that_uie_joins_are_counted(tmp_path, caplog):
    records = [Document("-", "左肾", (Entity(0, 1, label),)) for label in ("病", "药", "病")]
    path = tmp_path / "out.jsonl"
    with caplog.at_level("WARNING", logger="absl"):
        write_documents(path, records, "uie")
        assert "2 records apart from another one with the same text and id" in caplog.text
        caplog.clear()
        assert len(list(read_documents(path, overlaps="keep"))) == 1
    # Two labels may be those of one record; a label that comes again may not, nor may a record without mentions.
    assert "1 records apart from another one with the same text and id" in caplog.text
    write_documents(path, [Document("-", "左肾", (Entity(0, 1, "病"),)), Document("-", "左肾")], "uie")
    caplog.clear()
    with caplog.at_level("WARNING", logger="absl"):
        assert len(list(read_documents(path))) == 1
    assert "1 records apart from another one with the same text and id" in caplog.text
    caplog.clear()
    with caplog.at_level("WARNING", logger="absl"):
        named = [Document(str(i), "左肾", (Entity(0, 1, "病"),), {"id": str(i)}) for i in range(2)]
        write_documents(path, named, "uie")
        assert len(list(read_documents(path))) == 2
    assert not caplog.text


@pytest.mark.parametrize("scheme", ["bio", "iob1", "io", "bioes", "bmes", "bilou"])
@pytest.mark.parametrize("name", ["conll", "huggingface"])
def test_every_scheme_is_written_and_found(tmp_path, caplog, name, scheme):
    document = Document(
        "1",
        "左肾结石CT平扫药",
        (Entity(0, 1, "a b"), Entity(1, 4, "病"), Entity(4, 6, "查"), Entity(8, 9, "药")),
    )
    path = tmp_path / "records"
    write_documents(path, [document], name, options=FormatOptions(scheme=scheme))
    for options in (FormatOptions(), FormatOptions(scheme=scheme)):
        (found,) = read_documents(path, format=name, options=options)
        assert plain(found) == plain(document)


def test_io_names_the_bounds_that_it_loses(tmp_path, caplog):
    document = Document("1", "左肾", (Entity(0, 1, "病"), Entity(1, 2, "病")))
    path = tmp_path / "records.conll"
    with caplog.at_level("WARNING", logger="absl"):
        write_documents(path, [document], "conll", options=FormatOptions(scheme="io"))
    assert "1 bounds between touching mentions" in caplog.text
    (found,) = read_documents(path, format="conll")
    assert [(entity.start, entity.end) for entity in found.entities] == [(0, 2)]


@pytest.mark.parametrize(
    "name", [name for name in BOTH_WAYS if "overlapping mentions" not in FORMATS[name].holds]
)
def test_what_holds_no_overlaps_refuses_them(tmp_path, name):
    document = Document("1", "左肾结石", (Entity(0, 4, "病"), Entity(0, 2, "部位")))
    with pytest.raises(RecordError, match=r"record 1: entity 2: .*--overlaps=longest"):
        write_documents(tmp_path / "out", [document], name)
    assert not (tmp_path / "out").exists()


def test_plain_text_keeps_texts_and_refuses_line_feeds(tmp_path, caplog):
    path = tmp_path / "out.txt"
    with caplog.at_level("WARNING", logger="absl"):
        write_documents(path, [Document("1", "左肾\r结石", (Entity(0, 2, "病"),))], "text")
    assert "1 mentions" in caplog.text
    assert [document.text for document in read_documents(path, format="text")] == ["左肾\r结石"]
    with pytest.raises(RecordError, match="holds a line feed"):
        write_documents(path, [Document("1", "左\n肾")], "text")


@pytest.mark.parametrize("first", ["\ufeff左肾", "左肾\r", "\r", " \x0b", "", "左肾"])
def test_plain_text_loses_nothing_that_is_not_named(tmp_path, caplog, first):
    path, texts = tmp_path / "out.txt", [first, "\ufeff右肾"]
    with caplog.at_level("WARNING", logger="absl"):
        write_documents(path, [Document("-", text, extra={}) for text in texts], "text")
    found = [document.text for document in read_documents(path, format="text")]
    assert (found == texts) == (not caplog.text)
    named = {
        "左肾\r": "1 carriage returns at the end of a text",
        "\r": "1 texts of white space alone",
        " \x0b": "1 texts of white space alone",
        "": "1 records without text",
    }
    assert named.get(first, "") in caplog.text


def test_characters_that_xml_cannot_hold_are_refused(tmp_path):
    with pytest.raises(RecordError, match=r"U\+0000 at character 1.*uima_json"):
        write_documents(tmp_path / "out", [Document("1", "左\x00")], "uima_xmi")
    assert not (tmp_path / "out").exists()


def test_a_mention_between_cr_and_lf_is_refused_where_they_are_one(tmp_path):
    with pytest.raises(RecordError, match="between CR and LF"):
        write_documents(tmp_path / "out", [Document("1", "左\r\n", (Entity(0, 2, "病"),))], "brat")


def test_discontinuous_mentions(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.txt").write_text("左、右肾结石\n第二行", encoding="utf-8")
    (tmp_path / "in" / "1.ann").write_text(
        "T1\tD 0 1;3 6\t左 肾结石\nT2\tD 5 6;7 9\t石 第二\n", encoding="utf-8"
    )
    with pytest.raises(
        RecordError, match=r"1\.ann:1: entity 1: the mention has 2 parts; --discontinuous=join"
    ):
        list(read_documents(tmp_path / "in", overlaps="keep"))
    options = FormatOptions(discontinuous="join")
    for name in ("brat", "ccks2019", "cmeee"):
        (document,) = read_documents(tmp_path / "in", overlaps="keep", options=options)
        first, second = document.entities
        assert (first.text, first.extra["fragments"]) == ("左、右肾结石", [[0, 1], [3, 6]])
        # A mention over the end of a line is one mention.
        assert (second.text, dict(second.extra)) == ("石\n第二", {})
        out = tmp_path / name
        write_documents(out, [document], name)
        (again,) = read_documents(out, overlaps="keep", options=options)
        assert plain(again) == plain(document)
        assert again.entities[0].extra["fragments"] == [[0, 1], [3, 6]]
        if name == "brat":
            assert (out / "1.ann").read_text(encoding="utf-8").startswith("T1\tD 0 1;3 6\t左 肾结石\n")


def test_a_folder_that_is_there_is_not_written_to(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept.txt").write_text("x", encoding="utf-8")
    with pytest.raises(Exception, match="already exists"):
        write_documents(tmp_path / "out", [Document("1", "左")], "brat")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
