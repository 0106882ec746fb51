"""The definition of a model without its weights, as files of a directory.

The files are `config.json` (resolved), `vocab.txt`, `labels.txt`, `encoder.json` (the encoder's own configuration) and,
if the model has a lexicon, `lexicon.txt`. Together with a checkpoint they restore a model without its original encoder.
"""

import dataclasses
import json
import os
import pathlib

from emr_ner_tf.config import ConfigDict, load_config, save_config
from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.data.whole_files import damaged, read_object, read_whole_lines
from emr_ner_tf.models.registry import LEXICON_CONTEXTS
from emr_ner_tf.text.vocabulary import Vocabulary

CONFIG, VOCABULARY, LABELS, ENCODER, LEXICON = (
    "config.json",
    "vocab.txt",
    "labels.txt",
    "encoder.json",
    "lexicon.txt",
)


@dataclasses.dataclass(frozen=True)
class ModelDefinition:
    """Configuration, vocabulary, labels and the encoder's own configuration.

    Attributes:
        config: the resolved configuration.
        vocabulary: the vocabulary, with the rows that the training text added.
        labels: the labels, in the order of the tags.
        encoder: the encoder's configuration, as in `config.json` of the Hugging Face layout; None before the encoder
            is loaded.
        words: words of the lexicon, in the order of their rows; empty without a lexicon.
    """

    config: ConfigDict
    vocabulary: Vocabulary
    labels: tuple[str, ...]
    encoder: dict | None = None
    words: tuple[str, ...] = dataclasses.field(default=(), repr=False)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes the files."""
        directory = pathlib.Path(directory)
        save_config(self.config, directory / CONFIG)
        self.vocabulary.save(directory / VOCABULARY)
        with atomic_writer(directory / LABELS) as file:
            file.writelines(f"{label}\n" for label in self.labels)
        with atomic_writer(directory / ENCODER) as file:
            json.dump(self.encoder, file, indent=2)
            file.write("\n")
        if self.words:
            with atomic_writer(directory / LEXICON) as file:
                file.writelines(f"{word}\n" for word in self.words)

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> "ModelDefinition":
        """Reads the files.

        Raises:
            UserError: a file is missing, malformed, empty or cut off; the message names it.
        """
        directory = pathlib.Path(directory)
        config = load_config(directory / CONFIG)
        labels = read_whole_lines(directory / LABELS)
        encoder = read_object(directory / ENCODER)
        words = read_whole_lines(directory / LEXICON) if config.model.context in LEXICON_CONTEXTS else []
        read_whole_lines(directory / VOCABULARY)
        vocabulary = Vocabulary.load(directory / VOCABULARY)
        if len(vocabulary.tokens) != encoder.get("vocab_size"):
            raise damaged(
                directory / VOCABULARY,
                f"must hold as many tokens as `vocab_size` in {ENCODER}, {encoder.get('vocab_size')}, "
                f"got {len(vocabulary.tokens)}",
            )
        return cls(config, vocabulary, tuple(labels), encoder, tuple(words))
