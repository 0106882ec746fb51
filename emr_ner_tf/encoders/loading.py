"""Builds and loads encoders by name and backend."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from emr_ner_tf.encoders.base import Encoder
from emr_ner_tf.encoders.char_embedding import MODEL_TYPE as CHAR_EMBEDDING
from emr_ner_tf.encoders.char_embedding import CharEmbedding
from emr_ner_tf.encoders.elmo import MODEL_TYPE as ELMO
from emr_ner_tf.encoders.elmo import Elmo
from emr_ner_tf.encoders.google_checkpoint import describe_variables
from emr_ner_tf.encoders.hub import CONFIG, VOCABULARY, find_weights, read_config
from emr_ner_tf.encoders.tensor_paths import INDEX
from emr_ner_tf.encoders.vocabulary_files import read_vocabulary
from emr_ner_tf.encoders.weight_readers import read_weights
from emr_ner_tf.errors import UserError
from emr_ner_tf.text.vocabulary import Vocabulary, is_unused

BACKENDS = ("keras_nlp", "transformers")


def load_vocabulary(name_or_dir: str) -> Vocabulary:
    """Reads the vocabulary of an encoder.

    Args:
        name_or_dir: a directory or a hub name, in the Hugging Face layout or Google's.

    Returns:
        A token for each row of the embedding: those of `vocab.txt` and `added_tokens.json`, and `[unused]` tokens for
        the other rows.

    Raises:
        UserError: a file is missing or malformed.
    """
    return read_vocabulary(name_or_dir).vocabulary


def build_encoder(
    hf_config: Mapping[str, Any], *, backend: str = "keras_nlp", vocabulary_size: int | None = None
) -> Encoder:
    """Builds an encoder from its configuration, with random weights, under the current precision policy.

    Args:
        hf_config: configuration, as in `config.json` of the Hugging Face layout.
        backend: "keras_nlp" (BERT) or "transformers" (every model with a TensorFlow class in transformers).
        vocabulary_size: number of rows of the token embedding; None uses `vocab_size` of the configuration.

    Raises:
        UserError: the backend is unknown, or does not support the configuration.
    """
    rows = hf_config.get("vocab_size") if vocabulary_size is None else vocabulary_size
    if not isinstance(rows, int) or rows < 1:
        raise UserError(f"encoder configuration: `vocab_size` must be a whole number above 0, got {rows!r}")
    if hf_config.get("model_type") == CHAR_EMBEDDING:
        return CharEmbedding(hf_config, rows)
    if hf_config.get("model_type") == ELMO:
        return Elmo(hf_config, rows)
    # Each library takes seconds to import, so only the requested one is imported.
    if backend == "keras_nlp":
        from emr_ner_tf.encoders.keras_nlp_bert import KerasNlpBert

        return KerasNlpBert(hf_config, rows)
    if backend == "transformers":
        from emr_ner_tf.encoders.transformers_encoder import TransformersEncoder

        return TransformersEncoder(hf_config, rows)
    raise UserError(f"encoder backend must be one of {', '.join(BACKENDS)}, got {backend!r}")


def load_encoder(
    name_or_dir: str,
    *,
    vocabulary: Vocabulary | None = None,
    backend: str = "keras_nlp",
    changes: Mapping[str, Any] | None = None,
) -> Encoder:
    """Builds an encoder and loads its weights, accounting for every variable in both directions.

    Args:
        name_or_dir: a directory or a hub name in the Hugging Face layout; or a directory in Google's
            (`bert_config.json`, `bert_model.ckpt.*`, `vocab.txt`), or the prefix of the checkpoint in it.
        vocabulary: vocabulary of the tagger; None uses that of the encoder. Additional rows start as copies of the
            row of [UNK]; rows that were [unused] keep their values.
        backend: "keras_nlp" or "transformers".
        changes: changes of the encoder's configuration by key.

    Raises:
        UserError: a missing, broken or mismatched file, or vocabulary; the message says what was looked for and
            where.
    """
    hf_config = read_config(name_or_dir)
    own, notes = read_vocabulary(name_or_dir)
    vocabulary = vocabulary or own
    known, rows = hf_config["vocab_size"], len(vocabulary.tokens)
    if len(own.tokens) != known:
        raise UserError(
            f"encoder {name_or_dir!r}: {VOCABULARY} must have as many tokens as `vocab_size` in {CONFIG} says, "
            f"got {len(own.tokens)} and {known}"
        )
    _check_extends(vocabulary, own, name_or_dir)
    paths = find_weights(name_or_dir)
    if paths[0].suffix == INDEX:
        notes.append(f"{paths[0]}: {describe_variables(paths[0])}")
    for note in notes:
        logging.info("%s", note)
    encoder = build_encoder(hf_config | dict(changes or {}), backend=backend, vocabulary_size=rows)
    weights = read_weights(paths, prefix=encoder.prefix)
    one = len(paths) == 1 or paths[0].suffix == INDEX
    source = str(paths[0]) if one else f"{paths[0].parent} ({len(paths)} files)"
    table = weights.get(encoder.token_table)
    if table is not None:
        if len(table) != known:
            raise UserError(
                f"{source}: `{encoder.token_table}` must have as many rows as `vocab_size` in {CONFIG} says, "
                f"got {len(table)} and {known}"
            )
        added = np.repeat(table[[own.unk_id]], rows - known, axis=0)
        weights[encoder.token_table] = np.concatenate([table, added])
    encoder.assign(weights, source)
    return encoder


def _check_extends(vocabulary: Vocabulary, own: Vocabulary, name: str) -> None:
    """Raises unless each row of the encoder's vocabulary still has its token or was [unused]."""
    if len(vocabulary.tokens) < len(own.tokens):
        raise UserError(
            f"encoder {name!r}: the vocabulary in use must hold at least the {len(own.tokens)} tokens of its "
            f"{VOCABULARY}, got {len(vocabulary.tokens)}"
        )
    pairs = enumerate(zip(own.tokens, vocabulary.tokens, strict=False))
    other = [row for row, (old, new) in pairs if old != new and not is_unused(old)]
    if other:
        raise UserError(
            f"encoder {name!r}: the vocabulary in use must keep the tokens of its {VOCABULARY} in their rows "
            f"([unused] ones aside), got {len(other)} rows that differ (first: row {other[0]})"
        )
