"""The pictures of the report: F1 by system, and training loss by epoch."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from emr_ner_tf.experiments.tables import SeedGroup
from emr_ner_tf.training.learning_curve import new_figure, save_figure

_PAPER, _OURS, _ADAPTED, _BASELINE = "#b8bcc4", "#5b9bd5", "#1f5a94", "#c44e52"
_BERT = ("base", "adapted")


def draw_f1(lines: Sequence[Mapping[str, Any]], lookup_f1: float, path: str | os.PathLike[str]) -> None:
    """Draws the paper's F1 and this project's mean F1 with its standard deviation, as two bars for each line.

    Args:
        lines: lines of `emr_ner_tf.experiments.tables.table_lines` that were run.
        lookup_f1: F1 of a lookup of training mentions, 0 to 1.
        path: path of the PNG file.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure = new_figure(9, 1.2 + 0.42 * len(lines))
    axis = figure.subplots()
    for place, line in enumerate(lines):
        exact = line["ours"]["exact"]["f1"]
        # A figure of another encoder is none of this line.
        if line["paper"] and line["paper"]["encoder"] in ("", line["encoder"]):
            axis.barh(place - 0.2, line["paper"]["f1"], height=0.36, color=_PAPER)
        axis.barh(
            place + 0.2,
            100 * exact["mean"],
            height=0.36,
            xerr=None if exact["sd"] is None else 100 * exact["sd"],
            color=_ADAPTED if line["encoder"] == "adapted" else _OURS,
            capsize=2,
        )
        end = 100 * (exact["mean"] + (exact["sd"] or 0.0))
        axis.text(end + 0.8, place + 0.2, f"{100 * exact['mean']:.1f}", va="center", fontsize=7)
    axis.axvline(100 * lookup_f1, color=_BASELINE, linestyle="--", linewidth=1)
    axis.set_yticks(range(len(lines)), [_name(line["system"], line["encoder"]) for line in lines], fontsize=8)
    axis.set_ylim(len(lines) - 0.4, -0.6)
    axis.set_xlim(0, 100)
    axis.set_xlabel("exact-match F1, %")
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    adapted = any(line["encoder"] == "adapted" for line in lines)
    handles = [
        Patch(color=_PAPER, label="the paper"),
        Patch(color=_OURS, label="ours"),
        *([Patch(color=_ADAPTED, label="ours, adapted encoder")] if adapted else []),
        Line2D([], [], color=_BASELINE, linestyle="--", label="lookup of training mentions"),
    ]
    axis.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.6 / figure.get_figheight()),
        ncols=4,
        fontsize=8,
    )
    save_figure(figure, path)


def draw_losses(groups: Sequence[SeedGroup], path: str | os.PathLike[str]) -> bool:
    """Draws the training loss of each group as the mean over its seeds; systems with BERT are on the right.

    A point is a part of an epoch, or a whole epoch if a run has no more values.

    Args:
        groups: result of `emr_ner_tf.experiments.tables.group_runs`.
        path: path of the PNG file.

    Returns:
        Whether there is a curve to draw. If every group has a single point, nothing is written; of the two sides, one
        with single points only is left out.
    """
    from matplotlib import colormaps

    sides = [[group for group in groups if (group.kind in _BERT) == with_bert] for with_bert in (False, True)]
    panels = [side for side in sides if any(len(curve(group)[0]) > 1 for group in side)]
    if not panels:
        return False
    figure = new_figure(6 * len(panels), 5)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=True):
        rows = list(dict.fromkeys(group.row for group in panel))
        for group in panel:
            colour, adapted = colormaps["tab10"].colors[rows.index(group.row) % 10], group.kind == "adapted"
            alike = [other for other in panel if (other.row, other.kind) == (group.row, group.kind)]
            which = f" [{group.digest()}]" if len(alike) > 1 else ""
            axis.plot(
                *curve(group),
                marker="o",
                markersize=3,
                linestyle="--" if adapted else "-",
                color=colour,
                # A run of one epoch may be a single point, without a line that distinguishes it.
                markerfacecolor="white" if adapted else colour,
                label=_name(group.row, group.kind) + which,
            )
        axis.set_yscale("log")
        axis.set_xlabel("epoch")
        axis.set_xlim(left=0)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(visible=True, which="major", alpha=0.3)
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, fontsize=7)
    axes[0].set_ylabel("training loss (nats a window)")
    save_figure(figure, path)
    return True


def curve(group: SeedGroup) -> tuple[list[float], list[float]]:
    """Returns the positions in epochs, whole or fractional, and the mean training loss over seeds at each position."""
    epochs = min(len(run["history"]) for run in group.runs)
    histories = [run["history"][:epochs] for run in group.runs]
    in_parts = all("losses" in entry for history in histories for entry in history)
    curves = [
        [
            (entry["epoch"] - 1 + (i + 1) / len(losses), loss)
            for entry in history
            for losses in [entry["losses"] if in_parts else [entry["loss"]]]
            for i, loss in enumerate(losses)
        ]
        for history in histories
    ]
    places = [place for place, _ in curves[0]]
    means = [sum(loss for _, loss in points) / len(points) for points in zip(*curves, strict=True)]
    return places, means


def _name(system: str, kind: str) -> str:
    return system + {"base": ", encoder as it is", "adapted": ", adapted encoder"}.get(kind, "")
