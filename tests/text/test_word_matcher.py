"""Words found by the trie's walk, against every substring looked up in a set."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from emr_ner_tf.errors import UserError
from emr_ner_tf.text.trie import build_trie
from emr_ner_tf.text.vocabulary import Vocabulary
from emr_ner_tf.text.word_matcher import WordMatcher

LETTERS = "abcd"
SMALL = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS))
SMALL_TABLE = SMALL.code_point_table()


def found(matcher, texts, vocabulary=SMALL, width=None):
    """Matches as (row, start, end, number of the word)."""
    table = SMALL_TABLE if vocabulary is SMALL else vocabulary.code_point_table()
    length = [len(text) for text in texts]
    # The characters past the length would continue a word.
    ids = np.full([len(texts), width or max(length, default=0)], len(vocabulary.tokens) - 1, np.int32)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = [table[ord(character)] for character in text]
    matches = matcher(tf.constant(ids), tf.constant(length, tf.int32))
    assert all(field.dtype == tf.int32 for field in matches)
    return sorted(zip(*(field.numpy().tolist() for field in matches), strict=True))


def expected(words, texts):
    return sorted(
        (row, start, end, words.index(text[start : end + 1]))
        for row, text in enumerate(texts)
        for start in range(len(text))
        for end in range(start, len(text))
        if text[start : end + 1] in words
    )


@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(st.text(LETTERS, min_size=2, max_size=5), min_size=1, max_size=12, unique=True),
    texts=st.lists(st.text(LETTERS, max_size=12), max_size=4),
    extra=st.integers(0, 3),
)
def test_equals_all_substrings(words, texts, extra):
    trie = build_trie(words, SMALL)
    assert (trie.unknown, trie.duplicates) == (0, 0)
    np.testing.assert_array_equal(trie.kept, np.arange(len(words)))
    width = max(map(len, texts), default=0) + extra
    assert found(WordMatcher(trie), texts, width=width) == expected(words, texts)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("abcdAB*", min_size=2, max_size=4), min_size=1, max_size=10, unique=True))
def test_words_fold_as_text_does_and_those_with_unknown_characters_are_left_out(words):
    known = [word for word in words if "*" not in word]
    if not known:
        with pytest.raises(UserError, match=f"{len(words)} words"):
            build_trie(words, SMALL)
        return
    folded = [word.lower() for word in known]
    distinct = list(dict.fromkeys(folded))
    trie = build_trie(words, SMALL)
    assert trie.unknown == len(words) - len(known)
    assert trie.duplicates == len(known) - len(distinct)
    # Of words that fold alike the first one stays.
    assert [words[place] for place in trie.kept] == [known[folded.index(word)] for word in distinct]
    np.testing.assert_array_equal(trie.length, [len(word) for word in distinct])
    texts = ["".join(folded), "*".join(known), "A*b"]
    assert found(WordMatcher(trie), texts) == expected(distinct, [text.lower() for text in texts])


def test_a_word_of_one_character_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        build_trie(["ab", "c"], SMALL)


def test_many_words_of_a_large_vocabulary():
    # Many children of one node, many nodes of one child, ids up to the very last.
    characters = [chr(0x4E00 + i) for i in range(4000)]
    vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters))
    rng = np.random.default_rng(0)
    # Some characters are far more frequent than others, as in words.
    drawn = (4000 * rng.random([20_000, 6]) ** 3).astype(int).tolist()
    words = ["".join(characters[i] for i in row[: 2 + n % 5]) for n, row in enumerate(drawn)]
    words = list(dict.fromkeys([*words, characters[-1] * 6]))
    trie = build_trie(words, vocabulary)
    nodes = len({word[:end] for word in words for end in range(1, len(word) + 1)})
    assert (trie.check >= 0).sum() == nodes
    assert len(trie.base) < 1.5 * nodes + len(vocabulary.tokens)
    texts = ["".join(words[i] for i in row) for row in rng.integers(len(words), size=[5, 30])]
    places = {word: place for place, word in enumerate(words)}
    brute = sorted(
        (row, start, start + n - 1, places[text[start : start + n]])
        for row, text in enumerate(texts)
        for start in range(len(text))
        for n in range(2, 7)
        if start + n <= len(text) and text[start : start + n] in places
    )
    assert len(brute) >= 150
    assert found(WordMatcher(trie), texts, vocabulary) == brute


def test_a_graph_of_core_operations_for_every_shape():
    trie = build_trie(["ab", "bcd", "abc"], SMALL)
    graph = tf.function(
        WordMatcher(trie),
        input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)],
        autograph=False,
    )
    assert found(graph, ["abcd", "", "bab"]) == [(0, 0, 1, 0), (0, 0, 2, 2), (0, 1, 3, 1), (2, 1, 2, 0)]
    assert found(graph, []) == []
    assert found(graph, ["", ""]) == []
    types = {node.type for node in graph.get_concrete_function().graph.get_operations()}
    assert not {name for name in types if "Table" in name or "Py" in name}
