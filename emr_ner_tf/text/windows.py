"""Sliding windows over long records.

`plan_windows` cuts records into windows of equal length. `map_windows` runs a function over all windows in
micro-batches and puts the output of each token back into its place in the record.
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


def plan_windows(length: tf.Tensor, breakable: tf.Tensor, *, size: int, overlap: int, slack: int) -> Windows:
    """Cuts records into windows of about equal length, at most `size` tokens each.

    A record of at most `size` tokens has one window, and an empty record has none. A longer record has the least
    number of windows whose equal parts leave room to move each cut by half of `slack`. Each cut then moves to the
    nearest place after a breakable token, by at most `slack` tokens and as far as the windows' size allows; without
    such a token it stays. The part between two cuts is what a window owns. Beyond each cut, a window also sees half of
    the `overlap` tokens that it shares with its neighbour, so that no token is scored at the edge of a window.

    Args:
        length: int32 [B], number of tokens in each record.
        breakable: bool [B, T], whether a cut should preferably fall after this token.
        size: maximum number of tokens in a window, special tokens not counted.
        overlap: number of tokens that two neighbouring windows share, 0 or more. If it is 0, every token is in exactly
            one window.
        slack: maximum number of tokens by which a cut moves to fall after a breakable token.

    Returns:
        The windows of all records.

    Raises:
        ValueError: `overlap` or `slack` is negative, or `size` is not greater than their sum.

    Example:
        >>> plan = plan_windows(tf.constant([20]), tf.zeros([1, 20], tf.bool), size=12, overlap=4, slack=0)
        >>> plan.start.numpy().tolist(), plan.length.numpy().tolist(), plan.own_start.numpy().tolist()
        ([0, 8], [12, 12], [0, 10])
    """
    if overlap < 0 or slack < 0 or size <= overlap + slack:
        raise ValueError(
            "overlap and slack must be at least 0 and their sum below size, "
            f"got size={size}, overlap={overlap}, slack={slack}"
        )
    # int64, because the product below exceeds 32 bits in a record of a million tokens.
    total, zero = tf.cast(length, tf.int64), tf.constant(0, tf.int64)
    # Each window adds its length less the overlap, so the windows divide this number of tokens among them.
    apart = total - overlap
    count = tf.where(total <= size, tf.minimum(total, 1), -(-apart // (size - overlap - slack)))
    divisor = tf.maximum(count, 1)
    longest = -(-apart // divisor)
    reach = tf.minimum(size - overlap - longest, apart // divisor - 1) // 2
    record = tf.repeat(tf.range(tf.size(length)), count)
    index = tf.range(tf.size(record, tf.int64)) - tf.gather(tf.cumsum(count, exclusive=True), record)
    total, apart, count, reach = (tf.gather(value, record) for value in (total, apart, count, reach))
    is_first, is_last = tf.equal(index, 0), tf.equal(index, count - 1)
    before = overlap // 2
    equal = index * apart // count + before
    moved = _nearest_break(record, equal, breakable, tf.clip_by_value(reach, 0, slack), slack)
    cut = tf.where(is_first, zero, moved)
    next_cut = tf.where(is_last, total, tf.concat([cut[1:], total[-1:]], axis=0))
    start = tf.where(is_first, zero, cut - before)
    end = tf.where(is_last, total, next_cut + (overlap - before))
    return Windows(record, *(tf.cast(value, tf.int32) for value in (start, end - start, cut, next_cut - cut)))


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
    window. At most two micro-batches run at the same time, so memory does not grow with the number of windows.

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
        # While one micro-batch is in a step that uses a single thread, the other uses the remaining threads.
        parallel_iterations=2,
    )
    stitched = tf.scatter_nd(
        places.concat()[:, tf.newaxis], outputs.concat(), tf.stack([batch * time, width])
    )
    return tf.reshape(stitched, tf.stack([batch, time, width]))


def _nearest_break(
    record: tf.Tensor, cut: tf.Tensor, breakable: tf.Tensor, reach: tf.Tensor, slack: int
) -> tf.Tensor:
    """Moves cuts to the nearest place after a breakable token; of two equally near ones, to the later.

    Args:
        record: int32 [N], record of each cut.
        cut: int64 [N], number of tokens before each cut.
        breakable: bool [B, T], as in `plan_windows`.
        reach: int64 [N], by how much each cut may move.
        slack: maximum of `reach`.

    Returns:
        int64 [N].
    """
    if not slack:
        return cut
    # Offsets by distance: 0, 1, -1, 2, -2, ...
    offset = tf.constant([0, *(sign * by for by in range(1, slack + 1) for sign in (1, -1))], tf.int64)
    last_token = cut[:, tf.newaxis] + offset - 1
    time = tf.shape(breakable, tf.int64)[1]
    inside = (last_token >= 0) & (last_token < time) & (tf.abs(offset) <= reach[:, tf.newaxis])
    place = tf.cast(record, tf.int64)[:, tf.newaxis] * time + tf.where(inside, last_token, 0)
    found = inside & tf.gather(tf.reshape(breakable, [-1]), place)
    # argmax returns the first offset with a break; without any, it returns the offset 0.
    return cut + tf.gather(offset, tf.argmax(tf.cast(found, tf.int8), axis=1))
