"""Splits texts into requests and merges the entities of the answers."""

from collections.abc import Sequence
from typing import NamedTuple

from emr_ner_tf.client.options import ServingError
from emr_ner_tf.data.document import Entity
from emr_ner_tf.text.packing import pack_sorted

# Number of characters that two neighbouring pieces share. A window of the model has a few hundred.
OVERLAP = 512
# Maximum number of characters by which a cut moves back to follow the end of a line or sentence.
_SLACK = 256
_ENDS = frozenset("\n。！？；")


class Piece(NamedTuple):
    """A part of a text, or a whole text.

    Attributes:
        text: index of the text.
        start: offset of the piece in the text.
        end: end of the piece in the text.
        owned_from: this piece reports the entities that start at `owned_from` or later and before `owned_to`; its
            neighbours see less context around them.
        owned_to: end of the range that starts at `owned_from`.
    """

    text: int
    start: int
    end: int
    owned_from: int
    owned_to: int


def split_text(index: int, text: str, most: int) -> list[Piece]:
    """Splits a text into overlapping pieces of at most `most` characters; a short text is one piece.

    Args:
        index: index of the text.
        text: a text of any length.
        most: maximum number of characters in a piece, at least 1024 (`ClientOptions` checks it).
    """
    half = min(OVERLAP, most // 4) // 2
    slack = min(_SLACK, most // 8)
    pieces, start, owned_from = [], 0, 0
    while len(text) - start > most:
        owned_to = start + most - half
        for at in range(owned_to, owned_to - slack, -1):
            if text[at - 1] in _ENDS:
                owned_to = at
                break
        pieces.append(Piece(index, start, owned_to + half, owned_from, owned_to))
        start, owned_from = owned_to - half, owned_to
    return [*pieces, Piece(index, start, len(text), owned_from, len(text) + 1)]


def plan_requests(texts: Sequence[str], *, max_records: int, max_characters: int) -> list[list[Piece]]:
    """Distributes texts over requests.

    Args:
        texts: texts of any length.
        max_records: maximum number of pieces in a request.
        max_characters: maximum number of characters in a request, padding to its longest piece included.

    Returns:
        The pieces of each request. Pieces of similar length are sent together, so that a request has little padding.
    """
    pieces = [piece for i, text in enumerate(texts) for piece in split_text(i, text, max_characters)]
    pieces.sort(key=lambda piece: piece.end - piece.start)
    lengths = [piece.end - piece.start for piece in pieces]
    return [
        [pieces[i] for i in batch]
        for batch in pack_sorted(lengths, budget=max_characters, max_items=max_records)
    ]


def texts_of(texts: Sequence[str], request: Sequence[Piece]) -> list[str]:
    """Returns the text of each piece of a request."""
    return [texts[piece.text][piece.start : piece.end] for piece in request]


def check_answer(target: str, request: Sequence[Piece], entities: Sequence[Sequence[Entity]]) -> None:
    """Checks that an answer has the entities of each piece of its request.

    Args:
        target: the address of the server, for the message.
        request: the pieces that were sent.
        entities: the entities of each row of the answer.

    Raises:
        ServingError: UNKNOWN, if the number of rows is another one, or an entity is not in its piece.
    """
    if len(entities) != len(request):
        raise ServingError(
            target,
            "UNKNOWN",
            f"the answer must have one row for each text, and has {len(entities)} for {len(request)} texts; is a "
            "bundle served under the name of the model, and does a proxy in between change requests?",
        )
    for piece, members in zip(request, entities, strict=True):
        for entity in members:
            if not 0 <= entity.start < entity.end <= piece.end - piece.start:
                raise ServingError(
                    target,
                    "UNKNOWN",
                    f"the answer has an entity from {entity.start} to {entity.end}, which is not in the "
                    f"{piece.end - piece.start} characters that were sent; is a bundle served under the name of the "
                    "model?",
                )


def merge(
    count: int, pieces: Sequence[Piece], entities: Sequence[Sequence[Entity]]
) -> list[tuple[Entity, ...]]:
    """Merges the entities of pieces into the entities of texts.

    Args:
        count: number of texts.
        pieces: all pieces, in any order.
        entities: entities of each piece, with offsets in the piece; see `check_answer`.

    Returns:
        The entities of each text, in order of `start` and without overlaps.
    """
    found: list[list[Entity]] = [[] for _ in range(count)]
    for piece, members in sorted(zip(pieces, entities, strict=True), key=lambda pair: pair[0]):
        merged = found[piece.text]
        for entity in members:
            start, end = entity.start + piece.start, entity.end + piece.start
            owned = piece.owned_from <= start < piece.owned_to
            # A mention that the previous piece reports may extend past the border.
            if owned and (not merged or merged[-1].end <= start):
                merged.append(Entity(start, end, entity.label, entity.score))
    return [tuple(members) for members in found]
