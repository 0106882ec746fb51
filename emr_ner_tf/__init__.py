"""Named entity recognition for Chinese electronic medical records on TensorFlow.

Example:
    >>> import emr_ner_tf
    >>> tagger = emr_ner_tf.load("BUNDLES")
    >>> tagger("患者因右肺上叶腺癌入院。").text
    '患者因右肺上叶腺癌入院。'
"""

import importlib
import os
import platform
from typing import TYPE_CHECKING, Any

from emr_ner_tf.data.document import Document, Entity

if TYPE_CHECKING:
    from emr_ner_tf.api import connect, evaluate, export, load, read_documents, train, write_documents
    from emr_ner_tf.inference.annotator import Annotator

# transformers' TensorFlow classes set TF_USE_LEGACY_KERAS=1 if it is unset. TensorFlow 2.15 then looks for `tf_keras`,
# which this stack must not have (tests/test_imports.py). TensorFlow 2.15's own Keras is already Keras 2.
os.environ["TF_USE_LEGACY_KERAS"] = "0"
# By itself TensorFlow uses oneDNN only on an x86 processor with AVX512_VNNI or newer instructions. It is faster on
# the others, too (docs/decisions/0025-onednn-on-x86.md). TensorFlow reads the variable when it is imported.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

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

# Names that are imported at their first use, so that `import emr_ner_tf` takes milliseconds and imports no TensorFlow.
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
