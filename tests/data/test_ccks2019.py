"""CCKS2019 JSON lines: every rule by its message, what is kept, and the round trip."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_ner_tf.data.ccks2019 import parse_record, record_line
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.record_error import RecordError

TEXT = "左肾结石，予头孢。"
STONE = {"label_type": "病", "overlap": 0, "start_pos": 0, "end_pos": 4}
DRUG = {"label_type": "药", "overlap": 0, "start_pos": 6, "end_pos": 8}


def _line(*entities, **keys):
    return json.dumps({"originalText": TEXT, "entities": list(entities)} | keys, ensure_ascii=False)


def _without(key):
    return {name: value for name, value in STONE.items() if name != key}


def test_a_good_record():
    document, dropped = parse_record(_line(DRUG, STONE), "f:1", labels=("病", "药"))
    assert document == Document("f:1", TEXT, (Entity(0, 4, "病"), Entity(6, 8, "药")))
    assert dropped == 0
    assert document.mention(document.entities[1]) == "头孢"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "the line is not JSON: Expecting value at column 1"),
        ('{"originalText": "', "the line is not JSON: Unterminated string starting at column 18"),
        ('{"originalText": "a\tb"}', "the line is not JSON: Invalid control character at column 20"),
        ('{"originalText": "左\\q"}', "the line is not JSON: Invalid \\escape at column 20"),
        ('{"a": 1} {"a": 1}', "the line is not JSON: Extra data at column 10"),
        ("[" * 100_000, "the line is not JSON: nested too deeply"),
        (f'{{"n": {"7" * 5000}}}', "the line is not JSON: a number has too many digits"),
        ("[1]", "the line does not hold a JSON object"),
        ('{"a": 1, "a": 2}', "an object of the line has a key twice"),
        ('{"entities": []}', "`originalText` is missing"),
        ('{"originalText": 5, "entities": []}', "`originalText`=5 is not a string"),
        ('{"originalText": null, "entities": []}', "`originalText`=null is not a string"),
        (
            '{"originalText": "ab\\ud800", "entities": []}',
            "`originalText`=<U+D800 at character 2> holds a lone surrogate",
        ),
        (f'{{"originalText": "{TEXT}"}}', "`entities` is missing"),
        (f'{{"originalText": "{TEXT}", "entities": null}}', "`entities`=null is not a list"),
        (f'{{"originalText": "{TEXT}", "entities": {{}}}}', "`entities`=<object> is not a list"),
        (_line(id=1.5), "`id`=1.5 is neither a string nor a whole number"),
        (_line(id=True), "`id`=true is neither a string nor a whole number"),
        (_line(STONE, "头孢"), "entity 2: the mention is not an object: <string of 2 characters>"),
        (_line(_without("label_type")), "entity 1: `label_type` is missing"),
        (_line(_without("start_pos")), "entity 1: `start_pos` is missing"),
        (_line(DRUG, _without("end_pos")), "entity 2: `end_pos` is missing"),
        (_line(STONE | {"label_type": 3}), "entity 1: `label_type`=3 is not a string"),
        (
            _line(STONE | {"start_pos": "0"}),
            "entity 1: `start_pos`=<string of 1 characters> is not a whole number",
        ),
        (_line(STONE | {"start_pos": False}), "entity 1: `start_pos`=false is not a whole number"),
        (_line(STONE | {"end_pos": 4.0}), "entity 1: `end_pos`=4.0 is not a whole number"),
        (_line(STONE | {"end_pos": math.nan}), "entity 1: `end_pos`=nan is not a whole number"),
        (_line(STONE | {"start_pos": -1}), "entity 1: `start_pos`=-1 is before the text"),
        (
            _line(DRUG, DRUG, STONE | {"end_pos": 412}),
            "entity 3: `end_pos`=412 is past the end of the text (9 characters)",
        ),
        (_line(STONE | {"start_pos": 4}), "entity 1: `end_pos`=4 is the same as `start_pos`=4"),
        (_line(STONE | {"start_pos": 7}), "entity 1: `end_pos`=4 is before `start_pos`=7"),
        (_line(STONE | {"label_type": "症"}), "entity 1: `label_type`='症' is not one of the labels 病, 药"),
        (_line(STONE | {"label_type": ""}), "entity 1: `label_type`='' is empty"),
        (_line(STONE | {"label_type": "病\n"}), "entity 1: `label_type`='病\\n' has white space at an edge"),
        (
            _line(DRUG, STONE | {"end_pos": 7}),
            "entity 1: `start_pos`=6 overlaps entity 2, which goes from 0 to 7",
        ),
        (_line(STONE, STONE), "entity 2: `start_pos`=0 overlaps entity 1, which goes from 0 to 4"),
    ],
)
def test_bad_records_are_named_without_their_text(line, message):
    with pytest.raises(RecordError) as caught:
        parse_record(line, "f:1", labels=("病", "药"))
    assert str(caught.value) == message
    assert "结石" not in f"{caught.value}{caught.value.rule}{caught.value.value}"


def test_fields_of_an_error():
    with pytest.raises(RecordError) as caught:
        parse_record(_line(STONE | {"end_pos": 412}), "f:1")
    error = caught.value
    assert (error.entity, error.rule, error.value) == (
        1,
        "`end_pos` is past the end of the text (9 characters)",
        "412",
    )


def test_long_values_are_cut_short():
    with pytest.raises(RecordError) as caught:
        parse_record(_line(STONE | {"end_pos": 10**3000}), "f:1")
    assert len(str(caught.value)) < 150
    with pytest.raises(RecordError) as caught:
        parse_record(_line(STONE | {"label_type": "长" * 3000}), "f:1", labels=("病",))
    assert len(str(caught.value)) < 150


def test_mentions_that_touch_do_not_overlap():
    touching = STONE | {"start_pos": 4, "end_pos": 5}
    document, _ = parse_record(_line(STONE, touching), "f:1")
    assert [(entity.start, entity.end) for entity in document.entities] == [(0, 4), (4, 5)]


def test_longest_drops_and_counts():
    inner = STONE | {"start_pos": 1, "end_pos": 2}
    document, dropped = parse_record(_line(inner, STONE, DRUG), "f:1", overlaps="longest")
    assert [(entity.start, entity.end) for entity in document.entities] == [(0, 4), (6, 8)]
    assert dropped == 1


@pytest.mark.parametrize("labels", [("b", "a"), ("a", "b")])
def test_of_two_mentions_with_one_span_the_first_given_is_kept(labels):
    twins = [STONE | {"label_type": label} for label in labels]
    document, dropped = parse_record(_line(*twins), "f:1", overlaps="longest")
    assert [entity.label for entity in document.entities] == [labels[0]]
    assert dropped == 1


def test_a_label_that_is_not_in_use_is_the_last_fault_that_is_looked_for():
    # Labels that are inferred are those of records without other faults: their users are not sent there again.
    odd = STONE | {"label_type": "症"}
    with pytest.raises(RecordError, match="past the end"):
        parse_record(_line(odd, DRUG | {"end_pos": 412}), "f:1", labels=("病", "药"))
    with pytest.raises(RecordError, match="overlaps entity 1"):
        parse_record(_line(odd, STONE | {"start_pos": 1}), "f:1", labels=("病", "药"))


@pytest.mark.parametrize("key", ["entity", "text", "mention"])
def test_a_mention_with_its_own_text(key):
    document, _ = parse_record(_line(DRUG | {key: "头孢"}), "f:1")
    assert json.loads(record_line(document))["entities"][0][key] == "头孢"
    # A value that is not a string is not a text.
    parse_record(_line(DRUG | {key: ["头"]}), "f:1")
    with pytest.raises(RecordError) as caught:
        parse_record(_line(STONE, DRUG | {key: "头孢曲松"}), "f:1")
    assert str(caught.value) == (
        f"entity 2: `{key}`=<string of 4 characters> is not the text of the record from 6 to 8; neither UTF-16 units "
        "nor inclusive ends would fit"
    )


@pytest.mark.parametrize(
    ("start", "end", "own", "message"),
    [
        # U+20000 and U+1F600 are two units of UTF-16 each: 肝癌 is 2 to 4 in code points.
        (
            4,
            6,
            "肝癌",
            "from 4 to 6; it would fit if the offsets counted UTF-16 units; read them with --offset_unit=utf16$",
        ),
        (
            2,
            3,
            "肝癌",
            "from 2 to 3; it would fit if the end were inclusive; read it with --offset_end=inclusive$",
        ),
        (
            4,
            5,
            "肝癌",
            "from 4 to 5; it would fit if the offsets counted UTF-16 units and the end were inclusive; read them "
            "with --offset_unit=utf16 --offset_end=inclusive$",
        ),
        (6, 8, "好。", "`end_pos`=8 is past the end .*; it would fit if the offsets counted UTF-16 units;"),
        (4, 4, "好", "`end_pos`=4 is the same as `start_pos`=4, .*; it would fit if the end were inclusive;"),
        (9, 12, "好。", r"`end_pos`=12 is past the end of the text \(6 characters\)$"),
    ],
)
def test_offsets_that_count_otherwise(start, end, own, message):
    text = "\U00020000\U0001f600肝癌好。"
    mention = STONE | {"start_pos": start, "end_pos": end, "text": own}
    with pytest.raises(RecordError, match=message) as caught:
        parse_record(json.dumps({"originalText": text, "entities": [mention]}), "f:1")
    assert own not in str(caught.value)


def test_entities_may_be_absent_where_they_are_not_required_yet_are_checked_where_present():
    document, _ = parse_record('{"originalText": "左"}', "f:1", require_entities=False)
    assert document.entities == ()
    with pytest.raises(RecordError, match="past the end"):
        parse_record(_line(STONE | {"end_pos": 412}), "f:1", require_entities=False)


@pytest.mark.parametrize(("given", "expected"), [("a", "a"), (7, "7"), ("", "f:1"), (None, "f:1")])
def test_ids(given, expected):
    document, _ = parse_record(_line(id=given), "f:1")
    assert document.id == expected
    assert json.loads(record_line(document))["id"] == given


def test_offsets_count_code_points():
    text = "\U0001f600\U00020000e\u0301肝"
    line = json.dumps({"originalText": text, "entities": [STONE | {"start_pos": 4, "end_pos": 5}]})
    document, _ = parse_record(line, "f:1")
    assert document.mention(document.entities[0]) == "肝"


@pytest.mark.parametrize(
    ("score", "expected"), [(0.25, 0.25), (1, 1.0), (0, 0.0), (2.5, None), (True, None), ("x", None)]
)
def test_scores_are_read_where_they_are_probabilities_and_kept_in_any_case(score, expected):
    document, _ = parse_record(_line(STONE | {"score": score}), "f:1")
    assert document.entities[0].score == expected
    assert json.loads(record_line(document))["entities"][0]["score"] == score


def test_written_keys_and_their_order():
    document = Document(
        "x",
        "肝癌\n",
        (Entity(0, 2, "病", 0.5, {"by": "a"}),),
        {"ward": 7, "id": "x", "note": {"k": [None, True]}},
    )
    assert record_line(document) == (
        '{"id": "x", "originalText": "肝癌\\n", "entities": [{"label_type": "病", "overlap": 0, "by": "a", '
        '"start_pos": 0, "end_pos": 2, "score": 0.5}], "ward": 7, "note": {"k": [null, true]}}'
    )


def test_an_id_of_our_own_making_is_not_written():
    document, _ = parse_record('{"originalText": "肝", "entities": []}', "f:1")
    assert document.id == "f:1"
    assert "id" not in json.loads(record_line(document))
    assert json.loads(record_line(Document("f:1", "肝")))["id"] == "f:1"  # a caller's own


def test_a_line_is_one_line_to_every_reader_and_valid_utf8():
    line = record_line(Document("f:1", "a\u2028b\u2029c\x85d\r\n\x1c", (), {"other": "\ud800"}))
    assert line.splitlines() == [line]
    assert line.encode("utf-8")
    document, _ = parse_record(line, "f:1")
    assert document.text == "a\u2028b\u2029c\x85d\r\n\x1c"
    assert document.extra == {"other": "\ud800"}


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_RECORD_KEYS = st.text(max_size=5).filter(lambda key: key not in ("originalText", "entities", "id"))
_MENTION_KEYS = st.text(max_size=5).filter(
    lambda key: key not in ("label_type", "start_pos", "end_pos", "score")
)


@st.composite
def _records(draw):
    text = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    entities = [
        draw(st.dictionaries(_MENTION_KEYS, _VALUES, max_size=2))
        | {"overlap": draw(st.sampled_from([0, 1, "0"]))}
        | {"label_type": draw(st.sampled_from(["病", "Body Part"])), "start_pos": start, "end_pos": end}
        | draw(st.sampled_from([{}, {"score": 0.75}]))
        for start, end in zip(cuts[::2], cuts[1::2], strict=False)
    ]
    record = draw(st.dictionaries(_RECORD_KEYS, _VALUES, max_size=3))
    return record | {"originalText": text, "entities": entities} | draw(st.sampled_from([{}, {"id": 9}]))


@given(_records(), st.booleans())
def test_reading_and_writing_lose_nothing(record, ascii_only):
    line = json.dumps(record, ensure_ascii=ascii_only)
    document, dropped = parse_record(line, "f:1")
    assert json.loads(record_line(document)) == record
    assert dropped == 0
