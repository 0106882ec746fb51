"""A picture of a run: training loss and validation F1 by epoch."""

import os
from collections.abc import Sequence
from typing import Any

from emr_ner_tf.data.atomic_io import atomic_writer


def draw_learning_curve(
    history: Sequence[dict[str, Any]], path: str | os.PathLike[str], *, best_epoch: int
) -> None:
    """Writes the picture as PNG.

    Args:
        history: entries with `epoch` (from 1), `loss` and, where there was a validation, `f1`.
        path: path of the picture.
        best_epoch: the epoch whose weights are kept as the best; its F1, if it has one, is written beside its point.
    """
    figure = new_figure(7, 4)
    epochs = [entry["epoch"] for entry in history]
    loss_axis = figure.subplots()
    lines = loss_axis.plot(epochs, [entry["loss"] for entry in history], "o-", color="#4c72b0", label="loss")
    loss_axis.set_xlabel("epoch")
    loss_axis.set_ylabel("training loss (nats a window)")
    loss_axis.set_ylim(bottom=0)
    loss_axis.xaxis.get_major_locator().set_params(integer=True)
    scored = [entry for entry in history if "f1" in entry]
    if scored:
        f1_axis = loss_axis.twinx()
        lines += f1_axis.plot(
            [entry["epoch"] for entry in scored],
            [entry["f1"] for entry in scored],
            "s-",
            color="#c44e52",
            label="validation F1",
        )
        f1_axis.set_ylabel("exact-match F1")
        f1_axis.set_ylim(0, 1.08)
        for best in (entry for entry in scored if entry["epoch"] == best_epoch):
            f1_axis.annotate(
                f"{best['f1']:.4f}",
                (best["epoch"], best["f1"]),
                textcoords="offset points",
                xytext=(0, 6),
                ha="center",
            )
    loss_axis.legend(handles=lines, loc="center right")
    save_figure(figure, path)


def new_figure(width: float, height: float) -> Any:
    """Returns an empty figure of matplotlib, sizes in inches, that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: str | os.PathLike[str]) -> None:
    """Writes a figure as PNG."""
    with atomic_writer(path, "wb") as file:
        figure.savefig(file, format="png", bbox_inches="tight")
