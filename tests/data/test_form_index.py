"""The index of forms, against a plain search."""

from hypothesis import given
from hypothesis import strategies as st

from emr_ner_tf.data.form_index import FormIndex

_TEXT = st.text("肝癌a", max_size=12)


@given(_TEXT, st.sets(st.text("肝癌a", max_size=5), max_size=8))
def test_occurrences_are_those_of_a_plain_search(text, forms):
    expected = [
        (start, end)
        for start in range(len(text))
        for end in range(len(text), start + 1, -1)
        if text[start:end] in forms
    ]
    assert list(FormIndex(forms).occurrences(text)) == expected
