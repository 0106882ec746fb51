"""Counts of parts of the mentions, by hand."""

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.evaluation.errors import match_mentions
from emr_ner_tf.evaluation.report import Counts
from emr_ner_tf.evaluation.slices import by_mention_length, by_record_length, count_by

SHORT = Document("1", "头痛。", [Entity(0, 2, "症状")])
LONG = Document("2", "右肺上叶腺癌" + "无" * 94, [Entity(0, 6, "疾病"), Entity(50, 51, "症状")])
GOLD = [SHORT, LONG]
FOUND = [SHORT, Document("2", LONG.text, [Entity(0, 4, "疾病"), Entity(60, 80, "疾病")])]
MATCHINGS = [match_mentions(*pair) for pair in zip(GOLD, FOUND, strict=True)]


def test_by_mention_length():
    # The prediction that is too short counts where its own length is.
    assert by_mention_length(GOLD, MATCHINGS) == {
        "1": Counts(0, 0, 1),
        "2": Counts(1, 0, 0),
        "4": Counts(0, 1, 0),
        "5–6": Counts(0, 0, 1),
        "15+": Counts(0, 1, 0),
    }
    assert list(by_mention_length(GOLD, MATCHINGS)) == ["1", "2", "4", "5–6", "15+"]


def test_by_record_length():
    assert by_record_length(GOLD, MATCHINGS) == {"0–99": Counts(1, 0, 0), "100–199": Counts(0, 2, 2)}


def test_by_any_key():
    assert count_by(GOLD, MATCHINGS, lambda _, entity: entity.label) == {
        "症状": Counts(1, 0, 1),
        "疾病": Counts(0, 2, 1),
    }
