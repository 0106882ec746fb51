"""The pre-training run in this process: heads, figures, the result as transformers loads it, what it refuses."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf
import transformers

from emr_ner_tf.encoders.loading import load_encoder, load_vocabulary
from emr_ner_tf.errors import UserError
from emr_ner_tf.pretraining.head_weights import read_heads
from emr_ner_tf.pretraining.mlm_task import pretrain
from emr_ner_tf.pretraining.model import PretrainingModel
from emr_ner_tf.pretraining.settings import pretrain_config
from emr_ner_tf.training.model_dir import exclusive_lock


@pytest.fixture
def config(texts, tmp_path):
    config = pretrain_config()
    (tmp_path / "passages.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    config.data.unlabelled = str(tmp_path / "passages.txt")
    config.data.heldout_fraction = 0.2
    config.text.window = 37
    config.train.token_budget = 256
    config.train.head_steps = 8
    config.optimizer.encoder_rate = config.optimizer.head_rate = 0.02
    # Determinism is a switch of the whole process, and other tests share this one.
    config.train.deterministic = False
    yield config
    tf.keras.mixed_precision.set_global_policy("float32")


def test_a_run_leaves_what_it_says(config, make_encoder, texts, tmp_path):
    config.encoder = str(make_encoder(heads=False))
    config.train.epochs = 2
    config.masking.whole_words = True
    config.train.precision = "mixed_bfloat16"
    metrics = pretrain(config, str(tmp_path / "run"), str(tmp_path / "adapted"))
    assert metrics["before"].keys() == {"mlm_loss", "mlm_accuracy", "nsp_loss", "nsp_accuracy"}
    assert metrics["after"]["mlm_loss"] < metrics["before"]["mlm_loss"]
    # 患 and 者, which the vocabulary lacks.
    assert metrics["added_tokens"] == 2
    assert metrics["held_out"] == round(0.2 * len(texts))
    assert metrics["characters"] == sum(map(len, texts))
    history = json.loads((tmp_path / "run/history.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in history[-3:]] == ["before", "epoch 1/2", "epoch 2/2"]
    assert history[-3]["held"] == metrics["before"]
    assert json.loads((tmp_path / "run/metrics.json").read_text(encoding="utf-8")) == metrics
    # Again: nothing is trained, the result is written once more, elsewhere.
    assert pretrain(config, str(tmp_path / "run"), str(tmp_path / "again")) == metrics
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("adapted", "again"))
    assert one == two
    config.train.epochs = 3
    with pytest.raises(UserError, match=r"train.epochs: 2 -> 3"):
        pretrain(config, str(tmp_path / "run"), str(tmp_path / "again"))


@pytest.mark.usefixtures("eager")
def test_a_run_that_was_copied_in_part(config, make_encoder, tmp_path):
    config.encoder = str(make_encoder(heads=True))
    run, output = tmp_path / "run", str(tmp_path / "adapted")
    metrics = pretrain(config, str(run), output)
    (run / "checkpoints/last/checkpoint").unlink()
    assert pretrain(config, str(run), output) == metrics
    data = next((run / "checkpoints/last").glob("ckpt-*.data-*"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with open(data, "ab") as file:
        file.truncate(file.tell() // 2)
    with pytest.raises(UserError, match=rf"^{data}: cut off.*; copy it again"):
        pretrain(config, str(run), output)
    for path in data.parent.iterdir():
        path.unlink()
        del before[path]
    with pytest.raises(
        UserError, match=rf"^{run} holds a run \(metrics.json, history.json\), and no checkpoint in "
    ):
        pretrain(config, str(run), output)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    # A run that is killed after its first measurement, before its first checkpoint, leaves this.
    (run / "metrics.json").unlink()
    history = json.loads((run / "history.json").read_text(encoding="utf-8"))
    (run / "history.json").write_text(json.dumps(history[:1]), encoding="utf-8")
    assert pretrain(config, str(run), output)["after"] == metrics["after"]


@pytest.mark.usefixtures("eager")
def test_missing_heads_learn_with_the_encoder_frozen(config, make_encoder, tmp_path):
    folder = make_encoder(heads=False)
    config.encoder = str(folder)
    config.encoder_backend = "transformers"
    config.optimizer.encoder_rate = 0.0
    config.train.head_steps = 40
    metrics = pretrain(config, str(tmp_path / "run"), str(tmp_path / "adapted"))
    history = json.loads((tmp_path / "run/history.json").read_text(encoding="utf-8"))
    heads = [entry for entry in history if entry["name"].startswith("heads")]
    assert len(heads) > 1
    assert heads[-1]["loss"] < heads[0]["loss"]
    assert metrics["updates"] > 40
    before, after = (
        safetensors.numpy.load_file(path / "model.safetensors") for path in (folder, tmp_path / "adapted")
    )
    for name, value in before.items():
        np.testing.assert_array_equal(after[name][: len(value)], value, err_msg=name)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("kind", ["roformer", "electra", "albert"])
def test_encoders_of_other_kinds_are_adapted(config, kind, make_encoder, tmp_path):
    # Their token embedding is narrower than what they give.
    sizes = {"hidden_size": 32, "embedding_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"intermediate_size": 48, "max_position_embeddings": 40}
    vocabulary = make_encoder(heads=False) / "vocab.txt"
    size = len(vocabulary.read_text(encoding="utf-8").splitlines())
    model = transformers.TFAutoModel.from_config(transformers.CONFIG_MAPPING[kind](vocab_size=size, **sizes))
    model.build_in_name_scope()
    model.save_pretrained(tmp_path / "encoder")
    shutil.copy(vocabulary, tmp_path / "encoder")
    config.encoder, config.encoder_backend = str(tmp_path / "encoder"), "transformers"
    metrics = pretrain(config, str(tmp_path / "run"), str(tmp_path / "adapted"))
    assert metrics["after"]["mlm_loss"] < metrics["before"]["mlm_loss"]

    adapted = load_vocabulary(str(tmp_path / "adapted"))
    before = load_encoder(config.encoder, backend="transformers", vocabulary=adapted)
    after = load_encoder(str(tmp_path / "adapted"), backend="transformers", vocabulary=adapted)
    for one, other in zip(before.trainable_variables, after.trainable_variables, strict=True):
        assert np.abs(one.numpy() - other.numpy()).max() > 0, one.name
    own = transformers.TFAutoModel.from_pretrained(str(tmp_path / "adapted"))
    ids = np.random.default_rng(1).integers(6, size, [2, 20]).astype(np.int32)
    mask = np.arange(20) < np.array([20, 13])[:, np.newaxis]
    expected = own(input_ids=ids, attention_mask=mask.astype(np.int32)).last_hidden_state.numpy()
    np.testing.assert_allclose(after(ids, mask).numpy()[mask], expected[mask], atol=1e-4)


@pytest.mark.usefixtures("eager")
def test_the_result_is_what_transformers_loads(config, make_encoder, tmp_path):
    folder = make_encoder(heads=True)
    config.encoder = str(folder)
    metrics = pretrain(config, str(tmp_path / "run"), str(tmp_path / "adapted"))
    history = json.loads((tmp_path / "run/history.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in history] == ["before", "epoch 1/1"], (
        "heads are there: nothing to warm up"
    )
    assert json.loads((tmp_path / "adapted/config.json").read_text())["architectures"] == [
        "BertForPreTraining"
    ]
    vocabulary = load_vocabulary(str(tmp_path / "adapted"))
    ids = np.random.default_rng(1).integers(6, len(vocabulary.tokens), [2, 20]).astype(np.int32)
    mask = np.arange(20) < np.array([20, 13])[:, np.newaxis]
    segments = np.where(np.arange(20) < 8, 0, 1)[np.newaxis].repeat(2, axis=0).astype(np.int32)
    theirs, said = transformers.TFBertForPreTraining.from_pretrained(
        str(tmp_path / "adapted"), output_loading_info=True
    )
    assert not any(said.values()), said
    expected = theirs(
        input_ids=ids,
        attention_mask=mask.astype(np.int32),
        token_type_ids=segments,
        output_hidden_states=True,
    )
    for backend in ("keras_nlp", "transformers"):
        encoder = load_encoder(str(tmp_path / "adapted"), vocabulary=vocabulary, backend=backend)
        found = encoder(tf.constant(ids), tf.constant(mask), segment_ids=tf.constant(segments)).numpy()
        np.testing.assert_allclose(found[mask], expected.hidden_states[-1].numpy()[mask], atol=1e-4)
    # The heads too.
    model = PretrainingModel(encoder)
    assert read_heads(model, str(tmp_path / "adapted")) == []
    labels = np.where(np.random.default_rng(2).random([2, 20]) < 0.3, ids, -1)
    labels[~mask] = -1
    other = np.array([0, 1], np.int32)
    sums = model.sums(ids, segments, labels, mask.sum(axis=1), other)
    logits = expected.prediction_logits.numpy()[labels >= 0]
    picked = tf.nn.log_softmax(logits).numpy()[np.arange(len(logits)), labels[labels >= 0]]
    next_sentence = tf.nn.log_softmax(expected.seq_relationship_logits.numpy()).numpy()
    np.testing.assert_allclose(sums.mlm_loss, -picked.sum(), rtol=1e-4)
    np.testing.assert_allclose(sums.nsp_loss, -next_sentence[[0, 1], other].sum(), rtol=1e-4)
    assert sums.mlm_count == len(logits)
    assert sums.mlm_hits == (logits.argmax(axis=-1) == labels[labels >= 0]).sum()
    assert metrics["before"] != metrics["after"]


def test_what_it_refuses(config, make_encoder, tmp_path):
    encoder = str(make_encoder(heads=False))

    def refused(output, **changes):
        for key, value in changes.items():
            section, _, name = key.rpartition("__")
            (config[section] if section else config)[name] = value
        with pytest.raises(UserError) as caught:
            pretrain(config, str(tmp_path / "run"), output)
        return str(caught.value)

    assert "config.encoder must name a directory" in refused("out", encoder="")
    assert "--output must be another directory" in refused(encoder, encoder=encoder)
    (pathlib.Path(encoder) / "bert_model.ckpt.index").touch()
    prefix = f"{encoder}/bert_model.ckpt"
    assert "another directory than that of config.encoder" in refused(f"{encoder}/", encoder=prefix)
    config.encoder = encoder
    assert "config.text.window must be at most 37" in refused("out", text__window=38)
    assert "config.masking.rate must be at least 0 and below 1, got 1.0" in refused("out", masking__rate=1.0)
    assert "config.optimizer.beta_2 must be at least 0 and below 1, got 1.5" in refused(
        "out", masking__rate=0.15, optimizer__beta_2=1.5
    )
    assert "config.optimizer.epsilon must be at least 1e-30, got -1.0" in refused(
        "out", optimizer__beta_2=0.999, optimizer__epsilon=-1.0
    )
    config.optimizer.epsilon = 1e-7
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    assert f"--output must be a directory, got {file}/out, and {file} is a file" in refused(
        f"{file}/out", masking__rate=0.15
    )
    assert not (tmp_path / "run").exists()
    with exclusive_lock(tmp_path / "run", chief=True):
        assert "another process is training in this directory" in refused("out", masking__rate=0.15)
