r"""Trains ELMo's character language model on unlabelled text, and goes on with a run that was interrupted.

One passage a line, or JSON lines with `originalText`; several files are joined by commas:

  python -m emr_ner_tf.cli.pretrain_elmo --config=pretrain_elmo \
    --config.data.unlabelled=records.txt,more.txt --model_dir=runs/pretrain_elmo --output=runs/elmo

Passages that share 30 characters with records on which a tagger will be scored are left out:

  python -m emr_ner_tf.cli.pretrain_elmo --config=pretrain_elmo --config.data.unlabelled=records.txt \
    --config.data.exclude_shared_with=heldout.jsonl --model_dir=runs/pretrain_elmo --output=runs/elmo

Kill it at any moment; the same command goes on. The train main takes the result:

  python -m emr_ner_tf.cli.train --config=paper:bilstm_crf_elmo --config.encoder=runs/elmo \
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
    "Recipe: pretrain_elmo, or a file of your own. Any key of it: --config.KEY=VALUE.",
    lock_config=True,
)
_MODEL_DIR = define_path("model_dir", None, "Takes checkpoints, the resolved config and the figures.")
_OUTPUT = define_path("output", None, "Takes the language model: config.json, vocab.txt, model.safetensors.")
_STRATEGY = flags.DEFINE_string(
    "strategy", "one_device", "one_device, mirrored (all GPUs here), or multi_worker_mirrored (TF_CONFIG)."
)
_LOGICAL_CPUS = flags.DEFINE_integer(
    "logical_cpus",
    1,
    "Logical devices to part the CPU into, for --strategy=mirrored without GPUs.",
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
