"""Sizes that do not fit one another are found from the configuration alone."""

import pytest

from emr_ner_tf.config import RANDOM_ENCODER, base_config, set_keys
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.builder import check_model


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model.heads": 3}, "model.heads must divide .*model.context=bigru, 512 with .* got 3"),
        (
            {"model.heads": 3, "model.context": "cnn"},
            "model.heads must divide .*model.context=cnn, 256 with .* got 3",
        ),
        ({"model.heads": 3, "model.context": "none"}, "model.heads must divide .* the encoder, 128, got 3"),
        ({"text.window": 600}, "text.window must be at most 510"),
        (
            {"model.encoder": "elmo", "train.adversarial_norm": 1.0},
            "train.adversarial_norm must be 0 .* got 1",
        ),
    ],
)
def test_what_does_not_fit(settings, message):
    config = base_config()
    config.encoder = RANDOM_ENCODER
    check_model(config)
    set_keys(config, settings)
    with pytest.raises(UserError, match=rf"^config\.{message}"):
        check_model(config)
