"""The smallest full model of the paper: a random BERT of one layer, a BiGRU and multi-head attention."""

from emr_ner_tf.config import RANDOM_ENCODER, ConfigDict


def set_tiny_bert(config: ConfigDict, positions: int) -> None:
    """Sets the model, with that many positions of the encoder, in a configuration."""
    config.encoder = RANDOM_ENCODER
    config.random_encoder.hidden_size = 16
    config.random_encoder.num_hidden_layers = 1
    config.random_encoder.num_attention_heads = 2
    config.random_encoder.intermediate_size = 32
    config.random_encoder.max_position_embeddings = positions
    config.model.encoder, config.model.context, config.model.attention = "bert", "bigru", "multi_head"
    config.model.units, config.model.heads = 8, 2
