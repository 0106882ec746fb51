"""The resources of a training run: the vocabulary and, for some models, a lexicon and vectors."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from emr_ner_tf.config import RANDOM_ENCODER, ConfigDict, passage_settings
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.flag_names import flags_named
from emr_ner_tf.data.passages import read_passages
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.data.vectors import Vectors, read_vectors, train_word2vec
from emr_ner_tf.encoders.hub import check_named
from emr_ner_tf.encoders.loading import load_vocabulary
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.registry import LEXICON_CONTEXTS
from emr_ner_tf.text.vocabulary import Vocabulary

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Resources(NamedTuple):
    """The resources of a training run.

    Attributes:
        vocabulary: the encoder's vocabulary, or one made from the training text, with rows for new characters.
        words: words of the lexicon; empty without a lexicon.
        char_vectors: initial values of the character embeddings, or None.
        word_vectors: float32 [len(words), D], initial values of the word embeddings, or None.
    """

    vocabulary: Vocabulary
    words: tuple[str, ...] = ()
    char_vectors: Vectors | None = None
    word_vectors: np.ndarray | None = None


def build_resources(
    config: ConfigDict, documents: Sequence[Document], others: Sequence[Document] = ()
) -> Resources:
    """Reads or builds the resources that the configuration names.

    Args:
        config: the whole configuration.
        documents: the training records only; no resource may depend on a record that a model is scored on.
        others: records whose characters get rows of the vocabulary, too; nothing is learned for them.

    Raises:
        UserError: a file is missing or malformed, vectors have another width, or a lexicon has no word.
    """
    texts = [document.text for document in documents]
    words, word_vectors, vectors = (), None, None
    if config.model.context in LEXICON_CONTEXTS:
        words, word_vectors = _lexicon(config.lexicon, documents, config.data)
    if config.model.encoder != "bert":
        vectors = _char_vectors(config.char, texts, config.data, config.train.seed)
        texts += [token for token in vectors.tokens if len(token) == 1] if vectors else []
    encoder = RANDOM_ENCODER if config.model.encoder == "char" else config.encoder
    texts += [document.text for document in others]
    vocabulary = _vocabulary(encoder, texts, extend=config.text.extend_vocabulary)
    return Resources(vocabulary, words, vectors, word_vectors)


def unlabelled_passages(data: ConfigDict) -> Iterator[str]:
    """Yields the passages of the files that `data.unlabelled` names.

    Args:
        data: the section `data`.

    Raises:
        UserError: while iterating: a file cannot be read or holds no passage.
    """
    settings = passage_settings(data)
    with flags_named("--config.data.unlabelled_format", "--config.data.unlabelled_options"):
        for path in split_paths(data.unlabelled, "config.data.unlabelled"):
            yield from read_passages(path, **settings)


def _vocabulary(encoder: str, texts: list[str], *, extend: bool) -> Vocabulary:
    if encoder == RANDOM_ENCODER:
        return Vocabulary(_SPECIAL_TOKENS).extended(texts)
    check_named(encoder)
    vocabulary = load_vocabulary(encoder)
    return vocabulary.extended(texts) if extend else vocabulary


def _char_vectors(settings: ConfigDict, texts: list[str], data: ConfigDict, seed: int) -> Vectors | None:
    if settings.vectors:
        vectors = read_vectors(settings.vectors)
        width = vectors.values.shape[1]
        if width != settings.size:
            raise UserError(
                f"config.char.size must be the width of the vectors in {settings.vectors}, {width}, "
                f"got {settings.size}"
            )
        known = {character for text in texts for character in text}
        found = known.intersection(vectors.tokens)
        if not found:
            raise UserError(
                f"config.char.vectors={settings.vectors}: must contain vectors of the training records' characters, "
                f"got {len(vectors.tokens)} tokens and none of them"
            )
        logging.info(
            "%d of %d characters of the training records have a vector; the others are initialized randomly",
            len(found),
            len(known),
        )
        return vectors
    if not settings.word2vec:
        return None
    passages = [*texts, *unlabelled_passages(data)]
    logging.info("word2vec on %d passages, %d characters", len(passages), sum(map(len, passages)))
    return train_word2vec(passages, size=settings.size, seed=seed)


def _lexicon(
    settings: ConfigDict, documents: Sequence[Document], data: ConfigDict
) -> tuple[tuple[str, ...], np.ndarray | None]:
    # Imported here, because the segmenter reads its dictionary on import.
    from emr_ner_tf.data.lexicon import build_lexicon, read_lexicon

    if settings.file:
        lexicon = read_lexicon(settings.file)
    else:
        texts = itertools.chain((document.text for document in documents), unlabelled_passages(data))
        lexicon = build_lexicon(texts, min_count=settings.min_count)
    if lexicon.vectors is not None and lexicon.vectors.shape[1] != settings.size:
        raise UserError(
            f"config.lexicon.size must be the width of the vectors in {settings.file}, "
            f"{lexicon.vectors.shape[1]}, got {settings.size}"
        )
    logging.info("the lexicon has %d words", len(lexicon.words))
    return lexicon.words, lexicon.vectors
