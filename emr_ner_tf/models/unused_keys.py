"""Finds keys of a configuration that are set but have no effect with the chosen model or data."""

from absl import logging

from emr_ner_tf.config import RANDOM_ENCODER, ConfigDict, base_config, flattened
from emr_ner_tf.models.registry import LEXICON_CONTEXTS


def report_unused_keys(config: ConfigDict) -> None:
    """Logs a warning for keys that have no effect, one for each reason.

    This is not an error, because a recipe, or a call of `reproduce`, may set keys for several models.
    """
    reasons: dict[str, list[str]] = {}
    for key, reason in unused_keys(config).items():
        reasons.setdefault(reason, []).append(f"config.{key}")
    for reason, keys in reasons.items():
        logging.warning(
            "%s: not used, because %s; leave it out, or change that setting",
            ", ".join(keys),
            reason,
        )


def unused_keys(config: ConfigDict) -> dict[str, str]:
    """Returns the keys that differ from their neutral values without an effect, each with the reason.

    Args:
        config: the whole configuration, checked.
    """
    neutral, rules, found = flattened(base_config()), _rules(config), {}
    for key, value in flattened(config).items():
        reasons = [reason for start, reason in rules if key.startswith(start)]
        if reasons and value != neutral[key]:
            found[key] = reasons[0]
    return found


def _rules(config: ConfigDict) -> list[tuple[str, str]]:
    """Returns beginnings of keys that have no effect, each with the reason."""
    model, char, lexicon, data = config.model, config.char, config.lexicon, config.data
    has_lexicon = model.context in LEXICON_CONTEXTS
    has_vectors = model.encoder != "bert" and char.word2vec
    reads_passages = config.distillation.teacher or has_vectors or (has_lexicon and not lexicon.file)
    encoder, context, attention = (
        f"config.model.{key} is {model[key]!r}" for key in ("encoder", "context", "attention")
    )
    rules = [
        ("char.", model.encoder != "bert", encoder),
        ("elmo.", model.encoder == "elmo", encoder),
        ("encoder_backend", model.encoder == "bert", encoder),
        ("encoder", model.encoder != "char", encoder),
        ("random_encoder.", model.encoder != "char", encoder),
        ("random_encoder.", config.encoder == RANDOM_ENCODER, f"config.encoder is not {RANDOM_ENCODER!r}"),
        ("lexicon.", has_lexicon, context),
        ("lexicon.min_count", not lexicon.file, "config.lexicon.file names a lexicon"),
        ("model.reset_after", model.context == "bigru", context),
        ("model.attention_gate", model.attention == "multi_head", attention),
        ("model.heads", model.attention == "multi_head", attention),
        ("text.extend_vocabulary", model.encoder != "char", encoder),
        ("text.extend_vocabulary", config.encoder != RANDOM_ENCODER, f"config.encoder is {RANDOM_ENCODER!r}"),
        ("optimizer.layer_decay", model.encoder != "char", encoder),
        (
            "optimizer.layer_decay",
            model.encoder != "elmo" or config.elmo.trainable,
            "config.elmo.trainable is False",
        ),
        (
            "data.unlabelled",
            reads_passages,
            "only config.distillation.teacher, config.char.word2vec with character embeddings, and "
            "config.model.context='lattice_lstm' without config.lexicon.file read passages",
        ),
        ("data.unlabelled_", data.unlabelled, "config.data.unlabelled is ''"),
        ("distillation.ratio", config.distillation.teacher, "config.distillation.teacher is ''"),
    ]
    return [(start, reason) for start, has_effect, reason in rules if not has_effect]
