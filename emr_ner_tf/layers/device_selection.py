"""One computation with an implementation for CPUs and one for GPUs, chosen where a graph runs.

A bundle is often exported on a machine without a GPU and served on one that has it. Keras' recurrent layers leave the
choice to TensorFlow's graph optimizer, and this module does the same for other implementations.
"""

import uuid
import weakref
from collections.abc import Callable, Hashable

import tensorflow as tf

# The traced function for CPUs by graph, and there by key and by the arguments' types.
_traced: weakref.WeakKeyDictionary[tf.Graph, dict[Hashable, Callable[..., tf.Tensor]]] = (
    weakref.WeakKeyDictionary()
)


def call_by_device(
    key: Hashable, cpu: Callable[..., tf.Tensor], gpu: Callable[..., tf.Tensor], *arguments: tf.Tensor
) -> tf.Tensor:
    """Calls `cpu`; a graph also holds `gpu`, which replaces `cpu` where the graph is placed on a GPU.

    Args:
        key: calls with the same key in one graph share both implementations, and the graph is smaller. It must also
            stand for the weights among `arguments`: oneDNN may keep those of the first call of a function, see
            `exporting/packed_weights.py`.
        cpu: maps the arguments to a tensor. It reads no other tensors and no variables.
        gpu: likewise, to a tensor of the same shape and dtype.
        *arguments: the tensors that both receive.

    Returns:
        The result of `cpu`.
    """
    if tf.executing_eagerly():
        return cpu(*arguments)
    specs = tuple(tf.TensorSpec(argument.shape, argument.dtype) for argument in arguments)
    in_graph = _traced.setdefault(tf.compat.v1.get_default_graph(), {})
    if (key, specs) not in in_graph:
        # The optimizer pairs functions by this name.
        name = f"by_device_{uuid.uuid4()}"

        def traced(device: str, implementation: Callable[..., tf.Tensor]):
            attributes = {"api_implements": name, "api_preferred_device": device}
            function = tf.function(implementation, autograph=False, experimental_attributes=attributes)
            return function.get_concrete_function(*specs)

        traced("GPU", gpu).add_to_graph()
        in_graph[key, specs] = traced("CPU", cpu)
    return in_graph[key, specs](*arguments)
