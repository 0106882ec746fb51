"""The one record type that every format, model and client converts to and from."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Entity:
    """A mention: half-open offsets in Unicode code points of the original text.

    Attributes:
        start: first character of the mention, counted from 0.
        end: one past its last character.
        label: the data's own label string.
        score: probability under the model, in [0, 1]; None for an annotated mention.
        extra: what else the record said of this mention; not compared.
    """

    start: int
    end: int
    label: str
    score: float | None = dataclasses.field(default=None, compare=False)
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """A record: its text, its mentions in order of `start`, and whatever other keys it had.

    Attributes:
        id: the record's own id, else `FILE:LINE`.
        text: the original text, untouched.
        entities: mentions sorted by (start, end, label).
        extra: the record's other keys in their order; `id` too, where the record had one.
    """

    id: str
    text: str
    entities: tuple[Entity, ...] = ()
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def mention(self, entity: Entity) -> str:
        """Returns the surface form of `entity`."""
        return self.text[entity.start : entity.end]
