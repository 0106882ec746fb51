"""How many planted annotation errors `data audit` finds among its first k candidates.

.venv/bin/python benchmarks/audit.py --work_dir=DIR --output=FILE [--input=FILE] [--override=KEY=VALUE ...]
.venv/bin/python benchmarks/audit.py --model_dir=DIR --output=FILE --input=FILE

Errors are planted in a share of the mentions of synthetic records, or of --input: a quarter each is dropped, shifted by
one character, given another label, or invented in text without a mention. The folds' models are trained with the recipe
--recipe. A candidate is right if it overlaps a planted error of its record. The report has, for each k, the precision
(right candidates of the first k) and the recall (planted errors that one of the first k overlaps), and the recall by
kind of error. A call that was stopped is continued by the same call.
"""

import dataclasses
import random
from typing import NamedTuple

from absl import app, flags
from common_flags import define_output
from harness import machine, write_report

from emr_ner_tf.audit.audit import audit_by_folds, audit_by_models
from emr_ner_tf.cli.number_flags import define_float
from emr_ner_tf.config import set_keys
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.reading import Located, read_documents
from emr_ner_tf.data.synthetic.generator import generate
from emr_ner_tf.experiments.recipes import parse_overrides
from emr_ner_tf.recipes import read_recipe

_OUTPUT = define_output()
_WORK_DIR = flags.DEFINE_string("work_dir", None, "Directory for the folds.")
_MODEL_DIR = flags.DEFINE_multi_string(
    "model_dir", [], "Model that has not seen the records, in place of folds."
)
_INPUT = flags.DEFINE_string("input", "", "Annotated records; by default, synthetic ones.")
_RECORDS = flags.DEFINE_integer("records", 400, "Number of records.", lower_bound=10)
_SHARE = define_float("share", 0.05, "Share of the mentions that are made wrong.", 0.0, 1.0)
_FOLDS = flags.DEFINE_integer("folds", 3, "Number of folds.", lower_bound=2)
_RECIPE = flags.DEFINE_string("recipe", "quickstart", "Recipe of the models.")
_OVERRIDES = flags.DEFINE_multi_string("override", [], "Change of the recipe, as KEY=VALUE.")
_SEED = flags.DEFINE_integer("seed", 1, "Seed of the planted errors and of the folds.")

_KINDS = ("dropped", "shifted", "relabelled", "invented")


class Planted(NamedTuple):
    """A planted error: its record, its kind and the span that it concerns."""

    record: int
    kind: str
    start: int
    end: int


def main(argv: list[str]) -> None:
    """Plants errors, audits and writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    if bool(_MODEL_DIR.value) == bool(_WORK_DIR.value):
        raise app.UsageError("either --work_dir or --model_dir must be given")
    documents = list(
        read_documents(_INPUT.value) if _INPUT.value else generate("train", records=_RECORDS.value, seed=5)
    )
    documents = documents[: _RECORDS.value]
    labels = sorted({entity.label for document in documents for entity in document.entities})
    mentions = sum(len(document.entities) for document in documents)
    changed, planted = plant(documents, labels, _SHARE.value, _SEED.value)
    records = [Located(document, "records", i) for i, document in enumerate(changed)]
    if _MODEL_DIR.value:
        suspects = audit_by_models(records, _MODEL_DIR.value)
    else:
        config = read_recipe(_RECIPE.value)
        set_keys(config, parse_overrides(_OVERRIDES.value, config))
        options = {"folds": _FOLDS.value, "seed": _SEED.value}
        suspects = audit_by_folds(records, labels, config, _WORK_DIR.value, **options)
    places = [(each.record.line, each.candidate.start, each.candidate.end) for each in suspects]
    report = {
        "benchmark": "audit",
        "machine": machine(2, ("tensorflow", "numpy")),
        "records": len(documents),
        "mentions": mentions,
        "planted": {kind: sum(error.kind == kind for error in planted) for kind in _KINDS},
        "candidates": len(places),
        "at": {str(k): _scores(places[:k], planted) for k in _cuts(len(planted), len(places))},
    }
    write_report(report, _OUTPUT.value)


def plant(
    documents: list[Document], labels: list[str], share: float, seed: int
) -> tuple[list[Document], list[Planted]]:
    """Returns the documents with errors in a share of their mentions, and the errors."""
    rng = random.Random(seed)
    entities = [list(document.entities) for document in documents]
    places = [(i, entity) for i, document in enumerate(documents) for entity in document.entities]
    chosen = rng.sample(places, round(share * len(places)))
    planted = []
    for number, (i, entity) in enumerate(chosen):
        kind = _KINDS[number % len(_KINDS)]
        if kind == "invented":
            new = _free_span(rng, documents[i], entities[i], labels)
        else:
            new = _changed(rng, kind, documents[i], entities[i], entity, labels)
        if new is None and kind != "dropped":
            continue
        if kind != "invented":
            entities[i].remove(entity)
        if new is not None:
            entities[i].append(new)
        span = new or entity
        planted.append(
            Planted(i, kind, min(span.start, entity.start) if kind == "shifted" else span.start, span.end)
        )
    changed = [
        dataclasses.replace(document, entities=tuple(some))
        for document, some in zip(documents, entities, strict=True)
    ]
    return changed, planted


def _changed(
    rng: random.Random,
    kind: str,
    document: Document,
    entities: list[Entity],
    entity: Entity,
    labels: list[str],
) -> Entity | None:
    if kind == "dropped":
        return None
    if kind == "relabelled":
        return dataclasses.replace(
            entity, label=rng.choice([label for label in labels if label != entity.label])
        )
    others = [other for other in entities if other != entity]
    for start, end in rng.sample([(-1, 0), (1, 0), (0, -1), (0, 1)], 4):
        new = Entity(entity.start + start, entity.end + end, entity.label)
        inside = 0 <= new.start < new.end <= len(document.text)
        if inside and all(other.end <= new.start or new.end <= other.start for other in others):
            return new
    return None


def _free_span(
    rng: random.Random, document: Document, entities: list[Entity], labels: list[str]
) -> Entity | None:
    for _ in range(50):
        start = rng.randrange(len(document.text))
        end = min(start + rng.randint(2, 4), len(document.text))
        if all(other.end <= start or end <= other.start for other in entities):
            return Entity(start, end, rng.choice(labels))
    return None


def _cuts(errors: int, candidates: int) -> list[int]:
    return sorted(
        {k for k in (10, 20, 50, errors // 2, errors, 2 * errors, 4 * errors) if 0 < k <= candidates}
    )


def _scores(places: list[tuple[int, int, int]], planted: list[Planted]) -> dict:
    def hits(place: tuple[int, int, int], error: Planted) -> bool:
        return place[0] == error.record and place[1] < error.end and error.start < place[2]

    right = sum(any(hits(place, error) for error in planted) for place in places)
    found = [error for error in planted if any(hits(place, error) for place in places)]
    by_kind = {
        kind: round(
            sum(error.kind == kind for error in found) / max(1, sum(error.kind == kind for error in planted)),
            3,
        )
        for kind in _KINDS
    }
    return {
        "precision": round(right / len(places), 3),
        "recall": round(len(found) / len(planted), 3),
        "recall_by_kind": by_kind,
    }


if __name__ == "__main__":
    app.run(main)
