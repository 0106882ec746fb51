"""The kinds of errors: cases by hand, sums, and nervaluate where its categories apply."""

import nervaluate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.evaluation.errors import confusion, kind_counts, kinds_by_label, match_mentions
from emr_ner_tf.evaluation.scoring import score

LABELS = ("疾病和诊断", "药物", "手术")
DISEASE, DRUG, OPERATION = LABELS
TEXT = "患者因右肺上叶腺癌入院行右肺上叶切除术予头孢哌酮静滴"


def _match(gold, predicted):
    return match_mentions(
        *(Document("1", TEXT, [Entity(*each) for each in side]) for side in (gold, predicted))
    )


@pytest.mark.parametrize(
    ("gold", "predicted", "kinds"),
    [
        ([(3, 9, DISEASE)], [(3, 9, DISEASE)], []),
        ([(3, 9, DISEASE)], [], ["missed"]),
        ([], [(3, 9, DISEASE)], ["spurious"]),
        ([(3, 9, DISEASE)], [(5, 9, DISEASE)], ["boundary"]),
        ([(3, 9, DISEASE)], [(3, 9, DRUG)], ["label"]),
        ([(3, 9, DISEASE)], [(5, 9, DRUG)], ["boundary and label"]),
        # Neighbours share no character.
        ([(3, 9, DISEASE)], [(9, 11, DISEASE)], ["missed", "spurious"]),
        # One prediction over two mentions is one error with the larger part, and the other mention is missed.
        ([(3, 5, DISEASE), (5, 9, DISEASE)], [(3, 9, DISEASE)], ["missed", "boundary"]),
        # Two predictions on one mention: the one with the right label pairs, though the other shares more characters.
        ([(3, 9, DISEASE)], [(3, 7, DRUG), (7, 9, DISEASE)], ["spurious", "boundary"]),
        # The same boundaries come before the same label.
        ([(3, 9, DISEASE)], [(3, 9, DRUG), (4, 9, DISEASE)], ["label", "spurious"]),
        # A mention that has an exact match takes no part in errors.
        ([(3, 9, DISEASE)], [(3, 9, DISEASE), (3, 5, DISEASE)], ["spurious"]),
        # The same mention predicted twice is one match.
        ([(3, 9, DISEASE)], [(3, 9, DISEASE), (3, 9, DISEASE)], ["spurious"]),
    ],
)
def test_kinds_by_hand(gold, predicted, kinds):
    found = _match(gold, predicted)
    assert [error.kind for error in found.errors] == kinds
    assert len(found.matches) == len(set(gold) & set(predicted))


def test_larger_part():
    errors = _match([(3, 5, DISEASE), (5, 9, DISEASE)], [(3, 9, DISEASE)]).errors
    assert errors[0].gold == Entity(3, 5, DISEASE)
    assert errors[1].gold == Entity(5, 9, DISEASE)
    assert (errors[0].start, errors[1].start) == (3, 3)
    assert errors[1].labels == (DISEASE,)


def test_the_probability_of_a_match_is_kept():
    predicted = Document("1", TEXT, [Entity(3, 9, DISEASE, 0.25)])
    ((gold, found),) = match_mentions(Document("1", TEXT, [Entity(3, 9, DISEASE)]), predicted).matches
    assert (gold.score, found.score) == (None, 0.25)


def test_counts_by_label_and_confusion_by_hand():
    gold = [(3, 9, DISEASE), (12, 19, OPERATION), (20, 24, DRUG), (0, 2, DISEASE)]
    predicted = [(3, 9, DISEASE), (12, 18, OPERATION), (20, 24, DISEASE), (24, 26, DRUG)]
    found = _match(gold, predicted)
    assert kind_counts(found.errors) == {
        "missed": 1,
        "spurious": 1,
        "boundary": 1,
        "label": 1,
        "boundary and label": 0,
    }
    counts = kinds_by_label(found.errors, LABELS)
    nonzero = {
        (label, side, kind): count
        for label, sides in counts.items()
        for side, kinds in sides.items()
        for kind, count in kinds.items()
        if count
    }
    assert nonzero == {
        (DISEASE, "fn", "missed"): 1,
        (DISEASE, "fp", "label"): 1,
        (DRUG, "fn", "label"): 1,
        (DRUG, "fp", "spurious"): 1,
        (OPERATION, "fn", "boundary"): 1,
        (OPERATION, "fp", "boundary"): 1,
    }
    assert confusion([found], LABELS) == [
        [1, 0, 0, 1],
        [1, 0, 0, 0],
        [0, 0, 1, 0],
        [0, 1, 0, 0],
    ]


MENTIONS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 6), st.sampled_from(LABELS)).map(
        lambda drawn: (drawn[0], drawn[0] + drawn[1], drawn[2])
    ),
    max_size=7,
)


@given(st.lists(st.tuples(MENTIONS, MENTIONS), max_size=3))
def test_kinds_add_up_to_false_positives_and_negatives(records):
    gold, predicted = (
        [Document(str(n), TEXT, [Entity(*each) for each in pair[side]]) for n, pair in enumerate(records)]
        for side in (0, 1)
    )
    matchings = [match_mentions(*pair) for pair in zip(gold, predicted, strict=True)]
    errors = [error for matching in matchings for error in matching.errors]
    scores = score(gold, predicted, LABELS).exact
    kinds = kind_counts(errors)
    assert sum(len(matching.matches) for matching in matchings) == scores.micro.true_positives
    assert sum(kinds.values()) - kinds["spurious"] == scores.micro.false_negatives
    assert sum(kinds.values()) - kinds["missed"] == scores.micro.false_positives
    by_label, table = kinds_by_label(errors, LABELS), confusion(matchings, LABELS)
    for i, (label, row) in enumerate(scores.by_type.items()):
        assert sum(by_label[label]["fn"].values()) == row.false_negatives
        assert sum(by_label[label]["fp"].values()) == row.false_positives
        assert sum(table[i]) == row.support
        assert sum(line[i] for line in table) == row.predicted


def _counts_of_schemes(kinds, matches):
    """Returns the mapping of docs/evaluation.md: nervaluate's counts from ours."""
    label, boundary, both = (kinds[kind] for kind in ("label", "boundary", "boundary and label"))
    ends = {"missed": kinds["missed"], "spurious": kinds["spurious"]}
    return {
        "strict": ends | {"correct": matches, "incorrect": label + boundary + both, "partial": 0},
        "exact": ends | {"correct": matches + label, "incorrect": boundary + both, "partial": 0},
        "ent_type": ends | {"correct": matches + boundary, "incorrect": label + both, "partial": 0},
        "partial": ends | {"correct": matches + label, "incorrect": 0, "partial": boundary + both},
    }


def _nervaluate(gold, predicted):
    # Its ends are those of the last character.
    sides = [
        [[{"start": start, "end": end - 1, "label": label} for start, end, label in side]]
        for side in (gold, predicted)
    ]
    overall = nervaluate.Evaluator(*sides, tags=list(LABELS), loader="dict").evaluate()["overall"]
    names = ("missed", "spurious", "correct", "incorrect", "partial")
    return {scheme: {name: getattr(counts, name) for name in names} for scheme, counts in overall.items()}


# The scenarios of nervaluate's documentation, and the category of each under its four schemes, by hand.
SCENARIOS = {
    "match": ([(0, 4, DISEASE)], [(0, 4, DISEASE)], ("correct", "correct", "correct", "correct")),
    "missed": ([(0, 4, DISEASE)], [], ("missed",) * 4),
    "spurious": ([], [(0, 4, DISEASE)], ("spurious",) * 4),
    "label": ([(0, 4, DISEASE)], [(0, 4, DRUG)], ("incorrect", "correct", "incorrect", "correct")),
    "boundary": ([(0, 4, DISEASE)], [(1, 4, DISEASE)], ("incorrect", "incorrect", "correct", "partial")),
    "boundary and label": (
        [(0, 4, DISEASE)],
        [(1, 4, DRUG)],
        ("incorrect", "incorrect", "incorrect", "partial"),
    ),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_scenarios_of_nervaluate(scenario):
    gold, predicted, categories = SCENARIOS[scenario]
    found = _match(gold, predicted)
    assert {error.kind for error in found.errors} == {scenario} - {"match"}
    ours = _counts_of_schemes(kind_counts(found.errors), len(found.matches))
    for scheme, category in zip(("strict", "exact", "ent_type", "partial"), categories, strict=True):
        assert [name for name, count in ours[scheme].items() if count] == [category]
    assert ours == _nervaluate(gold, predicted)


# In each part of ten characters there is at most one mention of each side, so that none overlaps two.
_ONE = st.none() | st.tuples(st.integers(0, 4), st.integers(5, 10), st.sampled_from(LABELS))


@given(st.lists(st.tuples(_ONE, _ONE), max_size=5))
def test_the_counts_of_nervaluate(parts):
    gold, predicted = (
        [
            (10 * n + pair[side][0], 10 * n + pair[side][1], pair[side][2])
            for n, pair in enumerate(parts)
            if pair[side]
        ]
        for side in (0, 1)
    )
    found = match_mentions(
        *(Document("1", "无" * 50, [Entity(*each) for each in side]) for side in (gold, predicted))
    )
    ours = _counts_of_schemes(kind_counts(found.errors), len(found.matches))
    assert ours == _nervaluate(gold, predicted)
