"""Sliding windows over long records.

`plan_windows` cuts records into overlapping windows. `map_windows` runs a function over all windows in micro-batches
and puts the output of each token back into its place in the record.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf


class Windows(NamedTuple):
    """Windows in the order of their records and, within a record, of their starts.

    Each token of a record is owned by one window, which provides its output. The owned ranges of the windows of a
    record follow one another and cover the record exactly.

    Attributes:
        record: int32 [N], row of the record in the batch.
        start: int32 [N], position in the record of the window's first token.
        length: int32 [N], number of tokens in the window.
        own_start: int32 [N], position in the record of the first token that the window owns.
        own_length: int32 [N], number of tokens that the window owns.
    """

    record: tf.Tensor
    start: tf.Tensor
    length: tf.Tensor
    own_start: tf.Tensor
    own_length: tf.Tensor


def plan_windows(
    length: tf.Tensor,
    breakable: tf.Tensor,
    *,
    size: int,
    overlap: int,
    slack: int,
    shift_last: bool = True,
) -> Windows:
    """Cuts records into overlapping windows of at most `size` tokens.

    A record of at most `size` tokens has one window, and an empty record has none. A longer record is cut from left to
    right: a window ends after the last breakable token among the last `slack` tokens of its full size, or at full size
    if there is none, and the next window starts `overlap` tokens before that end. The remainder at the end is often
    short and has little context, so the last window is extended to the left to full size. Each token is owned by the
    window in which it is farthest from an edge (the later window on a tie); the ends of the record do not count as
    edges.

    Args:
        length: int32 [B], number of tokens in each record.
        breakable: bool [B, T], whether a window should preferably end after this token.
        size: maximum number of tokens in a window, special tokens not counted.
        overlap: number of tokens that a window shares with the previous one, 0 or more.
        slack: number of tokens by which a window may be shorter than `size` in order to end after a breakable token.
        shift_last: whether the last window of a long record is extended to the left. If it is not, and `overlap` is 0,
            every token is in exactly one window.

    Returns:
        The windows of all records.

    Raises:
        ValueError: `overlap` or `slack` is negative, or `size` is not greater than their sum.
    """
    if overlap < 0 or slack < 0 or size <= overlap + slack:
        raise ValueError(
            "overlap and slack must be at least 0 and their sum below size, "
            f"got size={size}, overlap={overlap}, slack={slack}"
        )
    length = tf.cast(length, tf.int32)

    def cut_next(i: tf.Tensor, start: tf.Tensor, starts: tf.TensorArray, ends: tf.TensorArray):
        """Cuts the i-th window of every record at once; a record that has none left gets start -1."""
        active = start < length
        is_last = start + size >= length
        end = tf.where(is_last, length, _end_at_break(start, breakable, size=size, slack=slack))
        placed = tf.where(is_last, tf.maximum(length - size, 0), start) if shift_last else start
        starts = starts.write(i, tf.where(active, placed, -1))
        ends = ends.write(i, end)
        return i + 1, tf.where(is_last, length, end - overlap), starts, ends

    # Element 0 is a filler, so that the arrays can be stacked even if no record has a window.
    none = tf.fill(tf.shape(length), -1)
    arrays = [tf.TensorArray(tf.int32, size=1, dynamic_size=True, element_shape=[None]) for _ in range(2)]
    *_, starts, ends = tf.while_loop(
        lambda i, start, starts, ends: tf.reduce_any(start < length),
        cut_next,
        (1, tf.zeros_like(length), *(array.write(0, none) for array in arrays)),
        parallel_iterations=1,
    )
    by_record = tf.transpose(starts.stack())
    exists = by_record >= 0
    record = tf.cast(tf.where(exists)[:, 0], tf.int32)
    start = tf.boolean_mask(by_record, exists)
    end = tf.boolean_mask(tf.transpose(ends.stack()), exists)
    return _assign_owners(record, start, end)


def map_windows(
    fn: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    values: tf.Tensor,
    length: tf.Tensor,
    breakable: tf.Tensor,
    *,
    size: int,
    overlap: int,
    slack: int,
    token_budget: int,
    width: int,
) -> tf.Tensor:
    """Runs a function over the windows of all records and puts the output of each token into its place.

    The windows are sorted by length, the longest first, and cut into micro-batches, each padded to its own longest
    window. The micro-batches run one after the other, so memory does not grow with the number of windows.

    Args:
        fn: maps (values int32 [n, W], 0 in the padding, and length int32 [n]) to float [n, W, width].
        values: int32 [B, T].
        length: int32 [B], at most T.
        breakable: bool [B, T], as in `plan_windows`.
        size: as in `plan_windows`.
        overlap: as in `plan_windows`.
        slack: as in `plan_windows`.
        token_budget: maximum number of tokens in a micro-batch, padding included; a micro-batch has at least one
            window.
        width: number of outputs for each token.

    Returns:
        float32 [B, T, width], the output of each token in the window that owns it; 0 in the padding.

    Raises:
        ValueError: `token_budget` or `width` is below 1, or as in `plan_windows`.
    """
    if token_budget < 1 or width < 1:
        raise ValueError(
            f"token_budget and width must be at least 1, got token_budget={token_budget}, width={width}"
        )
    plan = plan_windows(length, breakable, size=size, overlap=overlap, slack=slack)
    longest_first = tf.argsort(plan.length, direction="DESCENDING", stable=True)
    windows = Windows(*(tf.gather(field, longest_first) for field in plan))
    batch, time = tf.shape(values)[0], tf.shape(values)[1]
    flat = tf.reshape(values, [-1])
    total = tf.size(windows.length)

    def run_next(i: tf.Tensor, done: tf.Tensor, outputs: tf.TensorArray, places: tf.TensorArray):
        """Runs the i-th micro-batch, which begins at window number `done`."""
        longest = windows.length[done]
        count = tf.minimum(tf.maximum(1, token_budget // longest), total - done)
        chunk = Windows(*(field[done : done + count] for field in windows))
        offset = tf.range(longest)[tf.newaxis, :]
        # Index of each token of the windows among the tokens of all records.
        place = (chunk.record * time + chunk.start)[:, tf.newaxis] + offset
        # Past the end of a window the index would point into the next record, or past the last one.
        real = offset < chunk.length[:, tf.newaxis]
        inputs = tf.where(real, tf.gather(flat, tf.where(real, place, 0)), 0)
        result = tf.ensure_shape(tf.cast(fn(inputs, chunk.length), tf.float32), [None, None, width])
        own = (chunk.own_start - chunk.start)[:, tf.newaxis]
        owned = (offset >= own) & (offset < own + chunk.own_length[:, tf.newaxis])
        outputs = outputs.write(i, tf.boolean_mask(result, owned))
        places = places.write(i, tf.boolean_mask(place, owned))
        return i + 1, done + count, outputs, places

    # Element 0 is empty, so that the arrays can be concatenated even if there is no window.
    outputs = tf.TensorArray(tf.float32, 1, dynamic_size=True, element_shape=[None, width], infer_shape=False)
    places = tf.TensorArray(tf.int32, 1, dynamic_size=True, element_shape=[None], infer_shape=False)
    *_, outputs, places = tf.while_loop(
        lambda i, done, outputs, places: done < total,
        run_next,
        (1, 0, outputs.write(0, tf.zeros([0, width])), places.write(0, tf.zeros([0], tf.int32))),
        parallel_iterations=1,
    )
    stitched = tf.scatter_nd(
        places.concat()[:, tf.newaxis], outputs.concat(), tf.stack([batch * time, width])
    )
    return tf.reshape(stitched, tf.stack([batch, time, width]))


def _end_at_break(start: tf.Tensor, breakable: tf.Tensor, *, size: int, slack: int) -> tf.Tensor:
    """Returns where windows that start at `start` end in the middle of their records.

    Args:
        start: int32 [B], start of a window in each record.
        breakable: bool [B, T], as in `plan_windows`.
        size: as in `plan_windows`.
        slack: as in `plan_windows`.

    Returns:
        int32 [B], the position after the last breakable token among the last `slack` of the window, or after the window
        at full size if there is none.
    """
    full = start + size
    if not slack:
        return full
    candidates = start[:, tf.newaxis] + tf.range(size - slack, size)[tf.newaxis, :]
    found = tf.gather(breakable, tf.minimum(candidates, tf.shape(breakable)[1] - 1), batch_dims=1)
    after_break = tf.reduce_max(tf.where(found, candidates + 1, 0), axis=1)
    return tf.where(after_break > 0, after_break, full)


def _assign_owners(record: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> Windows:
    """Gives each token to one window: the border between two neighbours is the middle of their overlap.

    Args:
        record: int32 [N], record of each window.
        start: int32 [N], start of each window.
        end: int32 [N], end of each window.
    """
    previous_record = tf.concat([[-1], record], axis=0)[:-1]
    next_record = tf.concat([record, [-1]], axis=0)[1:]
    previous_end = tf.concat([[0], end], axis=0)[:-1]
    own_start = tf.where(previous_record == record, (previous_end + start) // 2, start)
    next_own_start = tf.concat([own_start, [0]], axis=0)[1:]
    own_end = tf.where(next_record == record, next_own_start, end)
    return Windows(record, start, end - start, own_start, own_end - own_start)
