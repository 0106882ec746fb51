r"""Adapts a pre-trained encoder to your domain: continues masked-language-model and next-sentence pre-training.

  emr-ner pretrain --config=pretrain --config.encoder=DIR_OR_NAME \
    --config.data.unlabelled=records.txt,more.jsonl --config.data.records=train.jsonl \
    --config.data.exclude_shared_with=heldout.jsonl --model_dir=runs/adapt --output=runs/adapted

Input files hold one passage per line, or JSON lines with originalText. Passages of `unlabelled` that share 30
characters with a record of `exclude_shared_with` are left out; training records (`records`) are kept. Training can be
stopped at any time: the same command resumes it. `emr-ner train --config.encoder=runs/adapted` uses the result, and
transformers loads it, too.
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
    "Recipe to train with: pretrain, or the path of a configuration file. --config.KEY=VALUE changes any of its keys.",
    lock_config=True,
)
_MODEL_DIR = define_path(
    "model_dir", None, "Directory for checkpoints, the resolved configuration and the metrics."
)
_OUTPUT = define_path("output", None, "Directory for the adapted encoder, in the Hugging Face layout.")
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
    """Runs the pre-training that the flags name and prints the figures before and after."""
    from emr_ner_tf.pretraining.mlm_task import pretrain
    from emr_ner_tf.training.strategies import split_cpu_into_logical_devices

    split_cpu_into_logical_devices(_LOGICAL_CPUS.value)
    metrics = pretrain(
        local_paths(_CONFIG.value), _MODEL_DIR.value, _OUTPUT.value, strategy_name=_STRATEGY.value
    )
    table = Table("held-out passages", "before", "after")
    for name, before in metrics["before"].items():
        table.add_row(name, f"{before:.4f}", f"{metrics['after'][name]:.4f}")
    console = results()
    print_table(console, _OUTPUT.value, table)
    console.print(
        f"{metrics['passages']} passages, {metrics['held_out']} of them held out, {metrics['left_out']} left out; "
        f"{metrics['updates']} updates in {metrics['training_seconds'] / 60:.1f} min",
        soft_wrap=True,
    )
    following = command_line("train", "--config=default", f"--config.encoder={_OUTPUT.value}")
    console.print(f"next: {following} --config.data.train=FILE --model_dir=DIR", soft_wrap=True)


if __name__ == "__main__":
    run(main)
