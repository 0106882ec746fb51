"""Checks of records against one another: short ones that are alike, or part of others, also of held-out records."""

import pytest

from emr_ner_tf.data.checks.check import check_corpus
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.reading import Located

SHORT = "患者神志清，精神可。"
LONG = f"查体：{SHORT}予出院。"
KINDS = ("duplicate_record", "near_duplicate_records", "leaked_record", "leaked_text")


def _located(texts, file):
    return [Located(Document(f"{file}:{i}", text), file, i) for i, text in enumerate(texts, start=1)]


def _found(texts, heldout=()):
    report = check_corpus(lambda _: _located(texts, "train"), lambda _: _located(heldout, "heldout"))
    return [
        (finding.kind, [str(place) for place in finding.places], finding.message)
        for kind in KINDS
        for finding in report.of_kind(kind)
    ]


@pytest.mark.parametrize("texts", [[SHORT, LONG], [LONG, SHORT], [SHORT, f" {SHORT[:-1]}"]])
def test_short_near_duplicates_are_found(texts):
    ((kind, places, message),) = _found(["无关的记录", *texts])
    assert (kind, places) == ("near_duplicate_records", ["train:3"])
    assert message.startswith("2 different records share 30 characters")
    assert message.endswith("train:2")
    assert not any(text in message for text in (*texts, "神志"))


@pytest.mark.parametrize(
    ("train", "heldout", "message"),
    [
        (LONG, SHORT, "is part of the training record at train:2"),
        (SHORT, LONG, "contains the whole of the training record at train:2"),
        (
            SHORT,
            SHORT.replace("，", ","),
            "differs only in white space, punctuation, case or width from, the ",
        ),
    ],
)
def test_short_leaks_are_found(train, heldout, message):
    found = _found(["无关的记录", train], ["另一条", heldout, heldout])
    assert [(kind, places) for kind, places, _ in found] == [
        ("leaked_text", ["heldout:2"]),
        ("leaked_text", ["heldout:3"]),
    ]
    assert all(message in said for *_, said in found)


def test_records_that_differ_and_short_phrases_are_not_found():
    assert not _found(["左肾结石", "右肾结石", "无"], ["左肾", "右肾癌", "患者无不适"])
