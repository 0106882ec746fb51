"""Documents for the tests of formats, made by Hypothesis, and what a format is expected to give back of them."""

import dataclasses

from hypothesis import strategies as st

from emr_ner_tf.data.document import Document, Entity

# Extension B, an emoji with a skin tone, a combining mark, line ends, blanks, and what formats have a meaning for.
PIECES = (
    "左",
    "肾",
    "结石",
    "。",
    "CT",
    "10mg",
    "𠮷",
    "👳🏻",
    "e\u0301",
    "\u2028",
    "\r",
    "\n",
    "\r\n",
    " ",
    "\t",
)
PIECES += (
    "#",
    "|",
    "[",
    "]",
    "_",
    "\\",
    '"',
    ",",
    "=",
    "_x000D_",
    "\ufeff",
    "\u3000",
    "<",
    "&",
    ";",
    "'",
    "-",
    "+",
    "@",
    "\x0b",
    "\x00",
)
LABELS = ("病", "drug", "a b", "x/y", "[z]", "U75C5", "O", "B-x", "a|b", "名;称")


@st.composite
def documents(draw, *, overlapping: bool = True, pieces: tuple[str, ...] = PIECES, empty: bool = True):
    """Draws a document; with `overlapping`, mentions nest, touch and repeat."""
    text = "".join(draw(st.lists(st.sampled_from(pieces), min_size=0 if empty else 1, max_size=12)))
    spans = []
    if text:
        at = st.integers(0, len(text))
        for start, end in draw(st.lists(st.tuples(at, at), max_size=5)):
            if start < end and (overlapping or all(end <= s or e <= start for s, e in spans)):
                spans.append((start, end))
    label, score = st.sampled_from(LABELS), st.none() | st.sampled_from((0.25, 1.0))
    entities = {(start, end, draw(label)): draw(score) for start, end in spans}
    identifier = draw(st.none() | st.sampled_from(("a-1", "记录7", "x/y", "1")))
    extra = {} if identifier is None else {"id": identifier}
    found = [Entity(start, end, name, each) for (start, end, name), each in entities.items()]
    return Document(identifier or "-", text, tuple(found), extra)


def plain(document: Document, *, scores: bool = True):
    """Returns text and mentions, for comparisons."""
    return document.text, [
        (entity.start, entity.end, entity.label, entity.score if scores else None)
        for entity in document.entities
    ]


def with_id(document: Document, identifier: str) -> Document:
    """Returns a copy with another id."""
    return dataclasses.replace(document, id=identifier, extra={"id": identifier})
