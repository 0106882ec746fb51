"""The figures of the report as SVG whose text stays text, so that the reader's own fonts show Chinese labels."""

import functools
import io
import unicodedata
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from emr_ner_tf.evaluation.calibration import Bin, Thresholds
from emr_ner_tf.evaluation.report import Counts

# Figures are laid out with the font that matplotlib brings; a browser takes the first of these that has the character.
_LAYOUT_FONT = "DejaVu Sans"
_FONTS = (
    "system-ui",
    "'DejaVu Sans'",
    "'Noto Sans CJK SC'",
    "'Noto Sans SC'",
    "'PingFang SC'",
    "'Microsoft YaHei'",
    "'WenQuanYi Zen Hei'",
    "sans-serif",
)
_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#8a8f98"
_FONT_SIZE = 9
_POINTS_AN_INCH = 72
_STYLE = {
    "font.family": _LAYOUT_FONT,
    "font.size": _FONT_SIZE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": _FONT_SIZE - 1,
    "ytick.labelsize": _FONT_SIZE - 1,
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
}
# A curve is drawn with at most this many points, so that a page with many predictions stays small.
_MAX_POINTS = 100
_P = ParamSpec("_P")
_T = TypeVar("_T")


def _styled(draw: Callable[_P, _T]) -> Callable[_P, _T]:
    """Makes matplotlib draw in the style of the report, whatever the process has set."""

    @functools.wraps(draw)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        import matplotlib

        with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
            # The layout font has no Chinese characters; the reader's font draws them.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            return draw(*args, **kwargs)

    return styled


@_styled
def draw_scores(f1: Mapping[str, tuple[float, float, float]]) -> str:
    """Draws the F1 of each label with its interval.

    Args:
        f1: F1, lower and upper end of its interval, by label, each 0 to 1.
    """
    longest = max(map(_width, f1))
    left = longest + 0.25
    figure = _figure(left + 4.5, 0.7 + 0.3 * len(f1), left=left)
    axis = figure.subplots()
    values, low, high = np.array(list(f1.values())).T
    places = np.arange(len(f1))
    axis.barh(places, values, height=0.62, color=_BLUE)
    axis.errorbar(values, places, xerr=_bars(values, low, high), fmt="none", ecolor="black", capsize=3, lw=1)
    axis.set_yticks(places, [_plain(label) for label in f1])
    axis.set_ylim(len(f1) - 0.4, -0.6)
    axis.set_xlim(0, 1.02)
    axis.set_xlabel("exact-match F1, with 95 % interval")
    return _svg(figure)


@_styled
def draw_slices(slices: Mapping[str, Counts], axis_label: str) -> str:
    """Draws the F1 of parts of the mentions as bars, with the number of annotated mentions above each.

    Args:
        slices: counts by name of the part.
        axis_label: name of the parts.
    """
    figure = _figure(1.2 + 0.62 * max(len(slices), 3), 2.6, bottom=0.55)
    axis = figure.subplots()
    axis.bar(range(len(slices)), [counts.f1 for counts in slices.values()], color=_BLUE, width=0.7)
    axis.set_xticks(range(len(slices)), list(slices))
    for place, counts in enumerate(slices.values()):
        axis.text(place, counts.f1 + 0.02, f"n={counts.support}", ha="center", fontsize=7)
    axis.set_ylim(0, 1.12)
    axis.set_xlabel(axis_label)
    axis.set_ylabel("exact-match F1")
    return _svg(figure)


@_styled
def draw_reliability(bins: Sequence[Bin]) -> str:
    """Draws the fraction of correct predictions against their mean probability, above the number of predictions."""
    figure = _figure(4.2, 4.2, bottom=0.55)
    axis, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = [each for each in bins if each.predictions]
    axis.plot([0, 1], [0, 1], color=_GREY, linestyle="--", lw=1)
    axis.plot(
        [each.probability for each in filled],
        [each.correct for each in filled],
        marker="o",
        color=_BLUE,
        lw=1.2,
    )
    axis.set_ylim(-0.03, 1.03)
    axis.set_ylabel("fraction correct")
    middles = [(each.low + each.high) / 2 for each in bins]
    histogram.bar(middles, [each.predictions for each in bins], width=0.9 / len(bins), color=_GREY)
    # Most predictions of a trained model are in the last part; on a linear axis the others would not show.
    histogram.set_yscale("symlog", linthresh=1)
    histogram.set_ylim(bottom=0)
    histogram.set_xlim(-0.02, 1.02)
    histogram.set_xlabel("probability")
    histogram.set_ylabel("predictions")
    return _svg(figure)


@_styled
def draw_thresholds(thresholds: Thresholds) -> tuple[str, str]:
    """Draws precision against recall, and precision, recall and F1 against the threshold.

    Returns:
        The two figures. The threshold with the best F1 is marked in both.
    """
    count, best = len(thresholds.threshold), thresholds.best
    chosen = np.unique(np.append(np.linspace(0, count - 1, min(count, _MAX_POINTS)).astype(int), best))
    threshold, precision, recall, f1 = (values[chosen] for values in thresholds)
    place = int(np.searchsorted(chosen, best))
    curve = _figure(3.8, 3.2, bottom=0.55)
    axis = curve.subplots()
    axis.plot(recall, precision, color=_BLUE, lw=1.4, marker="." if count < 3 else "")
    axis.plot(recall[place], precision[place], "o", color=_ORANGE)
    axis.set_xlabel("recall")
    axis.set_ylabel("precision")
    lines = _figure(4.4, 3.2, bottom=0.55)
    axis = lines.subplots()
    named = (("precision", precision, ":", _GREY), ("recall", recall, "--", _GREY), ("F1", f1, "-", _BLUE))
    # Every threshold from 0 to the lowest probability keeps all predictions.
    from_0 = np.append(0, threshold)
    for name, values, style, colour in named:
        values = np.append(values[0], values)
        axis.plot(from_0, values, style, color=colour, label=name, lw=1.4, drawstyle="steps-pre")
    axis.plot(thresholds.best_threshold, f1[place], "o", color=_ORANGE)
    axis.set_xlim(-0.02, 1.02)
    axis.set_ylim(0, 1.03)
    axis.set_xlabel("threshold")
    axis.legend(loc="lower left", fontsize=8)
    return _svg(curve), _svg(lines)


def _figure(width: float, height: float, *, left: float = 0.65, bottom: float = 0.5) -> Any:
    """Returns an empty figure, sizes and margins in inches; text outside the margins would be cut off."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(
        left=left / width, right=1 - 0.15 / width, bottom=bottom / height, top=1 - 0.12 / height, hspace=0.12
    )
    return figure


def _svg(figure: Any) -> str:
    """Returns a figure as SVG that depends on nothing but its content: no date, random ids or outside references."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=dict.fromkeys(("Format", "Type", "Creator", "Date")))
    text = file.getvalue()
    # Without the document type, which names a file on the network; and the fonts are named once.
    text = (
        text[text.index("<svg") :]
        .replace(f"font-family: '{_LAYOUT_FONT}'; ", "")
        .replace(f"; font-family: '{_LAYOUT_FONT}'", "")
    )
    return text.replace("<svg", f'<svg font-family="{", ".join(_FONTS)}"', 1)


def _plain(label: str) -> str:
    """Returns a label without what matplotlib reads as mathematics."""
    return label.replace("$", r"\$")


def _width(label: str) -> float:
    """Returns the width of a label in inches; Chinese characters are as wide as high, others about two thirds."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in label)
    return (wide + 0.66 * (len(label) - wide)) * _FONT_SIZE / _POINTS_AN_INCH


def _bars(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.maximum(np.stack([values - low, high - values]), 0)
