"""Distribution strategies by name."""

import tensorflow as tf

from emr_ner_tf.errors import UserError

STRATEGIES = ("one_device", "mirrored", "multi_worker_mirrored")


def build_strategy(name: str) -> tf.distribute.Strategy:
    """Builds a strategy over what this machine has.

    Args:
        name: "one_device" (the first GPU, else the CPU), "mirrored" (every GPU of this machine, else its logical
            CPUs), or "multi_worker_mirrored" (the machines of TF_CONFIG).

    Raises:
        UserError: an unknown name.
    """
    if name == "multi_worker_mirrored":
        # First of all: it cannot be made once anything has asked for devices.
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
    if name == "mirrored":
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    raise UserError(f"--strategy must be one of {', '.join(STRATEGIES)}, got {name!r}")


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes what all share."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    return resolver.task_type == "chief" or (resolver.task_type == "worker" and resolver.task_id == 0)
