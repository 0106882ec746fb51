"""Writes a checkpoint in the Hugging Face layout, which `transformers` and `load_encoder` read."""

import json
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.encoders.base import Encoder
from emr_ner_tf.encoders.hub import CONFIG, VOCABULARY, WEIGHTS
from emr_ner_tf.text.vocabulary import Vocabulary


def save_encoder(
    encoder: Encoder,
    vocabulary: Vocabulary,
    directory: str | os.PathLike[str],
    *,
    heads: Mapping[str, np.ndarray],
    architecture: str | None = None,
) -> None:
    """Writes `config.json`, `vocab.txt` and `model.safetensors`, in float32.

    Args:
        encoder: the encoder; the names of its weights get its prefix.
        vocabulary: the vocabulary, with a token for each row of the embedding.
        directory: directory, which is created if necessary; files with these names in it are replaced.
        heads: further weights by full name, without those that share the token embedding, as in transformers.
        architecture: transformers' class of the encoder with its heads, for `config.json`; None keeps the value.
    """
    import safetensors.numpy

    directory = pathlib.Path(directory)
    weights = {f"{encoder.prefix}.{name}": value for name, value in encoder.hf_weights().items()} | heads
    content = safetensors.numpy.save(
        {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()},
        metadata={"format": "pt"},
    )
    named = {"architectures": [architecture]} if architecture else {}
    vocabulary.save(directory / VOCABULARY)
    with atomic_writer(directory / CONFIG) as file:
        json.dump(encoder.hf_config | named, file, indent=2)
        file.write("\n")
    with atomic_writer(directory / WEIGHTS[0], "wb") as file:
        file.write(content)
