"""Passages cut at sentence ends into windows, and each epoch's sentence pairs from them.

Every character of every passage is in exactly one window of each epoch.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from emr_ner_tf.pretraining.rng import PAIRS, random_stream

# A sentence keeps the quotes and brackets that close behind its end.
_SENTENCE_END = re.compile(r"[。！？!?；;…\n]+[”’\"'）)】》」』]*")
_PAUSE = re.compile(r"[，,、：:\s]")


class Windows(NamedTuple):
    """Runs of neighbouring sentences of one passage, as long as fits.

    Attributes:
        piece_starts: int64 [P + 1], where the sentences lie in the text of all passages, one after the other.
        first: int64 [N], the first sentence of each window.
        end: int64 [N], one past its last.
        passage: int64 [N], which passage it is of.
    """

    piece_starts: np.ndarray
    first: np.ndarray
    end: np.ndarray
    passage: np.ndarray


class Pairs(NamedTuple):
    """What a model sees of each window in one epoch: [CLS] A [SEP] B [SEP], or [CLS] A [SEP].

    Attributes:
        a_start: int64 [N], where A begins in the text of all passages.
        a_end: int64 [N].
        b_start: int64 [N].
        b_end: int64 [N], equal to `b_start` where there is no B.
        other: int32 [N], 0 where B follows A, 1 where it is of another passage, -1 where there is no B: the labels
            of BERT's next-sentence head.
    """

    a_start: np.ndarray
    a_end: np.ndarray
    b_start: np.ndarray
    b_end: np.ndarray
    other: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """int64 [N], characters of A and B."""
        return self.a_end - self.a_start + self.b_end - self.b_start


def cut_windows(passages: Sequence[str], size: int) -> Windows:
    """Cuts passages at sentence ends, and sentences that are longer than a window at a pause or, last, anywhere.

    Args:
        passages: texts.
        size: most characters in a window.
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
    """Parts each window of two sentences or more into A and B at random, and exchanges the B of half of them.

    Those that exchange are of different passages and of like length, so that both still fit and length tells
    nothing. A window of one sentence has no B.

    Args:
        windows: of `cut_windows`.
        size: most characters in A and B together.
        seed: of the run.
        epoch: counted from 0.

    Returns:
        The pairs in the order of the windows; the same arguments give the same.
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
    """Lengths of the sentences, none above `size`."""
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
