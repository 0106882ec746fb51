r"""Trains one model from a bundle, such as an ensemble, and from unlabelled text: the size and speed of one model.

  emr-ner distill --teacher=runs/bundles/ensemble --unlabelled=records.txt \
    --config=default --config.encoder=DIR_OR_NAME --config.data.train=train.jsonl --model_dir=runs/student

In each epoch, the student learns the annotated records and, for each of their windows, --config.distillation.ratio
windows of the unlabelled text, on which it fits the probabilities that the teacher gives to each tag. The teacher must
have the labels and the scheme of the student; the encoders may differ. The teacher's answers are kept in
MODEL_DIR/teacher.

All flags of `emr-ner train` work here, too. It can be stopped at any time: the same command resumes it.
"""

from absl import flags

from emr_ner_tf.cli import train
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.config import base_config, check_keys
from emr_ner_tf.errors import UsageError

flags.adopt_module_key_flags(train)
_TEACHER = define_path(
    "teacher", None, "Bundle whose probabilities are learned, or a directory of its versions."
)
_UNLABELLED = define_path(
    "unlabelled", None, "Files of unlabelled passages, separated by commas.", several=True
)
flags.mark_flags_as_required(["teacher", "unlabelled"])


def main() -> None:
    """Sets the teacher and the passages in the configuration, and trains."""
    config = flags.FLAGS.config
    check_keys(config, base_config())
    for section, key, flag in (
        (config.distillation, "teacher", _TEACHER),
        (config.data, "unlabelled", _UNLABELLED),
    ):
        if section[key] not in ("", flag.value):
            raise UsageError(
                f"--{flag.name}: the configuration names another, {section[key]!r}; leave one of them out"
            )
        section[key] = flag.value
    train.main()


if __name__ == "__main__":
    run(main)
