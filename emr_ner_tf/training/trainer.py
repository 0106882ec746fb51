"""Training of a tagger: from a configuration and records to a model directory."""

from typing import Any

from emr_ner_tf.config import ConfigDict, check_config
from emr_ner_tf.data.rejects import Rejects
from emr_ner_tf.training.run import run
from emr_ner_tf.training.tagging_task import TaggingTask, read_tagging_data


def train(
    config: ConfigDict,
    model_dir: str,
    *,
    strategy_name: str = "one_device",
    rejects: Rejects | None = None,
) -> dict[str, Any]:
    """Trains a tagger, or resumes the run that `model_dir` holds.

    Args:
        config: resolved; must equal the one that `model_dir` was begun with, except `RUNTIME_ONLY_KEYS`.
        model_dir: takes `config.json`, the vocabulary, labels, checkpoints, `history.json`, `metrics.json`,
            `learning_curve.png` and TensorBoard's events.
        strategy_name: of `emr_ner_tf.training.strategies`.
        rejects: takes bad records; None raises at the first.

    Returns:
        The content of `metrics.json`. `best` is the epoch whose weights are kept as the best: of equal validation F1
        the later one, and without validation the last one, which then has no `f1`.

    Raises:
        UserError: a wrong value, record or encoder, or as `run`.
    """
    check_config(config)
    return run(
        config,
        model_dir,
        lambda: read_tagging_data(config, rejects),
        lambda data, strategy: TaggingTask(data, config, model_dir, strategy),
        strategy_name=strategy_name,
    )
