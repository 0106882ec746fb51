"""Likely annotation errors: where annotated mentions and those of a model differ, and how sure the model is."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from emr_ner_tf.data.document import Entity

MISSING, SPURIOUS, LABEL, BOUNDARY = "missing", "spurious", "label", "boundary"
KINDS = {
    MISSING: "a mention that is not annotated and probable",
    SPURIOUS: "an annotated mention where the model finds none",
    LABEL: "a mention for which another label is probable",
    BOUNDARY: "a mention for which other boundaries are probable",
}


class Candidate(NamedTuple):
    """A likely annotation error.

    Attributes:
        kind: a key of `KINDS`.
        suspicion: probability, under the model, of what contradicts the annotation: of the model's own mention, or,
            for "spurious", the lowest probability over the mention's characters that a character is in no mention.
        start: first character of the model's mention, or of the annotated one for "spurious".
        end: one past its last character.
        label: its label.
        annotated: the annotated mentions that it contradicts, each with its probability as `score`; none for "missing".
    """

    kind: str
    suspicion: float
    start: int
    end: int
    label: str
    annotated: tuple[Entity, ...] = ()


def compare(
    annotated: Sequence[Entity], outside: Sequence[float], predicted: Sequence[Entity]
) -> Iterator[Candidate]:
    """Yields the likely errors of a record.

    Args:
        annotated: the annotated mentions, in order of `start`, each with its probability as `score`.
        outside: for each annotated mention, the lowest probability over its characters of being in no mention.
        predicted: the model's mentions, which do not overlap, each with its probability as `score`.
    """
    agreed = set(annotated) & set(predicted)
    contradicted: set[Entity] = set()
    for mention in predicted:
        if mention in agreed:
            continue
        others = tuple(
            other for other in annotated if other.start < mention.end and mention.start < other.end
        )
        contradicted.update(others)
        same_span = any((other.start, other.end) == (mention.start, mention.end) for other in others)
        kind = LABEL if same_span else BOUNDARY if others else MISSING
        yield Candidate(kind, mention.score or 0.0, mention.start, mention.end, mention.label, others)
    for mention, probability in zip(annotated, outside, strict=True):
        if mention not in agreed and mention not in contradicted:
            yield Candidate(SPURIOUS, probability, mention.start, mention.end, mention.label, (mention,))
