"""Tiny checkpoints with random weights, and a batch with padding."""

import json
import pathlib

import numpy as np
import pytest
import safetensors.numpy

TOKENS = [
    "[PAD]",
    "[unused1]",
    "[unused2]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *map(chr, range(0x4E00, 0x4E1D)),
]
BERT = {
    "model_type": "bert",
    "vocab_size": len(TOKENS),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "hidden_dropout_prob": 0.2,
    "attention_probs_dropout_prob": 0.3,
}


def bert_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    """Returns the tensors of PyTorch's BertModel, as its published checkpoints list them."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], width),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
    }
    for layer in range(config["num_hidden_layers"]):
        sizes = {
            "attention.self.query": (width, width),
            "attention.self.key": (width, width),
            "attention.self.value": (width, width),
            "attention.output.dense": (width, width),
            "intermediate.dense": (inner, width),
            "output.dense": (width, inner),
        }
        for part, size in sizes.items():
            shapes[f"encoder.layer.{layer}.{part}.weight"] = size
            shapes[f"encoder.layer.{layer}.{part}.bias"] = size[:1]
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"encoder.layer.{layer}.{part}.weight"] = (width,)
            shapes[f"encoder.layer.{layer}.{part}.bias"] = (width,)
    return shapes


class Checkpoint:
    """A directory in the Hugging Face layout, written as PyTorch's BertModel would."""

    def __init__(self, folder: pathlib.Path, **changes: object) -> None:
        self.folder = folder
        self.config = BERT | changes
        rng = np.random.default_rng(5)
        self.weights = {
            # No value that an encoder starts with by itself: a tensor left out must show.
            name: rng.normal(1.0 if name.endswith("LayerNorm.weight") else 0.0, 0.3, shape).astype(np.float32)
            for name, shape in bert_shapes(self.config).items()
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config), encoding="utf-8")
        (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
        self.write(self.weights)

    def write(self, weights: dict[str, np.ndarray], name: str = "model.safetensors") -> None:
        """Writes weights, in PyTorch's format of safetensors."""
        safetensors.numpy.save_file(
            {key: np.ascontiguousarray(value) for key, value in weights.items()},
            self.folder / name,
            metadata={"format": "pt"},
        )

    def __fspath__(self) -> str:
        return str(self.folder)

    def __str__(self) -> str:
        return str(self.folder)


@pytest.fixture
def make_checkpoint(tmp_path):
    """A function that makes a checkpoint of a tiny BERT; arguments change its configuration."""
    made = []

    def make(**changes: object) -> Checkpoint:
        made.append(Checkpoint(tmp_path / f"encoder{len(made)}", **changes))
        return made[-1]

    return make


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Checkpoint:
    """The checkpoint of a tiny BERT, not to be written to."""
    return Checkpoint(tmp_path_factory.mktemp("tiny") / "encoder")


@pytest.fixture(scope="session")
def batch() -> tuple[np.ndarray, np.ndarray]:
    """Token ids int32 [4, 17] and the padding mask: lengths 17, 9, 2 and 3, ids in the padding that are not [PAD]."""
    token_ids = np.random.default_rng(6).integers(0, len(TOKENS), [4, 17]).astype(np.int32)
    return token_ids, np.arange(17) < np.array([17, 9, 2, 3])[:, np.newaxis]
