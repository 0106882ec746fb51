"""Which of overlapping mentions stays, against a plain reading of the rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_ner_tf.data.document import Entity
from emr_ner_tf.data.validation import keep_longest_spans, label_problem

_ENTITIES = st.lists(
    st.tuples(st.integers(0, 12), st.integers(1, 6), st.sampled_from("ab")).map(
        lambda drawn: Entity(drawn[0], drawn[0] + drawn[1], drawn[2])
    ),
    max_size=12,
).map(sorted)


@given(_ENTITIES)
def test_longest_is_what_taking_them_by_length_gives(entities):
    left, expected = list(entities), []
    while left:
        best = max(
            left, key=lambda entity: (entity.end - entity.start, -entity.start, -entities.index(entity))
        )
        expected.append(best)
        left = [entity for entity in left if entity.end <= best.start or best.end <= entity.start]
    assert keep_longest_spans(entities) == sorted(expected)


def test_longest_of_a_chain_and_of_equals():
    chain = [Entity(0, 5, "a"), Entity(4, 10, "a"), Entity(9, 12, "a")]
    assert keep_longest_spans(chain) == [chain[1]]
    equal = [Entity(0, 3, "b"), Entity(2, 5, "a")]
    assert keep_longest_spans(equal) == [equal[0]]
    assert keep_longest_spans([]) == []


@pytest.mark.parametrize("label", ["病", "Body Part", "B-病", "<U+0020>"])
def test_names(label):
    assert label_problem(label) is None


@pytest.mark.parametrize("label", ["", " ", "a\tb", "病\u3000", "a\u200bb", "\ud800"])
def test_no_names(label):
    assert label_problem(label) is not None
