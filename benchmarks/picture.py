"""One picture of the ratios in many reports."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Bar(NamedTuple):
    """One comparison.

    Attributes:
        name: what is compared with what.
        median: median ratio, the peer's seconds over ours.
        quartiles: the first and the third quartile of the ratio.
    """

    name: str
    median: float
    quartiles: tuple[float, float]


def find_bars(report: Mapping[str, Any], name: str) -> Iterator[Bar]:
    """Yields every ratio of a report, however deep, with its path as the name."""
    for key, value in report.items():
        if key == "ratio_peer_over_ours":
            yield Bar(name, value["median"], (value["quartile_1"], value["quartile_3"]))
        elif isinstance(value, Mapping):
            inner = "" if key in ("results", "cases") else f" {key}"
            yield from find_bars(value, f"{name}{inner}")


def draw(bars: list[Bar], path: pathlib.Path) -> None:
    """Draws a horizontal bar for each comparison, on a logarithmic axis whose 1 is marked."""
    from emr_ner_tf.training.learning_curve import new_figure, save_figure

    figure = new_figure(8, 1 + 0.24 * len(bars))
    axis = figure.subplots()
    for place, bar in enumerate(bars):
        colour = "#5b9bd5" if bar.median >= 1 else "#c44e52"
        axis.barh(place, bar.median - 1, left=1, color=colour, height=0.7)
        axis.plot(bar.quartiles, [place, place], color="black", linewidth=1)
        axis.text(
            max(bar.median, bar.quartiles[1], 1) * 1.04, place, f"{bar.median:.2f}", va="center", fontsize=7
        )
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_xscale("log")
    axis.set_xlim(right=axis.get_xlim()[1] * 1.3)
    axis.set_yticks(range(len(bars)), [bar.name for bar in bars], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel("time of the other side / time of this project (median, quartiles)")
    save_figure(figure, path)
