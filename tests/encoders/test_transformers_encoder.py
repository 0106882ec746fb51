"""Architectures that only transformers has: its own output, names in both directions, what is left untrained."""

import numpy as np
import pytest
import tensorflow as tf
import transformers

from emr_ner_tf.encoders.loading import build_encoder, load_encoder
from emr_ner_tf.errors import UserError

SIZES = {
    "vocab_size": 36,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
DISTILBERT = {
    "vocab_size": 36,
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 48,
    "max_position_embeddings": 40,
}
KINDS = {
    "bert": SIZES,
    "roformer": SIZES | {"embedding_size": 16},
    "electra": SIZES | {"embedding_size": 16},
    "albert": SIZES | {"embedding_size": 16},
    "distilbert": DISTILBERT,
    "roberta": SIZES | {"pad_token_id": 1, "type_vocab_size": 1},
}
# Positions that a window may take; RoBERTa's begin at 2.
POSITIONS = dict.fromkeys(KINDS, 40) | {"roberta": 38}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def save(kind, folder, tokens, **options):
    """Writes a checkpoint of transformers' own TensorFlow class, with no weight as it starts."""
    config = transformers.CONFIG_MAPPING[kind](**KINDS[kind])
    model = transformers.TFAutoModel.from_config(config)
    model.build_in_name_scope()
    rng = np.random.default_rng(4)
    for variable in model.variables:
        variable.assign_add(rng.normal(0, 0.1, variable.shape))
    model.save_pretrained(str(folder), **options)
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")


@pytest.fixture
def tokens(tiny):
    return (tiny.folder / "vocab.txt").read_text(encoding="utf-8").split()


# TensorFlow's names, in either of its files.
@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "h5"])
def test_output_is_transformers_own(kind, safe, tmp_path, tokens, batch):
    save(kind, tmp_path, tokens, safe_serialization=safe)
    assert (tmp_path / ("model.safetensors" if safe else "tf_model.h5")).is_file()
    token_ids, mask = batch
    # transformers counts RoBERTa's positions by the padding's id, which no text has.
    token_ids = np.where(mask & (token_ids < 2), 2, token_ids)
    own = transformers.TFAutoModel.from_pretrained(str(tmp_path))
    expected = own(input_ids=token_ids, attention_mask=mask.astype(np.int32)).last_hidden_state.numpy()
    encoder = load_encoder(str(tmp_path), backend="transformers")
    actual = encoder(tf.constant(token_ids), tf.constant(mask)).numpy()
    np.testing.assert_allclose(actual[mask], expected[mask], atol=1e-4)
    assert (encoder.hidden_size, encoder.max_positions) == (32, POSITIONS[kind])


def test_every_trainable_variable_is_trained(kind, batch):
    encoder = build_encoder({"model_type": kind} | KINDS[kind], backend="transformers")
    token_ids, mask = map(tf.constant, batch)
    with tf.GradientTape() as tape:
        outputs = encoder(token_ids, mask, training=True)
        value = tf.reduce_sum(
            outputs * tf.constant(np.random.default_rng(1).normal(size=outputs.shape), tf.float32)
        )
    gradients = tape.gradient(value, encoder.trainable_variables)
    untrained = [v.name for v, g in zip(encoder.trainable_variables, gradients, strict=True) if g is None]
    assert not untrained
    frozen = {variable.name for variable in encoder.non_trainable_variables}
    assert all("pooler" in name or "embed_positions" in name for name in frozen)
    # RoFormer's sines are no weights, though transformers makes a variable for them.
    assert any("embed_positions" in name for name in frozen) == (kind == "roformer")


def test_dropouts_are_all_found(kind, batch):
    encoder = build_encoder({"model_type": kind} | KINDS[kind], backend="transformers")
    for module in encoder.submodules:
        if isinstance(module, tf.keras.layers.Dropout):
            module.rate = 0.0
    token_ids, mask = map(tf.constant, batch)
    trained, still = (encoder(token_ids, mask, training=training).numpy() for training in (True, False))
    np.testing.assert_allclose(trained, still, atol=1e-5)


def test_graph_takes_any_shape_and_asserts_nothing(kind, batch):
    encoder = build_encoder({"model_type": kind} | KINDS[kind], backend="transformers")
    signature = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None], tf.bool)]
    encode = tf.function(
        lambda ids, mask: encoder(ids, mask, training=False), input_signature=signature, autograph=False
    )
    graph = encode.get_concrete_function().graph.as_graph_def()
    functions = [node.op for function in graph.library.function for node in function.node_def]
    assert not [
        op for op in {node.op for node in graph.node} | set(functions) if "Assert" in op or "Py" in op
    ]
    token_ids, mask = map(tf.constant, batch)
    eager = encoder(token_ids, mask).numpy()
    np.testing.assert_allclose(encode(token_ids, mask).numpy()[batch[1]], eager[batch[1]], atol=1e-5)
    assert encode(token_ids[:0], mask[:0]).shape == [0, 17, 32]


def test_added_rows_are_copies_of_the_unknown_one(kind, tmp_path, tokens):
    from emr_ner_tf.text.vocabulary import Vocabulary

    save(kind, tmp_path, tokens)
    plain = load_encoder(str(tmp_path), backend="transformers")
    longer = Vocabulary((*tokens, "甲", "乙"))
    extended = load_encoder(str(tmp_path), vocabulary=longer, backend="transformers")
    assert extended.vocabulary_size == extended.hf_config["vocab_size"] == 38
    old, new = plain.hf_weights()[plain.token_table], extended.hf_weights()[extended.token_table]
    np.testing.assert_array_equal(new[:36], old)
    np.testing.assert_array_equal(new[36:], old[[3, 3]])
    for name, value in plain.hf_weights().items():
        if name != plain.token_table:
            np.testing.assert_array_equal(extended.hf_weights()[name], value, err_msg=name)


def test_a_pooler_or_head_in_the_file_is_left_out(tmp_path, tokens, batch):
    config = transformers.BertConfig(**SIZES)
    model = transformers.TFBertForPreTraining(config)
    model.build_in_name_scope()
    model.save_pretrained(str(tmp_path))
    (tmp_path / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    token_ids, mask = batch
    body = model.bert(input_ids=token_ids, attention_mask=mask.astype(np.int32))
    for backend in ("keras_nlp", "transformers"):
        encoder = load_encoder(str(tmp_path), backend=backend)
        actual = encoder(tf.constant(token_ids), tf.constant(mask)).numpy()
        np.testing.assert_allclose(actual[mask], body.last_hidden_state.numpy()[mask], atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_type": "no_such"}, "'no_such'"),
        ({"model_type": "t5"}, "'t5'"),
        ({"position_embedding_type": "relative_key"}, "'relative_key'"),
        ({"hidden_size": 30}, "multiple"),
        ({"hidden_act": "no_such"}, "no_such"),
    ],
)
def test_what_it_cannot_build_is_an_error(changes, says):
    with pytest.raises(UserError, match=says):
        build_encoder({"model_type": "bert"} | SIZES | changes, backend="transformers")
