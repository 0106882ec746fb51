"""Mentions against `TagTable.decode`, their text against Python's slices."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.text.characters import decode, look_up
from emr_ner_tf.text.spans import Spans, counts, spans_from_tags, surface_forms, to_dense
from emr_ner_tf.text.windows import map_windows

TABLES = {scheme: TagTable(("病", "药", "部位"), scheme) for scheme in ("BIO", "BIOES")}


@functools.cache
def graph(scheme):
    return tf.function(
        lambda tag_ids, length: spans_from_tags(tag_ids, length, TABLES[scheme]),
        input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)],
        autograph=False,
    )


def as_rows(spans, batch, labels):
    rows = [[] for _ in range(batch)]
    for record, start, end, label in zip(*(field.numpy().tolist() for field in spans), strict=True):
        rows[record].append((start, end, labels[label]))
    return rows


@st.composite
def tag_rows(draw):
    table = TABLES[draw(st.sampled_from(sorted(TABLES)))]
    tags = st.integers(0, table.num_tags - 1)
    if draw(st.booleans()):
        # Few tags, so that runs of one label are common.
        tags = st.sampled_from([0, *range(1, 2 * len(table.scheme) - 1)])
    time = draw(st.integers(0, 14))
    rows = draw(st.lists(st.lists(tags, min_size=time, max_size=time), max_size=5))
    length = [draw(st.integers(0, time)) for _ in rows]
    return table, rows, length, time


@given(tag_rows())
@settings(max_examples=500, deadline=None)
def test_any_tags(case):
    table, rows, length, time = case
    tag_ids = tf.constant(rows, tf.int32, shape=[len(rows), time])
    spans = graph(table.scheme)(tag_ids, tf.constant(length, tf.int32, shape=[len(rows)]))
    assert all(field.dtype == tf.int32 for field in spans)
    expected = [table.decode(row[:end]) for row, end in zip(rows, length, strict=True)]
    assert as_rows(spans, len(rows), table.labels) == expected
    assert spans.record.numpy().tolist() == sorted(spans.record.numpy().tolist())


@pytest.mark.parametrize("scheme", sorted(TABLES))
def test_every_sequence_of_four_tags_of_two_labels(scheme):
    table = TagTable(("x", "y"), scheme)
    rows = np.stack(np.meshgrid(*[range(table.num_tags)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    spans = spans_from_tags(tf.constant(rows, tf.int32), tf.fill([len(rows)], 4), table)
    assert as_rows(spans, len(rows), table.labels) == [table.decode(row) for row in rows]


def test_legal_paths_give_back_their_mentions():
    table = TABLES["BIO"]
    mentions = [(0, 2, "病"), (2, 3, "病"), (4, 7, "部位"), (7, 8, "药")]
    tag_ids = tf.constant([table.encode(mentions, 9), table.encode([], 9)])
    spans = spans_from_tags(tag_ids, tf.constant([8, 9]), table)
    assert as_rows(spans, 2, table.labels) == [mentions, []]
    # A mention that the length cuts ends there.
    cut = spans_from_tags(tag_ids, tf.constant([6, 0]), table)
    assert as_rows(cut, 2, table.labels) == [[*mentions[:2], (4, 6, "部位")], []]


forms_in_graph = tf.function(
    lambda code_points, record, start, end: surface_forms(code_points, Spans(record, start, end, start)),
    input_signature=[tf.TensorSpec([None, None], tf.int32)] + [tf.TensorSpec([None], tf.int32)] * 3,
    autograph=False,
)
odd = st.sampled_from(
    "\0\x01\x7f\n\ufeff\ufffd\ufffe\uffff\ufdd0\ufdef\U0001fffe\U0010ffff\ue000的药e\u0301😀"
)


@given(
    st.lists(st.text(st.characters() | odd, max_size=8).map(lambda t: t.encode("utf-8", "surrogatepass"))),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_surface_forms_are_slices_of_the_text(values, data):
    texts = [value.decode("utf-8", errors="replace") for value in values]
    cuts = [
        (record, *sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2))))
        for record, text in enumerate(texts)
        for _ in range(data.draw(st.integers(0, 3)))
    ]
    code_points, _ = decode(tf.constant(values, tf.string, shape=[len(values)]))
    record, start, end = (tf.constant([cut[i] for cut in cuts], tf.int32) for i in range(3))
    forms = forms_in_graph(code_points, record, start, end)
    assert forms.numpy().tolist() == [texts[r][s:e].encode() for r, s, e in cuts]


def test_surface_form_of_every_code_point():
    text = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    code_points, length = decode(tf.constant([text.encode()]))
    start = tf.range(length[0])
    forms = surface_forms(code_points, Spans(tf.zeros_like(start), start, start + 1, start))
    assert forms.numpy().tolist() == [character.encode() for character in text]


dense_in_graph = {
    dtype: tf.function(
        lambda values, record, batch, default=default: (
            to_dense(values, Spans(record, record, record, record), batch, default),
            counts(Spans(record, record, record, record), batch),
        ),
        input_signature=[
            tf.TensorSpec([None], dtype),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([], tf.int32),
        ],
        autograph=False,
    )
    for dtype, default in [(tf.int32, -1), (tf.string, ""), (tf.float32, 0.0)]
}


@given(st.lists(st.integers(0, 4), max_size=5))
@settings(max_examples=60, deadline=None)
def test_dense_layout(sizes):
    record = [which for which, size in enumerate(sizes) for _ in range(size)]
    fullest = max(sizes, default=0)
    for dtype, default, of in [
        (tf.int32, -1, lambda i: i + 5),
        (tf.string, b"", lambda i: b"m%d" % i),
        (tf.float32, 0.0, lambda i: i + 0.5),
    ]:
        values = tf.constant([of(i) for i in range(len(record))], dtype)
        rows, number = dense_in_graph[dtype](values, tf.constant(record, tf.int32), len(sizes))
        assert rows.dtype == dtype
        assert rows.shape == (len(sizes), fullest)
        left = iter(range(len(record)))
        expected = [[of(next(left)) for _ in range(n)] + [default] * (fullest - n) for n in sizes]
        assert rows.numpy().tolist() == expected
        assert number.numpy().tolist() == sizes


@pytest.mark.parametrize("batch", [0, 3])
def test_no_mention_at_all(batch):
    spans = spans_from_tags(tf.zeros([batch, 5], tf.int32), tf.fill([batch], 5), TABLES["BIO"])
    assert [field.shape for field in spans] == [(0,)] * 4
    assert counts(spans, batch).numpy().tolist() == [0] * batch
    assert to_dense(spans.start, spans, batch, -1).shape == (batch, 0)
    forms = surface_forms(tf.zeros([batch, 5], tf.int32), spans)
    assert to_dense(forms, spans, batch, "").shape == (batch, 0)


def test_whole_path_in_one_graph():
    table = TABLES["BIOES"]

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None, None], tf.int32)],
        autograph=False,
    )
    def run(text, tag_ids):
        code_points, length = decode(text)
        spans = spans_from_tags(tag_ids, length, table)
        batch = tf.shape(text)[0]
        return counts(spans, batch), to_dense(surface_forms(code_points, spans), spans, batch, "")

    texts = ["服阿司匹林", "", "头痛"]
    tags = [
        table.encode([(1, 5, "药")], 5),
        table.encode([], 5),
        table.encode([(0, 1, "部位"), (1, 2, "病")], 5),
    ]
    number, mentions = run(tf.constant(texts), tf.constant(tags))
    assert number.numpy().tolist() == [1, 0, 2]
    expected = [["阿司匹林", ""], ["", ""], ["头", "痛"]]
    assert mentions.numpy().tolist() == [[form.encode() for form in row] for row in expected]


def test_nothing_in_a_graph_can_raise_or_call_python():

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None, None], tf.int32)],
        autograph=False,
    )
    def run(text, tag_ids):
        code_points, tokens, length = look_up(text, tf.zeros([0x110000], tf.int32), 0)
        mapped = map_windows(
            lambda values, sizes: tf.one_hot(values, 2),
            tokens,
            length,
            tokens > 0,
            size=9,
            overlap=2,
            slack=2,
            token_budget=20,
            width=2,
        )
        spans = spans_from_tags(tag_ids, length, TABLES["BIO"])
        batch = tf.shape(text)[0]
        return mapped, counts(spans, batch), to_dense(surface_forms(code_points, spans), spans, batch, "")

    graph_def = run.get_concrete_function().graph.as_graph_def()
    nodes = [
        *graph_def.node,
        *(node for function in graph_def.library.function for node in function.node_def),
    ]
    kinds = {node.op for node in nodes}
    assert {"UnicodeDecode", "UnicodeEncode"} < kinds
    assert not kinds & {"Assert", "PyFunc", "EagerPyFunc", "PyFuncStateless"}
