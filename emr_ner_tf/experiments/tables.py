"""Computes the tables from results of runs: the paper's figures and this project's, differences and times."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from emr_ner_tf.evaluation.statistics import paired_bootstrap, spread
from emr_ner_tf.experiments import paper_results
from emr_ner_tf.experiments.any_precision import (
    PREFERRED,
    digest_without_precision,
    one_for_each_seed,
    other_overrides,
)
from emr_ner_tf.experiments.paper_results import PaperRow
from emr_ner_tf.experiments.runs import PRECISION
from emr_ner_tf.models.registry import ZOO

Result = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class SeedGroup:
    """Runs that only differ in the seed.

    Attributes:
        row: name in `emr_ner_tf.models.registry`.
        kind: kind of encoder.
        runs: results, sorted by seed.
    """

    row: str
    kind: str
    runs: tuple[Result, ...]

    def spread(self, value: Callable[[Result], float]) -> dict[str, float | None]:
        """Returns the mean and the standard deviation over seeds of a value of each result."""
        return spread([value(run) for run in self.runs])._asdict()

    def counts(self) -> np.ndarray:
        """Returns the exact-match counts of each record, int [S, N, 3]."""
        return np.array([run["by_record"] for run in self.runs])

    def digest(self) -> str:
        """Returns the digest of settings and files; groups with the same row and kind of encoder differ in it."""
        return self.runs[0]["digest"]

    def encoder(self) -> str:
        """Returns the digest of the encoder."""
        return self.runs[0]["encoder"]["digest"]

    def seconds(self) -> float:
        """Returns the mean training time in seconds."""
        return float(np.mean([run["training_seconds"] for run in self.runs]))

    def precisions(self) -> list[str]:
        """Returns the precisions of the runs, without duplicates."""
        return sorted({run["settings"].get(PRECISION, "") for run in self.runs})

    def disturbed(self) -> bool:
        """Returns whether a run was trained beside other work, so that its time is no measurement."""
        return any(run.get("disturbed", False) for run in self.runs)


def group_runs(results: Iterable[Result], setup: Mapping[str, Any]) -> list[SeedGroup]:
    """Groups the results that belong to a setup and leaves out the others.

    Args:
        results: results of any setup.
        setup: result of `emr_ner_tf.experiments.runs.Experiment.setup`, or of `any_precision.of_any_precision`.
    """
    preferred = setup.get(PREFERRED)
    results = [result for result in results if _same_setup(result["setup"], setup)]
    if preferred:
        results = one_for_each_seed(results, preferred)
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in sorted(results, key=lambda result: result["seed"]):
        digest = digest_without_precision(result) if preferred else result["digest"]
        groups.setdefault((result["row"], result["encoder"]["kind"], digest), []).append(result)
    return [SeedGroup(row, kind, tuple(runs)) for (row, kind, _), runs in groups.items()]


def table_lines(
    table: str, groups: Sequence[SeedGroup], lacks: Callable[[str], str | None]
) -> list[dict[str, Any]]:
    """Returns the lines of one table, in the paper's order; there is a line for each encoder, also if it was not run.

    Args:
        table: a key of `emr_ner_tf.experiments.paper_results.TABLES`, or "ours".
        groups: groups of one setup.
        lacks: maps a kind of encoder to the flag that is missing to run it, or to None.
    """
    lines = []
    for row in _rows(table):
        for kind in row.kinds:
            found = _groups(groups, row, kind)
            lines += [_line(row, kind, group) for group in found]
            if len(found) > 1:
                for line, group in zip(lines[-len(found) :], found, strict=True):
                    line["system"] += f" [{group.digest()}]"
            if not found:
                missing = lacks(kind)
                reason = f"not run: needs {missing}" if missing else "not run"
                lines.append(_line(row, kind, None) | {"why_not": reason})
    return lines


def paired_differences(table: str, groups: Sequence[SeedGroup]) -> list[dict[str, Any]]:
    """Compares neighbouring lines of a table, and the pairs that the paper's text compares, by a paired bootstrap.

    Two lines with an encoder are compared with the same kind of encoder, and over their common seeds, since a seed may
    favour all systems; without common seeds, over all seeds of each. Rows that the paper does not have are compared
    with the full model.
    """
    own = _rows(table)
    rows = {row.system: row for row in (*itertools.chain(*paper_results.TABLES.values()), *own)}
    if table == "ours":
        pairs = [(paper_results.FULL_MODEL, row.system) for row in own]
    else:
        pairs = [(one.system, other.system) for other, one in itertools.pairwise(own)]
        pairs += paper_results.CLAIMS.get(table, ())
    result = []
    for one, other in dict.fromkeys(pairs):
        paper_difference = rows[one].f1 - rows[other].f1
        for a, b in itertools.starmap(_at_common_seeds, _comparable(groups, rows[one], rows[other])):
            found = paired_bootstrap(a.counts(), b.counts())
            result.append(
                {
                    "table": table,
                    "one": one,
                    "other": other,
                    "encoders": [a.kind, b.kind],
                    "seeds": [len(a.runs), len(b.runs)],
                    "precisions": [a.precisions(), b.precisions()],
                    "paper": None if math.isnan(paper_difference) else round(paper_difference, 2),
                    **found._asdict(),
                    "verdict": _verdict(paper_difference, found.low, found.high),
                }
            )
    return result


def training_times(groups: Sequence[SeedGroup]) -> list[dict[str, Any]]:
    """Returns the ratio of training times between systems with a BiGRU and with a BiLSTM.

    Their machines and precisions are equal, and no run was disturbed.
    """
    result = []
    for gru, lstm in paper_results.GRU_AND_LSTM:
        paper_ratio = None
        if gru in paper_results.TRAINING_MINUTES:
            paper_ratio = paper_results.TRAINING_MINUTES[gru] / paper_results.TRAINING_MINUTES[lstm]
        for a, b in itertools.product(groups, groups):
            alike = _comparable_times(a)
            if (a.row, b.row) == (gru, lstm) and alike and alike == _comparable_times(b):
                times = {"gru_minutes": a.seconds() / 60, "lstm_minutes": b.seconds() / 60}
                ratio = a.seconds() / b.seconds() if b.seconds() else None
                result.append(
                    {
                        "gru": gru,
                        "lstm": lstm,
                        "encoder": a.kind,
                        **times,
                        "ratio": ratio,
                        "paper": paper_ratio,
                    }
                )
    return result


def _same_setup(one: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    overrides = other_overrides(one) if PREFERRED in wanted else one["overrides"]
    alike = overrides == wanted["overrides"] and all(one[key] == wanted[key] for key in ("recipe", "epochs"))
    return alike and all(one[key]["digest"] == wanted[key]["digest"] for key in ("train", "test"))


def _rows(table: str) -> tuple[PaperRow, ...]:
    if table != "ours":
        return paper_results.TABLES[table]
    nothing = float("nan")
    return tuple(
        PaperRow(row, row, nothing, nothing, nothing, paper_results.KINDS[ZOO[row].encoder])
        for row in paper_results.own_rows()
    )


def _groups(groups: Sequence[SeedGroup], row: PaperRow, kind: str) -> list[SeedGroup]:
    return [group for group in groups if (group.row, group.kind) == (row.row, kind)]


def _comparable(
    groups: Sequence[SeedGroup], one: PaperRow, other: PaperRow
) -> list[tuple[SeedGroup, SeedGroup]]:
    both = (paper_results.BASE, paper_results.ADAPTED)
    # In Table VI, the lines differ in the encoder.
    by_encoder = len(one.kinds) == len(other.kinds) == 1
    pairs = [
        (a, b)
        for kind, other_kind in itertools.product(one.kinds, other.kinds)
        for a in _groups(groups, one, kind)
        for b in _groups(groups, other, other_kind)
    ]
    return [
        (a, b)
        for a, b in pairs
        if by_encoder
        or not (a.kind in both and b.kind in both)
        or (a.kind, a.encoder()) == (b.kind, b.encoder())
    ]


def _at_common_seeds(one: SeedGroup, other: SeedGroup) -> tuple[SeedGroup, SeedGroup]:
    seeds = {run["seed"] for run in one.runs} & {run["seed"] for run in other.runs}
    if not seeds:
        return one, other
    a, b = (
        dataclasses.replace(group, runs=tuple(run for run in group.runs if run["seed"] in seeds))
        for group in (one, other)
    )
    return a, b


def _line(row: PaperRow, kind: str, group: SeedGroup | None) -> dict[str, Any]:
    line: dict[str, Any] = {"system": row.system, "row": row.row, "encoder": kind, "encoder_name": ""}
    line["paper"] = None
    if not math.isnan(row.f1):
        line["paper"] = {"precision": row.precision, "recall": row.recall, "f1": row.f1, "encoder": row.says}
    line["ours"] = None
    if group is None:
        return line
    first = group.runs[0]
    line["encoder_name"] = first["encoder"]["name"]

    def micro(match: str, figure: str) -> dict[str, float | None]:
        return group.spread(lambda run: run["scores"][match]["micro"][figure])

    figures = ("precision", "recall", "f1")
    line["ours"] = {
        "seeds": [run["seed"] for run in group.runs],
        "exact": {figure: micro("exact", figure) for figure in figures},
        "relaxed": {figure: micro("relaxed", figure) for figure in figures},
        **{
            part: group.spread(lambda run, part=part: run["scores"][part]["f1"])
            for part in ("seen", "unseen")
            if all(part in run["scores"] for run in group.runs)
        },
        "f1_by_type": {
            label: group.spread(lambda run, label=label: run["scores"]["exact"]["by_type"][label]["f1"])
            for label in first["scores"]["exact"]["by_type"]
        },
        "parameters": first["parameters"],
        "updates": first["updates"],
        "training_minutes": group.spread(lambda run: run["training_seconds"] / 60),
        "disturbed": group.disturbed(),
        "runs": [run["name"] for run in group.runs],
    }
    return line


def _comparable_times(group: SeedGroup) -> tuple[Any, ...] | None:
    """Returns what two groups share whose training times can be compared; None if they are no measurement."""
    machines = sorted({str(run["machine"]) for run in group.runs})
    return None if group.disturbed() else (group.kind, group.encoder(), machines, group.precisions())


def _verdict(paper_difference: float, low: float, high: float) -> str:
    if low <= 0 <= high:
        return "not decided"
    if math.isnan(paper_difference):
        return "better" if low > 0 else "worse"
    return "as the paper" if (low > 0) == (paper_difference > 0) else "against the paper"
