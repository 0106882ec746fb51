"""Builds the report of the paper's tables as plain values, and writes its page, JSON file and pictures."""

import itertools
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.evaluation.statistics import RESAMPLES
from emr_ner_tf.experiments import paper_results
from emr_ner_tf.experiments.figures import draw_f1, draw_losses
from emr_ner_tf.experiments.markdown_report import page
from emr_ner_tf.experiments.tables import (
    Result,
    group_runs,
    paired_differences,
    table_lines,
    training_times,
)

DISCUSSION = "paper_discussion.md"
_FIGURES = "figures"


def build_report(
    results: Iterable[Result],
    tables: Sequence[str],
    setup: Mapping[str, Any],
    described: Mapping[str, Any],
    *,
    own_epochs: int,
    lacks: Callable[[str], str | None],
    command: str,
) -> dict[str, Any]:
    """Builds the content of the report.

    Args:
        results: results of runs; those with another setup are left out.
        tables: names of the tables, in order.
        setup: result of `emr_ner_tf.experiments.runs.Experiment.setup`, or of `any_precision.of_any_precision`.
        described: result of `emr_ner_tf.experiments.data_summary.describe`.
        own_epochs: number of epochs of the recipe without a budget.
        lacks: maps a kind of encoder to the flag that is missing to run it, or to None.
        command: command that writes the report.

    Returns:
        Values that can be converted to JSON.
    """
    groups = group_runs(results, setup)
    runs = [run for group in groups for run in group.runs]
    lines = {table: table_lines(table, groups, lacks) for table in tables if table != "III"}
    lookup = runs[0]["lookup_f1"] if runs else None
    return {
        "command": command,
        "setup": dict(setup),
        "budgeted": setup["epochs"] < own_epochs,
        "own_epochs": own_epochs,
        "records": dict(described),
        "lookup_f1": lookup,
        "not_above_lookup": sorted(
            {
                line["row"]
                for line in itertools.chain(*lines.values())
                if line["ours"] and line["ours"]["exact"]["f1"]["mean"] <= (lookup or 0)
            }
        ),
        "updates": sorted({run["updates"] for run in runs}),
        "tables": lines,
        "table_III": _table_iii(described) if "III" in tables else None,
        "training_times": training_times(groups),
        "differences": [d for table in lines for d in paired_differences(table, groups)],
        "resamples": RESAMPLES,
        "slips": list(paper_results.KNOWN_ERRATA),
        "runs": [_brief(run) for run in runs],
    }


def write_report(
    report: Mapping[str, Any], results: Iterable[Result], output: str | os.PathLike[str]
) -> list[pathlib.Path]:
    """Writes the page, its JSON file beside it, and the pictures in `figures/` beside both.

    Args:
        report: result of `build_report`.
        results: the results from which it was built.
        output: path of the page, ending in `.md`.

    Returns:
        The paths of the written files.
    """
    output = pathlib.Path(output)
    lines = [line for line in unique_lines(report["tables"]) if line["ours"]]
    pictures = {}
    if lines:
        pictures = {name: output.parent / _FIGURES / f"{output.stem}_{name}.png" for name in ("f1", "loss")}
        draw_f1(lines, report["lookup_f1"], pictures["f1"])
        if not draw_losses(group_runs(results, report["setup"]), pictures["loss"]):
            del pictures["loss"]
    as_json = output.with_suffix(".json")
    with atomic_writer(as_json) as file:
        json.dump(report, file, ensure_ascii=False, indent=1, allow_nan=False)
        file.write("\n")
    links = {name: f"{_FIGURES}/{path.name}" for name, path in pictures.items()}
    discussion = DISCUSSION if (output.parent / DISCUSSION).exists() else None
    with atomic_writer(output) as file:
        file.write(page(report, unique_lines(report["tables"]), links, as_json.name, discussion))
    return [output, as_json, *pictures.values()]


def unique_lines(tables: Mapping[str, Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Returns the lines of all tables without duplicates.

    A system has the name that its last table gives it, and the paper's figures for its own encoder if a table has them.
    """
    unique = {}
    for table, lines in tables.items():
        for line in lines:
            # In these two tables, a line is named after its difference from the others.
            system = f"{line['system']} (Table {table})" if table in ("V", "VI") else line["system"]
            runs = tuple(line["ours"]["runs"]) if line["ours"] else ()
            key = (line["row"], line["encoder"], runs)
            earlier = unique.pop(key, None)
            unique[key] = line | {"system": system}
            if earlier and _is_of_its_encoder(earlier) and not _is_of_its_encoder(line):
                unique[key]["paper"] = earlier["paper"]
    return list(unique.values())


def _is_of_its_encoder(line: Mapping[str, Any]) -> bool:
    return bool(line["paper"]) and line["paper"]["encoder"] == line["encoder"]


def _table_iii(described: Mapping[str, Any]) -> list[dict[str, Any]]:
    measured = described["distinct_forms"] or {}
    return [
        {
            "type": label,
            "train": train,
            "measured": measured.get(label),
            "validation": validation,
            "test": test,
        }
        for label, (train, validation, test) in paper_results.TABLE_III.items()
    ]


def _brief(run: Result) -> dict[str, Any]:
    kept = (
        "name",
        "row",
        "encoder",
        "seed",
        "epochs",
        "updates",
        "training_seconds",
        "commit",
        "machine",
        "versions",
    )
    return {key: run[key] for key in kept} | {
        "f1": run["scores"]["exact"]["micro"]["f1"],
        "precision": run["settings"].get("train.precision"),
        "disturbed": run.get("disturbed", False),
    }
