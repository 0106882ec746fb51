"""The configuration of ELMo's pre-training."""

from emr_ner_tf.config import ConfigDict, base_config, check_keys, check_values
from emr_ner_tf.pretraining.passage_selection import data_settings, passage_paths
from emr_ner_tf.pretraining.settings import run_settings


def elmo_config() -> ConfigDict:
    """Returns the configuration with every key, its type and its value; locked.

    An epoch over five million characters takes about twenty minutes on two cores.
    """
    config = ConfigDict()
    config.data = data_settings()

    config.text = ConfigDict()
    config.text.min_count = 5  # minimum number of occurrences of a character; rarer ones are [UNK]
    config.text.window = 128  # characters of consecutive sentences in a window

    config.model = ConfigDict()
    config.model.hidden_size = 128  # width of the embedding and of the projected state of each direction
    config.model.intermediate_size = 512  # width of the LSTM's cells
    config.model.num_hidden_layers = 2
    config.model.hidden_dropout_prob = 0.1

    config.optimizer = ConfigDict()
    config.optimizer.encoder_rate = 4e-3
    config.optimizer.weight_decay = 0.0
    config.optimizer.warmup_fraction = 0.05
    config.optimizer.decay = "linear"  # none, linear
    config.optimizer.clip_norm = 1.0  # 0: no clipping
    settings = base_config().optimizer
    for key in ("beta_1", "beta_2", "epsilon"):
        config.optimizer[key] = settings[key]

    config.train = run_settings()
    config.train.epochs = 1
    config.train.token_budget = 2048  # tokens of a batch, padding included, all replicas together
    config.lock()
    return config


def check_elmo_config(config: ConfigDict) -> None:
    """Checks the keys, and the values that have a fixed set of choices or a range.

    Raises:
        UserError: a key is missing or unknown, or a value is invalid; the message has the key, the rule and the value.
    """
    check_keys(config, elmo_config())
    passage_paths(config.data)
    at_least = {
        "text.min_count": 1,
        "model.hidden_size": 1,
        "model.intermediate_size": 1,
        "model.num_hidden_layers": 1,
        "optimizer.encoder_rate": 0,
        "train.token_budget": 1,
    }
    check_values(
        config,
        choices={},
        at_least=at_least,
        fractions=("data.heldout_fraction", "model.hidden_dropout_prob"),
    )
