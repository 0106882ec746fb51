"""Flags of every command that trains: the recipe, the model directory and the devices."""

from absl import flags
from ml_collections import config_flags

from emr_ner_tf.cli.path_flags import define_path, local_paths
from emr_ner_tf.config import ConfigDict

# A flag belongs to the command that defines it, so that its help lists it.
flags.disclaim_key_flags()


class TrainingFlags:
    """The holders of the flags.

    Attributes:
        model_dir: holder of `--model_dir`.
        strategy: holder of `--strategy`.
    """

    def __init__(self, recipes: str, results: str = " and the metrics") -> None:
        """Defines the flags.

        Args:
            recipes: the recipes of the command, for the help.
            results: further files of the run, for the help.
        """
        self._config = config_flags.DEFINE_config_file(
            "config",
            None,
            f"Recipe to train with: {recipes}, or the path of a configuration file. --config.KEY=VALUE changes any of "
            "its keys.",
            lock_config=True,
        )
        self.model_dir = define_path(
            "model_dir",
            None,
            f"Directory for checkpoints, the resolved configuration{results}.",
        )
        self.strategy = flags.DEFINE_string(
            "strategy",
            "one_device",
            "Distribution strategy (tf.distribute): one_device, mirrored (all GPUs of this machine), or "
            "multi_worker_mirrored (machines named in TF_CONFIG).",
        )
        self._logical_cpus = flags.DEFINE_integer(
            "logical_cpus",
            1,
            "Number of logical devices to split the CPU into, to try --strategy=mirrored without GPUs.",
            lower_bound=1,
        )

    def start(self) -> ConfigDict:
        """Splits the CPU into the logical devices, and returns the configuration with `~/` expanded."""
        from emr_ner_tf.training.strategies import split_cpu_into_logical_devices

        split_cpu_into_logical_devices(self._logical_cpus.value)
        return local_paths(self._config.value)
