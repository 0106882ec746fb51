"""Decoding against Python's own, on any bytes."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from emr_ner_tf.text.characters import decode, look_up

decode_in_graph = tf.function(decode, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)

# The first and last byte of every class that UTF-8 tells apart, in any place of a sequence.
EDGES = bytes.fromhex("007f808f909fa0bfc0c1c2dfe0e1ecedeeeff0f1f3f4f5f8fcfeff")


def assert_as_python(values, decoder=decode):
    code_points, length = decoder(tf.constant(values, tf.string, shape=[len(values)]))
    assert code_points.dtype == length.dtype == tf.int32
    texts = [value.decode("utf-8", errors="replace") for value in values]
    assert length.numpy().tolist() == [len(text) for text in texts]
    longest = max(map(len, texts), default=0)
    expected = [[*map(ord, text)] + [0] * (longest - len(text)) for text in texts]
    np.testing.assert_array_equal(
        code_points.numpy(), np.array(expected, np.int32).reshape(len(values), longest)
    )


@given(st.lists(st.binary(max_size=12) | st.text(max_size=6).map(str.encode), max_size=6))
@settings(max_examples=300, deadline=None)
def test_any_bytes(values):
    assert_as_python(values, decode_in_graph)


@given(st.lists(st.sampled_from(EDGES), max_size=24).map(bytes))
@settings(max_examples=300, deadline=None)
def test_any_edge_bytes(value):
    assert_as_python([value], decode_in_graph)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_sequence_of_edge_bytes(size):
    assert_as_python([bytes(value) for value in itertools.product(EDGES, repeat=size)])


def test_every_four_byte_sequence_of_edge_bytes():
    tails = itertools.product(bytes.fromhex("417f808f909fbfc0f0"), repeat=3)
    assert_as_python([bytes([lead, *tail]) for tail in tails for lead in bytes.fromhex("e4eff0f1f3f4f5f8")])


def test_every_code_point():
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    code_points, length = decode_in_graph(tf.constant(["".join(map(chr, codes)).encode()]))
    np.testing.assert_array_equal(code_points[0], codes)
    assert length.numpy().tolist() == [len(codes)]


def test_surrogates_in_utf8_as_python_reads_them():
    assert_as_python([chr(code).encode("utf-8", "surrogatepass") for code in range(0xD800, 0xE000)])


@pytest.mark.parametrize("values", [[], [b""], [b"", b""]])
def test_nothing(values):
    for decoder in (decode, decode_in_graph):
        code_points, length = decoder(tf.constant(values, tf.string, shape=[len(values)]))
        assert code_points.shape == (len(values), 0)
        assert length.shape == (len(values),)
    _, ids, _ = look_up(
        tf.constant(values, tf.string, shape=[len(values)]), tf.zeros([0x110000], tf.int32), 7
    )
    assert ids.shape == (len(values), 0)


def test_token_ids_are_looked_up_and_padded():
    table = np.full(0x110000, 1, np.int32)
    table[[0, ord("a"), 0x10FFFF]] = 5, 6, 7
    in_graph = tf.function(
        lambda text: look_up(text, tf.constant(table), 9),
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    texts = tf.constant(["a\0\U0010ffffb".encode(), b"", b"\xff"])
    for code_points, ids, length in (in_graph(texts), look_up(texts, tf.constant(table), 9)):
        assert ids.numpy().tolist() == [[6, 5, 7, 1], [9, 9, 9, 9], [1, 9, 9, 9]]
        assert code_points[0].numpy().tolist() == [97, 0, 0x10FFFF, 98]
        assert length.numpy().tolist() == [4, 0, 1]
