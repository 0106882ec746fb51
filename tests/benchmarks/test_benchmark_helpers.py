"""The figures that benchmarks compute from measurements, and the baseline's text path, on literals."""

import importlib.util
import pathlib

import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "benchmarks"


def _module(path):
    spec = importlib.util.spec_from_file_location(f"benchmarks_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def harness():
    return _module(FOLDER / "harness.py")


@pytest.fixture(scope="module")
def text():
    return _module(FOLDER / "pytorch_baseline" / "text.py")


class _Side:
    def __init__(self, name, log, seconds):
        self.name, self.log, self.seconds, self.cpu_seconds = name, log, iter(seconds), 0.0

    def ask(self, **command):
        self.log.append((self.name, command["batch"]))
        return {"seconds": next(self.seconds)}


def test_sides_take_turns_and_a_ratio_above_one_means_ours_is_faster(harness):
    log = []
    ours, peer = _Side("ours", log, [1.0, 2.0, 4.0]), _Side("peer", log, [2.0, 3.0, 2.0])
    pairs = harness.measure_pairs(
        ours, peer, [{"do": "measure", "batch": i} for i in range(3)], threads=1, tries=1
    )
    assert log == [("ours", 0), ("peer", 0), ("peer", 1), ("ours", 1), ("ours", 2), ("peer", 2)]
    assert [pair["first"] for pair in pairs] == ["ours", "peer", "ours"]
    summary = harness.summarise(pairs)
    assert summary["ratio_peer_over_ours"]["each"] == [2.0, 1.5, 0.5]
    assert summary["ratio_peer_over_ours"]["median"] == 1.5
    assert summary["seconds"]["ours"]["median"] == 2.0
    assert summary["seconds"]["peer"]["median"] == 2.0


def test_a_disturbed_pair_is_measured_again_and_the_least_disturbed_try_counts(harness, monkeypatch):
    # Busy seconds before and after each try: others take all of the first, and nothing of the second.
    busy = iter([0.0, 1e6, 1e6, 1e6])
    monkeypatch.setattr(harness, "_busy_seconds", lambda threads: next(busy))
    log = []
    ours, peer = _Side("ours", log, [9.0, 1.0]), _Side("peer", log, [9.0, 3.0])
    (pair,) = harness.measure_pairs(ours, peer, [{"do": "measure", "batch": 0}], threads=1, tries=5)
    assert pair["tries"] == 2
    assert (pair["ours"]["seconds"], pair["peer"]["seconds"]) == (1.0, 3.0)
    assert pair["others_cpu_share"] == 0


def test_spread(harness):
    found = harness.spread([4.0, 1.0, 2.0, 3.0])
    assert found == {"median": 2.5, "quartile_1": 1.75, "quartile_3": 3.25, "iqr": 1.5}


def test_peer_cuts_as_this_project_does(text):
    # The literals of tests/text/test_windows.py.
    breakable = np.zeros(22, bool)
    breakable[[7, 9, 13, 16]] = True
    assert text.cut(5, breakable, size=10, overlap=2, slack=2) == [
        (5, 0, 7, 0, 6),
        (5, 5, 11, 6, 10),
        (5, 9, 18, 10, 17),
        (5, 16, 22, 17, 22),
    ]
    assert text.cut(0, np.zeros(0, bool), size=8, overlap=2, slack=3) == []
    assert text.cut(0, np.zeros(8, bool), size=8, overlap=2, slack=3) == [(0, 0, 8, 0, 8)]


def test_peer_reads_entities(text):
    tags = ["B-x", "I-x", "B-x", "O", "B-y"]
    assert text.entities(tags) == [(0, 2, "x"), (2, 3, "x"), (4, 5, "y")]
    assert text.entities([]) == []


def test_peer_batches_by_budget(text):
    assert list(text.by_budget([3, 10, 4, 1], 10)) == [[1], [2, 0], [3]]


def test_the_picture_of_all_ratios(tmp_path):
    picture = _module(FOLDER / "picture.py")
    ratio = {"ratio_peer_over_ours": {"median": 2.0, "quartile_1": 1.5, "quartile_3": 2.5}}
    slower = {"ratio_peer_over_ours": {"median": 0.5, "quartile_1": 0.4, "quartile_3": 0.6}}
    report = {"pairs": 3, "results": {"loss against peer": ratio, "decode": {"deep": slower}}}
    bars = list(picture.find_bars(report, "crf"))
    assert bars == [("crf loss against peer", 2.0, (1.5, 2.5)), ("crf decode deep", 0.5, (0.4, 0.6))]
    picture.draw(bars, tmp_path / "short.png")
    assert (tmp_path / "short.png").read_bytes().startswith(b"\x89PNG")
