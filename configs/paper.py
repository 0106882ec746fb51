"""The paper's settings (its Table II) for each of its systems: `--config=paper:ROW`.

Length 256 with [CLS] and [SEP], GRU of 512 units in each direction, dropout 0.25, Adam at 1e-4, batch size 10. The
paper does not give these settings: BERT is tuned at the same rate, a batch counts windows, 30 epochs.
"""

from emr_ner_tf.config import ConfigDict, base_config
from emr_ner_tf.models.registry import zoo_row


def get_config(row: str = "bert_bigru_att_crf") -> ConfigDict:
    """Returns the settings of Table II for one system of the paper.

    Args:
        row: a name in `emr_ner_tf.models.registry`; an unknown one is an error that lists the choices.
    """
    config = base_config()
    system = zoo_row(row)
    config.model.encoder = system.encoder
    config.model.context = system.context
    config.model.attention = system.attention
    config.model.units = 512
    config.model.dropout = 0.25
    config.optimizer.encoder_rate = 1e-4
    config.optimizer.head_rate = 1e-4
    config.train.batch_size = 10
    config.train.epochs = 30
    return config
