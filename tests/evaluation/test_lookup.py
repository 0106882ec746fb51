"""The lookup baseline against a naive one that tries every slice."""

from hypothesis import given
from hypothesis import strategies as st

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.evaluation.lookup import LookupAnnotator

TEXTS = st.text(alphabet="肝胆胃癌炎", max_size=10)


@st.composite
def annotated(draw):
    text = draw(TEXTS)
    places = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)), st.sampled_from("甲乙丙"))
    drawn = draw(st.lists(places, max_size=6))
    return Document("x", text, tuple(Entity(a, b, label) for a, b, label in drawn if a < b))


def naive(documents, text):
    """Returns the leftmost start, the longest form there and its most frequent label, by trying everything."""
    forms = [(d.text[e.start : e.end], e.label) for d in documents for e in d.entities]
    found, start = [], 0
    while start < len(text):
        ends = [
            end for end in range(start + 1, len(text) + 1) if text[start:end] in [form for form, _ in forms]
        ]
        if not ends:
            start += 1
            continue
        labels = [label for form, label in forms if form == text[start : ends[-1]]]
        most = max(labels.count(label) for label in labels)
        found.append(Entity(start, ends[-1], min(label for label in labels if labels.count(label) == most)))
        start = ends[-1]
    return tuple(found)


@given(st.lists(annotated(), max_size=5), st.lists(TEXTS, max_size=5))
def test_equals_the_naive_one(documents, texts):
    assert LookupAnnotator(documents).predict(texts) == [naive(documents, text) for text in texts]


def test_longest_form_first_and_none_past_the_end():
    train = [
        Document(
            "x",
            "胃癌根治术后胃",
            (Entity(0, 5, "手术"), Entity(6, 7, "解剖部位"), Entity(0, 2, "疾病和诊断")),
        )
    ]
    tagger = LookupAnnotator(train)
    assert tagger.predict(["行胃癌根治术", "胃癌根治", "胃"]) == [
        (Entity(1, 6, "手术"),),
        (Entity(0, 2, "疾病和诊断"),),
        (Entity(0, 1, "解剖部位"),),
    ]


def test_label_of_a_form_with_two():
    one = Document("x", "甲状腺素", (Entity(0, 4, "药物"),))
    other = Document("y", "甲状腺素", (Entity(0, 4, "实验室检验"),))
    assert LookupAnnotator([one, other]).predict(["甲状腺素"])[0][0].label == "实验室检验"
    assert LookupAnnotator([one, one, other]).predict(["甲状腺素"])[0][0].label == "药物"


def test_no_training_mentions():
    assert LookupAnnotator([]).predict(["胃癌", ""]) == [(), ()]
