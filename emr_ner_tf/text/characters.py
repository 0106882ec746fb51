"""Converts UTF-8 to code points and code points to token ids, in TensorFlow operations."""

import tensorflow as tf


def decode(text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes texts to code points, exactly as `bytes.decode("utf-8", errors="replace")` does.

    A malformed sequence becomes as many U+FFFD as in Python. All offsets count characters of the decoded text.

    Args:
        text: string [B], any bytes.

    Returns:
        Code points int32 [B, T], 0 past the end, and their number int32 [B]. T is the largest number and may be 0.
    """
    ragged = tf.strings.unicode_decode(text, "UTF-8", errors="replace", replacement_char=0xFFFD)
    length = tf.cast(ragged.row_lengths(), tf.int32)
    return ragged.to_tensor(default_value=0), length


def token_ids(code_points: tf.Tensor, length: tf.Tensor, table: tf.Tensor, pad_id: int) -> tf.Tensor:
    """Returns the token id of each character.

    Args:
        code_points: int32 [B, T].
        length: int32 [B].
        table: int32 [0x110000], `Vocabulary.code_point_table()`.
        pad_id: id for positions past `length`.

    Returns:
        int32 [B, T].
    """
    ids = tf.gather(table, code_points)
    return tf.where(tf.sequence_mask(length, tf.shape(code_points)[1]), ids, pad_id)
