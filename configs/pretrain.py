"""Domain pre-training: masked characters and next sentences, continued on your own text.

It requires an encoder and text: --config.encoder=DIR_OR_NAME --config.data.unlabelled=FILE[,FILE]
"""

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.pretraining.settings import pretrain_config


def get_config() -> ConfigDict:
    """Returns the recommended settings."""
    return pretrain_config()
