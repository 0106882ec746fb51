"""The paper's architecture on a tiny random BERT, for the synthetic corpus of the quickstart."""

from emr_ner_tf.config import RANDOM_ENCODER, ConfigDict, base_config


def get_config() -> ConfigDict:
    """Returns the recipe of the quickstart, which trains in minutes on two cores and downloads nothing."""
    config = base_config()
    config.encoder = RANDOM_ENCODER
    config.model.units = 64
    config.model.heads = 4
    config.model.dropout = 0.2
    config.optimizer.encoder_rate = 1e-3
    config.optimizer.head_rate = 2e-3
    config.optimizer.warmup_fraction = 0.1
    config.optimizer.decay = "linear"
    config.optimizer.clip_norm = 1.0
    config.train.epochs = 8
    config.train.batch_size = 16
    return config
