"""The parts of a version beside its signatures: warm-up requests, licence, card; 16-bit weights; old versions."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from emr_ner_tf.exporting.bundle import Bundle, find_version
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


@pytest.fixture(scope="module")
def halves(trained, corpus, tmp_path_factory):
    """Two versions in one directory, of which one is kept: bfloat16 (removed), float16."""
    output = tmp_path_factory.mktemp("halves")
    results = [
        export(trained, output, verify_on=str(corpus / "test.jsonl"), weights=weights, keep=1, licence="MIT")
        for weights in ("bfloat16", "float16")
    ]
    return output, results


def test_weights_in_16_bits(halves, bundles):
    output, results = halves
    full = sum(path.stat().st_size for path in find_version(bundles).rglob("*") if path.is_file())
    stored = (find_version(bundles) / "variables/variables.data-00000-of-00001").stat().st_size
    for result in results:
        assert result.megabytes * 1e6 < full - 0.15 * stored
        assert result.verification.records == 16
        assert result.verification.entities > 20
    tokens, length = tf.constant([[20, 30, 40, 50]], tf.int32), tf.constant([4], tf.int32)
    found, expected = (
        Bundle(path).signatures["marginals"](token_ids=tokens, length=length)["marginals"].numpy()
        for path in (output, bundles)
    )
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert np.abs(found - expected).max() > 0


def test_old_versions_make_room(halves):
    output, results = halves
    assert [path.name for path in output.iterdir()] == ["2"]
    assert [result.removed for result in results] == [[], [output / "1"]]


def test_licence_and_card(halves, bundles):
    output, _ = halves
    assert (output / "2/assets/LICENCE").read_text(encoding="utf-8") == "MIT\n"
    assert "No licence was stated" in (find_version(bundles) / "assets/LICENCE").read_text(encoding="utf-8")
    assert "weights stored as float16" in (output / "2/assets/model_card.md").read_text(encoding="utf-8")


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
