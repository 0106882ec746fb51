"""Bundles of the full model."""

import numpy as np
import pytest
import tensorflow as tf
from full_model_fixtures import bundles, trained
from loaded_model_fixtures import bundle, restored

from emr_ner_tf.exporting.bundle import Bundle

__all__ = ["bundle", "bundles", "restored", "trained"]


@pytest.fixture(scope="session")
def marginals_of():
    """The function that loads a bundle and computes the marginals of four tokens: path -> float32 [1, 4, K]."""

    def marginals(path) -> np.ndarray:
        tokens, length = tf.constant([[20, 30, 40, 50]], tf.int32), tf.constant([4], tf.int32)
        return Bundle(path).signatures["marginals"](token_ids=tokens, length=length)["marginals"].numpy()

    return marginals
