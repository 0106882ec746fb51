"""Every word of a lexicon in every text at once, by a walk of core operations through constant arrays."""

from typing import NamedTuple

import tensorflow as tf

from emr_ner_tf.text.trie import Trie


class Matches(NamedTuple):
    """Occurrences of words, the shorter words first, those of one length in the order of the texts.

    Attributes:
        row: int32 [N], the text.
        start: int32 [N], the word's first token.
        end: int32 [N], its last token.
        word: int32 [N], its number, from 0.
    """

    row: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor
    word: tf.Tensor


class WordMatcher:
    """Finds all words, overlapping ones too. Its arrays are tensors, so that all graphs share one copy.

    Attributes:
        longest: tokens of the longest word.
    """

    def __init__(self, trie: Trie) -> None:
        self.longest = int(trie.length.max())
        self._base = tf.constant(trie.base)
        self._check = tf.constant(trie.check)
        self._word = tf.constant(trie.word)

    def __call__(self, token_ids: tf.Tensor, length: tf.Tensor) -> Matches:
        """Walks down the trie from all positions together, a token deeper at a time.

        The work is bounded by positions times `longest`, and mostly far less: only positions at which a word may
        still go on are kept.

        Args:
            token_ids: int32 [B, T], ids of the vocabulary; what stands past `length` is not read.
            length: int32 [B].

        Returns:
            Words that lie within their text's length.
        """
        real = tf.sequence_mask(length, tf.shape(token_ids)[1])
        # A column of padding ends every walk, so that none goes on in the next text.
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
