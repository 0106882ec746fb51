"""Named entity recognition for Chinese electronic medical records on TensorFlow.

Example:
    >>> import emr_ner_tf
    >>> tagger = emr_ner_tf.load("BUNDLES")
    >>> tagger("患者因右肺上叶腺癌入院。").text
    '患者因右肺上叶腺癌入院。'
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from emr_ner_tf.data.document import Document, Entity

if TYPE_CHECKING:
    from emr_ner_tf.api import connect, evaluate, export, load, read_documents, train, write_documents
    from emr_ner_tf.inference.annotator import Annotator

# transformers' TensorFlow classes set TF_USE_LEGACY_KERAS=1 when nothing has, and TensorFlow 2.15 then looks
# for a `tf_keras` that this stack must not have (tests/test_imports.py). Its own Keras is Keras 2 already.
os.environ["TF_USE_LEGACY_KERAS"] = "0"

__version__ = "0.1.0"

__all__ = [
    "Annotator",
    "Document",
    "Entity",
    "__version__",
    "connect",
    "evaluate",
    "export",
    "load",
    "read_documents",
    "train",
    "write_documents",
]

# Imported at their first use: `import emr_ner_tf` itself costs milliseconds and no TensorFlow.
_LAZY = dict.fromkeys(
    ("connect", "evaluate", "export", "load", "read_documents", "train", "write_documents"), "emr_ner_tf.api"
) | {"Annotator": "emr_ner_tf.inference.annotator"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
