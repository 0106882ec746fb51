"""The typed configuration of domain pre-training; `configs/pretrain.py` starts from it."""

from emr_ner_tf.config import RATE_BY_SIZE, ConfigDict, base_config, check_keys, check_values
from emr_ner_tf.encoders.loading import BACKENDS
from emr_ner_tf.pretraining.passage_selection import data_settings, passage_paths

_RATES_OF_A_TAGGER = ("crf_rate", "layer_decay")


def pretrain_config() -> ConfigDict:
    """Returns the configuration with every key, its type and its value; locked."""
    config = ConfigDict()
    config.encoder = ""  # directory or hub name in the Hugging Face layout
    config.encoder_backend = "keras_nlp"
    config.data = data_settings()

    config.text = ConfigDict()
    config.text.window = 253  # characters of both sentences together; with [CLS] and two [SEP], 256 tokens
    config.text.extend_vocabulary = True

    config.masking = ConfigDict()
    config.masking.rate = 0.15  # fraction of the characters to predict
    config.masking.whole_words = False  # mask the characters of a word, as found by a segmenter, together

    config.optimizer = ConfigDict(
        {key: value for key, value in base_config().optimizer.items() if key not in _RATES_OF_A_TAGGER}
    )
    # Peak learning rate of encoder and heads; -1: chosen by the encoder's number of layers and width.
    config.optimizer.encoder_rate = RATE_BY_SIZE
    config.optimizer.head_rate = 1e-3  # learning rate of the heads while the encoder is frozen
    config.optimizer.weight_decay = 0.01
    config.optimizer.warmup_fraction = 0.05
    config.optimizer.decay = "linear"
    config.optimizer.clip_norm = 1.0

    config.train = run_settings()
    config.train.epochs = 1
    config.train.head_steps = 500  # updates in which only the heads that the checkpoint lacks are trained
    config.train.token_budget = 4096  # characters of a batch, padding included, all replicas together
    config.lock()
    return config


def run_settings() -> ConfigDict:
    """Returns the keys of the section `train` that all runs have, with the default values of a tagger."""
    keys = ("seed", "precision", "checkpoint_seconds", "log_seconds", "deterministic")
    return ConfigDict({key: base_config().train[key] for key in keys})


def check_pretrain_config(config: ConfigDict) -> None:
    """Checks the keys, and the values that have a fixed set of choices or a range.

    Raises:
        UserError: a key is missing or unknown, or a value is invalid; the message has the key, the rule and the value.
    """
    check_keys(config, pretrain_config())
    passage_paths(config.data)
    check_values(
        config,
        choices={"encoder_backend": BACKENDS},
        at_least={
            "train.head_steps": 0,
            "train.token_budget": 1,
            "optimizer.encoder_rate": RATE_BY_SIZE,
            "optimizer.head_rate": 0,
        },
        fractions=("data.heldout_fraction", "masking.rate"),
    )
