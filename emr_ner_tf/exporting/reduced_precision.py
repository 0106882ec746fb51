"""Reduced precision: weights that are stored in 16 bits, and encoders that compute in 16 bits."""

import contextlib
import time
from collections.abc import Callable, Iterator

import tensorflow as tf
from absl import logging
from keras.src.mixed_precision import autocast_variable

from emr_ner_tf.models.builder import build_encoder_of, build_tagger
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.tagger import Tagger

# Smaller variables (biases, norms, transitions) would save too little to justify rounding them.
_MIN_ELEMENTS = 4096
# Rows, width and columns of the product that `auto` times: as in an encoder, and fast even if bfloat16 is emulated.
_PRODUCT = (512, 512, 512)
_ROUNDS = 40
# Required speed-up of the products, which must compensate for the casts around them.
_MIN_SPEEDUP = 1.2


def reduced_copy(tagger: Tagger, definition: ModelDefinition, *, weights: str, precision: str) -> Tagger:
    """Copies a tagger so that it stores its large variables, or computes its large products, in 16 bits.

    The steps of the recurrence, the emissions and the CRF compute in float32.

    Args:
        tagger: trained tagger in float32.
        definition: definition of the tagger.
        weights: dtype in which large variables are stored: "float32", "bfloat16" or "float16".
        precision: dtype in which encoder, attention and the products of the recurrence's inputs compute: "float32" or
            "bfloat16".

    Returns:
        The copy. It must only be used, and above all traced, within `with reading_as_float32():`.
    """
    # A weight that would be rounded at each use is stored in the rounded form.
    encoder_weights = precision if weights == "float32" else weights
    policy = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        with reading_as_float32():
            with _stored_as(encoder_weights):
                encoder = build_encoder_of(definition)
            with _stored_as(weights):
                copy, _ = build_tagger(definition, encoder=encoder)
    finally:
        tf.keras.mixed_precision.set_global_policy(policy)
    for variable, value in zip(copy.variables, tagger.variables, strict=True):
        stored = getattr(variable, "_variable", variable)
        stored.assign(tf.cast(value, stored.dtype))
    return copy


def reading_as_float32() -> contextlib.AbstractContextManager[None]:
    """Returns a context in which reduced variables are read as float32, except in layers with their own policy."""
    return autocast_variable.enable_auto_cast_variables(tf.float32)


def choose_precision(precision: str, product_seconds: Callable[[tf.DType], float] | None = None) -> str:
    """Returns `precision`, or for "auto" the dtype in which this machine multiplies faster.

    The instruction set of a processor does not decide it: of two processors with AVX512_BF16, one annotates 1.64 times
    as fast in bfloat16 and the other multiplies half as fast (docs/results.md).

    Args:
        precision: "float32", "bfloat16" or "auto".
        product_seconds: measures the seconds of a product in a data type; None measures here.
    """
    if precision != "auto":
        return precision
    measure = product_seconds or _product_seconds
    # Alternating, and the shortest times count, because disturbances only make a measurement longer.
    rounds = [(measure(tf.float32), measure(tf.bfloat16)) for _ in range(_ROUNDS)]
    float32, bfloat16 = map(min, zip(*rounds, strict=True))
    chosen = "bfloat16" if float32 >= _MIN_SPEEDUP * bfloat16 else "float32"
    logging.info(
        "precision %s: this machine multiplies %.2f times as fast in bfloat16", chosen, float32 / bfloat16
    )
    return chosen


def _product_seconds(dtype: tf.DType) -> float:
    rows, width, columns = _PRODUCT
    left, right = tf.ones([rows, width], dtype), tf.ones([width, columns], dtype)
    started = time.perf_counter()
    # The value is fetched, since a GPU computes asynchronously.
    tf.matmul(left, right)[0, 0].numpy()
    return time.perf_counter() - started


@contextlib.contextmanager
def _stored_as(weights: str) -> Iterator[None]:
    """Creates large float32 variables in another dtype, in a wrapper that casts them when they are read."""
    dtype = tf.dtypes.as_dtype(weights)

    def create(next_creator, **kwargs):
        value = kwargs["initial_value"]
        value = tf.convert_to_tensor(value() if callable(value) else value, kwargs.get("dtype"))
        if value.dtype != tf.float32 or value.shape.num_elements() < _MIN_ELEMENTS:
            return next_creator(**kwargs)
        stored = next_creator(**kwargs | {"initial_value": tf.cast(value, dtype), "dtype": dtype})
        # Keras' wrapper for mixed precision casts values that are read within `reading`.
        return autocast_variable.create_autocast_variable(stored)

    if dtype == tf.float32:
        yield
        return
    with tf.variable_creator_scope(create):
        yield
