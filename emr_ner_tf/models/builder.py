"""Builds taggers from their definitions."""

import dataclasses

from emr_ner_tf.config import RANDOM_ENCODER, ConfigDict, check_values
from emr_ner_tf.data.tag_scheme import SCHEMES, TagTable
from emr_ner_tf.encoders.base import Encoder
from emr_ner_tf.encoders.char_embedding import MODEL_TYPE as CHAR_EMBEDDING
from emr_ner_tf.encoders.elmo import MODEL_TYPE as ELMO
from emr_ner_tf.encoders.elmo import Elmo
from emr_ner_tf.encoders.loading import build_encoder, load_encoder
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.context_layers import CONTEXTS, ContextParts, build_context
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.resources import Resources
from emr_ner_tf.models.size_checks import check_sizes, check_window
from emr_ner_tf.models.tagger import ATTENTIONS, SpecialTokens, Tagger, build_attention


def check_model(config: ConfigDict) -> None:
    """Finds errors of the configuration that `build_tagger` would raise, before hours of other work.

    Raises:
        UserError: a name in `config.model` is unknown, `config.train.adversarial_norm` is set with token embeddings
            that are not trained, or as `check_sizes`.
    """
    names = {"model.context": tuple(CONTEXTS), "model.attention": ATTENTIONS, "model.scheme": SCHEMES}
    check_values(config, choices=names, at_least={}, fractions=())
    if config.train.adversarial_norm and config.model.encoder == "elmo" and not config.elmo.trainable:
        raise UserError(
            "config.train.adversarial_norm must be 0 with an encoder whose token embeddings are not trained "
            f"(config.elmo.trainable=False), got {config.train.adversarial_norm:g}"
        )
    check_sizes(config)


def build_tagger(
    definition: ModelDefinition, resources: Resources | None = None, encoder: Encoder | None = None
) -> tuple[Tagger, ModelDefinition]:
    """Builds a tagger under the current precision policy and the current strategy's scope.

    Args:
        definition: definition of the model. If its `encoder` is None, the encoder's weights are read from
            `config.encoder`; otherwise the encoder is built with random weights, which a checkpoint will replace.
        resources: initial vectors of embeddings; None if there are none, or if a checkpoint will be loaded.
        encoder: the encoder, if `build_encoder_of` has already built it; None builds it.

    Returns:
        The tagger with its variables, and the definition with `encoder` filled in.

    Raises:
        UserError: the encoder is missing or does not fit, or a name in `config.model` is unknown.
    """
    config, vocabulary = definition.config, definition.vocabulary
    encoder = encoder or build_encoder_of(definition)
    if isinstance(encoder, Elmo):
        encoder.language_model.trainable = config.elmo.trainable
    check_window(config.text.window, encoder.max_positions)
    tagger = Tagger(
        encoder,
        build_context(ContextParts(config.model, config.lexicon.size, vocabulary, definition.words)),
        build_attention(config.model),
        TagTable(definition.labels, config.model.scheme),
        SpecialTokens(vocabulary.pad_id, vocabulary.cls_id, vocabulary.sep_id),
        dropout=config.model.dropout,
        constrain_decoding=config.model.constrain_decoding,
        constrain_loss=config.model.constrain_loss,
    )
    tagger.build_variables()
    if resources is not None and resources.char_vectors is not None:
        encoder.assign_vectors(*vocabulary.rows_of(resources.char_vectors))
    if resources is not None and resources.word_vectors is not None:
        tagger.context.assign_vectors(resources.word_vectors)
    return tagger, dataclasses.replace(definition, encoder=dict(encoder.hf_config))


def build_encoder_of(definition: ModelDefinition) -> Encoder:
    """Builds the encoder of a definition, as `build_tagger` does.

    Raises:
        UserError: the encoder is missing or does not fit.
    """
    config = definition.config
    kind, rows = config.model.encoder, len(definition.vocabulary.tokens)
    own = {"character_size": config.char.size} if kind == ELMO else {}
    if definition.encoder is not None:
        hf_config, rows = definition.encoder, definition.encoder["vocab_size"]
    elif kind == "char":
        hf_config = {"model_type": CHAR_EMBEDDING, "hidden_size": config.char.size}
    elif config.encoder == RANDOM_ENCODER:
        hf_config = config.random_encoder.to_dict() | {"model_type": kind, "hidden_act": "gelu"} | own
    else:
        encoder = load_encoder(
            config.encoder, vocabulary=definition.vocabulary, backend=config.encoder_backend, changes=own
        )
        if isinstance(encoder, Elmo) != (kind == ELMO):
            found = encoder.hf_config["model_type"]
            raise UserError(
                f"config.model.encoder must be {ELMO!r} if and only if `model_type` of config.encoder is, "
                f"got {kind!r} and {found!r}"
            )
        return encoder
    return build_encoder(hf_config, backend=config.encoder_backend, vocabulary_size=rows)
