"""A list of texts is a list of strings, for whatever tags them."""

import json
import os

import pytest

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.texts import check_texts, escape_surrogates
from emr_ner_tf.errors import UserError
from emr_ner_tf.evaluation.lookup import LookupAnnotator
from emr_ner_tf.inference.annotator import encode_texts

WRONG = [
    ("患者胃癌", r"got one str; put it into a list: \[text\]"),
    ("患者胃癌".encode(), "got one bytes"),
    (["患者", "胃癌".encode()], "text 1: must be a string, got bytes; decode it first"),
    (["患者", None], "text 1: must be a string, got NoneType"),
    (["患者", ["胃癌"]], "text 1: must be a string, got list"),
    ({"患者": 1}, "got dict"),
    ({"患者"}, "got set"),
    (None, "got NoneType"),
    (["患者", "a\ud800"], r"text 1: character 1 is the lone surrogate U\+D800"),
]


@pytest.mark.parametrize(("texts", "message"), WRONG)
@pytest.mark.parametrize("take", [check_texts, encode_texts, LookupAnnotator([]).predict])
def test_what_is_no_list_of_texts_is_refused(take, texts, message):
    with pytest.raises(UserError, match=message) as caught:
        take(texts)
    assert not any(character in str(caught.value) for character in "患者胃癌")


def test_an_iterator_is_read_once():
    assert check_texts(text for text in ("患者", "")) == ["患者", ""]


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ("患者胃癌", "documents must be a list of texts or documents, got one str"),
        (Document("1", "患者胃癌"), "got one Document"),
        ([Document("1", "患者"), 5], "document 1: must be a text or a Document, got int"),
        ([Document("1", None)], "document 0: must be a string, got NoneType"),
    ],
)
def test_what_is_no_list_of_documents_is_refused(documents, message):
    with pytest.raises(UserError, match=message):
        list(LookupAnnotator([]).annotate(documents))


def test_a_name_that_is_not_utf8_can_be_shown():
    name = os.fsdecode("病.jsonl".encode("gb18030"))
    assert escape_surrogates(name) == r"\udcb2\udca1.jsonl"
    assert escape_surrogates("病\\历😀.jsonl") == "病\\历😀.jsonl"
    assert json.loads(escape_surrogates(json.dumps({name: [name]}, ensure_ascii=False))) == {name: [name]}
