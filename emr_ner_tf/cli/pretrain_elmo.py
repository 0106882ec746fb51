r"""Trains ELMo's character language model on unlabelled text and resumes a run that was interrupted.

Input files hold one passage per line, or records in any format of docs/data.md except columns of tags; separate several
files by commas:

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

from emr_ner_tf.cli.console import command_line, print_pretraining
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.cli.training_flags import TrainingFlags

_TRAINING = TrainingFlags("pretrain_elmo")
_OUTPUT = define_path(
    "output", None, "Directory for the language model: config.json, vocab.txt and model.safetensors."
)
flags.mark_flags_as_required(["config", "model_dir", "output"])


def main() -> None:
    """Runs the pre-training that the flags name and prints its perplexities."""
    from emr_ner_tf.pretraining.elmo_task import pretrain_elmo

    metrics = pretrain_elmo(
        _TRAINING.start(), _TRAINING.model_dir.value, _OUTPUT.value, strategy_name=_TRAINING.strategy.value
    )
    following = command_line(
        "train",
        "--config=paper:bilstm_crf_elmo",
        f"--config.encoder={_OUTPUT.value}",
        "--config.data.train=FILE",
        "--model_dir=DIR",
    )
    print_pretraining(_OUTPUT.value, metrics, ".2f", following)


if __name__ == "__main__":
    run(main)
