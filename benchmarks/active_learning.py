"""Exact F1 by the number of annotated records: those that `emr-ner next` selects against records in random order.

.venv/bin/python benchmarks/active_learning.py --records=FILE --heldout=FILE --encoder=DIR --work_dir=DIR --output=FILE

Each seed has its own random order of --records. Both sides begin with its first --step records. Then one side adds
the next --step records in that order, and the other those that the last model selects from the rest. Each
model is trained from the beginning with the recipe --recipe, without validation, and scored once on --heldout. A call
that was stopped is continued by the same call.
"""

import json
import os
import pathlib
import random
import subprocess
import sys

from absl import app, flags, logging
from common_flags import define_encoder, define_output, define_records
from harness import machine, spread, write_report

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.writing import write_documents

_ENCODER = define_encoder()
_RECORDS = define_records()
_OUTPUT = define_output()
_HELDOUT = flags.DEFINE_string("heldout", None, "Annotated records to score on.", required=True)
_WORK_DIR = flags.DEFINE_string("work_dir", None, "Directory for models and selections.", required=True)
_RECIPE = flags.DEFINE_string("recipe", "default", "Recipe of the models.")
_SETTINGS = flags.DEFINE_multi_string("setting", [], "Further flags of `train`.")
_STEP = flags.DEFINE_integer("step", 100, "Records that are added at a time.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 4, "Sizes of the training set.", lower_bound=2)
_SEEDS = flags.DEFINE_integer("seeds", 3, "Random orders, each with both sides.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Trains, selects and scores, and writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    records = list(read_documents(_RECORDS.value))
    runs = [run for seed in range(1, _SEEDS.value + 1) for run in _curves(records, seed)]
    sizes = [_STEP.value * (i + 1) for i in range(_STEPS.value)]
    gains = {
        size: [
            100 * (run["next"] - run["random"]) for run in runs if run["records"] == size and "next" in run
        ]
        for size in sizes[1:]
    }
    report = {
        "benchmark": "active learning",
        "machine": machine(len(os.sched_getaffinity(0)), ("tensorflow",)),
        "recipe": _RECIPE.value,
        "settings": _SETTINGS.value,
        "each": runs,
        "gain_in_points": {size: spread(values) for size, values in gains.items()},
    }
    write_report(report, _OUTPUT.value)


def _curves(records: list[Document], seed: int) -> list[dict]:
    """Returns the F1 of both sides at each size; at the first size they are one model."""
    folder = pathlib.Path(_WORK_DIR.value) / str(seed)
    order = random.Random(seed).sample(range(len(records)), len(records))
    place = {record.text: i for i, record in enumerate(records)}
    model = folder / str(_STEP.value)
    chosen = order[: _STEP.value]
    first = _train_and_score(model, records, chosen, seed)
    runs = [{"seed": seed, "records": _STEP.value, "random": first}]
    for size in range(2 * _STEP.value, _STEP.value * _STEPS.value + 1, _STEP.value):
        baseline = _train_and_score(folder / f"random-{size}", records, order[:size], seed)
        chosen = chosen + [place[text] for text in _select(model, records, chosen)]
        model = folder / f"next-{size}"
        f1 = _train_and_score(model, records, chosen, seed)
        runs.append({"seed": seed, "records": size, "random": baseline, "next": f1})
        logging.info("seed %d, %d records: random order %.4f, next %.4f", seed, size, baseline, f1)
    return runs


def _select(model: pathlib.Path, records: list[Document], chosen: list[int]) -> list[str]:
    """Returns the texts that the model selects from the records that are not chosen yet."""
    selected = model / "selected.jsonl"
    if not selected.exists():
        known = set(chosen)
        write_documents(model / "pool.jsonl", (r for i, r in enumerate(records) if i not in known))
        _run(
            "next",
            f"--model_dir={model}",
            f"--input={model}/pool.jsonl",
            f"--known={model}/train.jsonl",
            f"--count={_STEP.value}",
            f"--output={selected}",
        )
    return [document.text for document in read_documents(selected)]


def _train_and_score(model: pathlib.Path, records: list[Document], chosen: list[int], seed: int) -> float:
    """Returns the exact F1 on the held-out records of a model of the chosen ones."""
    scores = model / "heldout.json"
    if not scores.exists():
        model.mkdir(parents=True, exist_ok=True)
        if not (model / "train.jsonl").exists():
            write_documents(model / "train.jsonl", (records[i] for i in chosen))
        _run(
            "train",
            f"--config={_RECIPE.value}",
            f"--config.encoder={_ENCODER.value}",
            f"--config.data.train={model}/train.jsonl",
            "--config.data.validation_fraction=0",
            f"--config.train.seed={seed}",
            *_SETTINGS.value,
            f"--model_dir={model}",
        )
        _run("evaluate", f"--model_dir={model}", f"--input={_HELDOUT.value}", f"--output={scores}")
    return json.loads(scores.read_bytes())["exact"]["micro"]["f1"]


def _run(command: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", f"emr_ner_tf.cli.{command}", *arguments], check=True)


if __name__ == "__main__":
    app.run(main)
