"""The one record type that every format, model and client converts to and from."""

import dataclasses
from collections.abc import Mapping
from typing import Any

# Default of a document's `extra`; compared by identity.
_ID_ALONE: Mapping[str, Any] = {}


@dataclasses.dataclass(frozen=True, slots=True, order=True, repr=False)
class Entity:
    """A mention: half-open offsets in Unicode code points of the original text.

    Entities are compared and sorted by start, end and label.

    Attributes:
        start: first character of the mention, counted from 0.
        end: one past its last character.
        label: label string of the data.
        score: probability under the model, in [0, 1]; None for an annotated mention.
        extra: other keys of the mention in the record; not compared.
        text: the mention's own text, `document.text[start:end]`; a `Document` fills it in.

    Example:
        >>> from emr_ner_tf import Document, Entity
        >>> document = Document("1", "左肾结石。", [Entity(0, 4, "疾病和诊断")])
        >>> document.entities[0].text
        '左肾结石'
        >>> document.entities[0].to_dict()
        {'start': 0, 'end': 4, 'label': '疾病和诊断', 'text': '左肾结石', 'score': None}
    """

    start: int
    end: int
    label: str
    score: float | None = dataclasses.field(default=None, compare=False)
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)
    text: str = dataclasses.field(default="", compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Returns start, end, label, text and score."""
        return {name: getattr(self, name) for name in ("start", "end", "label", "text", "score")}

    def __repr__(self) -> str:
        text = f", text={self.text!r}" if self.text else ""
        score = "" if self.score is None else f", score={self.score:.4f}"
        return f"Entity({self.start}, {self.end}, {self.label!r}{text}{score})"


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """A record: its text, its mentions in order of `start`, and its other keys.

    Attributes:
        id: the record's id; without one, `FILE:LINE`.
        text: the original text, unchanged.
        entities: mentions sorted by (start, end, label), each with its text; any iterable of them may be given.
        extra: the record's other keys in their order; `id` too, where the record had one. Files are written from these
            keys; by default, they are the id alone.

    Example:
        >>> from emr_ner_tf import Document, Entity
        >>> document = Document("1", "左肾结石，予头孢。", [Entity(6, 8, "药物"), Entity(0, 4, "疾病和诊断")])
        >>> document
        Document('1', '左肾结石，予头孢。', [
            Entity(0, 4, '疾病和诊断', text='左肾结石'),
            Entity(6, 8, '药物', text='头孢'),
        ])
        >>> [entity.text for entity in document.entities]
        ['左肾结石', '头孢']
        >>> Document.from_dict(document.to_dict()) == document
        True
    """

    id: str
    text: str
    entities: tuple[Entity, ...] = ()
    extra: Mapping[str, Any] = dataclasses.field(default_factory=lambda: _ID_ALONE, compare=False)

    def __post_init__(self) -> None:
        if self.extra is _ID_ALONE:
            object.__setattr__(self, "extra", {"id": self.id})
        entities = tuple(sorted(map(self._with_text, self.entities)))
        object.__setattr__(self, "entities", entities)

    def mention(self, entity: Entity) -> str:
        """Returns the surface form of `entity`."""
        return self.text[entity.start : entity.end]

    def to_dict(self) -> dict[str, Any]:
        """Returns id, text, entities (each by `Entity.to_dict`) and the record's other keys."""
        entities = [entity.to_dict() for entity in self.entities]
        return dict(self.extra) | {"id": self.id, "text": self.text, "entities": entities}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Document":
        """Creates a document from a dictionary that `to_dict` returned.

        Raises:
            KeyError: `id`, `text`, or an entity's `start`, `end` or `label` is missing.
        """
        entities = [
            Entity(item["start"], item["end"], item["label"], item.get("score"))
            for item in values.get("entities", ())
        ]
        extra = {key: value for key, value in values.items() if key not in ("text", "entities")}
        return cls(values["id"], values["text"], tuple(entities), extra)

    def __repr__(self) -> str:
        start = f"Document({self.id!r}, {self.text!r}"
        if not self.entities:
            return f"{start})"
        return "\n".join([f"{start}, [", *(f"    {entity!r}," for entity in self.entities), "])"])

    def _with_text(self, entity: Entity) -> Entity:
        text = self.mention(entity)
        return entity if entity.text == text else dataclasses.replace(entity, text=text)
