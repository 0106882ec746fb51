"""Checks of forms: which occurrences count."""

import pytest

from emr_ner_tf.data.checks.check import check_corpus
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.reading import Located

CHECKED = ("missed_repeat", "missed_form", "differing_boundaries", "variant_forms", "several_labels")


def _found(*documents):
    """Returns the findings on forms: kind and the spans of the places, by record."""
    report = check_corpus(
        lambda rejects: [Located(document, "f", i) for i, document in enumerate(documents, start=1)]
    )
    return [
        (finding.kind, [(place.line, place.start, place.end) for place in finding.places])
        for kind in CHECKED
        for finding in report.of_kind(kind)
    ]


def _document(text, *spans, label="病"):
    return Document("-", text, [Entity(start, end, label) for start, end in spans])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("做CT", [("missed_form", [(2, 1, 3)])]),
        # Part of a longer word, or of a number.
        ("做SPECT", []),
        ("做CT2", []),
        ("做CT片", [("missed_form", [(2, 1, 3)])]),
    ],
)
def test_words_of_latin_letters_count_whole(text, expected):
    assert _found(_document("查CT", (1, 3)), _document(text)) == expected


def test_a_number_is_no_part_of_another():
    assert _found(_document("服5mg", (1, 4)), _document("服2.5mg、15mg")) == []


def test_one_character_is_no_form_to_look_for():
    assert _found(_document("肝大", (0, 1)), _document("肝功能")) == []


def test_the_longest_occurrence_counts():
    one = _document("右肺上叶，上叶", (0, 4), (5, 7))
    assert _found(one, _document("查右肺上叶")) == [("missed_form", [(2, 1, 5)])]


def test_an_occurrence_within_a_longer_mention_is_annotated():
    assert _found(_document("右肺", (0, 2)), _document("右肺上叶", (0, 4))) == []


def test_a_part_of_a_form_is_a_differing_boundary_once():
    whole = _document("右肺上叶", (0, 4))
    both = _document("右肺上叶见上叶", (0, 2), (5, 7))
    assert _found(whole, both) == [("differing_boundaries", [(2, 0, 4)])]


def test_nested_mentions_are_no_differing_boundary():
    assert _found(_document("右肺上叶", (0, 4)), _document("查右肺上叶", (1, 5), (1, 3))) == []


def test_a_repeat_is_reported_with_its_record():
    one = _document("肝癌，肝癌，肝癌", (0, 2))
    assert _found(one, _document("无肝癌")) == [
        ("missed_repeat", [(1, 3, 5), (1, 6, 8)]),
        ("missed_form", [(2, 1, 3)]),
    ]


def test_white_space_at_an_edge_is_no_other_form():
    assert _found(_document("肝癌 ", (0, 3)), _document("有肝癌", (1, 3))) == []


def test_variants_in_width_and_case():
    documents = [_document(text, (0, 2)) for text in ("CT。", "CT，", "ＣＴ", "ct")]
    assert _found(*documents) == [("variant_forms", [(3, 0, 2)]), ("variant_forms", [(4, 0, 2)])]


def test_the_rarer_label_is_the_place():
    documents = [_document("胰岛素", (0, 3), label=label) for label in ("药", "药", "检")]
    assert _found(*documents) == [("several_labels", [(3, 0, 3)])]
