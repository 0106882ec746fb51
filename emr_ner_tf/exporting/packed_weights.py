"""Weights that oneDNN lays out once in a process, where it would do so in each product; does not import TensorFlow."""

import json
import os
import pathlib

from emr_ner_tf.exporting.versioning import METRICS, newest_version

# TensorFlow's own variable. It is read once in a process, when the first product is prepared.
VARIABLE = "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"


def keep_packed_weights(*bundles: str | os.PathLike[str]) -> None:
    """Lets oneDNN keep the weights of a product as it lays them out, if one of the bundles computes in bfloat16.

    In bfloat16 the results are the same to the bit, and laying the weights out again takes up to half the time of a
    product. In float32 nothing is gained, and other layouts round differently. A value that `VARIABLE` has already
    stays.

    Call it only in a process in which no weight changes, and before its first product: a training would go on with the
    weights of its first step.

    Args:
        bundles: directories of a version or of versions. What is wrong with one is left to whoever loads it.
    """
    if any(map(_computes_in_bfloat16, bundles)):
        os.environ.setdefault(VARIABLE, "1")


def _computes_in_bfloat16(bundle: str | os.PathLike[str]) -> bool:
    try:
        file = newest_version(pathlib.Path(bundle)) / "assets" / METRICS
        return json.loads(file.read_text(encoding="utf-8"))["exported"]["compute_dtype"] == "bfloat16"
    except (OSError, ValueError, KeyError, TypeError):
        return False
