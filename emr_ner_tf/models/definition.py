"""What defines a model beside its weights, as files of a directory, and models built from it.

`config.json` (resolved), `vocab.txt`, `labels.txt` and `encoder.json` (the encoder's own configuration): with these
and a checkpoint a model is restored without the encoder that it once started from.
"""

import dataclasses
import json
import os
import pathlib

from emr_ner_tf.config import RANDOM_ENCODER, ConfigDict, load_config, save_config
from emr_ner_tf.data.files import atomic_writer
from emr_ner_tf.data.tags import TagTable
from emr_ner_tf.encoders.loading import build_encoder, load_encoder, load_vocabulary
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.contexts import build_context
from emr_ner_tf.models.tagger import SpecialTokens, Tagger, build_attention
from emr_ner_tf.text.vocabulary import Vocabulary

CONFIG, VOCABULARY, LABELS, ENCODER = "config.json", "vocab.txt", "labels.txt", "encoder.json"
_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclasses.dataclass(frozen=True)
class ModelDefinition:
    """Configuration, vocabulary, labels and the encoder's own configuration.

    Attributes:
        config: resolved.
        vocabulary: with the rows that training text added.
        labels: in the order in which the tags stand.
        encoder: the encoder's configuration as `config.json` of the Hugging Face layout has it; None before the
            encoder has been read.
    """

    config: ConfigDict
    vocabulary: Vocabulary
    labels: tuple[str, ...]
    encoder: dict | None = None

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes the four files."""
        directory = pathlib.Path(directory)
        save_config(self.config, directory / CONFIG)
        self.vocabulary.save(directory / VOCABULARY)
        with atomic_writer(directory / LABELS) as file:
            file.writelines(f"{label}\n" for label in self.labels)
        with atomic_writer(directory / ENCODER) as file:
            json.dump(self.encoder, file, indent=2)
            file.write("\n")

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> "ModelDefinition":
        """Reads the four files.

        Raises:
            UserError: one is missing or malformed.
        """
        directory = pathlib.Path(directory)
        config = load_config(directory / CONFIG)
        try:
            labels = (directory / LABELS).read_text(encoding="utf-8").splitlines()
            encoder = json.loads((directory / ENCODER).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{directory}: not a model directory: {error}") from error
        return cls(config, Vocabulary.load(directory / VOCABULARY), tuple(labels), encoder)


def start_vocabulary(config: ConfigDict, texts: list[str]) -> Vocabulary:
    """The encoder's vocabulary, with rows for what the training texts have and it lacks."""
    if config.encoder == RANDOM_ENCODER:
        return Vocabulary(_SPECIAL_TOKENS).extended(texts)
    if not config.encoder:
        raise UserError(
            "config.encoder must name a directory or a hub name in the Hugging Face layout "
            "(for example --config.encoder=hfl/chinese-roberta-wwm-ext), got ''"
        )
    vocabulary = load_vocabulary(config.encoder)
    return vocabulary.extended(texts) if config.text.extend_vocabulary else vocabulary


def build_tagger(definition: ModelDefinition) -> tuple[Tagger, ModelDefinition]:
    """Builds a tagger under the current precision policy and the current strategy's scope.

    Args:
        definition: with `encoder` None the encoder's weights are read from `config.encoder`; otherwise the encoder
            is built from its configuration and waits for a checkpoint.

    Returns:
        The tagger, its variables made, and the definition with `encoder` filled in.

    Raises:
        UserError: a missing or mismatched encoder, or an unknown name in `config.model`.
    """
    config, vocabulary = definition.config, definition.vocabulary
    rows = len(vocabulary.tokens)
    if definition.encoder is not None:
        rows = definition.encoder["vocab_size"]
        encoder = build_encoder(definition.encoder, backend=config.encoder_backend, vocabulary_size=rows)
    elif config.encoder == RANDOM_ENCODER:
        shape = config.random_encoder.to_dict() | {"model_type": "bert", "hidden_act": "gelu"}
        encoder = build_encoder(shape, backend=config.encoder_backend, vocabulary_size=rows)
    else:
        encoder = load_encoder(config.encoder, vocabulary=vocabulary, backend=config.encoder_backend)
    if config.text.window + 2 > encoder.max_positions:
        raise UserError(
            f"config.text.window must be at most {encoder.max_positions - 2}, the encoder's "
            f"{encoder.max_positions} positions less [CLS] and [SEP], got {config.text.window}"
        )
    tagger = Tagger(
        encoder,
        build_context(config.model.context, units=config.model.units, reset_after=config.model.reset_after),
        build_attention(config.model.attention, heads=config.model.heads),
        TagTable(definition.labels, config.model.scheme),
        SpecialTokens(vocabulary.pad_id, vocabulary.cls_id, vocabulary.sep_id),
        dropout=config.model.dropout,
        constrain_decoding=config.model.constrain_decoding,
        constrain_loss=config.model.constrain_loss,
    )
    tagger.make_variables()
    return tagger, dataclasses.replace(definition, encoder=dict(encoder.hf_config))
