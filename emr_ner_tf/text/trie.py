"""A lexicon as a double-array trie over token ids: three arrays in which a child is found by two look-ups."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from emr_ner_tf.errors import UserError
from emr_ner_tf.text.vocabulary import Vocabulary

_BLOCK = 512


class Trie(NamedTuple):
    """Nodes are slots of the arrays, the root is slot 0.

    The child of `node` by `token` is the slot `base[node] + token`, if `check` of that slot is `node`; that slot is
    never past the end for a token of the vocabulary.

    Attributes:
        base: int32 [S].
        check: int32 [S], the parent; -1 for the root and for slots that are no node.
        word: int32 [S], number of the word that ends at the node, from 1; 0 where none does.
        length: int32 [N], tokens of each word.
        kept: int32 [N], the place of each word among those that the trie was built from, ascending.
        unknown: how many words were left out for a character that the vocabulary lacks.
        duplicates: how many were left out because an earlier word has the same token ids.
    """

    base: np.ndarray
    check: np.ndarray
    word: np.ndarray
    length: np.ndarray
    kept: np.ndarray
    unknown: int
    duplicates: int


def build_trie(words: Sequence[str], vocabulary: Vocabulary) -> Trie:
    """Builds the trie of the words' token ids, which fold characters as the text path does.

    Args:
        words: each of at least 2 characters.
        vocabulary: its `code_point_table` gives the ids.

    Raises:
        ValueError: a word is shorter.
        UserError: there is no word all of whose characters the vocabulary holds.

    Source:
        Aoe 1989, "An efficient digital search algorithm by using a double-array structure".
    """
    ids, length = _token_ids(words, vocabulary)
    known = ~(ids == vocabulary.unk_id).any(1)
    if not known.any():
        raise UserError(
            f"a lexicon must hold a word all of whose characters the vocabulary has, got {len(words)} words"
        )
    candidates = np.flatnonzero(known)
    # Stable, so that of equal rows the earliest word comes first.
    order = candidates[np.lexsort(ids[candidates].T[::-1])]
    first = np.ones(len(order), bool)
    first[1:] = (ids[order[1:]] != ids[order[:-1]]).any(1)
    order = order[first]
    kept = np.sort(order)
    parent, token, last = _nodes(ids[order], length[order])
    slot, base = _place(parent, token)

    size = int(base.max()) + len(vocabulary.tokens)
    arrays = {name: np.zeros(size, np.int32) for name in ("base", "check", "word")}
    arrays["base"][slot] = base
    arrays["check"][:] = -1
    arrays["check"][slot[1:]] = slot[parent]
    arrays["word"][slot[last]] = np.searchsorted(kept, order) + 1
    return Trie(
        **arrays,
        length=length[kept],
        kept=kept.astype(np.int32),
        unknown=len(words) - len(candidates),
        duplicates=len(candidates) - len(kept),
    )


def _token_ids(words: Sequence[str], vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Ids [N, L], -1 past the end of a word, and lengths [N]; both int32."""
    length = np.fromiter(map(len, words), np.int32, len(words))
    if len(words) and length.min() < 2:
        raise ValueError(f"a word must have at least 2 characters, got one of {length.min()}")
    codes = np.frombuffer("".join(words).encode("utf-32-le", "surrogatepass"), np.uint32)
    ids = np.full([len(words), length.max(initial=0)], -1, np.int32)
    ids[np.arange(ids.shape[1]) < length[:, np.newaxis]] = vocabulary.code_point_table()[codes]
    return ids, length


def _nodes(ids: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers the prefixes of sorted, distinct rows level by level; the root is 0.

    Returns:
        For each node after the root its parent (never descending) and its token, and for each row its last node.
    """
    node = np.zeros(len(ids), np.int64)
    differs = np.zeros(len(ids), bool)
    differs[0] = True
    parents, tokens, count = [], [], 1
    for level in range(ids.shape[1]):
        differs[1:] |= ids[1:, level] != ids[:-1, level]
        longer = length > level
        begins = differs & longer
        parents.append(node[begins])
        tokens.append(ids[begins, level])
        numbers = count + np.cumsum(begins) - 1
        node = np.where(longer, numbers, node)
        count += int(begins.sum())
    return np.concatenate(parents), np.concatenate(tokens), node


def _place(parent: np.ndarray, token: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gives every node a slot and a base (from 1), so that no two nodes have one slot."""
    nodes = len(parent) + 1
    degree = np.bincount(parent, minlength=nodes)
    start = np.cumsum(degree) - degree
    slot, base = np.zeros(nodes, np.int64), np.ones(nodes, np.int64)
    taken = np.zeros(2 * nodes + 2 * int(token.max()) + _BLOCK, bool)
    taken[0] = True
    several = np.flatnonzero(degree > 1)
    # The widest first, while there is room; nodes of one degree go on where the one before found its place.
    several = several[np.argsort(-degree[several], kind="stable")]
    at = previous = 0
    for node in several:
        if degree[node] != previous:
            previous, at = degree[node], 1
        tokens = token[start[node] : start[node] + degree[node]]
        offsets = tokens - tokens[0]
        # The base is at least 1, so that no child takes the root's slot.
        at = max(at, int(tokens[0]) + 1)
        while True:
            if at + _BLOCK + int(offsets[-1]) >= len(taken):
                taken = np.concatenate([taken, np.zeros(len(taken), bool)])
            free = at + np.flatnonzero(~taken[at : at + _BLOCK])
            fits = np.flatnonzero(~taken[free[:, np.newaxis] + offsets].any(1))
            if len(fits):
                break
            at += _BLOCK
        at = int(free[fits[0]])
        taken[at + offsets] = True
        base[node] = at - tokens[0]
        slot[start[node] + 1 + np.arange(len(tokens))] = at + offsets
    # An only child fits anywhere. Slots past the largest token leave its parent a base of at least 1.
    only = np.flatnonzero(degree == 1)
    child = start[only]
    beyond = int(token.max()) + 1
    free = beyond + np.flatnonzero(~taken[beyond:])[: len(only)]
    new = max(len(taken), beyond) + np.arange(len(only) - len(free))
    slot[child + 1] = np.concatenate([free, new])
    base[only] = slot[child + 1] - token[child]
    return slot, base
