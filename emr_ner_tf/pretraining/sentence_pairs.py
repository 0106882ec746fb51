"""Cuts passages into windows at sentence ends and makes the sentence pairs of each epoch.

Every character of every passage is in exactly one window of each epoch.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from emr_ner_tf.pretraining.rng import PAIRS, random_stream

# Closing quotes and brackets after the end belong to the sentence.
_SENTENCE_END = re.compile(r"[。！？!?；;…\n]+[”’\"'）)】》」』]*")
_PAUSE = re.compile(r"[，,、：:\s]")


class Windows(NamedTuple):
    """Sequences of consecutive sentences of one passage, as long as a window allows.

    Attributes:
        piece_starts: int64 [P + 1], start of each sentence in the concatenated text of all passages, and its end.
        first: int64 [N], the first sentence of each window.
        end: int64 [N], one past its last sentence.
        passage: int64 [N], index of its passage.
    """

    piece_starts: np.ndarray
    first: np.ndarray
    end: np.ndarray
    passage: np.ndarray


class Pairs(NamedTuple):
    """The form of each window in one epoch: [CLS] A [SEP] B [SEP], or [CLS] A [SEP].

    Attributes:
        a_start: int64 [N], start of A in the text of all passages.
        a_end: int64 [N].
        b_start: int64 [N].
        b_end: int64 [N], equal to `b_start` if there is no B.
        other: int32 [N], 0 if B follows A, 1 if B is from another passage, -1 if there is no B: the labels
            of BERT's next-sentence head.
    """

    a_start: np.ndarray
    a_end: np.ndarray
    b_start: np.ndarray
    b_end: np.ndarray
    other: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """int64 [N], number of characters of A and B."""
        return self.a_end - self.a_start + self.b_end - self.b_start


def cut_windows(passages: Sequence[str], size: int) -> Windows:
    """Cuts passages at sentence ends; a sentence longer than a window is cut at a pause or, without one, anywhere.

    Args:
        passages: texts.
        size: maximum number of characters in a window.
    """
    lengths: list[int] = []
    firsts, passage = [], []
    for number, text in enumerate(passages):
        room = 0
        for length in _pieces(text, size):
            if length > room:
                firsts.append(len(lengths))
                passage.append(number)
                room = size
            room -= length
            lengths.append(length)
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    ends = np.array([*firsts[1:], len(lengths)][: len(firsts)], np.int64)
    return Windows(starts, np.array(firsts, np.int64), ends, np.array(passage, np.int64))


def pair_sentences(windows: Windows, *, size: int, seed: int, epoch: int) -> Pairs:
    """Splits each window of two or more sentences into A and B at random, and exchanges the B of half of them.

    Windows that exchange B are from different passages and of similar length, so that both still fit and the length
    does not reveal the exchange. A window of one sentence has no B.

    Args:
        windows: windows of `cut_windows`.
        size: maximum number of characters in A and B together.
        seed: seed of the run.
        epoch: number of the epoch, counted from 0.

    Returns:
        The pairs in the order of the windows; the same arguments give the same pairs.
    """
    random = random_stream(seed, PAIRS, epoch)
    sentences = windows.end - windows.first
    middle = windows.first + 1 + (random.random(len(sentences)) * (sentences - 1)).astype(np.int64)
    a_start, a_end = windows.piece_starts[windows.first], windows.piece_starts[middle]
    b_start, b_end = a_end.copy(), windows.piece_starts[windows.end]
    paired = np.flatnonzero(sentences > 1)
    other = np.full(len(sentences), -1, np.int32)
    other[paired] = 0
    half = random.permutation(paired)[: len(paired) // 2 // 2 * 2]
    half = half[np.argsort((b_end - b_start)[half], kind="stable")]
    one, two = half[::2], half[1::2]
    a_length, b_length = a_end - a_start, b_end - b_start
    fits = windows.passage[one] != windows.passage[two]
    fits &= a_length[one] + b_length[two] <= size
    fits &= a_length[two] + b_length[one] <= size
    here, there = np.concatenate([one[fits], two[fits]]), np.concatenate([two[fits], one[fits]])
    b_start[here], b_end[here] = b_start[there], b_end[there]
    other[here] = 1
    return Pairs(a_start, a_end, b_start, b_end, other)


def _pieces(text: str, size: int) -> Iterator[int]:
    """Yields the lengths of the sentences, none above `size`."""
    begin = 0
    for end in [match.end() for match in _SENTENCE_END.finditer(text)] + [len(text)]:
        while end - begin > size:
            pauses = [match.end() for match in _PAUSE.finditer(text, begin + size // 2, begin + size)]
            cut = pauses[-1] if pauses else begin + size
            yield cut - begin
            begin = cut
        if end > begin:
            yield end - begin
        begin = end
