"""TensorFlow's threads."""

import tensorflow as tf


def start_tensorflow(threads: int) -> None:
    """Sets the number of threads, before anything has run."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
