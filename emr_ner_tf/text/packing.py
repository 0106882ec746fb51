"""Greedy packing of texts into batches under a budget that counts padding."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

_R = TypeVar("_R")


def map_by_length(
    fn: Callable[[list[int]], Iterable[_R]],
    lengths: Sequence[int],
    *,
    budget: float,
    on_progress: Callable[[int], object] = lambda _: None,
) -> list[_R]:
    """Computes a result for each item, in batches of items of similar length.

    Args:
        fn: maps the indices of a batch's items to their results, in this order.
        lengths: the length of each item, in any order.
        budget: maximum cost of a batch, as in `pack_sorted`.
        on_progress: function to call after each batch with its number of items.

    Returns:
        The results in the order of `lengths`.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    found: dict[int, _R] = {}
    for batch in pack_sorted([lengths[i] for i in order], budget=budget):
        members = [order[place] for place in batch]
        found.update(zip(members, fn(members), strict=True))
        on_progress(len(members))
    return [found[i] for i in range(len(lengths))]


def pack_sorted(
    lengths: Sequence[int], *, budget: float = math.inf, max_items: float = math.inf
) -> Iterator[range]:
    """Cuts lengths in ascending order into consecutive batches, each as large as the limits allow.

    A batch is padded to its longest item, so it costs its number of items times the last length in it. An item that
    exceeds the budget on its own is a batch of its own.

    Args:
        lengths: the length of each item, in ascending order.
        budget: maximum cost of a batch.
        max_items: maximum number of items in a batch, 1 or more.

    Yields:
        The positions of each batch in `lengths`; together the batches are all positions, in order.
    """
    first = 0
    for i in range(1, len(lengths)):
        # The lengths ascend, so item i would set the width of the batch that it joins.
        if i - first >= max_items or (i + 1 - first) * lengths[i] > budget:
            yield range(first, i)
            first = i
    if lengths:
        yield range(first, len(lengths))
