"""Probabilities of annotated and of predicted mentions under the CRF of a model."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from emr_ner_tf.audit.candidates import Candidate, compare
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.inference.annotator import encode_texts
from emr_ner_tf.models.ner_pipeline import NerPipeline
from emr_ner_tf.text.packing import map_by_length
from emr_ner_tf.text.spans import Spans, spans_from_tags

_BATCH_CHARACTERS = 16_384


def find_candidates(pipeline: NerPipeline, documents: Sequence[Document]) -> list[list[Candidate]]:
    """Compares annotated records with what a model finds in them.

    Args:
        pipeline: the model; it should not have been trained on these records.
        documents: annotated records. A label that the model does not have has probability 0.

    Returns:
        The likely errors of each record.
    """
    return map_by_length(
        lambda members: _of_batch(pipeline, [documents[i] for i in members]),
        [len(document.text) for document in documents],
        budget=_BATCH_CHARACTERS,
    )


def _of_batch(pipeline: NerPipeline, documents: Sequence[Document]) -> Iterator[list[Candidate]]:
    table, crf = pipeline.table, pipeline.tagger.crf
    texts = encode_texts(document.text for document in documents)
    _, tokens, length = pipeline.look_up(tf.constant(texts, tf.string))
    emissions = pipeline.emissions(tokens, length)
    tag_ids, _ = crf.decode(emissions, length)
    outside = crf.marginals(emissions, length)[:, :, 0].numpy()

    def scored(spans: Spans) -> Iterator[tuple[int, Entity]]:
        probability = crf.span_probability(emissions, length, spans).numpy().tolist()
        rows = zip(*(np.asarray(field).tolist() for field in spans), probability, strict=True)
        for record, start, end, label, score in rows:
            yield record, Entity(start, end, table.labels[label], score)

    predicted: list[list[Entity]] = [[] for _ in documents]
    for record, entity in scored(spans_from_tags(tag_ids, length, table)):
        predicted[record].append(entity)
    known = [
        (record, entity.start, entity.end, table.labels.index(entity.label))
        for record, document in enumerate(documents)
        for entity in document.entities
        if entity.label in table.labels
    ]
    columns = np.array(known, np.int32).reshape(-1, 4).T
    scores = {
        (record, entity): entity.score or 0.0
        for record, entity in scored(Spans(*(tf.constant(column) for column in columns)))
    }
    for record, document in enumerate(documents):
        annotated = [
            dataclasses.replace(entity, score=scores.get((record, entity), 0.0))
            for entity in document.entities
        ]
        free = [float(outside[record, entity.start : entity.end].min()) for entity in annotated]
        yield list(compare(annotated, free, predicted[record]))
