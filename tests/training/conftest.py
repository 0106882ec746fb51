"""A configuration that learns two records in a few epochs, and a limit of file sizes as a disk that is full."""

import pytest
import tensorflow as tf

from emr_ner_tf.config import base_config
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.writing import write_documents


@pytest.fixture
def two_records(tmp_path):
    """Trains on two records and validates on the same two."""
    records = tmp_path / "two.jsonl"
    documents = [
        Document("1", "患者行胃癌根治术。", (Entity(3, 8, "手术"),)),
        Document("2", "予阿司匹林口服。", (Entity(1, 5, "药物"),)),
    ]
    write_documents(records, documents)
    config = base_config()
    config.model.encoder, config.model.context, config.model.attention = "char", "cnn", "none"
    config.model.dropout = 0.0
    config.char.size = config.model.units = 16
    config.text.window, config.text.overlap, config.text.slack = 64, 16, 8
    config.data.train = config.data.validation = str(records)
    config.optimizer.encoder_rate = config.optimizer.head_rate = 0.02
    # Determinism is a switch of the whole process, and other tests share this one.
    config.train.deterministic = False
    yield config
    tf.keras.mixed_precision.set_global_policy("float32")
