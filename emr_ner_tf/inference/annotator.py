"""Documents in, Documents out, over any callable that tags texts; knows no bundle and no server."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.texts import check_text, check_texts
from emr_ner_tf.errors import UserError

TagTexts = Callable[[Sequence[str]], Sequence[tuple[Entity, ...]]]

# Texts wait until there are this many, or this many characters, and are then tagged in batches of like length.
POOL_TEXTS = 256
POOL_CHARACTERS = 200_000


def annotate(
    documents: Iterable[Document], tag_texts: TagTexts, *, batch_characters: int = 16_384
) -> Iterator[Document]:
    """Tags documents, in their order, in flat memory however many there are.

    Args:
        documents: their own entities, if any, are replaced.
        tag_texts: texts to entities, in order; called with texts of like length.
        batch_characters: most characters of one call, padding to its longest text included; a longer text is a
            call of its own.

    Yields:
        Each document with the entities found.

    Raises:
        UserError: as `pool_documents`.
    """
    for pool in pool_documents(documents):
        yield from _annotate_pool(pool, tag_texts, batch_characters)


def pool_documents(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Yields documents in groups that end with the `POOL_TEXTS`th text or the `POOL_CHARACTERS`th character.

    Raises:
        UserError: one of them is no document, or its text no string that UTF-8 can hold; the message names its place
            among all.
    """
    if isinstance(documents, (str, bytes, Document)):
        raise UserError(
            f"documents must be a list of documents, got one {type(documents).__name__}; put it into a list"
        )
    pool: list[Document] = []
    held = 0
    for i, document in enumerate(documents):
        # Here, since later a text has its place among those of a batch alone.
        if not isinstance(document, Document):
            raise UserError(
                f"document {i}: must be a Document, got {type(document).__name__}; Document(id, text) makes one"
            )
        check_text(document.text, f"document {i}")
        pool.append(document)
        held += len(document.text)
        if len(pool) >= POOL_TEXTS or held >= POOL_CHARACTERS:
            yield pool
            pool, held = [], 0
    if pool:
        yield pool


def encode_texts(texts: Iterable[str]) -> list[bytes]:
    """Texts as UTF-8.

    Raises:
        UserError: as `check_texts`.
    """
    return [text.encode("utf-8") for text in check_texts(texts)]


def decode_entities(outputs: Mapping[str, np.ndarray]) -> list[tuple[Entity, ...]]:
    """Entities of each text from what the signature `serving_default` returns.

    Args:
        outputs: arrays by name: `num_entities` [B]; `start`, `end`, `label`, `score` [B, E].

    Returns:
        Entities of each of the B texts, in order of `start`.
    """
    columns = (outputs["start"], outputs["end"], outputs["label"], outputs["score"])
    starts, ends, labels, scores = (np.asarray(column).tolist() for column in columns)
    return [
        tuple(
            Entity(starts[row][i], ends[row][i], labels[row][i].decode("utf-8"), scores[row][i])
            for i in range(count)
        )
        for row, count in enumerate(np.asarray(outputs["num_entities"]).tolist())
    ]


def _annotate_pool(
    pool: Sequence[Document], tag_texts: TagTexts, batch_characters: int
) -> Iterator[Document]:
    order = sorted(range(len(pool)), key=lambda i: len(pool[i].text))
    found: list[tuple[Entity, ...]] = [()] * len(pool)
    for batch in _batches([len(pool[i].text) for i in order], batch_characters):
        members = [order[i] for i in batch]
        for i, entities in zip(members, tag_texts([pool[i].text for i in members]), strict=True):
            found[i] = entities
    for document, entities in zip(pool, found, strict=True):
        yield dataclasses.replace(document, entities=entities)


def _batches(lengths: Sequence[int], batch_characters: int) -> Iterator[range]:
    begin = 0
    for i in range(1, len(lengths) + 1):
        # Lengths rise, so that the next text would set the width of the batch.
        if i == len(lengths) or (i + 1 - begin) * lengths[i] > batch_characters:
            yield range(begin, i)
            begin = i
