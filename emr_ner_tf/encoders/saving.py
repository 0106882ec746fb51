"""A checkpoint in the Hugging Face layout, as `transformers` and `load_encoder` read it."""

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
        encoder: its weights get its prefix.
        vocabulary: a token for each row of its embedding.
        directory: is made; files of these names in it are replaced.
        heads: what else the checkpoint holds, by full name. What shares the token embedding is left out, as
            transformers leaves it out.
        architecture: transformers' class of encoder and heads together, for `config.json`; None leaves what it says.
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
