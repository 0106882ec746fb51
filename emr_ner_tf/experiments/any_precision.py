"""Counts runs together whatever `train.precision` they have, such as those of machines with and without bfloat16."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from emr_ner_tf.experiments.runs import PRECISION, Run, settings_digest

# In the setup of a report: the precision that is preferred where a seed has runs of several.
PREFERRED = "preferred_precision"


def of_any_precision(setup: Mapping[str, Any], preferred: str) -> dict[str, Any]:
    """Returns a setup to which runs of every precision belong.

    Args:
        setup: result of `emr_ner_tf.experiments.runs.Experiment.setup`.
        preferred: the precision that counts where a seed has runs of several.
    """
    return {**setup, "overrides": other_overrides(setup), PREFERRED: preferred}


def other_overrides(setup: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the overrides of a setup without the precision."""
    return {key: value for key, value in setup["overrides"].items() if key != PRECISION}


def digest_without_precision(result: Mapping[str, Any]) -> str:
    """Returns `Run.digest_without_precision` of a result; its own digest if an earlier version wrote another one."""
    files = {key: file["digest"] for key, file in result["materials"].items()}
    given = result["settings"], files, result["setup"]["test"]["digest"]
    return (
        settings_digest(*given, PRECISION)
        if settings_digest(*given) == result["digest"]
        else result["digest"]
    )


def one_for_each_seed(results: Iterable[Mapping[str, Any]], preferred: str) -> list[Mapping[str, Any]]:
    """Returns one result for each seed of a row, encoder and digest without precision, the preferred one if any."""
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for result in results:
        which = _which(result)
        if which not in found or result["settings"].get(PRECISION) == preferred:
            found[which] = result
    return list(found.values())


def left_to_run(runs: Sequence[Run], finished: Mapping[str, Mapping[str, Any]]) -> list[Run]:
    """Returns the runs that are finished in no precision.

    Args:
        runs: result of `emr_ner_tf.experiments.runs.plan`.
        finished: results by name.
    """
    known = {_which(result) for result in finished.values()}
    return [run for run in runs if (run.row, run.kind, run.digest_without_precision, run.seed) not in known]


def _which(result: Mapping[str, Any]) -> tuple[Any, ...]:
    return result["row"], result["encoder"]["kind"], digest_without_precision(result), result["seed"]
