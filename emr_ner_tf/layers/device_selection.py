"""One computation with an implementation for CPUs and one for GPUs, chosen where a graph runs.

A bundle is often exported on a machine without a GPU and served on one that has it. Keras' recurrent layers leave the
choice to TensorFlow's graph optimizer, and this module does the same for other implementations.
"""

import uuid
from collections.abc import Callable

import tensorflow as tf


def call_by_device(
    cpu: Callable[..., tf.Tensor], gpu: Callable[..., tf.Tensor], *arguments: tf.Tensor
) -> tf.Tensor:
    """Calls `cpu`; a graph also holds `gpu`, which replaces `cpu` where the graph is placed on a GPU.

    Args:
        cpu: maps the arguments to a tensor. It reads no other tensors and no variables.
        gpu: likewise, to a tensor of the same shape and dtype.
        *arguments: the tensors that both receive.

    Returns:
        The result of `cpu`.
    """
    if tf.executing_eagerly():
        return cpu(*arguments)
    # The optimizer pairs functions by this name, which therefore belongs to one call.
    name = f"by_device_{uuid.uuid4()}"

    def traced(device: str, implementation: Callable[..., tf.Tensor]):
        attributes = {"api_implements": name, "api_preferred_device": device}
        function = tf.function(implementation, autograph=False, experimental_attributes=attributes)
        return function.get_concrete_function(
            *(tf.TensorSpec(argument.shape, argument.dtype) for argument in arguments)
        )

    traced("GPU", gpu).add_to_graph()
    return traced("CPU", cpu)(*arguments)
