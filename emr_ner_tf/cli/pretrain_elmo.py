r"""Trains ELMo's character language model on unlabelled text and resumes a run that was interrupted.

Input files hold one passage per line, or JSON lines with `originalText`; separate several files by commas:

  emr-ner pretrain_elmo --config=pretrain_elmo \
    --config.data.unlabelled=records.txt,more.txt --model_dir=runs/pretrain_elmo --output=runs/elmo

Leave out passages that share 30 characters with the records that a tagger will be scored on:

  emr-ner pretrain_elmo --config=pretrain_elmo --config.data.unlabelled=records.txt \
    --config.data.exclude_shared_with=heldout.jsonl --model_dir=runs/pretrain_elmo --output=runs/elmo

Training can be stopped at any time: the same command resumes it. Train a tagger on the result:

  emr-ner train --config=paper:bilstm_crf_elmo --config.encoder=runs/elmo \
    --config.data.train=train.jsonl --model_dir=runs/tagger
"""

from absl import flags
from ml_collections import config_flags
from rich.table import Table

from emr_ner_tf.cli.console import command_line, print_table, results
from emr_ner_tf.cli.path_flags import define_path, local_paths
from emr_ner_tf.cli.runner import run

_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "Recipe to train with: pretrain_elmo, or the path of a configuration file. --config.KEY=VALUE changes any of "
    "its keys.",
    lock_config=True,
)
_MODEL_DIR = define_path(
    "model_dir", None, "Directory for checkpoints, the resolved configuration and the metrics."
)
_OUTPUT = define_path(
    "output", None, "Directory for the language model: config.json, vocab.txt and model.safetensors."
)
_STRATEGY = flags.DEFINE_string(
    "strategy",
    "one_device",
    "Distribution strategy (tf.distribute): one_device, mirrored (all GPUs of this machine), or "
    "multi_worker_mirrored (machines named in TF_CONFIG).",
)
_LOGICAL_CPUS = flags.DEFINE_integer(
    "logical_cpus",
    1,
    "Number of logical devices to split the CPU into, to try --strategy=mirrored without GPUs.",
    lower_bound=1,
)
flags.mark_flags_as_required(["config", "model_dir", "output"])


def main() -> None:
    """Runs the pre-training that the flags name and prints its perplexities."""
    from emr_ner_tf.pretraining.elmo_task import pretrain_elmo
    from emr_ner_tf.training.strategies import split_cpu_into_logical_devices

    split_cpu_into_logical_devices(_LOGICAL_CPUS.value)
    metrics = pretrain_elmo(
        local_paths(_CONFIG.value), _MODEL_DIR.value, _OUTPUT.value, strategy_name=_STRATEGY.value
    )
    table = Table("held-out passages", "before", "after")
    for name, before in metrics["before"].items():
        table.add_row(name, f"{before:.2f}", f"{metrics['after'][name]:.2f}")
    console = results()
    print_table(console, _OUTPUT.value, table)
    console.print(
        f"{metrics['passages']} passages, {metrics['held_out']} of them held out, {metrics['left_out']} left out; "
        f"{metrics['vocabulary']} tokens; {metrics['updates']} updates in {metrics['training_seconds'] / 60:.1f} min",
        soft_wrap=True,
    )
    following = command_line(
        "train",
        "--config=paper:bilstm_crf_elmo",
        f"--config.encoder={_OUTPUT.value}",
        "--config.data.train=FILE",
        "--model_dir=DIR",
    )
    console.print(f"next: {following}", soft_wrap=True)


if __name__ == "__main__":
    run(main)
