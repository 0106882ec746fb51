"""Figures of a corpus: on a handful of records, and the paper's Table III on the real ones."""

import math

from hypothesis import given
from hypothesis import strategies as st

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.labels import CCKS2019_LABELS
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.stats import PERCENTILES, corpus_stats


def test_a_handful():
    documents = [
        Document("1", "肝癌 肝癌", (Entity(0, 2, "病"), Entity(3, 5, "病"), Entity(2, 3, "药"))),
        Document("2", "肝癌 ", (Entity(0, 3, "病"),)),
        Document("3", "x" * 300),
        Document("4", "x" * 511),
    ]
    stats = corpus_stats(documents, ("药", "病", "疾病和诊断"))
    assert stats.to_json() == {
        "records": 4,
        "characters": 819,
        "mentions": 4,
        "mentions_with_white_space_at_an_edge": 2,
        "labels": {
            "药": {"name": "药", "mentions": 1, "distinct_forms": 1},
            "病": {"name": "病", "mentions": 3, "distinct_forms": 2},
            "疾病和诊断": {"name": "Diseases", "mentions": 0, "distinct_forms": 0},
        },
        "length_percentiles": {
            "0": 3,
            "5": 3,
            "25": 3,
            "50": 5,
            "75": 300,
            "90": 511,
            "95": 511,
            "99": 511,
            "100": 511,
        },
        "records_longer_than": {"254": 2, "510": 1},
    }


def test_no_records():
    stats = corpus_stats([], ("病",))
    assert (stats.records, stats.mentions, stats.length_percentiles) == (0, 0, {})


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200))
def test_percentiles_are_of_nearest_rank(lengths):
    stats = corpus_stats([Document("x", "x" * length) for length in lengths], ())
    ordered = sorted(lengths)
    expected = {p: ordered[max(0, math.ceil(p / 100 * len(ordered)) - 1)] for p in PERCENTILES}
    assert stats.length_percentiles == expected


def test_table_iii(shared):
    folder = shared / "data/ccks2019"
    documents = [
        document
        for part in (1, 2)
        for document in read_documents(folder / f"subtask1_training_part{part}.txt", labels=CCKS2019_LABELS)
    ]
    stats = corpus_stats(documents, tuple(CCKS2019_LABELS))
    assert (stats.records, stats.mentions) == (1000, 17653)
    assert [label.distinct_forms for label in stats.by_label.values()] == [2116, 222, 318, 765, 456, 1486]
    assert stats.length_percentiles[100] == 1664
    assert stats.longer_than[254] == 840
