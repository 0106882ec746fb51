"""A lexicon as a double-array trie over token ids, in which two array look-ups find a child."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from emr_ner_tf.errors import UserError
from emr_ner_tf.text.vocabulary import Vocabulary

_BLOCK = 512


class Trie(NamedTuple):
    """A double-array trie; its nodes are slots of the arrays, and the root is slot 0.

    The child of `node` for `token` is the slot `base[node] + token`, if `check` of that slot is `node`. For a token of
    the vocabulary, that slot is always within the arrays.

    Attributes:
        base: int32 [S], base of each node.
        check: int32 [S], parent of each node; -1 for the root and for unused slots.
        word: int32 [S], number of the word that ends at the node, counted from 1; 0 if no word ends there.
        length: int32 [N], number of tokens of each word.
        kept: int32 [N], ascending index of each word among those that the trie was built from.
        unknown: number of words that were left out because they have a character that is not in the vocabulary.
        duplicates: number of words that were left out because an earlier word has the same token ids.
    """

    base: np.ndarray
    check: np.ndarray
    word: np.ndarray
    length: np.ndarray
    kept: np.ndarray
    unknown: int
    duplicates: int


def build_trie(words: Sequence[str], vocabulary: Vocabulary) -> Trie:
    """Builds the trie of the words' token ids, in which characters are normalized as in texts.

    Args:
        words: words of at least 2 characters.
        vocabulary: vocabulary whose `code_point_table` gives the ids.

    Raises:
        ValueError: a word has fewer than 2 characters.
        UserError: no word has all its characters in the vocabulary.

    Source:
        Aoe 1989, "An efficient digital search algorithm by using a double-array structure".
    """
    ids, length = _token_ids(words, vocabulary)
    known = ~(ids == vocabulary.unk_id).any(1)
    if not known.any():
        raise UserError(
            f"a lexicon must have a word whose characters are all in the vocabulary, got none in {len(words)} words"
        )
    candidates = np.flatnonzero(known)
    # The sort is stable, so that the earliest of equal words comes first.
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
    """Returns int32 ids [N, L], -1 past the end of a word, and int32 lengths [N]."""
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
        The parent (in ascending order) and the token of each node after the root, and the last node of each row.
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
    """Assigns a slot and a base (1 or more) to every node, so that no two nodes share a slot."""
    nodes = len(parent) + 1
    degree = np.bincount(parent, minlength=nodes)
    start = np.cumsum(degree) - degree
    slot, base = np.zeros(nodes, np.int64), np.ones(nodes, np.int64)
    taken = np.zeros(2 * nodes + 2 * int(token.max()) + _BLOCK, bool)
    taken[0] = True
    several = np.flatnonzero(degree > 1)
    # Nodes with most children come first, while there is room; the search continues where a node of the same degree
    # found its place.
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
    # An only child fits anywhere. A slot past the largest token gives its parent a base of at least 1.
    only = np.flatnonzero(degree == 1)
    child = start[only]
    beyond = int(token.max()) + 1
    free = beyond + np.flatnonzero(~taken[beyond:])[: len(only)]
    new = max(len(taken), beyond) + np.arange(len(only) - len(free))
    slot[child + 1] = np.concatenate([free, new])
    base[only] = slot[child + 1] - token[child]
    return slot, base
