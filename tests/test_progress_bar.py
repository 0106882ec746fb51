"""The bar on a pseudo-terminal, and nothing of it elsewhere."""

import concurrent.futures
import io
import os
import pty
import re
import subprocess
import sys

import pytest
from absl import logging

from emr_ner_tf import progress_bar
from emr_ner_tf.data.synthetic.generator import generate
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.progress_bar import ProgressBar, bars_enabled, enable_bars
from emr_ner_tf.training.progress_log import ProgressLog

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def terminal(monkeypatch):
    """A stream that is a terminal, and the function that ends it and returns what was shown."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    primary, secondary = pty.openpty()
    stream = os.fdopen(secondary, "w", encoding="utf-8")
    handler = logging.get_absl_handler().python_handler
    before = handler.stream
    handler.setStream(stream)

    def shown():
        stream.close()
        return _read(primary)

    enable_bars(stream)
    yield shown
    enable_bars(io.StringIO())
    handler.setStream(before)


def _read(primary):
    """What was written to the other side, which is closed; without the escape sequences."""
    pieces = []
    while True:
        try:
            piece = os.read(primary, 65536)
        except OSError:
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(primary)
    return _ESCAPES.sub("", b"".join(pieces).decode("utf-8"))


def test_rate_and_time_left(terminal):
    with ProgressBar("counting", 5) as bar:
        for _ in bar.track(range(5)):
            assert not bars_enabled(), "a part of the job has no bar of its own"
    assert bars_enabled()
    shown = terminal()
    assert re.search(r"counting ━+ 5/5 [\d.]+ records/s 0:00:00 left", shown)


def test_an_unknown_total_and_a_title(terminal):
    with ProgressBar("reading", None, unit="lines", done=3) as bar:
        assert bar.is_shown
        bar.advance(4, title="almost there")
    shown = terminal()
    assert "almost there" in shown
    assert "7/?" in shown
    assert "left" not in shown
    assert not bar.is_shown


def test_logged_lines_are_above_the_bar(terminal):
    handler = logging.get_absl_handler().python_handler
    stream = handler.stream
    with ProgressBar("counting", 2) as bar:
        bar.advance()
        print("a line", file=sys.stderr)
        handler.stream.write("a line of the log\n")
        bar.advance()
    assert handler.stream is stream
    lines = [line.strip() for line in re.split(r"[\r\n]+", terminal())]
    assert "a line" in lines
    assert "a line of the log" in lines
    assert lines.index("a line of the log") < max(i for i, line in enumerate(lines) if "2/2" in line)


def test_training_shows_its_loss_in_place_of_lines(terminal, caplog):
    with caplog.at_level("INFO", logger="absl"), ProgressLog(0.0, total_steps=10, first_step=4) as log:
        for step in range(5, 9):
            log.step(float(step), 100, f"step {step}")
    assert caplog.records == []
    assert re.search(r"loss 8\.000 ━+\S* +8/10 [\d.]+ steps/s \d:\d\d:\d\d left", terminal())


def test_an_error_ends_the_bar(terminal):
    with pytest.raises(RuntimeError), ProgressBar("counting", 2):
        raise RuntimeError
    assert bars_enabled()
    assert "counting" in terminal()


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_without_a_cursor(terminal, monkeypatch, term):
    monkeypatch.setenv("TERM", term)
    enable_bars(logging.get_absl_handler().python_handler.stream)
    assert not bars_enabled()
    with ProgressBar("counting", 3) as bar:
        assert list(bar.track(range(3))) == [0, 1, 2]
    assert terminal() == ""


def test_no_terminal():
    stream = io.StringIO()
    enable_bars(stream)
    with ProgressBar("counting", 1) as bar:
        bar.advance()
        assert not bar.is_shown
    assert stream.getvalue() == ""
    assert progress_bar._stream is None


def _on_a_terminal(*call, check=True, **options):
    """Runs a command whose standard error is a terminal; returns its standard output and what was shown."""
    primary, secondary = pty.openpty()
    # A terminal holds no more than a few thousand bytes that nobody has read.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        shown = pool.submit(_read, primary)
        try:
            done = subprocess.run(
                [sys.executable, "-m", *call],
                stdout=subprocess.PIPE,
                stderr=secondary,
                env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
                check=check,
                text=True,
                **options,
            )
        finally:
            os.close(secondary)
        return done.stdout, shown.result()


def test_a_command(tmp_path):
    output, shown = _on_a_terminal("emr_ner_tf.cli.synthesize", f"--output_dir={tmp_path}", "--records=40")
    assert re.search(r"train\.jsonl ━+ 40/40 [\d.]+ records/s", shown)
    assert "200/200" in shown
    # The result is not touched.
    assert output == f"{tmp_path}/train.jsonl: 40 records\n{tmp_path}/test.jsonl: 200 records\n"


def test_commands_that_count_the_records_first(tmp_path):
    one, other, folder = tmp_path / "one.jsonl", tmp_path / "other.jsonl", tmp_path / "folder"
    write_documents(one, generate("train", records=30, seed=1))
    write_documents(other, generate("test", records=20, seed=1))
    write_documents(folder, generate("train", records=30, seed=1), "brat")
    convert, check = ("emr_ner_tf.cli.data", "convert"), ("emr_ner_tf.cli.data", "check")
    for path in (one, folder):
        output, shown = _on_a_terminal(
            *convert, f"--input={path}", f"--input={other}", "--to=bio", f"--output={tmp_path}/both.bio"
        )
        assert re.search(r"converting ━+ 50/50 [\d.]+ records/s \d:\d\d:\d\d left", shown)
        assert output == f"{tmp_path}/both.bio: 50 records as bio\n"
    # It reads the records twice, and the others once. What they share is an error.
    _, shown = _on_a_terminal(*check, f"--input={one}", f"--against={other}", check=False)
    assert re.search(r"checking ━+ 80/80 [\d.]+ records/s \d:\d\d:\d\d left", shown)
    with open(one, encoding="utf-8") as file:
        _, shown = _on_a_terminal(*convert, "--input=-", f"--output={tmp_path}/both.bio", stdin=file)
    assert "30/?" in shown
    assert "left" not in shown
