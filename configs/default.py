"""The recommended recipe: AdamW, rates for encoder, head and CRF, warm-up, linear decay, clipping.

It requires an encoder and records: --config.encoder=DIR_OR_NAME --config.data.train=FILE
"""

from emr_ner_tf.config import RATE_BY_SIZE, ConfigDict, base_config


def get_config() -> ConfigDict:
    """Returns the recommended recipe."""
    config = base_config()
    config.optimizer.encoder_rate = RATE_BY_SIZE  # 2e-4 for 4 layers of width 512, 4.4e-5 for BERT's 12
    config.optimizer.head_rate = 1e-3
    config.optimizer.crf_rate = 1e-2
    config.optimizer.weight_decay = 0.01
    config.optimizer.warmup_fraction = 0.1
    config.optimizer.decay = "linear"
    config.optimizer.clip_norm = 1.0
    return config
