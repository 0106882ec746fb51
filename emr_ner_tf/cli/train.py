r"""Trains a tagger on annotated records and resumes a run that was interrupted.

The paper's model with the paper's settings, on your records:

  emr-ner train --config=paper:bert_bigru_att_crf \
    --config.encoder=hfl/chinese-roberta-wwm-ext --config.data.train=train.jsonl --model_dir=runs/paper

The recommended recipe with a different batch size:

  emr-ner train --config=default --config.encoder=DIR_OR_NAME \
    --config.data.train=train.jsonl --config.train.batch_size=16 --model_dir=runs/mine

Training can be stopped at any time: the same command resumes it and produces the weights of an uninterrupted run.
"""

import contextlib

from absl import flags
from rich.table import Table

from emr_ner_tf.cli.console import command_line, print_table, results
from emr_ner_tf.cli.format_flags import define_on_error
from emr_ner_tf.cli.runner import run
from emr_ner_tf.cli.training_flags import TrainingFlags

_TRAINING = TrainingFlags(
    "default (recommended), paper:ROW (a row of the paper), quickstart", ", metrics and the learning curve"
)
_ON_ERROR = define_on_error("MODEL_DIR/rejects.jsonl")
flags.mark_flags_as_required(["config", "model_dir"])


def main() -> None:
    """Runs the training that the flags name and prints its metrics."""
    from emr_ner_tf.config import check_config
    from emr_ner_tf.data.path_lists import split_paths
    from emr_ner_tf.data.rejects import NullRejects, RejectsWriter
    from emr_ner_tf.exporting.bundle import load_teacher
    from emr_ner_tf.training.strategies import is_chief_process
    from emr_ner_tf.training.trainer import train

    config, model_dir, strategy_name = _TRAINING.start(), _TRAINING.model_dir.value, _TRAINING.strategy.value
    check_config(config)
    # Every worker reads all records, but only the chief writes files.
    writes = is_chief_process(strategy_name)
    rejects = None
    if writes and _ON_ERROR.value == "skip":
        inputs = [
            path
            for key in ("train", "validation")
            for path in split_paths(config.data[key], f"config.data.{key}")
        ]
        rejects = RejectsWriter(f"{model_dir}/rejects.jsonl", inputs)
    with rejects or contextlib.nullcontext():
        metrics = train(
            config,
            model_dir,
            strategy_name=strategy_name,
            rejects=(rejects or NullRejects()) if _ON_ERROR.value == "skip" else None,
            teacher=load_teacher(config, model_dir, strategy_name),
        )
    table = Table(show_header=False)
    best = metrics["best"]
    table.add_row("epochs", str(metrics["epochs"]))
    table.add_row(
        "best epoch", str(best["epoch"]) if "f1" in best else f"{best['epoch']} (the last: no validation)"
    )
    for name in ("precision", "recall", "f1"):
        if name in best:
            table.add_row(f"validation {name}", f"{best[name]:.4f}")
    table.add_row("parameters", f"{metrics['parameters']:,}")
    table.add_row("training time", f"{metrics['training_seconds'] / 60:.1f} min")
    if rejects is not None and rejects.count:
        table.add_row("records rejected", f"{rejects.count} (rejects.jsonl)")
    console = results()
    print_table(console, model_dir, table)
    if best.get("f1") == 0:
        console.print(
            "validation F1 is 0: the model found no mention of the validation records in any epoch, and an export "
            "would find hardly any. Train longer (--config.train.epochs) or with another learning rate "
            "(--config.optimizer.encoder_rate, --config.optimizer.head_rate), with another --model_dir; "
            f"{model_dir}/learning_curve.png shows whether the loss falls.",
            markup=False,
            soft_wrap=True,
        )
        return
    following = command_line("export", f"--model_dir={model_dir}", f"--output={model_dir}/bundles")
    console.print(f"next: {following}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    run(main)
