"""Two sets of predictions on the same records, by hand."""

import json

import pytest

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.errors import UserError
from emr_ner_tf.evaluation.comparison import compare

LABELS = ("疾病", "药物")
TEXTS = ("右肺腺癌，予头孢。", "头痛。")
GOLD = [
    Document("1", TEXTS[0], [Entity(0, 4, "疾病"), Entity(6, 8, "药物")]),
    Document("2", TEXTS[1], [Entity(0, 2, "疾病")]),
]
ONE = [
    Document("1", TEXTS[0], [Entity(0, 4, "疾病", 0.9), Entity(6, 8, "药物", 0.8)]),
    Document("2", TEXTS[1], [Entity(0, 1, "疾病", 0.3)]),
]
OTHER = [
    Document("1", TEXTS[0], [Entity(0, 4, "疾病", 0.7), Entity(5, 8, "药物", 0.6)]),
    Document("2", TEXTS[1], [Entity(0, 1, "疾病", 0.2)]),
]


def test_by_hand():
    found = compare(GOLD, ONE, OTHER, LABELS, "other")
    assert found.found == {
        "疾病": {"both": 1, "only_one": 0, "only_other": 0, "neither": 1},
        "药物": {"both": 0, "only_one": 1, "only_other": 0, "neither": 0},
    }
    assert found.wrong == {
        "疾病": {"both": 1, "only_one": 0, "only_other": 0},
        "药物": {"both": 0, "only_one": 0, "only_other": 1},
    }
    assert [(d.record, d.entity, d.side, d.is_correct) for d in found.disagreements] == [
        (0, Entity(5, 8, "药物"), "only_other", False),
        (0, Entity(6, 8, "药物"), "only_one", True),
    ]
    assert [d.entity.score for d in found.disagreements] == [0.6, 0.8]
    assert found.difference.difference == pytest.approx(2 / 3 - 1 / 3)
    as_json = json.loads(json.dumps(found.to_json()))
    assert as_json["exact"]["micro"]["tp"] == 1
    assert as_json["found"]["药物"]["only_one"] == 1
    assert not any(text[:2] in json.dumps(found.to_json(), ensure_ascii=False) for text in TEXTS)


def test_the_same_predictions():
    found = compare(GOLD, ONE, ONE, LABELS, "same")
    assert found.difference[:3] == (0, 0, 0)
    assert found.difference.p == 1
    assert found.disagreements == []


def test_other_records():
    with pytest.raises(UserError, match="2 annotated and 1 predicted"):
        compare(GOLD, ONE, OTHER[:1], LABELS, "other")
