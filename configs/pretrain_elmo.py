"""ELMo's character language model on your own text: `--config.data.unlabelled=FILE[,FILE]`."""

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.pretraining.elmo_settings import elmo_config


def get_config() -> ConfigDict:
    """Returns the recommended settings."""
    return elmo_config()
