"""Shows the whole workflow on a synthetic corpus: generates it, trains, exports, scores and annotates a sentence.

  emr-ner quickstart --work_dir=runs/quickstart

Each step is a command that you could type for your own records and is shown before it runs. The encoder is a tiny BERT
with random weights, so nothing is downloaded, and the scores do not carry over to real records. Files of an earlier
quickstart in the same directory are removed first.
"""

import json
import pathlib
import shutil
import time

from rich.console import Console
from rich.table import Table

from emr_ner_tf.cli.console import command_line, print_table, results, step
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.errors import UserError

_WORK_DIR = define_path(
    "work_dir", "runs/quickstart", "Directory for the corpus, the model, the bundle and the scores."
)

# Scores that the synthetic corpus gives on every machine; lower ones mean that something is broken.
_MIN_F1, _MIN_UNSEEN_F1, _MIN_GAIN = 0.90, 0.80, 0.10
# Marks a work directory of the quickstart: only such a directory is cleared.
_MARK = "written_by_quickstart"
_SENTENCE = "患者3天前无明显诱因出现右侧腰部疼痛，门诊以“右肾结石”收入院，行泌尿系彩超检查，予头孢哌酮静滴。"


def main() -> None:
    """Runs the five steps and prints a summary."""
    console = results()
    work = pathlib.Path(_WORK_DIR.value)
    started = time.monotonic()
    _clear(console, work)
    data, model, bundles, scores = work / "data", work / "model", work / "bundles", work / "scores.json"
    step(console, "1/5 a synthetic corpus", "synthesize", f"--output_dir={data}")
    step(
        console,
        "2/5 train",
        "train",
        "--config=quickstart",
        f"--config.data.train={data}/train.jsonl",
        f"--model_dir={model}",
    )
    step(
        console,
        "3/5 export",
        "export",
        f"--model_dir={model}",
        f"--output={bundles}",
        f"--verify_on={data}/test.jsonl",
    )
    step(
        console,
        "4/5 score on the test records",
        "evaluate",
        f"--bundle={bundles}",
        f"--input={data}/test.jsonl",
        f"--train={data}/train.jsonl",
        "--lookup_baseline",
        f"--output={scores}",
    )
    step(
        console,
        "5/5 annotate a sentence",
        "annotate",
        f"--bundle={bundles}",
        f"--text={_SENTENCE}",
        "--colour=always",
    )
    _summary(console, json.loads(scores.read_text(encoding="utf-8")), time.monotonic() - started, work)


def _clear(console: Console, work: pathlib.Path) -> None:
    """Removes the files of an earlier quickstart: each call starts from scratch."""
    if work.exists() and any(work.iterdir()):
        if not (work / _MARK).exists():
            raise UserError(
                f"{work}: must be empty or contain an earlier quickstart; remove it, or name another --work_dir"
            )
        console.print(f"{work}: removing the files of an earlier quickstart", soft_wrap=True)
        for name in ("data", "model", "bundles"):
            shutil.rmtree(work / name, ignore_errors=True)
        (work / "scores.json").unlink(missing_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    (work / _MARK).write_text(
        "The next quickstart in this directory removes its files and starts from scratch.\n", encoding="utf-8"
    )


def _summary(console: Console, scores: dict, seconds: float, work: pathlib.Path) -> None:
    f1 = scores["exact"]["micro"]["f1"]
    unseen = scores["unseen"]["f1"]
    lookup = scores["lookup_baseline"]["exact"]["micro"]["f1"]
    table = Table(show_header=False)
    table.add_row("exact F1", f"{f1:.4f}", f"at least {_MIN_F1:.2f}")
    table.add_row("exact F1, mentions unseen in training", f"{unseen:.4f}", f"at least {_MIN_UNSEEN_F1:.2f}")
    table.add_row(
        "exact F1 of a lookup of training mentions", f"{lookup:.4f}", f"at least {_MIN_GAIN:.2f} below"
    )
    table.add_row("time", f"{seconds / 60:.1f} min", "")
    console.print()
    print_table(console, "quickstart", table)
    # Below the table, whose cells would break long paths.
    console.print(f"learning curve: {work}/model/learning_curve.png", soft_wrap=True)
    console.print(f"bundle for TensorFlow Serving: {work}/bundles", soft_wrap=True)
    if f1 < _MIN_F1 or unseen < _MIN_UNSEEN_F1 or f1 - lookup < _MIN_GAIN:
        raise UserError(
            "the scores above are lower than this corpus gives; something in this installation is broken"
        )
    annotate = command_line("annotate", f"--bundle={work}/bundles", "--text=患者因右肺上叶腺癌入院。")
    console.print(f"next: {annotate}", soft_wrap=True)
    console.print("then train on your own records with an encoder of your choice:")
    train = command_line(
        "train",
        "--config=default",
        "--config.encoder=DIR_OR_NAME",
        "--config.data.train=FILE",
        "--model_dir=runs/mine",
    )
    console.print(f"  {train}", soft_wrap=True)


if __name__ == "__main__":
    run(main)
