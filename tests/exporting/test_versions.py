"""The parts of a version beside its signatures: warm-up requests, its object, its card."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from emr_ner_tf.exporting.bundle import find_version
from emr_ner_tf.exporting.export import export
from emr_ner_tf.exporting.warmup import MAX_WARMUP_RECORDS, PLACE

pytestmark = pytest.mark.slow

TEXT = "患者因右肺上叶腺癌入院，既往高血压病史10年，口服硝苯地平控释片。"


def test_the_object_itself_takes_strings(bundles):
    loaded = tf.saved_model.load(str(find_version(bundles)))
    texts = tf.constant([TEXT, ""])
    called, signed = loaded(texts), loaded.signatures["serving_default"](text=texts)
    assert called.keys() == signed.keys()
    for name, value in signed.items():
        np.testing.assert_array_equal(called[name], value)


def test_warmup_requests_run_and_hold_synthetic_text(bundles):
    version = find_version(bundles)
    signatures = tf.saved_model.load(str(version)).signatures
    logs = [
        prediction_log_pb2.PredictionLog.FromString(raw.numpy())
        for raw in tf.data.TFRecordDataset(str(version / PLACE))
    ]
    assert 10 <= len(logs) <= MAX_WARMUP_RECORDS
    lengths, names = set(), set()
    for log in logs:
        request = log.predict_log.request
        names.add(request.model_spec.signature_name)
        if "text" in request.inputs:
            texts = tf.make_ndarray(request.inputs["text"])
            lengths |= {len(text.decode("utf-8")) for text in texts}
            if max(map(len, texts)) > 3000:
                continue  # seconds each, and the same graph
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        signatures[request.model_spec.signature_name](**inputs)
    assert names == {"serving_default", "tag", "decode", "marginals"}
    assert {0, 1, 254, 1664, 10_000} <= lengths


def test_no_text_of_a_training_record_is_in_it(bundles, corpus):
    shingles = set()
    for line in (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines():
        text = json.loads(line)["originalText"]
        shingles |= {text[i : i + 12].encode() for i in range(0, len(text) - 12, 12)}
    version = find_version(bundles)
    files = [path for path in version.rglob("*") if path.is_file() and path != version / PLACE]
    assert len(files) > 10
    for path in files:
        content = path.read_bytes()
        assert not [shingle for shingle in shingles if shingle in content], path.name


def test_the_card_speaks_of_the_checkpoint_that_is_exported(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "model")
    history = json.loads((tmp_path / "model/history.json").read_text(encoding="utf-8"))
    metrics = json.loads((tmp_path / "model/metrics.json").read_text(encoding="utf-8"))
    # Whichever epoch was the best one: here it is not the last.
    metrics["best"] = history[0]
    (tmp_path / "model/metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    result = export(tmp_path / "model", tmp_path / "bundles", checkpoint="last", weights="bfloat16")
    assets = result.path / "assets"
    exported = json.loads((assets / "metrics.json").read_text(encoding="utf-8"))["exported"]
    assert exported.pop("compared_with_float32")["records"] == 64
    assert exported == {"checkpoint": "last", "weights": "bfloat16", "compute_dtype": "float32"} | history[-1]
    card = (assets / "model_card.md").read_text(encoding="utf-8")
    assert f"the checkpoint is that of epoch {len(history)}\n" in card
    scores = f"exact-match F1 {history[-1]['f1']:.4f} (precision"
    assert scores in card
    assert "on the validation records; measured in float32" in card
