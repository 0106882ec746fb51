"""Training of a tagger: from a configuration and records to a model directory."""

from typing import Any

from emr_ner_tf.config import ConfigDict, check_config
from emr_ner_tf.data.rejects import Rejects
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.unused_keys import report_unused_keys
from emr_ner_tf.training.run import run
from emr_ner_tf.training.soft_targets import Teacher
from emr_ner_tf.training.tagging_task import TaggingTask, read_tagging_data


def train(
    config: ConfigDict,
    model_dir: str,
    *,
    strategy_name: str = "one_device",
    rejects: Rejects | None = None,
    teacher: Teacher | None = None,
) -> dict[str, Any]:
    """Trains a tagger, or resumes the run that `model_dir` holds.

    Args:
        config: resolved configuration; for a resumed run, that of its start, except for `RUNTIME_ONLY_KEYS`.
        model_dir: directory for `config.json`, the vocabulary, labels, checkpoints, `history.json`, `metrics.json`,
            `learning_curve.png`, `validation_report.html` and TensorBoard's events.
        strategy_name: name of a strategy in `emr_ner_tf.training.strategies`.
        rejects: receives bad records; None raises at the first one.
        teacher: the model that `config.distillation.teacher` names (`emr_ner_tf.exporting.bundle.load_teacher`).

    Returns:
        The content of `metrics.json`. `best` is the epoch whose weights are kept as the best: of equal validation F1
        the later one, and without validation the last one, which then has no `f1`.

    Raises:
        UserError: a value, a record or the encoder is invalid, or as `run`.
    """
    check_config(config)
    report_unused_keys(config)
    if bool(config.distillation.teacher) != (teacher is not None):
        raise UserError(
            f"config.distillation.teacher={config.distillation.teacher!r}: the bundle itself must be passed, too, as "
            "`teacher`, and only then"
        )
    return run(
        config,
        model_dir,
        lambda: read_tagging_data(config, model_dir, rejects, teacher),
        lambda data, strategy: TaggingTask(data, config, model_dir, strategy),
        strategy_name=strategy_name,
    )
