"""A process that imports TensorFlow and nothing of this project: calls the signatures of an export."""

import sys

import tensorflow as tf
from workers import serve


def call(path, calls):
    """Returns the outputs of each of `calls`, (signature, inputs), and which modules this process has imported."""
    signatures = tf.saved_model.load(path).signatures
    outputs = [
        {key: value.numpy() for key, value in signatures[name](**_tensors(inputs)).items()}
        for name, inputs in calls
    ]
    shapes = {
        name: [tuple(spec.shape) for spec in function.structured_input_signature[1].values()]
        for name, function in signatures.items()
    }
    return outputs, shapes, {name.partition(".")[0] for name in sys.modules}


def _tensors(inputs):
    return {
        name: tf.constant(value, tf.string if name == "text" else tf.int32) for name, value in inputs.items()
    }


if __name__ == "__main__":
    serve(call)
