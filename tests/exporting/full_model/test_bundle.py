"""The exported model on real loading: every signature, hard strings, records of any length."""

import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.bundle import Bundle, find_version

HARD = [
    b"",
    "😀😷🩺".encode(),
    b"\xff\xfe\xe4\xbd",
    "a\x00b\x07\x1b[31m\r\n\t\u3000".encode(),
    b"\xed\xa0\x80",
    "𠮷野家𠮷".encode(),
    "e\u0301\u200d\u202e".encode(),
    ("患者胃癌术后。" * 40).encode(),
]


def test_layout(bundles):
    version = find_version(bundles)
    assert version.name == "1"
    names = {path.name for path in (version / "assets").iterdir()}
    assert {
        "vocab.txt",
        "tags.txt",
        "labels.txt",
        "config.json",
        "model_card.md",
        "metrics.json",
        "contract_version",
    } <= names
    assert not [path for path in bundles.iterdir() if path.name.startswith(".")]


def test_signatures_have_their_names_and_types(bundle):
    assert set(bundle.signatures) == {"serving_default", "tag", "decode", "marginals"}
    outputs = bundle.signatures["serving_default"].structured_outputs
    assert {name: spec.dtype for name, spec in outputs.items()} == {
        "num_entities": tf.int32,
        "start": tf.int32,
        "end": tf.int32,
        "label": tf.string,
        "mention": tf.string,
        "score": tf.float32,
    }
    decode = bundle.signatures["decode"].structured_outputs
    assert {name: spec.dtype for name, spec in decode.items()} == {
        "tag_ids": tf.int32,
        "path_score": tf.float32,
    }


def test_the_command_line_tool_of_tensorflow_shows_it(bundles):
    command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "show"]
    done = subprocess.run(
        [*command, f"--dir={find_version(bundles)}", "--tag_set=serve", "--signature_def=serving_default"],
        capture_output=True,
        text=True,
        check=True,
    )
    (inputs,) = re.findall(r"inputs\['(\w+)'\] tensor_info:\s+dtype: (\w+)\s+shape: (\(.*\))", done.stdout)
    assert inputs == ("text", "DT_STRING", "(-1)")
    outputs = re.findall(r"outputs\['(\w+)'\] tensor_info:\s+dtype: (\w+)\s+shape: (\(.*\))", done.stdout)
    assert outputs == [
        ("end", "DT_INT32", "(-1, -1)"),
        ("label", "DT_STRING", "(-1, -1)"),
        ("mention", "DT_STRING", "(-1, -1)"),
        ("num_entities", "DT_INT32", "(-1)"),
        ("score", "DT_FLOAT", "(-1, -1)"),
        ("start", "DT_INT32", "(-1, -1)"),
    ]


def test_hard_strings_have_right_offsets(bundle):
    outputs = bundle.signatures["serving_default"](text=tf.constant(HARD))
    outputs = {name: value.numpy() for name, value in outputs.items()}
    for row, raw in enumerate(HARD):
        text = raw.decode("utf-8", errors="replace")
        for i in range(outputs["num_entities"][row]):
            start, end = outputs["start"][row, i], outputs["end"][row, i]
            assert 0 <= start < end <= len(text)
            assert outputs["mention"][row, i].decode("utf-8") == text[start:end]
            assert 0 <= outputs["score"][row, i] <= 1 + 1e-5
        assert (outputs["start"][row, outputs["num_entities"][row] :] == -1).all()
    tags = bundle.signatures["tag"](text=tf.constant(HARD))
    assert tags["length"].numpy().tolist() == [len(raw.decode("utf-8", errors="replace")) for raw in HARD]


def test_nothing_but_empty_texts(bundle):
    for texts in ([], [b""], [b"", b""]):
        outputs = bundle.signatures["serving_default"](text=tf.constant(texts, tf.string))
        assert outputs["num_entities"].numpy().tolist() == [0] * len(texts)
        assert outputs["start"].shape == (len(texts), 0)


def test_one_hard_record_does_not_touch_its_neighbours(bundle):
    text = "患者因右肺上叶腺癌入院，行胸部CT检查。"
    (alone,) = bundle.predict([text])
    outputs = bundle.signatures["serving_default"](text=tf.constant([b"\xff" * 300, text.encode(), b""]))
    count = outputs["num_entities"].numpy()[1]
    together = list(zip(outputs["start"].numpy()[1, :count], outputs["end"].numpy()[1, :count], strict=True))
    assert together == [(entity.start, entity.end) for entity in alone]


def test_a_record_of_many_windows_equals_the_model_in_process(bundle, restored):
    text = "患者因右肺上叶腺癌入院，既往高血压病史10年，口服硝苯地平控释片。" * 60
    (expected,), (found,) = restored.predict([text]), bundle.predict([text])
    assert found == expected
    np.testing.assert_allclose([e.score for e in found], [e.score for e in expected], atol=1e-4)


def test_decode_and_marginals_agree_with_tags(bundle):
    text = "患者因右肺上叶腺癌入院。"
    table = bundle.definition.vocabulary.code_point_table()
    tokens = tf.constant([[table[ord(c)] for c in text] + [0, 0]], tf.int32)
    length = tf.constant([len(text)], tf.int32)
    decoded = bundle.signatures["decode"](token_ids=tokens, length=length)
    tags = bundle.signatures["tag"](text=tf.constant([text]))["tags"].numpy()[0]
    ids = decoded["tag_ids"].numpy()[0]
    assert [bundle.tags[i] for i in ids[: len(text)]] == [tag.decode() for tag in tags]
    assert (ids[len(text) :] == 0).all()
    marginals = bundle.signatures["marginals"](token_ids=tokens, length=length)["marginals"].numpy()[0]
    np.testing.assert_allclose(marginals[: len(text)].sum(-1), 1.0, atol=1e-4)
    assert (marginals[len(text) :] == 0).all()


def test_wrong_token_ids_and_lengths_do_not_raise(bundle):
    tokens = tf.constant([[-5, 10**6, 7]], tf.int32)
    for length in (-1, 0, 2, 99):
        outputs = bundle.signatures["decode"](token_ids=tokens, length=tf.constant([length], tf.int32))
        assert outputs["tag_ids"].shape == (1, 3)


# The ops of a server: those that the C API lists in a process that has imported tensorflow and nothing else.
_CORE_OPS = """
import ctypes, sys, tensorflow as tf
from tensorflow.core.framework import op_def_pb2

class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("deallocator", ctypes.c_void_p)]

library = ctypes.CDLL(tf.sysconfig.get_lib() + "/libtensorflow_cc.so.2")
library.TF_GetAllOpList.restype = ctypes.POINTER(Buffer)
buffer = library.TF_GetAllOpList().contents
ops = op_def_pb2.OpList.FromString(ctypes.string_at(buffer.data, buffer.length))
print(*(op.name for op in ops.op))
"""


def test_graph_holds_core_ops_only(bundles):
    from tensorflow.core.protobuf import saved_model_pb2

    done = subprocess.run([sys.executable, "-c", _CORE_OPS], capture_output=True, text=True, check=True)
    core = set(done.stdout.split())
    assert {"MatMul", "UnicodeDecode", "While"} <= core
    assert "Addons>ImageProjectiveTransformV2" not in core
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((find_version(bundles) / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    functions = {function.signature.name for function in graph.library.function}
    ops = {node.op for node in graph.node} | {
        node.op for function in graph.library.function for node in function.node_def
    }
    assert not ops - functions - core
    # Core ops that call back into Python, and so work in no other process.
    assert not {op for op in ops if "PyFunc" in op}


def test_no_bundle_is_an_error_that_says_where(tmp_path):
    with pytest.raises(UserError, match="no bundle"):
        Bundle(tmp_path)
