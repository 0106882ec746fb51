"""Distribution strategies by name."""

import json
import os
import signal
from typing import Any

import tensorflow as tf
from absl import logging

from emr_ner_tf.errors import UserError

MULTI_WORKER = "multi_worker_mirrored"
STRATEGIES = ("one_device", "mirrored", MULTI_WORKER)

_KINDS = {dict: "an object", str: "a string", int: "a whole number"}
_EXAMPLE = '{"cluster": {"worker": ["HOST_A:PORT", "HOST_B:PORT"]}, "task": {"type": "worker", "index": 0}}'


def build_strategy(name: str) -> tf.distribute.Strategy:
    """Builds a strategy for the devices of this machine.

    Args:
        name: "one_device" (the first GPU, or the CPU without one), "mirrored" (all GPUs of this machine, or its logical
            CPUs without any), or "multi_worker_mirrored" (the machines of TF_CONFIG; waits until all are connected).

    Raises:
        UserError: the name is unknown, or as `is_chief_process`.
    """
    if name == MULTI_WORKER:
        # This strategy can only be created before any code accesses devices.
        cluster, job, index = _cluster_task()
        addresses = [address for addresses in cluster.values() for address in addresses]
        logging.info("%s %d of %s: waiting for all of them", job, index, ", ".join(addresses))
        # TensorFlow waits outside of Python, where Ctrl-C would have no effect ...
        interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except tf.errors.UnknownError as error:
            raise UserError(f"TF_CONFIG: cannot listen on {cluster[job][index]}: {error.message}") from error
        finally:
            signal.signal(signal.SIGINT, interrupt)
            # ... and interprets SIGTERM as a notice of preemption, after which the run would continue.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gpus = tf.config.list_logical_devices("GPU")
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
    if name == "mirrored":
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    raise UserError(f"--strategy must be one of {', '.join(STRATEGIES)}, got {name!r}")


def split_cpu_into_logical_devices(count: int) -> None:
    """Splits the CPU into logical devices, for "mirrored" without a GPU; call it before any code accesses devices."""
    if count > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
        tf.config.set_logical_device_configuration(cpu, parts)


def is_chief_process(name: str) -> bool:
    """Returns whether this process writes the files of the run; it accesses no device, so it can be called first.

    Args:
        name: name of the strategy; only `multi_worker_mirrored` has processes that are not the chief.

    Raises:
        UserError: TF_CONFIG, which `multi_worker_mirrored` needs, is not set or is invalid.
    """
    if name != MULTI_WORKER:
        return True
    cluster, job, index = _cluster_task()
    return job == "chief" or ("chief" not in cluster and index == 0)


def _cluster_task() -> tuple[dict[str, list[str]], str, int]:
    """Returns the addresses of each job, and the job of this process and its index in it."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        raise UserError(
            f"--strategy={MULTI_WORKER} reads TF_CONFIG, which is not set; for example {_EXAMPLE}"
        )
    try:
        value = json.loads(text)
    except ValueError as error:
        raise _wrong(f"must be JSON: {error}") from error
    cluster = _member(value, "cluster", dict)
    if not cluster or cluster.keys() - {"chief", "worker"}:
        raise _wrong(f"cluster must hold the jobs chief or worker, got {', '.join(cluster) or 'none'}")
    for job, addresses in cluster.items():
        if not isinstance(addresses, list) or not all(isinstance(a, str) and ":" in a for a in addresses):
            raise _wrong(f"cluster.{job} must be a list of HOST:PORT, got {addresses!r}")
    if len(cluster.get("chief", ())) > 1:
        raise _wrong(f"cluster.chief must hold one address, got {len(cluster['chief'])}")
    task = _member(value, "task", dict)
    job, index = _member(task, "task.type", str), _member(task, "task.index", int)
    if job not in cluster:
        raise _wrong(f"task.type must be one of {', '.join(cluster)}, got {job!r}")
    if not 0 <= index < len(cluster[job]):
        raise _wrong(f"task.index must be below {len(cluster[job])}, the addresses of {job}, got {index}")
    return cluster, job, index


def _member(value: Any, name: str, kind: type) -> Any:
    found = value.get(name.split(".")[-1]) if isinstance(value, dict) else None
    if not isinstance(found, kind):
        raise _wrong(f"{name} must be {_KINDS[kind]}, got {found!r}")
    return found


def _wrong(rule: str) -> UserError:
    return UserError(f"TF_CONFIG: {rule}; for example {_EXAMPLE}")
