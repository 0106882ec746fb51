"""Compares a written bundle with the model in this process, and reduced precision with float32."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from emr_ner_tf.data.document import Document
from emr_ner_tf.errors import UserError
from emr_ner_tf.evaluation.scoring import score
from emr_ner_tf.exporting.bundle import Bundle

# The graph is the same, but the kernels around it differ: scores may differ by rounding, entities may not differ.
_SCORE_TOLERANCE = 1e-3
# With more differences, the probabilities of the model are too close for this precision, or something is wrong.
_MAX_DIFFERENT = 0.05


class Verification(NamedTuple):
    """The comparison of a bundle with the model that it was written from.

    Attributes:
        records: number of records that were compared.
        entities: number of entities that both find in them.
        largest_score_difference: largest difference between the two scores of an entity.
    """

    records: int
    entities: int
    largest_score_difference: float


def verify(bundle: Bundle, expected: Sequence[Document]) -> Verification:
    """Annotates records with a bundle, compares the entities, and calls every other signature.

    Args:
        bundle: the bundle, reloaded from disk.
        expected: the records as annotated by the exported model.

    Raises:
        UserError: an entity differs, or a signature contradicts another; the message names the record.
    """
    entities, largest = 0, 0.0
    for one, other in zip(expected, bundle.annotate(expected), strict=True):
        if one.entities != other.entities:
            raise UserError(
                f"{one.id}: the reloaded bundle finds {len(other.entities)} entities that are not the "
                f"{len(one.entities)} of the model in this process; the bundle is not published"
            )
        entities += len(one.entities)
        for left, right in zip(one.entities, other.entities, strict=True):
            largest = max(largest, abs((left.score or 0.0) - (right.score or 0.0)))
    if largest > _SCORE_TOLERANCE:
        raise UserError(
            f"scores of the reloaded bundle differ by {largest} from those of the model in this process (at most "
            f"{_SCORE_TOLERANCE} is rounding); the bundle is not published"
        )
    for document in expected[:4]:
        _verify_signatures(bundle, document)
    return Verification(len(expected), entities, largest)


class PrecisionComparison(NamedTuple):
    """A model with reduced precision against the same model in float32.

    Attributes:
        records: number of records that were compared.
        entities: number of entities that the model finds in float32.
        different: number of entities that only one of the two finds.
        f1: exact-match F1 of the reduced model; None if the records hold no annotated mention.
        float32_f1: exact-match F1 in float32; None in the same case.
    """

    records: int
    entities: int
    different: int
    f1: float | None
    float32_f1: float | None


def compare_with_float32(
    found: Sequence[Document],
    expected: Sequence[Document],
    documents: Sequence[Document],
    labels: Sequence[str],
) -> PrecisionComparison:
    """Compares annotations of the same records.

    Args:
        found: the records as annotated by the model with reduced precision.
        expected: the records as annotated by the model in float32.
        documents: the records; their annotated mentions give the F1.
        labels: labels of the model.

    Raises:
        UserError: more than 5 % of the entities differ.
    """
    pairs = list(zip(expected, found, strict=True))
    entities = sum(len(one.entities) for one, _ in pairs)
    different = sum(len({*one.entities} ^ {*other.entities}) for one, other in pairs)
    if different > max(_MAX_DIFFERENT * entities, 1):
        raise UserError(
            f"at this precision the model finds {different} entities that differ from its {entities} in float32 (at "
            f"most {_MAX_DIFFERENT:.0%} may); export it with --precision=float32 and --weights=float32"
        )
    scored = any(document.entities for document in documents) and all(
        entity.label in labels for document in documents for entity in document.entities
    )
    float32_f1, f1 = (
        score(documents, side, labels).exact.micro.f1 if scored else None for side in (expected, found)
    )
    return PrecisionComparison(len(documents), entities, different, f1, float32_f1)


def _verify_signatures(bundle: Bundle, document: Document) -> None:
    tags = bundle.signatures["tag"](text=tf.constant([document.text]))["tags"].numpy()[0]
    tag_ids = bundle.signatures["decode"](**bundle.look_up([document.text]))["tag_ids"].numpy()[0]
    (marginals,) = bundle.marginals([document.text])
    names = [tag.decode("utf-8") for tag in tags]
    if names != [bundle.tags[i] for i in tag_ids]:
        raise UserError(f"{document.id}: signatures `tag` and `decode` disagree; the bundle is not published")
    if not np.allclose(marginals.sum(-1), 1.0, atol=1e-3):
        raise UserError(f"{document.id}: `marginals` do not sum to 1; the bundle is not published")
