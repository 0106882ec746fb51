"""Encoders by name and backend."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from emr_ner_tf.encoders.base import Encoder
from emr_ner_tf.encoders.checkpoint import read_weights
from emr_ner_tf.encoders.resolve import VOCABULARY, WEIGHTS, find_file, read_config
from emr_ner_tf.errors import UserError
from emr_ner_tf.text.vocabulary import Vocabulary

BACKENDS = ("keras_nlp", "transformers")
_ROWS = "embeddings.word_embeddings.weight"


def load_vocabulary(name_or_dir: str) -> Vocabulary:
    """Reads the vocabulary of an encoder.

    Raises:
        UserError: it has no readable `vocab.txt`.
    """
    return Vocabulary.load(find_file(name_or_dir, VOCABULARY))


def build_encoder(
    hf_config: Mapping[str, Any], *, backend: str = "keras_nlp", vocabulary_size: int
) -> Encoder:
    """Builds an encoder from its configuration, with random weights.

    Args:
        hf_config: as `config.json` of the Hugging Face layout has it.
        backend: "keras_nlp" (BERT) or "transformers" (what `TFAutoModel` knows).
        vocabulary_size: rows of the token embedding.

    Raises:
        UserError: an unknown backend, or a configuration that it cannot express.
    """
    if backend == "keras_nlp":
        from emr_ner_tf.encoders.keras_nlp_bert import KerasNlpBert

        return KerasNlpBert(hf_config, vocabulary_size)
    if backend == "transformers":
        from emr_ner_tf.encoders.transformers_encoder import TransformersEncoder

        return TransformersEncoder(hf_config, vocabulary_size)
    raise UserError(f"config.encoder_backend must be one of {', '.join(BACKENDS)}, got {backend!r}")


def load_encoder(
    name_or_dir: str, *, vocabulary: Vocabulary | None = None, backend: str = "keras_nlp"
) -> Encoder:
    """Builds an encoder and reads its weights.

    Args:
        name_or_dir: a directory or a hub name in the Hugging Face layout.
        vocabulary: of the tagger; None takes the checkpoint's own. Rows past the checkpoint's start as copies of
            [UNK]'s.
        backend: "keras_nlp" or "transformers".

    Raises:
        UserError: a missing or mismatched file; the message names what was looked for and where.
    """
    hf_config = read_config(name_or_dir)
    own = load_vocabulary(name_or_dir)
    vocabulary = vocabulary or own
    known = hf_config["vocab_size"]
    if len(own.tokens) > known or len(vocabulary.tokens) < len(own.tokens):
        raise UserError(
            f"encoder {name_or_dir}: its config.json says `vocab_size`={known}, its vocab.txt has {len(own.tokens)} "
            f"rows and the vocabulary in use {len(vocabulary.tokens)}"
        )
    # Some checkpoints have spare rows behind their vocabulary's.
    rows = max(known, len(vocabulary.tokens))
    if backend == "transformers":
        from emr_ner_tf.encoders.transformers_encoder import load_transformers

        find_file(name_or_dir, *WEIGHTS)
        return load_transformers(name_or_dir, hf_config, rows, vocabulary.unk_id)
    encoder = build_encoder(hf_config, backend=backend, vocabulary_size=rows)
    path = find_file(name_or_dir, *WEIGHTS)
    weights = read_weights(path)
    table = weights.get(_ROWS)
    if table is not None:
        if len(table) != known:
            raise UserError(f"{path}: `{_ROWS}` has {len(table)} rows, config.json says `vocab_size`={known}")
        extra = np.repeat(table[vocabulary.unk_id][np.newaxis], rows - known, axis=0)
        weights[_ROWS] = np.concatenate([table, extra])
    encoder.assign(weights, str(path))
    return encoder
