"""The report from constructed results of runs."""

import json
import pathlib

import pytest
from experiment_results import DESCRIBED, SETUP, result
from markdown_it import MarkdownIt

from emr_ner_tf.errors import UserError
from emr_ner_tf.experiments.figures import curve, draw_losses
from emr_ner_tf.experiments.markdown_report import page
from emr_ner_tf.experiments.report import build_report, unique_lines, write_report
from emr_ner_tf.experiments.runner import estimated_seconds, finished_runs
from emr_ner_tf.experiments.tables import SeedGroup, group_runs

RESULTS = [
    result("bert_bigru_crf", "base", 1, 8),
    result("bert_bigru_crf", "base", 2, 9),
    result("bert_bigru_att_crf", "base", 1, 7, seconds=50.0),
    result("bert_bilstm_att_crf", "base", 1, 8, seconds=80.0),
    result("cnn_crf", "none", 1, 5),
    # Another budget, and other test records: neither belongs here.
    result("bert_bigru_att_crf", "base", 1, 1, setup=SETUP | {"epochs": 9}),
    result(
        "bert_bigru_att_crf", "base", 2, 1, setup=SETUP | {"test": {"name": "held.jsonl", "digest": "h2"}}
    ),
]


@pytest.fixture(scope="module")
def report():
    return build_report(
        RESULTS,
        ["III", "V", "VII", "VIII", "ours"],
        SETUP,
        DESCRIBED,
        own_epochs=10,
        lacks=lambda kind: "--adapted_encoder" if kind == "adapted" else None,
        command="python -m emr_ner_tf.cli.reproduce --budget=2",
    )


def _line(report, table, row, kind):
    (line,) = [each for each in report["tables"][table] if (each["row"], each["encoder"]) == (row, kind)]
    return line


def test_means_over_the_seeds_of_this_setup(report):
    ours = _line(report, "VII", "bert_bigru_crf", "base")["ours"]
    assert ours["seeds"] == [1, 2]
    assert ours["exact"]["f1"]["mean"] == pytest.approx(0.85)
    assert ours["exact"]["f1"]["sd"] == pytest.approx(0.05 * 2**0.5)
    one = _line(report, "VII", "bert_bigru_att_crf", "base")["ours"]
    assert one["exact"]["f1"] == {"mean": pytest.approx(0.7), "sd": None}
    assert one["seeds"] == [1]
    assert report["updates"] == [302]
    assert len(report["runs"]) == 5


def test_the_papers_figure_is_that_of_the_same_encoder():
    report = build_report(
        RESULTS, ["VI", "VIII"], SETUP, DESCRIBED, own_epochs=10, lacks=lambda kind: None, command=""
    )
    # Table VIII has the adapted one's alone.
    (line,) = [line for line in unique_lines(report["tables"]) if line["ours"] and "BERT" in line["system"]]
    assert (line["system"], line["encoder"]) == ("BERT-BiGRU-Att-CRF", "base")
    assert line["paper"]["f1"] == 85.57


def _page(results, tables=("V",), **setup):
    """Returns the text of the page that these results make."""
    setup = SETUP | setup
    results = [each | {"setup": setup} for each in results]
    report = build_report(
        results, tables, setup, DESCRIBED, own_epochs=10, lacks=lambda kind: None, command=""
    )
    return page(report, unique_lines(report["tables"]), {"loss": "loss.png"}, "paper.json", None)


def test_what_was_trained_on():
    run = [result("bert_crf", "base", 1, 8)]
    assert "Trained on all 700 records of `train.jsonl` (9 mentions, digest t1). Each run is scored" in _page(
        run
    )
    apart = _page(run, overrides={"data.validation_fraction": 0.1})
    assert "all 700" not in apart
    assert "Trained on a part of the 700 records" in apart
    assert "digest t1): 10 % of them, selected by seed, are used for validation, and the best epoch" in apart
    beside = _page(run, overrides={"data.validation": "dev.jsonl"})
    assert "Trained on all 700 records" in beside
    assert "digest t1); validated on `dev.jsonl`, and the best epoch by validation F1 is scored." in beside


def test_disturbed_times_are_marked_and_not_compared():
    gru, lstm = RESULTS[2], RESULTS[3]
    assert "| `bert_bigru_att_crf` / `bert_bilstm_att_crf` |" in _page([gru, lstm], ("VII",))
    # Nor are times of two precisions.
    other = lstm | {"settings": {"train.precision": "float32"}}
    assert " / `bert_bilstm_att_crf` |" not in _page([gru, other], ("VII",))
    text = _page([gru, lstm | {"disturbed": True}], ("VII",))
    assert " / `bert_bilstm_att_crf` |" not in text
    assert "so that its time is no measurement" in text
    assert "| 302 | 0.8 |" in text
    assert text.count("| 1.3 (disturbed) |") == 2


def test_nothing_is_said_of_runs_that_no_table_shows():
    run = [result("cnn_crf", "none", 1, 8)]
    shown = _page(run, tables=("III", "VIII"))
    assert "every row of these tables that was run is above it" in shown
    assert "Updates of every row: 302." in shown
    for tables in (("III",), ("III", "V")):
        unshown = _page(run, tables=tables)
        assert "above it" not in unshown
        assert "Updates" not in unshown


def test_what_a_verdict_does_not_cover():
    one, other, third = (
        ("bert_bigru_att_crf", "base"),
        ("bert_bigru_plain_att_crf", "base"),
        ("bert_bigru_crf", "base"),
    )
    single = [result(*one, 1, 8), result(*other, 1, 7), result(*third, 1, 6)]
    text = _page(single)
    # Both neighbours, and the pair that the paper's text compares.
    assert (
        "Number of comparisons, at 95 % each: 3; of systems that do not differ, about one pair in twenty"
        in text
    )
    assert "variation between seeds: here it is unknown, and a verdict is about the models" in text
    assert "standard deviations above" not in text
    second = [result(*one, 2, 8), result(*other, 2, 7)]
    assert "where an n is 1 it is unknown" in _page([*single, *second])
    text = _page([*single, *second, result(*third, 2, 6)])
    assert "variation between seeds; the standard deviations above show" in text
    assert "unknown" not in text


def test_machines_alike():
    def at(row, **machine):
        return result(row, "none", 1, 8) | {"machine": {"cores": 2, "device": "CPU"} | machine}

    for machines, alike in (
        (({}, {}), True),
        (({"cpu": "A"}, {"cpu": "A"}), True),
        (({"cpu": "A"}, {"cpu": "B"}), False),
        # A result of before the CPU was told may be of any.
        (({"cpu": "A"}, {}), False),
    ):
        text = _page([at("bigru_crf", **machines[0]), at("bilstm_crf", **machines[1])], tables=("VII",))
        assert ("| `bigru_crf` / `bilstm_crf` |" in text) == alike
        assert ("Times include tracing the graph" in text) == alike
        for machine in machines:
            assert f"| {', '.join(('2 cores', *machine.values(), 'CPU'))} |" in text


def test_lines_without_runs_say_why(report):
    assert (
        _line(report, "V", "bert_bigru_att_crf", "adapted")["why_not"] == "not run: needs --adapted_encoder"
    )
    assert _line(report, "VIII", "idcnn_crf", "none")["why_not"] == "not run"
    assert _line(report, "ours", "bert_crf", "base")["paper"] is None


def test_times_and_differences(report):
    (time,) = report["training_times"]
    assert (time["gru"], time["encoder"]) == ("bert_bigru_att_crf", "base")
    assert time["ratio"] == pytest.approx(50 / 80)
    assert time["paper"] == pytest.approx(0.694, abs=5e-4)
    found = {(d["table"], d["one"], d["other"]): d for d in report["differences"]}
    against = found["V", "multi-head attention", "no attention"]
    # Of seed 1, which both have; the other system's second is left out.
    assert against["difference"] == pytest.approx(-0.1)
    assert (against["paper"], against["verdict"]) == (3.96, "against the paper")
    assert found["VII", "BERT-BiGRU-Att-CRF", "BERT-BiGRU-CRF"]["seeds"] == [1, 1]
    assert ("VIII", "BERT-IDCNN-CRF", "IDCNN-CRF") not in found


def test_pairs_of_other_tables_and_rows_of_our_own():
    results = [
        result("bert_bigru_crf", "base", 1, 8),
        result("bert_idcnn_crf", "base", 1, 6),
        result("bert_bigru_att_crf", "base", 1, 7),
        result("bert_crf", "base", 1, 9),
    ]
    report = build_report(
        results, ["VIII", "ours"], SETUP, DESCRIBED, own_epochs=10, lacks=lambda kind: None, command=""
    )
    found = {(d["table"], d["one"], d["other"]): d for d in report["differences"]}
    claimed = found["VIII", "BERT-BiGRU-CRF", "BERT-IDCNN-CRF"]
    assert (claimed["paper"], claimed["verdict"]) == (1.18, "as the paper")
    own = found["ours", "BERT-BiGRU-Att-CRF", "bert_crf"]
    assert own["difference"] == pytest.approx(-0.2)
    assert (own["paper"], own["verdict"]) == (None, "worse")
    assert "| ours | BERT-BiGRU-Att-CRF | bert_crf | as it is | 1 |  | -20.00 |" in _page(results, ("ours",))


def test_seeds_at_several_commits_are_noted():
    one, other = (result("cnn_crf", "none", seed, 8) for seed in (1, 2))
    assert "Seeds at more than one commit" not in _page([one, other], ("VIII",))
    other["commit"] = {"id": "fedcba9876543210", "changed": False}
    assert "Seeds were run at more than one commit: `cnn_crf`." in _page([one, other], ("VIII",))


def test_curves_are_as_fine_as_every_run_of_a_group_allows():
    runs = [result("cnn_crf", "none", seed, 8) for seed in (1, 2)]
    assert curve(SeedGroup("cnn_crf", "none", tuple(runs))) == ([1, 2], [30, 3])
    runs[0]["history"] = [
        {"epoch": 1, "loss": 30.0, "losses": [40.0, 20.0]},
        {"epoch": 2, "loss": 3.0, "losses": [3.0]},
    ]
    assert curve(SeedGroup("cnn_crf", "none", tuple(runs))) == ([1, 2], [30, 3])
    assert curve(SeedGroup("cnn_crf", "none", (runs[0], runs[0]))) == ([0.5, 1, 2], [40, 20, 3])


def test_two_encoders_are_two_lines(report):
    results = [*RESULTS, result("bert_bigru_crf", "base", 1, 6, digest="e2")]
    again = build_report(
        results, ["VII"], SETUP, DESCRIBED, own_epochs=10, lacks=lambda kind: None, command=""
    )
    lines = [each for each in again["tables"]["VII"] if each["row"] == "bert_bigru_crf" and each["ours"]]
    assert sorted(len(each["ours"]["seeds"]) for each in lines) == [1, 2]
    assert sorted(each["system"] for each in lines) == [
        "BERT-BiGRU-CRF [bert_bigru_crf e1]",
        "BERT-BiGRU-CRF [bert_bigru_crf e2]",
    ]
    # Nor are two systems compared, each with another of them.
    compared = [d for d in again["differences"] if d["one"] == "BERT-BiGRU-Att-CRF"]
    assert [(d["other"], d["seeds"]) for d in compared] == [
        ("BERT-BiLSTM-Att-CRF", [1, 1]),
        ("BERT-BiGRU-CRF", [1, 1]),
    ]


def test_the_page(report, tmp_path):
    (tmp_path / "paper_discussion.md").write_text("# By hand\n", encoding="utf-8")
    written = write_report(report, RESULTS, tmp_path / "paper.md")
    assert [path.name for path in written] == ["paper.md", "paper.json", "paper_f1.png", "paper_loss.png"]
    text = written[0].read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0] == "# The paper's tables on a budget of 2 epochs a row, recipe `default`"
    for expected in (
        "| BERT-BiGRU-CRF | `bert_bigru_crf` | as it is (tiny) | 83.81 | 82.59 | 83.20 | 85.00 ± 7.07 | 85.00 ± 7.07 | "
        "85.00 ± 7.07 | 85.00 ± 7.07 | 85.00 ± 7.07 | 85.00 ± 7.07 | 2 |",
        "| CNN-CRF | `cnn_crf` |  | 75.66 | 77.12 | 76.39 | 50.00 | 50.00 | 50.00 | 50.00 | 50.00 | 50.00 | 1 |",
        "| 疾病和诊断 Diseases | 2116 | 2116 | 635 | 682 |",
        "| 药物 Drug | 456 | 455 | 137 | 263 |",
        "| 手术 Operation | 765 | not counted | 230 | 140 |",
        "| `bert_bigru_att_crf` / `bert_bilstm_att_crf` | as it is | 0.8 | 1.3 | 0.625 | 0.694 |",
        "![Training loss by epoch](figures/paper_loss.png)",
    ):
        assert expected in lines
    assert "not above it: cnn_crf." in text
    assert "[paper_discussion.md](paper_discussion.md)" in text
    assert "`train.precision=mixed_bfloat16`" in text
    assert (
        "Encoder of the paper's figures: BERT-BiGRU-Att-CRF: adapted. The paper does not name it for: "
        in text
    )
    assert json.loads(written[1].read_text(encoding="utf-8"))["tables"] == report["tables"]
    for picture in written[2:]:
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_no_empty_picture_of_learning_curves(report, tmp_path):
    """A run of one epoch without parts is a single point: no line, and nothing to see."""
    points = [run | {"history": run["history"][:1]} for run in RESULTS]
    written = write_report(report, points, tmp_path / "paper.md")
    assert [path.name for path in written] == ["paper.md", "paper.json", "paper_f1.png"]
    assert not (tmp_path / "figures" / "paper_loss.png").exists()
    assert "Learning curves" not in written[0].read_text(encoding="utf-8")
    # One line among them is worth a picture; the side without a line is left out.
    groups = group_runs([*points[:4], RESULTS[4]], SETUP)
    assert draw_losses(groups, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").exists()


@pytest.mark.parametrize("name", ["paper", "paper_one_epoch"])
def test_the_pages_in_docs_are_those_of_their_json(name):
    docs = pathlib.Path(__file__).parents[2] / "docs"
    report = json.loads((docs / f"{name}.json").read_text(encoding="utf-8"))
    pictures = {
        kind: f"figures/{name}_{kind}.png"
        for kind in ("f1", "loss")
        if (docs / f"figures/{name}_{kind}.png").exists()
    }
    text = page(report, unique_lines(report["tables"]), pictures, f"{name}.json", "paper_discussion.md")
    assert text == (docs / f"{name}.md").read_text(encoding="utf-8")


def test_names_on_the_page_are_shown_as_they_are(tmp_path):
    label, encoder = "药物|[name]", "my|*encoder*"
    run = result("bert_crf", "base", 1, 8)
    figures = run["scores"]["exact"]["by_type"]["药物"]
    scores = run["scores"]["exact"] | {"by_type": {label: figures}}
    run |= {"encoder": run["encoder"] | {"name": encoder}, "scores": run["scores"] | {"exact": scores}}
    setup = SETUP | {"train": {"name": "a`b|c.jsonl", "digest": "t1"}}
    run["setup"] = setup
    report = build_report(
        [run], ["ours"], setup, DESCRIBED, own_epochs=10, lacks=lambda kind: None, command="x"
    )
    (written, *_) = write_report(report, [run], tmp_path / "my [paper].md")
    tokens = MarkdownIt("commonmark").enable("table").parse(written.read_text(encoding="utf-8"))
    cells = [
        "".join(child.content for child in token.children or ()) for token in tokens if token.type == "inline"
    ]
    assert label in cells
    assert f"as it is ({encoder})" in cells
    assert any("records of a`b|c.jsonl (9 mentions" in cell for cell in cells)
    assert any("my [paper].json" in cell for cell in cells)


def test_a_page_of_nothing(tmp_path):
    full = SETUP | {"epochs": 10, "overrides": {}}
    report = build_report([], ["V"], full, DESCRIBED, own_epochs=10, lacks=lambda kind: None, command="")
    (written, _) = write_report(report, [], tmp_path / "paper.md")
    text = written.read_text(encoding="utf-8")
    assert text.startswith("# The paper's tables, recipe `default`\n")
    assert text.count("not run") == 6
    assert "paper_discussion" not in text


def test_results_are_read_and_refused(tmp_path):
    assert finished_runs(tmp_path / "none") == {}
    (tmp_path / "a.json").write_text(json.dumps(RESULTS[0]), encoding="utf-8")
    assert list(finished_runs(tmp_path)) == [RESULTS[0]["name"]]
    (tmp_path / "b.json").write_text('{"version": 0}', encoding="utf-8")
    with pytest.raises(UserError, match=r"b\.json.*version"):
        finished_runs(tmp_path)
    (tmp_path / "b.json").write_text('{"version": 1}', encoding="utf-8")
    with pytest.raises(UserError, match=r"b\.json.*`name`"):
        finished_runs(tmp_path)
    (tmp_path / "b.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"b\.json.*JSON"):
        finished_runs(tmp_path)


def test_estimates():
    class Planned:
        row, kind = "cnn_crf", "none"

        class config:
            class train:
                epochs = 6

    finished = {r["name"]: r for r in (result("cnn_crf", "none", 1, 5, seconds=10.0), *RESULTS[:2])}
    assert estimated_seconds(Planned, finished) == pytest.approx(30.0)
    Planned.row = "idcnn_crf"
    assert estimated_seconds(Planned, finished) == pytest.approx(30.0)
    Planned.kind = "base"
    assert estimated_seconds(Planned, finished) == pytest.approx(180.0)
    assert estimated_seconds(Planned, {}) is None
