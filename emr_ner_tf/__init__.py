"""Named entity recognition for Chinese electronic medical records on TensorFlow."""

import os

from emr_ner_tf.data.document import Document, Entity

# transformers' TensorFlow classes set TF_USE_LEGACY_KERAS=1 when nothing has, and TensorFlow 2.15 then looks
# for a `tf_keras` that this stack must not have (tests/test_imports.py). Its own Keras is Keras 2 already.
os.environ["TF_USE_LEGACY_KERAS"] = "0"

__version__ = "0.1.0"

__all__ = ["Document", "Entity"]
