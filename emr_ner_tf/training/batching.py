"""The plan of an epoch's batches, as a pure function of lengths, seed and epoch.

Windows of similar length are batched together, so that there is little padding. The batches and their order change from
epoch to epoch.
"""

import dataclasses

import numpy as np

from emr_ner_tf.text.packing import pack_sorted

# Number of batches in a shuffled pool, which is sorted by length: large enough for little padding, and small enough
# that the same windows are rarely in the same batch twice.
_POOL_BATCHES = 32


@dataclasses.dataclass(frozen=True)
class EpochPlan:
    """Batches of one epoch.

    Attributes:
        batches: for each step the indices of its windows (all replicas together).
        padding_share: fraction of padding among all positions that the encoder sees, without special tokens.
    """

    batches: tuple[np.ndarray, ...]
    padding_share: float


def plan_epoch(
    lengths: np.ndarray,
    *,
    seed: int,
    epoch: int,
    batch_size: int,
    token_budget: int = 0,
    always: int | None = None,
    drawn: int = 0,
) -> EpochPlan:
    """Plans an epoch: batches of windows of similar length, in an order that differs from other epochs.

    Args:
        lengths: int [N], number of characters of each window.
        seed: seed of the run.
        epoch: number of the epoch, counted from 0.
        batch_size: number of windows in a batch; the last batch of a pool may have fewer.
        token_budget: if above 0, used instead of `batch_size`: maximum number of windows in a batch times the length of
            the longest; a batch has at least one window.
        always: number of windows, from the first, that are in every epoch; None means all.
        drawn: number of the other windows that are drawn for this epoch.

    Returns:
        The plan; the same arguments give the same plan on every machine.
    """
    lengths = np.asarray(lengths)
    random = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    order = random.permutation(len(lengths))
    if always is not None and always < len(lengths):
        others = order[order >= always][:drawn]
        order = order[(order < always) | np.isin(order, others)]
    mean = max(1.0, float(lengths[order].mean())) if len(order) else 1.0
    size = max(1, int(token_budget / mean)) if token_budget else batch_size
    limit = {"budget": token_budget} if token_budget else {"max_items": batch_size}
    pool = _POOL_BATCHES * size
    batches: list[np.ndarray] = []
    for first in range(0, len(order), pool):
        members = order[first : first + pool]
        members = members[np.argsort(lengths[members], kind="stable")]
        packed = pack_sorted(lengths[members].tolist(), **limit)
        batches.extend(members[batch.start : batch.stop] for batch in packed)
    batches = [batches[i] for i in random.permutation(len(batches))]
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    share = 1.0 - float(lengths[order].sum()) / padded if padded else 0.0
    return EpochPlan(tuple(batches), share)
