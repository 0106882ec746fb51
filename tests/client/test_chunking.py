"""Texts into requests and back: every character is owned once, limits hold, offsets are those of the text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emr_ner_tf.client.chunking import check_answer, merge, plan_requests, split_text
from emr_ner_tf.client.options import ServingError
from emr_ner_tf.data.document import Entity

_TEXTS = st.lists(st.text("患者。\nab", max_size=9000), max_size=5)


@settings(max_examples=60, deadline=None)
@given(text=st.text("患者。\nab", max_size=9000), most=st.integers(1024, 5000))
def test_pieces_own_each_character_once_and_see_around_it(text, most):
    pieces = split_text(3, text, most)
    assert all(piece.text == 3 and piece.end - piece.start <= most for piece in pieces)
    owned = [at for piece in pieces for at in range(piece.owned_from, min(piece.owned_to, len(text)))]
    assert owned == list(range(len(text)))
    assert pieces[0].start == 0
    assert pieces[-1].end == len(text)
    for piece in pieces[1:]:
        assert piece.owned_from - piece.start >= 100
    for piece in pieces[:-1]:
        assert piece.end - piece.owned_to >= 100


def test_a_piece_ends_behind_a_sentence_where_one_ends_near():
    text = ("患者入院" * 20 + "。") * 100
    for piece in split_text(0, text, 2000)[:-1]:
        assert text[piece.owned_to - 1] == "。"


@settings(max_examples=60, deadline=None)
@given(texts=_TEXTS, max_records=st.integers(1, 4), most=st.integers(1024, 6000))
def test_requests_keep_the_limits(texts, max_records, most):
    requests = plan_requests(texts, max_records=max_records, max_characters=most)
    assert {piece.text for request in requests for piece in request} == set(range(len(texts)))
    for request in requests:
        assert 1 <= len(request) <= max_records
        assert len(request) * max(piece.end - piece.start for piece in request) <= most


@settings(max_examples=60, deadline=None)
@given(texts=_TEXTS, spans=st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 60)), max_size=40))
def test_mentions_come_back_where_they_stood(texts, spans):
    gold = [[] for _ in texts]
    for i, text in enumerate(texts):
        for start, width in sorted(spans):
            if start + width <= len(text) and (not gold[i] or gold[i][-1].end <= start):
                gold[i].append(Entity(start, start + width, "甲", 0.5))
    requests = plan_requests(texts, max_records=3, max_characters=1500)
    pieces = [piece for request in requests for piece in request]
    # The answers of a model that always finds the gold mentions, for each piece.
    seen = [
        [
            Entity(entity.start - piece.start, entity.end - piece.start, entity.label, entity.score)
            for entity in gold[piece.text]
            if piece.start <= entity.start and entity.end <= piece.end
        ]
        for piece in pieces
    ]
    assert merge(len(texts), pieces, seen) == [tuple(members) for members in gold]


def test_a_mention_over_a_border_is_returned_once():
    pieces = split_text(0, "患" * 3000, 1500)
    border = pieces[0].owned_to
    # The second piece sees the mention cut in two; the first one, which owns its start, sees it whole.
    seen = [[] for _ in pieces]
    seen[0] = [Entity(border - 5, border + 5, "甲")]
    seen[1] = [
        Entity(border - 5 - pieces[1].start, border - pieces[1].start, "甲"),
        Entity(border - pieces[1].start, border + 5 - pieces[1].start, "甲"),
    ]
    assert merge(1, pieces, seen) == [(Entity(border - 5, border + 5, "甲"),)]


@pytest.mark.parametrize(("start", "end"), [(3, 5), (-1, 2), (2, 2), (3, 1)])
def test_an_entity_of_another_text_is_refused(start, end):
    pieces = split_text(0, "four", 2000)
    with pytest.raises(
        ServingError,
        match=rf"^ner:8500: UNKNOWN: the answer has an entity from {start} to {end}, which is not in the 4 characters",
    ):
        check_answer("ner:8500", pieces, [[Entity(start, end, "x", 1.0)]])
    check_answer("ner:8500", pieces, [[Entity(0, 4, "x", 1.0)]])
