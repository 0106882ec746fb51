"""Probabilities of annotated and of predicted mentions under the CRF of a model."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from emr_ner_tf.audit.candidates import Candidate, compare
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.inference.annotator import encode_texts
from emr_ner_tf.models.ner_pipeline import NerPipeline
from emr_ner_tf.text.characters import decode, token_ids
from emr_ner_tf.text.packing import pack_sorted
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
    codes = tf.constant(pipeline.vocabulary.code_point_table())
    order = sorted(range(len(documents)), key=lambda i: len(documents[i].text))
    lengths = [len(documents[i].text) for i in order]
    found: list[list[Candidate]] = [[] for _ in documents]
    for batch in pack_sorted(lengths, budget=_BATCH_CHARACTERS):
        members = [order[i] for i in batch]
        candidates = _of_batch(pipeline, codes, [documents[i] for i in members])
        for i, some in zip(members, candidates, strict=True):
            found[i] = some
    return found


def _of_batch(
    pipeline: NerPipeline, codes: tf.Tensor, documents: Sequence[Document]
) -> Iterator[list[Candidate]]:
    table, crf = pipeline.table, pipeline.tagger.crf
    texts = encode_texts(document.text for document in documents)
    code_points, length = decode(tf.constant(texts, tf.string))
    tokens = token_ids(code_points, length, codes, pipeline.vocabulary.pad_id)
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
