"""Finds all words of a lexicon in all texts at once, with core operations on constant arrays."""

from typing import NamedTuple

import tensorflow as tf

from emr_ner_tf.text.trie import Trie


class Matches(NamedTuple):
    """Occurrences of words, sorted by the length of the word, then by text and position.

    Attributes:
        row: int32 [N], index of the text.
        start: int32 [N], position of the word's first token.
        end: int32 [N], position of the word's last token.
        word: int32 [N], number of the word, counted from 0.
    """

    row: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor
    word: tf.Tensor


class WordMatcher:
    """Finds all words, including overlapping ones. Its arrays are tensors, so that all graphs share one copy.

    Attributes:
        longest: number of tokens of the longest word.
    """

    def __init__(self, trie: Trie) -> None:
        self.longest = int(trie.length.max())
        self._base = tf.constant(trie.base)
        self._check = tf.constant(trie.check)
        self._word = tf.constant(trie.word)

    def __call__(self, token_ids: tf.Tensor, length: tf.Tensor) -> Matches:
        """Walks down the trie from all positions at once, one token per step.

        The work is at most the number of positions times `longest`, and usually far less, because only positions at
        which a word may continue are kept.

        Args:
            token_ids: int32 [B, T], ids of the vocabulary; values past `length` are ignored.
            length: int32 [B].

        Returns:
            The words within the lengths of the texts.
        """
        real = tf.sequence_mask(length, tf.shape(token_ids)[1])
        # A column of padding ends every walk, so that none continues into the next text.
        padded = tf.pad(tf.where(real, token_ids, -1), [[0, 0], [0, 1]], constant_values=-1)
        tokens, width = tf.reshape(padded, [-1]), tf.shape(padded)[1]
        position = _indices(tokens >= 0)
        node = tf.zeros_like(position)
        starts, ends, words = [], [], []
        for depth in range(self.longest):
            token = tf.gather(tokens, position + depth)
            child = tf.gather(self._base, node) + tf.maximum(token, 0)
            alive = _indices((tf.gather(self._check, child) == node) & (token >= 0))
            position, node = tf.gather(position, alive), tf.gather(child, alive)
            word = tf.gather(self._word, node)
            found = _indices(word > 0)
            start = tf.gather(position, found)
            starts.append(start)
            ends.append(start + depth)
            words.append(tf.gather(word, found) - 1)
        start = tf.concat(starts, 0)
        return Matches(start // width, start % width, tf.concat(ends, 0) % width, tf.concat(words, 0))


def _indices(chosen: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.where(chosen)[:, 0], tf.int32)
