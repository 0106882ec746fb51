"""Runs of every precision counted together."""

import pytest
from experiment_results import DESCRIBED, SETUP, result

from emr_ner_tf.experiments.any_precision import left_to_run, of_any_precision
from emr_ner_tf.experiments.markdown_report import page
from emr_ner_tf.experiments.report import build_report, unique_lines
from emr_ner_tf.experiments.runs import Experiment, plan, settings_digest
from emr_ner_tf.experiments.tables import group_runs

FLOAT32, BFLOAT16 = "float32", "mixed_bfloat16"


def run(seed, precision, *, found=8, row="bert_crf", name="train.jsonl", more=None, files=None):
    """Returns a result whose digest is that of its settings and files."""
    overrides = {} if precision == FLOAT32 else {"train.precision": precision}
    setup = SETUP | {"overrides": overrides | ({"train.batch_size": 4} if more else {})}
    settings = {"train.precision": precision, "train.seed": seed, "data.train": name, "encoder": "tiny"} | (
        more or {}
    )
    files = files or {"data.train": "t1", "encoder": "e1"}
    digest = settings_digest(settings, files, "h1")
    materials = {key: {"name": name, "digest": each} for key, each in files.items()}
    return result(row, "base", seed, found, setup=setup) | {
        "settings": settings,
        "materials": materials,
        "digest": digest,
        "name": f"{row}-{seed}-{digest}",
    }


def _seeds(results, setup):
    return [[each["seed"] for each in group.runs] for group in group_runs(results, setup)]


def test_they_are_one_line():
    runs = [run(1, BFLOAT16), run(2, FLOAT32, name="elsewhere.jsonl")]
    assert _seeds(runs, SETUP) == [[1]]
    assert _seeds(runs, SETUP | {"overrides": {}}) == [[2]]
    for preferred in (FLOAT32, BFLOAT16):
        assert _seeds(runs, of_any_precision(SETUP, preferred)) == [[1, 2]]


def test_a_setting_of_a_later_version_and_of_the_log_does_not_count():
    later = run(2, FLOAT32)
    later["settings"] |= {"train.random_cuts": False, "train.log_seconds": 3.0}
    assert _seeds([run(1, BFLOAT16), later], of_any_precision(SETUP, FLOAT32)) == [[1, 2]]


def test_what_else_differs_is_another_line():
    other_file = run(2, FLOAT32, files={"data.train": "t1", "encoder": "e9"})
    of_an_earlier_version = run(2, FLOAT32) | {"digest": "0123456789"}
    for other in (other_file, of_an_earlier_version):
        assert _seeds([run(1, BFLOAT16), other], of_any_precision(SETUP, FLOAT32)) == [[1], [2]]
    other_setup = run(2, FLOAT32, more={"train.batch_size": 4})
    assert _seeds([run(1, BFLOAT16), other_setup], of_any_precision(SETUP, FLOAT32)) == [[1]]


@pytest.mark.parametrize(("preferred", "found"), [(FLOAT32, 9), (BFLOAT16, 5)])
def test_a_seed_counts_once(preferred, found):
    runs = [run(1, BFLOAT16, found=5), run(1, FLOAT32, found=9)]
    for results in (runs, runs[::-1]):
        (group,) = group_runs(results, of_any_precision(SETUP, preferred))
        assert [each["by_record"][0][0] for each in group.runs] == [found]


def test_the_page_names_them():
    runs = [run(1, BFLOAT16), run(1, FLOAT32, row="bert_bigru_att_crf")]
    setup = of_any_precision(SETUP, FLOAT32)
    report = build_report(
        runs, ["VII", "ours"], setup, DESCRIBED, own_epochs=10, lacks=lambda kind: None, command=""
    )
    text = page(report, unique_lines(report["tables"]), {}, "paper.json", None)
    assert "Runs of every `train.precision` are counted together" in text
    assert "Changed for every row" not in text
    assert "| 1 | 80.00 | mixed_bfloat16 | 1.0 |" in text
    assert "| 1 | 80.00 | float32 | 1.0 |" in text
    assert "| not decided (float32 against mixed_bfloat16) |" in text


def test_what_is_left_to_run(corpus):
    paths = {"train": str(corpus / "train.jsonl"), "test": str(corpus / "test.jsonl")}
    here, there = (
        plan(Experiment(**paths, epochs=1, overrides=overrides), ["VII"], ["bigru_crf", "bilstm_crf"], 2)
        for overrides in ((), ("train.precision=mixed_bfloat16",))
    )
    finished = {
        each.name: {
            "row": each.row,
            "encoder": {"kind": each.kind},
            "seed": each.seed,
            "digest": each.digest,
            "settings": each.settings(),
            "materials": {key: file._asdict() for key, file in each.fingerprints.items()},
            "setup": each.setup,
        }
        for each in there[:3]
    }
    assert not {each.name for each in here} & finished.keys()
    assert left_to_run(here, finished) == here[3:]
    assert left_to_run(there, finished) == there[3:]
    assert left_to_run(here, {}) == here
