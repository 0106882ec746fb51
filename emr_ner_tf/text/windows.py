"""Windows over long records: planned, run in micro-batches of a token budget, and stitched."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf


class Windows(NamedTuple):
    """Windows in the order of their records and, within one, of their starts.

    The owned ranges of a record's windows, one after the other, are exactly the record.

    Attributes:
        record: int32 [N], the row of the record.
        start: int32 [N], first token of the window, counted in the record.
        length: int32 [N], tokens in the window.
        own_start: int32 [N], first token that is read from this window, counted in the record.
        own_length: int32 [N], tokens that are read from this window.
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

    A record of `size` tokens or fewer is one window, an empty one none. Otherwise a window ends after the
    last breakable token among the last `slack` of its full size, or at full size where there is none, and the
    next one starts `overlap` tokens before that end. The last window would often be a short rest with little
    context, so that it is moved left to full size. Each token is owned by the window in which it stands
    farthest from an edge (the later one where equal); a record's own ends are no edges.

    Args:
        length: int32 [B], tokens in each record.
        breakable: bool [B, T], a window may well end after this token.
        size: most tokens in a window, special tokens not counted.
        overlap: tokens that a window shares with the one before it, 0 or more.
        slack: tokens by which a window may fall short of `size` to end after a breakable token.
        shift_last: whether the last window of a long record is moved left; without, and with `overlap` 0,
            every token is in exactly one window.

    Returns:
        The windows of all records.

    Raises:
        ValueError: `overlap` or `slack` is negative, or `size` is not above their sum.
    """
    if overlap < 0 or slack < 0 or size <= overlap + slack:
        raise ValueError(
            "overlap and slack must be at least 0 and their sum below size, "
            f"got size={size}, overlap={overlap}, slack={slack}"
        )
    length = tf.cast(length, tf.int32)
    reach = tf.range(size - slack, size)[tf.newaxis, :]
    last_token = tf.shape(breakable)[1] - 1

    def step(i: tf.Tensor, start: tf.Tensor, starts: tf.TensorArray, ends: tf.TensorArray):
        active = start < length
        full = start + size
        final = full >= length
        end = full
        if slack:
            token = start[:, tf.newaxis] + reach
            found = tf.gather(breakable, tf.minimum(token, last_token), batch_dims=1)
            break_end = tf.reduce_max(tf.where(found, token + 1, 0), axis=1)
            end = tf.where(break_end > 0, break_end, full)
        end = tf.where(final, length, end)
        placed = tf.where(final, tf.maximum(length - size, 0), start) if shift_last else start
        starts = starts.write(i, tf.where(active, placed, -1))
        ends = ends.write(i, end)
        return i + 1, tf.where(final, length, end - overlap), starts, ends

    # Element 0 is a filler, so that the arrays can be stacked where no record has a window.
    none = tf.fill(tf.shape(length), -1)
    arrays = [tf.TensorArray(tf.int32, size=1, dynamic_size=True, element_shape=[None]) for _ in range(2)]
    *_, starts, ends = tf.while_loop(
        lambda i, start, starts, ends: tf.reduce_any(start < length),
        step,
        (1, tf.zeros_like(length), *(array.write(0, none) for array in arrays)),
        parallel_iterations=1,
    )
    start = tf.transpose(starts.stack())
    real = start >= 0
    record = tf.cast(tf.where(real)[:, 0], tf.int32)
    return _with_ownership(
        record, tf.boolean_mask(start, real), tf.boolean_mask(tf.transpose(ends.stack()), real)
    )


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
    """Runs a function over the windows of all records and puts the outputs of each token in its place.

    Windows go through `fn` in micro-batches, the longest first, each padded only to its own longest, one
    after the other, so that memory does not grow with the number of windows.

    Args:
        fn: maps (values int32 [n, W], 0 past the end, and length int32 [n]) to float [n, W, width].
        values: int32 [B, T].
        length: int32 [B], at most T.
        breakable: bool [B, T], as in `plan_windows`.
        size: most tokens in a window.
        overlap: tokens that neighbouring windows share.
        slack: as in `plan_windows`.
        token_budget: a micro-batch holds as many windows as fit in this many tokens with padding, one at
            least.
        width: outputs for each token.

    Returns:
        float32 [B, T, width], each token's from the window that owns it; 0 in the padding.

    Raises:
        ValueError: `token_budget` or `width` is below 1, or what `plan_windows` raises.
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

    def step(i: tf.Tensor, done: tf.Tensor, outputs: tf.TensorArray, places: tf.TensorArray):
        longest = windows.length[done]
        rows = tf.minimum(tf.maximum(1, token_budget // longest), total - done)
        chunk = Windows(*(field[done : done + rows] for field in windows))
        offset = tf.range(longest)[tf.newaxis, :]
        place = (chunk.record * time + chunk.start)[:, tf.newaxis] + offset
        real = offset < chunk.length[:, tf.newaxis]
        # Past its end a window would look into the next record, or past the last one.
        inputs = tf.where(real, tf.gather(flat, tf.where(real, place, 0)), 0)
        result = tf.ensure_shape(tf.cast(fn(inputs, chunk.length), tf.float32), [None, None, width])
        own = (chunk.own_start - chunk.start)[:, tf.newaxis]
        owned = (offset >= own) & (offset < own + chunk.own_length[:, tf.newaxis])
        outputs = outputs.write(i, tf.boolean_mask(result, owned))
        places = places.write(i, tf.boolean_mask(place, owned))
        return i + 1, done + rows, outputs, places

    # Element 0 is empty, so that there is something to join where there is no window.
    outputs = tf.TensorArray(tf.float32, 1, dynamic_size=True, element_shape=[None, width], infer_shape=False)
    places = tf.TensorArray(tf.int32, 1, dynamic_size=True, element_shape=[None], infer_shape=False)
    *_, outputs, places = tf.while_loop(
        lambda i, done, outputs, places: done < total,
        step,
        (1, 0, outputs.write(0, tf.zeros([0, width])), places.write(0, tf.zeros([0], tf.int32))),
        parallel_iterations=1,
    )
    stitched = tf.scatter_nd(
        places.concat()[:, tf.newaxis], outputs.concat(), tf.stack([batch * time, width])
    )
    return tf.reshape(stitched, tf.stack([batch, time, width]))


def _with_ownership(record: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> Windows:
    """Gives each token to one window: two neighbours part in the middle of what they share."""
    before = tf.concat([[-1], record], axis=0)[:-1]
    after = tf.concat([record, [-1]], axis=0)[1:]
    end_before = tf.concat([[0], end], axis=0)[:-1]
    own_start = tf.where(before == record, (end_before + start) // 2, start)
    own_start_after = tf.concat([own_start, [0]], axis=0)[1:]
    own_end = tf.where(after == record, own_start_after, end)
    return Windows(record, start, end - start, own_start, own_end - own_start)
