r"""Adapts a pre-trained encoder to your domain: continues masked-language-model and next-sentence pre-training.

  emr-ner pretrain --config=pretrain --config.encoder=DIR_OR_NAME \
    --config.data.unlabelled=records.txt,more.jsonl --config.data.records=train.jsonl \
    --config.data.exclude_shared_with=heldout.jsonl --model_dir=runs/adapt --output=runs/adapted

Input files hold one passage per line, or records in any format of docs/data.md except columns of tags. Passages of
`unlabelled` that share 30 characters with a record of `exclude_shared_with` are left out; training records (`records`)
are kept. Training can be stopped at any time: the same command resumes it. `emr-ner train
--config.encoder=runs/adapted` uses the result, and transformers loads it, too.
"""

from absl import flags

from emr_ner_tf.cli.console import command_line, print_pretraining
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.cli.training_flags import TrainingFlags

_TRAINING = TrainingFlags("pretrain")
_OUTPUT = define_path("output", None, "Directory for the adapted encoder, in the Hugging Face layout.")
flags.mark_flags_as_required(["config", "model_dir", "output"])


def main() -> None:
    """Runs the pre-training that the flags name and prints the figures before and after."""
    from emr_ner_tf.pretraining.mlm_task import pretrain

    metrics = pretrain(
        _TRAINING.start(), _TRAINING.model_dir.value, _OUTPUT.value, strategy_name=_TRAINING.strategy.value
    )
    following = command_line("train", "--config=default", f"--config.encoder={_OUTPUT.value}")
    print_pretraining(_OUTPUT.value, metrics, ".4f", f"{following} --config.data.train=FILE --model_dir=DIR")


if __name__ == "__main__":
    run(main)
