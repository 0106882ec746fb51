"""Texts into requests that a server takes, and its answers back into entities of texts."""

from collections.abc import Sequence
from typing import NamedTuple

from emr_ner_tf.data.document import Entity
from emr_ner_tf.errors import UserError
from emr_ner_tf.text.packing import pack_sorted

# Characters that a piece of a long text shares with each neighbour. A window of the model sees a few hundred.
OVERLAP = 512
# How much earlier a piece may end to fall behind the end of a line or sentence.
_SLACK = 256
_ENDS = frozenset("\n。！？；")


class Piece(NamedTuple):
    """A part of a text, or a whole one.

    Attributes:
        text: place of the text among all.
        start: of the piece in it.
        end: of the piece in it.
        owned_from: entities that start here or later, and before `owned_to`, are this piece's to report: its
            neighbours see them with less around.
        owned_to: as `owned_from`.
    """

    text: int
    start: int
    end: int
    owned_from: int
    owned_to: int


def split_text(index: int, text: str, most: int) -> list[Piece]:
    """Cuts a text into pieces of at most `most` characters that overlap; one piece where it is no longer.

    Args:
        index: place of the text among all.
        text: any.
        most: more than four times the overlap's half and slack together, as `ClientOptions` sees to.
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
    """Parts texts into requests.

    Args:
        texts: of any length.
        max_records: most pieces of a request.
        max_characters: most characters of a request, each piece counted as long as the longest.

    Returns:
        For each request its pieces, of like length, so that little of it is padding.
    """
    pieces = [piece for i, text in enumerate(texts) for piece in split_text(i, text, max_characters)]
    pieces.sort(key=lambda piece: piece.end - piece.start)
    lengths = [piece.end - piece.start for piece in pieces]
    return [
        [pieces[i] for i in batch]
        for batch in pack_sorted(lengths, budget=max_characters, max_items=max_records)
    ]


def merge(
    count: int, pieces: Sequence[Piece], entities: Sequence[Sequence[Entity]]
) -> list[tuple[Entity, ...]]:
    """Puts the entities of pieces together.

    Args:
        count: of texts.
        pieces: all, in any order.
        entities: of each piece, with offsets in the piece.

    Returns:
        Entities of each text, in order of `start`, none of them overlapping another.

    Raises:
        UserError: an entity that ends past its piece, and so is another text's.
    """
    found: list[list[Entity]] = [[] for _ in range(count)]
    for piece, members in sorted(zip(pieces, entities, strict=True), key=lambda pair: pair[0]):
        merged = found[piece.text]
        for entity in members:
            if entity.end > piece.end - piece.start:
                raise UserError(
                    f"an answer of the server must end within the {piece.end - piece.start} characters "
                    f"that were sent, got an entity to {entity.end}"
                )
            start, end = entity.start + piece.start, entity.end + piece.start
            owned = piece.owned_from <= start < piece.owned_to
            # A mention that the piece before reports may reach over the border.
            if owned and (not merged or merged[-1].end <= start):
                merged.append(Entity(start, end, entity.label, entity.score))
    return [tuple(members) for members in found]
