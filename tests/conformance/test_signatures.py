"""Every row: the signatures of its export, called where only TensorFlow is, answer as the model in this process."""

import numpy as np
import pytest
import tensorflow as tf
from row_harness import TEXT
from tensorflow.core.protobuf import saved_model_pb2
from workers import Worker

from emr_ner_tf.exporting.signatures import ServingModule
from emr_ner_tf.models.ner_pipeline import NerPipeline

pytestmark = pytest.mark.slow

_HARD = [
    b"",
    "😀😷🩺".encode(),
    b"\xff\xfe\xe4\xbd",
    f"{TEXT}\r\n\r\n\t\u3000{TEXT}".encode(),
    "𠮷野家e\u0301\u200d\u202e\x00\x07".encode(),
    # Many windows, which end at punctuation and within words.
    (TEXT * 5 + "右肺上叶腺癌" * 9).encode(),
]


def _calls(model):
    """Yields each signature on batches of no record, one and several."""
    for texts in ([], [b""], [TEXT.encode()], _HARD):
        for name in ("serving_default", "tag"):
            yield name, {"text": texts}
    several = model.token_ids(TEXT * 4, TEXT, "肺癌", "")
    # Ids that the vocabulary lacks, and lengths that the batch has not.
    several[1, 2:4] = -5, 10**6
    batches = [
        (np.zeros([0, 0]), []),
        (np.zeros([1, 0]), [0]),
        (several, [48, 9, 99, -1]),
        (model.token_ids(TEXT), [12]),
    ]
    for token_ids, length in batches:
        for name in ("decode", "marginals"):
            yield name, {"token_ids": np.asarray(token_ids, np.int32), "length": np.asarray(length, np.int32)}


@pytest.fixture(scope="module")
def worker():
    with Worker("exports.py") as worker:
        yield worker


@pytest.fixture(scope="module")
def pipeline(model):
    """The row's model from text to entities, exported too."""
    pipeline = NerPipeline(model.tagger, model.definition.vocabulary, model.definition.config.text)
    module = ServingModule(pipeline)
    tf.saved_model.save(module, str(model.folder / "export"), signatures=module.signatures())
    return pipeline


def test_signatures_equal_the_model_in_process(model, pipeline, worker):
    calls = list(_calls(model))
    outputs, shapes, modules = worker.ask(str(model.folder / "export"), calls)
    assert not modules & {"emr_ner_tf", "tensorflow_addons", "tensorflow_text", "keras_nlp", "transformers"}
    assert {name: sorted(found, key=len) for name, found in shapes.items()} == {
        "serving_default": [(None,)],
        "tag": [(None,)],
        "decode": [(None,), (None, None)],
        "marginals": [(None,), (None, None)],
    }
    # Eagerly: tracing the four functions a second time would cost most of the test.
    functions = {
        "serving_default": pipeline.entities,
        "tag": pipeline.tags,
        "decode": pipeline.decode,
        "marginals": pipeline.marginals,
    }
    entities = 0
    for (name, inputs), found in zip(calls, outputs, strict=True):
        expected = functions[name](
            **{
                key: tf.constant(value, tf.string if key == "text" else tf.int32)
                for key, value in inputs.items()
            }
        )
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            value = value.numpy()
            assert (found[key].dtype, found[key].shape) == (value.dtype, value.shape), (name, key)
            if value.dtype == np.float32:
                np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4, err_msg=f"{name} {key}")
            else:
                np.testing.assert_array_equal(found[key], value, err_msg=f"{name} {key}")
        entities += found["num_entities"].sum() if name == "serving_default" else 0
    assert entities > 0


def test_the_graph_calls_no_python(model, pipeline):
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((model.folder / "export" / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    ops = {node.op for node in graph.node}
    ops |= {node.op for function in graph.library.function for node in function.node_def}
    assert not {op for op in ops if "PyFunc" in op}
