"""BIO columns: what is written, what is refused, files of others, and the round trip through both formats."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_ner_tf.data.bio_columns import bio_block
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.reading import RecordError, read_documents
from emr_ner_tf.data.writing import write_documents


def _read(tmp_path, content, **options):
    path = tmp_path / "records.bio"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return list(read_documents(path, format="bio", **options))


def test_what_is_written():
    document = Document(
        "f:1", "肝癌 #\n", (Entity(0, 2, "病", extra={"overlap": 0}), Entity(3, 4, "Body Part")), {}
    )
    assert bio_block(document) == "肝\tB-病\n癌\tI-病\n<U+0020>\tO\n#\tB-Body Part\n<U+000A>\tO\n\n"


def test_other_keys_are_in_a_line_before_the_record():
    document = Document(
        "x", "肝", (Entity(0, 1, "病", 0.5, {"by": "a", "overlap": 1}),), {"id": "x", "ward": 7}
    )
    first, rest = bio_block(document).split("\n", 1)
    assert first.startswith("# {")
    assert json.loads(first[2:]) == {
        "id": "x",
        "ward": 7,
        "entities": [{"by": "a", "overlap": 1, "score": 0.5}],
    }
    assert rest == "肝\tB-病\n\n"


@pytest.mark.parametrize("format", ["auto", "bio", "conll"])
def test_byte_order_marks_of_concatenated_files_are_no_text(tmp_path, format):
    path = tmp_path / "records.bio"
    path.write_text("\ufeff肝\tB-病\n\n\ufeff癌\tB-病\n\ufeff痛\tO\n\ufeff\n\ufeff\tO\n", encoding="utf-8")
    documents = list(read_documents(path, format=format))
    # Before a tab, it is the character of the row.
    assert [document.text for document in documents] == ["肝", "癌痛", "\ufeff"]


def test_files_of_others_are_read(tmp_path):
    content = "\ufeff肝 B-病\r\n癌 I-病\r\n  O\r\n# O\r\n\r\n\r\n \t\r\n予\tO\n药\t\tB-药"
    documents = _read(tmp_path, content)
    assert [document.text for document in documents] == ["肝癌 #", "予药"]
    assert documents[0].entities == (Entity(0, 2, "病"),)
    assert documents[1].entities == (Entity(1, 2, "药"),)
    assert [document.id for document in documents] == [f"{tmp_path}/records.bio:{line}" for line in (1, 8)]


def test_neighbours_of_one_label_stay_two(tmp_path):
    (document,) = _read(tmp_path, "肝\tB-病\n癌\tB-病\n痛\tI-病\n")
    assert document.entities == (Entity(0, 1, "病"), Entity(1, 3, "病"))


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("肝\tI-病\n", 1, "`tag`='I-病' does not follow B or I of its label"),
        ("肝\tB-病\n癌\tO\n痛\tI-病\n", 3, "`tag`='I-病' does not follow B or I of its label"),
        ("肝\tB-病\n癌\tI-药\n", 2, "`tag`='I-药' does not follow B or I of its label"),
        ("好\tO\n\n肝\tS-病\n", 3, "`tag`='S-病' is not O, B-label or I-label"),
        ("肝\t癌痛\n", 1, "`tag`=<string of 2 characters> is not O, B-label or I-label"),
        ("肝\tB-\n", 1, "`label`='' is empty"),
        ("肝\tB-症\n", 1, "`label`='症' is not one of the labels 病, 药"),
        ("肝\n", 1, "the line is not one character, a tab or a space, and a tag: 1 characters in 1 columns"),
        (
            "肝癌\tO\n",
            1,
            "the line is not one character, a tab or a space, and a tag: 4 characters in 2 columns",
        ),
        ("<U+110000>\tO\n", 1, "`character`=<U+110000> is no code point"),
        ("<U+D800>\tO\n", 1, "`character`=<U+D800 at character 0> holds a lone surrogate"),
        (
            "# {no json\n肝\tO\n",
            1,
            "the line is not JSON: Expecting property name enclosed in double quotes at column 2",
        ),
        (
            '# {"entities": [null]}\n肝\tO\n',
            1,
            "`entities`=<list of 1> is not a list with one element for each",
        ),
        (
            '# {"entities": [5]}\n肝\tB-病\n',
            1,
            "entity 1: the keys of the mention are neither null nor an object: 5",
        ),
        (
            '# {"entities": [{"text": "胃"}]}\n肝\tB-病\n',
            1,
            "entity 1: `text`=<string of 1 characters> is not the text of the record from 0 to 1",
        ),
        ("肝\tB-症\n癌\tI-病\n", 2, "`tag`='I-病' does not follow B or I of its label"),
        ("癌\tO\n肝\tB-症\n痛\tI-症\n", 2, "`label`='症' is not one of the labels 病, 药"),
        ('# {"id": []}\n肝\tO\n', 1, "`id`=<list of 0> is neither a string nor a whole number"),
        (
            "肝\tO\n".encode() + b"\xe8\x82\tO\n",
            2,
            "the line is not valid UTF-8: 0xe8 at byte 0 of the line, 6 of the",
        ),
    ],
)
def test_what_is_refused(tmp_path, content, line, message):
    with pytest.raises(RecordError) as caught:
        _read(tmp_path, content, labels=("病", "药"))
    assert str(caught.value).startswith(f"{tmp_path}/records.bio:{line}: {message}")
    assert caught.value.line == line


@pytest.mark.parametrize("own", ["胃", "肝癌", "癌"])
def test_the_remedy_of_another_text_is_about_tags(tmp_path, own):
    """Columns have no offsets, so no other way to count them would help."""
    content = f'# {{"entities": [{{"mention": "{own}"}}]}}\n\U00020000\tO\n肝\tB-病\n癌\tO\n'
    with pytest.raises(RecordError) as caught:
        _read(tmp_path, content)
    assert str(caught.value) == (
        f"{tmp_path}/records.bio:1: entity 1: `mention`=<string of {len(own)} characters> is not the text of the "
        "record from 1 to 2; correct the tags, or correct or delete the key"
    )


_TEXT = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from(" \t\n\r\x0b\x85\u2028\u3000\ufeff\ue000#<>U+0020{}"),
    max_size=20,
)
_EXTRA = st.dictionaries(
    st.sampled_from(["ward", "注", "a\nb"]), st.text(max_size=4) | st.integers() | st.none(), max_size=2
)


@st.composite
def _documents(draw):
    text = draw(_TEXT)
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    entities = tuple(
        Entity(
            start,
            end,
            draw(st.sampled_from(["病", "Body Part"])),
            draw(st.none() | st.floats(0, 1)),
            draw(_EXTRA),
        )
        for start, end in zip(cuts[::2], cuts[1::2], strict=False)
    )
    return text, entities, draw(_EXTRA) | draw(st.sampled_from([{}, {"id": 3}]))


@given(st.lists(_documents(), max_size=4))
def test_columns_lose_nothing(tmp_path_factory, drawn):
    path = tmp_path_factory.mktemp("round") / "records.bio"
    documents = [Document("x", text, entities, extra) for text, entities, extra in drawn]
    assert write_documents(path, documents, "bio") == len(documents)
    found = list(read_documents(path, format="bio"))
    assert [(document.text, document.entities, document.extra) for document in found] == drawn
    assert [[(entity.score, entity.extra) for entity in document.entities] for document in found] == [
        [(entity.score, entity.extra) for entity in entities] for _, entities, _ in drawn
    ]
    again = path.with_name("again.bio")
    write_documents(again, found, "bio")
    assert again.read_bytes() == path.read_bytes()
