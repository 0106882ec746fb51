"""A tiny BERT in the Hugging Face layout, with random weights, with and without heads, and synthetic text."""

import json

import numpy as np
import pytest
import safetensors.numpy

from emr_ner_tf.data.synthetic.generator import generate

WIDTH, INNER, POSITIONS = 16, 24, 40
CONFIG = {
    "model_type": "bert",
    "hidden_size": WIDTH,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}
HEADS = {
    "cls.predictions.bias": (None,),
    "cls.predictions.transform.dense.weight": (WIDTH, WIDTH),
    "cls.predictions.transform.dense.bias": (WIDTH,),
    "cls.predictions.transform.LayerNorm.weight": (WIDTH,),
    "cls.predictions.transform.LayerNorm.bias": (WIDTH,),
    "bert.pooler.dense.weight": (WIDTH, WIDTH),
    "bert.pooler.dense.bias": (WIDTH,),
    "cls.seq_relationship.weight": (2, WIDTH),
    "cls.seq_relationship.bias": (2,),
}


def _shapes():
    """Yields the tensors of PyTorch's BertModel."""
    yield "embeddings.word_embeddings.weight", (None, WIDTH)
    yield "embeddings.position_embeddings.weight", (POSITIONS, WIDTH)
    yield "embeddings.token_type_embeddings.weight", (2, WIDTH)
    for name in ("embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output"):
        yield f"{name}.LayerNorm.weight", (WIDTH,)
        yield f"{name}.LayerNorm.bias", (WIDTH,)
    dense = {f"attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
    dense |= {"attention.output.dense": (WIDTH, WIDTH)}
    dense |= {"intermediate.dense": (INNER, WIDTH), "output.dense": (WIDTH, INNER)}
    for name, shape in dense.items():
        yield f"encoder.layer.0.{name}.weight", shape
        yield f"encoder.layer.0.{name}.bias", shape[:1]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Synthetic records of several sentences each."""
    return [document.text for document in generate("train", records=24, seed=3)]


@pytest.fixture(scope="session")
def make_encoder(texts, tmp_path_factory):
    """A function that writes a tiny BERT and returns its directory; changes are of its configuration."""

    def make(*, heads: bool, **changes: object):
        characters = sorted(set("".join(texts)) - set("患者 \n"))
        tokens = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
        rng = np.random.default_rng(4)

        def draw(name, shape):
            mean = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            return rng.normal(mean, 0.3, [len(tokens) if size is None else size for size in shape])

        weights = {f"bert.{name}": draw(name, shape) for name, shape in _shapes()}
        if heads:
            weights |= {name: draw(name, shape) for name, shape in HEADS.items()}
        folder = tmp_path_factory.mktemp("encoder")
        (folder / "config.json").write_text(json.dumps(CONFIG | {"vocab_size": len(tokens)} | changes))
        (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
        safetensors.numpy.save_file(
            {name: value.astype(np.float32) for name, value in weights.items()},
            folder / "model.safetensors",
            metadata={"format": "pt"},
        )
        return folder

    return make
