"""A bidirectional GRU or LSTM, this project's or Keras', as a worker process."""

import time
from typing import Any

import numpy as np
import tensorflow as tf
from harness import Handlers, serve
from recurrence_data import CELLS, inputs_of, weights_of

from emr_ner_tf.models.context_layers import RecurrentContext
from tensorflow_impl.threads import start_tensorflow


def load(implementation: str, units: int, threads: int) -> Handlers:
    """Builds both layers and the graphs of their forward and backward passes.

    Args:
        implementation: "ours" or "keras".
        units: of each direction, and width of the inputs.
        threads: of TensorFlow.
    """
    start_tensorflow(threads)
    graphs = {cell: _graphs(implementation, cell, units) for cell in CELLS}

    def check(cell: str, backward: bool, batch: int, time_steps: int) -> dict[str, Any]:
        inputs = tf.constant(inputs_of(batch, time_steps, units))
        results = graphs[cell][backward](inputs, tf.fill([batch], time_steps))
        return {"sums": [float(np.abs(result.numpy()).sum(dtype=np.float64)) for result in results]}

    def measure(cell: str, backward: bool, batch: int, time_steps: int, repeats: int) -> dict[str, Any]:
        inputs = tf.constant(inputs_of(batch, time_steps, units))
        length = tf.fill([batch], time_steps)
        started = time.perf_counter()
        for _ in range(repeats):
            graphs[cell][backward](inputs, length)
        return {"seconds": (time.perf_counter() - started) / repeats}

    return {"check": check, "measure": measure}


def _graphs(implementation: str, cell: str, units: int) -> dict[bool, tf.types.experimental.GenericFunction]:
    layer = RecurrentContext(cell, units)
    layer.build(tf.TensorShape([None, None, units]))
    for variable, value in zip(layer.trainable_variables, weights_of(cell, units), strict=True):
        variable.assign(value)

    def call(inputs: tf.Tensor, length: tf.Tensor, training: bool) -> tf.Tensor:
        if implementation == "ours":
            return layer(inputs, length, training=training)
        return layer.recurrence(inputs, mask=tf.sequence_mask(length, tf.shape(inputs)[1]))

    signature = [tf.TensorSpec([None, None, units]), tf.TensorSpec([None], tf.int32)]

    @tf.function(input_signature=signature)
    def forward(inputs: tf.Tensor, length: tf.Tensor) -> list[tf.Tensor]:
        return [call(inputs, length, training=False)]

    @tf.function(input_signature=signature)
    def backward(inputs: tf.Tensor, length: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = tf.reduce_sum(call(inputs, length, training=True))
        # The benchmark compares the first, that of the inputs; all are computed.
        return tape.gradient(outputs, [inputs, *layer.trainable_variables])

    return {False: forward, True: backward}


if __name__ == "__main__":
    serve(load)
