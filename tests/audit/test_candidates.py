"""Where annotated and predicted mentions differ."""

import pytest

from emr_ner_tf.audit.candidates import compare
from emr_ner_tf.audit.folds import assign_folds
from emr_ner_tf.data.document import Entity
from emr_ner_tf.errors import UserError


def _mentions(*spans):
    return [Entity(*span) for span in spans]


@pytest.mark.parametrize(
    ("annotated", "predicted", "expected"),
    [
        ([(0, 2, "病", 0.9)], [(0, 2, "病", 0.9)], []),
        ([], [(0, 2, "病", 0.7)], [("missing", 0.7, 0, 2, "病", 0)]),
        ([(0, 2, "病", 0.1)], [], [("spurious", 0.8, 0, 2, "病", 1)]),
        ([(0, 2, "病", 0.1)], [(0, 2, "药", 0.6)], [("label", 0.6, 0, 2, "药", 1)]),
        ([(0, 2, "病", 0.1)], [(0, 3, "病", 0.6)], [("boundary", 0.6, 0, 3, "病", 1)]),
        ([(0, 2, "病", 0.1), (2, 4, "药", 0.1)], [(1, 3, "病", 0.6)], [("boundary", 0.6, 1, 3, "病", 2)]),
        (
            [(0, 2, "病", 0.9), (5, 6, "药", 0.1)],
            [(0, 2, "病", 0.9), (3, 4, "药", 0.4)],
            [("missing", 0.4, 3, 4, "药", 0), ("spurious", 0.8, 5, 6, "药", 1)],
        ),
    ],
)
def test_kinds(annotated, predicted, expected):
    annotated = _mentions(*annotated)
    found = compare(annotated, [0.8] * len(annotated), _mentions(*predicted))
    assert [(*one[:5], len(one.annotated)) for one in found] == expected


def test_folds():
    texts = [f"{i // 2}" for i in range(40)]
    folds = assign_folds(texts, 3, seed=1)
    assert folds == assign_folds(texts, 3, seed=1) != assign_folds(texts, 3, seed=2)
    assert all(folds[i] == folds[i + 1] for i in range(0, 40, 2))
    assert sorted(folds.count(fold) for fold in set(folds)) == [12, 14, 14]
    with pytest.raises(UserError, match="at most the number of different texts, 20"):
        assign_folds(texts, 21, seed=1)
