"""The report's figures, JSON and table, on literals."""

import io
import json

import pytest
from rich.console import Console

from emr_ner_tf.evaluation.report import Counts, Report, Scores

DRUG, OPERATION, IMAGE = Counts(6, 2, 4), Counts(0, 0, 5), Counts()
EXACT = Scores({"药物": DRUG, "手术": OPERATION, "影像检查": IMAGE})
RELAXED = Scores({"药物": Counts(8, 0, 2), "手术": OPERATION, "影像检查": IMAGE})
SEEN = Scores({"药物": Counts(5, 1, 1), "手术": IMAGE, "影像检查": IMAGE})
UNSEEN = Scores({"药物": Counts(1, 1, 3), "手术": OPERATION, "影像检查": IMAGE})


def test_counts():
    assert (DRUG.support, DRUG.predicted) == (10, 8)
    assert (DRUG.precision, DRUG.recall) == (0.75, 0.6)
    assert DRUG.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    assert (OPERATION.precision, OPERATION.recall, OPERATION.f1) == (0, 0, 0)
    assert (IMAGE.precision, IMAGE.recall, IMAGE.f1) == (0, 0, 0)


def test_macro_leaves_out_types_neither_annotated_nor_predicted():
    macro = EXACT.macro
    assert macro.types == 2
    assert macro.precision == pytest.approx(0.375)
    assert macro.recall == pytest.approx(0.3)
    assert macro.f1 == pytest.approx(DRUG.f1 / 2)


def test_json():
    result = json.loads(json.dumps(Report(3, EXACT, RELAXED, SEEN, UNSEEN).to_json()))
    assert result["records"] == 3
    micro = result["exact"]["micro"]
    assert {k: micro[k] for k in ("support", "tp", "fp", "fn")} == {"support": 15, "tp": 6, "fp": 2, "fn": 9}
    assert micro["f1"] == pytest.approx(12 / 23)
    assert result["exact"]["macro"]["types"] == 2
    assert list(result["relaxed"]["by_type"]) == ["药物", "手术", "影像检查"]
    assert result["relaxed"]["by_type"]["药物"]["precision"] == 1
    assert result["seen"]["f1"] == pytest.approx(5 / 6)
    assert result["unseen"]["support"] == 9
    assert result["unseen"]["by_type"]["手术"]["fn"] == 5


def test_json_without_what_training_held():
    assert set(Report(3, EXACT, RELAXED).to_json()) == {"records", "exact", "relaxed"}


def test_table():
    screen = io.StringIO()
    Report(3, EXACT, RELAXED, SEEN, UNSEEN).print(Console(file=screen, width=120, no_color=True))
    lines = screen.getvalue().splitlines()
    # The word of the other commands and of the report as a page.
    assert next(line for line in lines if "support" in line).split()[1] == "label"
    row = {
        line.replace("│", " ").split()[0]: line.replace("│", " ").split()[1:] for line in lines if "│" in line
    }
    assert row["药物"] == ["10", "6", "2", "4", "75.00", "60.00", "66.67", "100.00", "80.00", "88.89"]
    assert row["micro"][:7] == ["15", "6", "2", "9", "75.00", "40.00", "52.17"]
    assert row["macro"][:3] == ["37.50", "30.00", "33.33"]
    assert row["unseen"] == ["9", "1", "1", "8", "50.00", "11.11", "18.18"]


@pytest.mark.parametrize("markup", [True, False])
def test_labels_are_printed_as_they_are(markup):
    labels = ("症状[/体征]", "药物[name]", "药物[dose]", "[red]", ":smile:", "一个比列宽长得多的标签" * 6)
    scores = Scores(dict.fromkeys(labels, DRUG))
    screen = io.StringIO()
    Report(3, scores, scores).print(Console(file=screen, width=120, no_color=True, markup=markup))
    lines = screen.getvalue().splitlines()
    cells = [line.split("│")[1].strip() for line in lines if line.startswith("│")]
    assert cells[: len(labels) - 1] == list(labels[:-1])
    # One that is too long for its column takes several lines of it.
    assert labels[-1] in "".join(cells)


@pytest.mark.parametrize("width", [40, 80, 100, 120])
def test_no_figure_is_cut_off_on_a_narrow_terminal(width):
    large = Counts(12345, 2345, 3456)
    scores = Scores({"药物": large, "很长的标签" * 5: large})
    screen = io.StringIO()
    console = Console(file=screen, width=width, no_color=True)
    Report(3, scores, scores, scores, scores).print(console)
    row = next(line for line in screen.getvalue().splitlines() if "药物" in line)
    assert row.replace("│", " ").split() == [
        "药物",
        "15801",
        "12345",
        "2345",
        "3456",
        *["84.04", "78.13", "80.97"] * 2,
    ]
    assert "…" not in screen.getvalue()
    assert console.width == width


def test_table_without_what_training_held():
    screen = io.StringIO()
    Report(3, EXACT, RELAXED).print(Console(file=screen, width=120, no_color=True))
    assert "unseen" not in screen.getvalue()
