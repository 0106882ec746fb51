"""The interface `Annotator`, which everything that finds entities in texts implements."""

import abc
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Self

import numpy as np

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.texts import check_text, check_texts
from emr_ner_tf.errors import UserError
from emr_ner_tf.text.packing import map_by_length

# Texts are collected up to this number of texts or characters, then annotated in batches of similar length.
POOL_TEXTS = 256
POOL_CHARACTERS = 200_000


class Annotator(abc.ABC):
    """Finds the entities of texts: a bundle, a model in this process, a client of a server, or a dictionary.

    A subclass implements `predict`; the other methods are the same for all subclasses. A `with` statement closes the
    annotator at its end.

    Example:
        >>> from emr_ner_tf import Document, Entity, read_documents
        >>> from emr_ner_tf.evaluation.lookup import LookupAnnotator
        >>> annotator = LookupAnnotator([Document("1", "左肾结石", [Entity(0, 4, "疾病和诊断")])])
        >>> annotator("诊断：左肾结石。")
        Document('0', '诊断：左肾结石。', [
            Entity(3, 7, '疾病和诊断', text='左肾结石'),
        ])
        >>> [len(document.entities) for document in annotator.annotate(["左肾结石", "无"])]
        [1, 0]
    """

    @abc.abstractmethod
    def predict(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        """Returns the entities of each text, in order of `start`.

        Args:
            texts: any number of texts of any length; texts of similar length are processed fastest.

        Raises:
            UserError: a text is not a string, or cannot be encoded as UTF-8.
        """

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Name of the model; a file job that was started with another model is not resumed."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that entities may have, in the model's order; empty if they are not known."""
        return ()

    @property
    def version(self) -> int | None:
        """Version of the model on a server, once it is known; None for annotators without a server."""
        return None

    def __call__(self, text: str | Document) -> Document:
        """Annotates one text or document; raises the errors of `predict`."""
        (document,) = self.annotate([text])
        return document

    def annotate(
        self,
        documents: Iterable[str | Document],
        *,
        batch_characters: int = 16_384,
        on_progress: Callable[[int], object] | None = None,
    ) -> Iterator[Document]:
        """Yields each document, in order, with its entities; memory does not grow with the number of documents.

        Args:
            documents: texts or documents. Entities of a document are replaced. The id of a text is its index, counted
                from 0.
            batch_characters: maximum number of characters in one call of `predict`, padding to the longest text
                included; a longer text is a call of its own.
            on_progress: function to call after each batch with its number of texts, such as that of a progress bar.

        Raises:
            UserError: a document is neither a text nor a `Document`, or its text cannot be encoded as UTF-8; the
                message gives its index.
        """
        for pool in pool_documents(documents):
            texts = [document.text for document in pool]
            found = self._predict_pool(texts, batch_characters, on_progress or (lambda _: None))
            for document, entities in zip(pool, found, strict=True):
                yield dataclasses.replace(document, entities=entities)

    def close(self) -> None:  # noqa: B027 (most annotators have nothing to release)
        """Releases resources such as a connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _predict_pool(
        self, texts: Sequence[str], batch_characters: int, on_progress: Callable[[int], object]
    ) -> list[tuple[Entity, ...]]:
        """Returns the entities of each text of a pool, computed in batches of similar length."""
        return map_by_length(
            lambda members: self.predict([texts[i] for i in members]),
            [len(text) for text in texts],
            budget=batch_characters,
            on_progress=on_progress,
        )


def pool_documents(documents: Iterable[str | Document]) -> Iterator[list[Document]]:
    """Yields documents in groups of up to `POOL_TEXTS` texts or about `POOL_CHARACTERS` characters.

    Args:
        documents: texts or documents; the id of a text is its index, counted from 0.

    Raises:
        UserError: a document is neither a text nor a `Document`, or its text cannot be encoded as UTF-8; the message
            gives its index.
    """
    if isinstance(documents, (str, bytes, Document)):
        raise UserError(
            f"documents must be a list of texts or documents, got one {type(documents).__name__}; put it into a list"
        )
    pool: list[Document] = []
    characters = 0
    for i, document in enumerate(documents):
        # Checked here, because later only the index within a batch is known.
        if isinstance(document, str):
            document = Document(str(i), document)
        if not isinstance(document, Document):
            raise UserError(
                f"document {i}: must be a text or a Document, got {type(document).__name__}; "
                "create one with Document(id, text)"
            )
        check_text(document.text, f"document {i}")
        pool.append(document)
        characters += len(document.text)
        if len(pool) >= POOL_TEXTS or characters >= POOL_CHARACTERS:
            yield pool
            pool, characters = [], 0
    if pool:
        yield pool


def encode_texts(texts: Iterable[str]) -> list[bytes]:
    """Returns texts as UTF-8.

    Raises:
        UserError: a text is not a string, or cannot be encoded as UTF-8.
    """
    return [text.encode("utf-8") for text in check_texts(texts)]


def decode_entities(outputs: Mapping[str, np.ndarray]) -> list[tuple[Entity, ...]]:
    """Returns the entities of each text from the outputs of the signature `serving_default`.

    Args:
        outputs: arrays by name: `num_entities` [B]; `start`, `end`, `label`, `score` [B, E].

    Returns:
        The entities of each of the B texts, in order of `start`.
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
