"""Training windows: every character once, gold paths legal, cuts outside mentions where there is room."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.text.vocabulary import Vocabulary
from emr_ner_tf.training.examples import build_examples

_TABLE = TagTable(("甲", "乙"))
_VOCABULARY = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "。"))


@st.composite
def _documents(draw):
    text = draw(st.text("abc。", max_size=90))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=12)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    labels = draw(st.lists(st.sampled_from(_TABLE.labels), min_size=len(pairs), max_size=len(pairs)))
    entities = tuple(Entity(s, e, label) for (s, e), label in zip(pairs, labels, strict=True))
    return Document("x", text, entities)


@settings(deadline=None, max_examples=40)
@given(documents=st.lists(_documents(), max_size=4))
def test_windows(documents):
    examples = build_examples(documents, _VOCABULARY, _TABLE, window=20, slack=6)
    text = "".join(document.text for document in documents)
    assert [_VOCABULARY.tokens[i] for i in examples.token_ids] == list(text)
    assert (examples.lengths > 0).all()
    assert (examples.lengths <= 20).all()
    for first, last in zip(examples.offsets, examples.offsets[1:], strict=False):
        tags = examples.tag_ids[first:last]
        assert _TABLE.allowed_start[tags[0]]
        assert _TABLE.allowed_end[tags[-1]]
        assert _TABLE.allowed[tags[:-1], tags[1:]].all()
    # A character's label is its gold label, whatever window it is in.
    gold = np.full(len(text), -1)
    offset = 0
    for document in documents:
        for entity in document.entities:
            gold[offset + entity.start : offset + entity.end] = _TABLE.labels.index(entity.label)
        offset += len(document.text)
    np.testing.assert_array_equal(_TABLE.label_of[examples.tag_ids], gold)


def test_cut_falls_on_punctuation_outside_a_mention():
    text = "aaaaaaaa。aaaa。aaaaaaaaaa"
    document = Document("x", text, (Entity(11, 16, "甲"),))
    examples = build_examples([document], _VOCABULARY, _TABLE, window=16, slack=8)
    assert examples.lengths.tolist()[0] == 9
