"""The synthetic corpus: seeded Chinese clinical records with all six CCKS2019 labels, from terms of this project.

It serves to try the whole workflow without real data. A record is a few sentences, one from each of some
sections (onset, course, history, ..., in this order); a sentence is a template of its split whose slots
are filled with terms. A model must learn the following, which a list of the training mentions does not contain:
- terms that training never shows (`TermGroup.held_out`), made of parts that it does show;
- sentences that training never shows (the templates of the two splits are disjoint);
- forms with two labels that only the sentence distinguishes, such as 胰岛素 given or measured.
A record looks real but has no meaning: its findings do not belong to one patient.
"""

import random
import re
from collections.abc import Iterator

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.synthetic.templates import FILLERS, SECTIONS, TEST, TRAIN
from emr_ner_tf.data.synthetic.terms import SLOTS, TermGroup
from emr_ner_tf.errors import UserError

_TEMPLATES = {"train": TRAIN, "test": TEST}
_MIN_SENTENCES, _MAX_SENTENCES = 3, 8
_MIN_CHARACTERS, _MAX_CHARACTERS = 60, 400
# Probability with which a test record draws a held-out term from a group that has any.
_HELD_OUT_SHARE = 0.6
_PIECE = re.compile(r"\{(?P<slot>\w+)\}|<(?P<filler>\w+)>|(?P<text>[^{<]+)")


def generate(split: str, *, records: int, seed: int) -> Iterator[Document]:
    """Generates records, the same for the same arguments.

    Args:
        split: "train" or "test".
        records: number of records. The first n records do not depend on this number.
        seed: another seed gives other records from the same templates and terms; the held-out terms are the same for
            every seed.

    Yields:
        Records of 60 to 400 characters with their mentions.

    Raises:
        UserError: the split is unknown, or the number of records is negative.
    """
    if split not in _TEMPLATES:
        raise UserError(f"split must be one of {', '.join(_TEMPLATES)}, got {split!r}")
    if records < 0:
        raise UserError(f"records must be at least 0, got {records}")
    return (_record(split, seed, index) for index in range(records))


def _record(split: str, seed: int, index: int) -> Document:
    # A string is hashed by SHA-512 as the seed, which is the same on every machine and in every process.
    rng = random.Random(f"{split} {seed} {index}")
    first, *others = SECTIONS
    chosen = {first, *rng.sample(others, rng.randint(_MIN_SENTENCES, _MAX_SENTENCES) - 1)}
    text, entities = "", []
    sections = [section for section in SECTIONS if section in chosen]
    # If short sentences make a record too short, the other sections follow until it is long enough.
    sections += rng.sample([s for s in SECTIONS if s not in chosen], len(SECTIONS) - len(chosen))
    for count, section in enumerate(sections):
        if count >= len(chosen) and len(text) >= _MIN_CHARACTERS:
            break
        sentence, spans = _sentence(rng, rng.choice(_TEMPLATES[split][section]), split)
        if len(text) + len(sentence) > _MAX_CHARACTERS:
            break
        entities += [Entity(len(text) + start, len(text) + end, label) for start, end, label in spans]
        text += sentence
    name = f"synthetic-{split}-{seed}-{index}"
    return Document(name, text, tuple(entities), {"id": name})


def _sentence(rng: random.Random, template: str, split: str) -> tuple[str, list[tuple[int, int, str]]]:
    text, spans = "", []
    for piece in _PIECE.finditer(template):
        if piece["slot"]:
            label, groups = SLOTS[piece["slot"]]
            term = _term(rng, rng.choice(groups), split)
            spans.append((len(text), len(text) + len(term), label))
            text += term
        elif piece["filler"]:
            text += rng.choice(FILLERS[piece["filler"]].split("|"))
        else:
            text += piece["text"]
    return text, spans


def _term(rng: random.Random, group: TermGroup, split: str) -> str:
    if split == "test" and group.held_out and rng.random() < _HELD_OUT_SHARE:
        return rng.choice(group.held_out)
    return rng.choice(group.common)
