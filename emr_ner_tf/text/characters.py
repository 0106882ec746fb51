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


def look_up(text: tf.Tensor, table: tf.Tensor, pad_id: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decodes texts and looks up the token of each character.

    Args:
        text: string [B], as in `decode`.
        table: int32 [0x110000], `Vocabulary.code_point_table()`.
        pad_id: id for positions past the end of a text.

    Returns:
        Code points and token ids, int32 [B, T], and the number of characters, int32 [B].
    """
    code_points, length = decode(text)
    ids = tf.gather(table, code_points)
    return code_points, tf.where(tf.sequence_mask(length, tf.shape(code_points)[1]), ids, pad_id), length
