"""Writes a trained model as a SavedModel bundle that TensorFlow Serving loads: raw text in, entities out.

  emr-ner export --model_dir=runs/mine --output=runs/bundles/ner --verify_on=validation.jsonl

The bundle becomes the next integer version under --output, but only after the reloaded SavedModel has found the
same entities as the trained model on every record of --verify_on (by default, on synthetic records).
"""

import sys
from typing import TYPE_CHECKING

from absl import flags

from emr_ner_tf.cli.console import command_line
from emr_ner_tf.cli.format_flags import define_format_flags, format_options
from emr_ner_tf.cli.number_flags import define_float
from emr_ner_tf.cli.path_flags import define_path, define_paths
from emr_ner_tf.cli.runner import run
from emr_ner_tf.errors import UsageError

if TYPE_CHECKING:
    from emr_ner_tf.evaluation.calibration import BestThreshold
    from emr_ner_tf.exporting.export import ExportResult

_MODEL_DIR = define_paths(
    "model_dir",
    "Model directory that `emr-ner train` wrote. Given several times, the models become one ensemble, which averages "
    "their emissions and transitions.",
)
_OUTPUT = define_path("output", None, "Directory of the bundle's versions; a new version is added to it.")
_VERIFY_ON = define_path("verify_on", None, "Records on which the model and the bundle are compared.")
_FORMAT = define_format_flags("--verify_on")
_WEIGHTS = flags.DEFINE_enum(
    "weights",
    "float32",
    ["float32", "bfloat16", "float16"],
    "Data type of large weights in the bundle; 16 bits halve its size and round each weight.",
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "bfloat16", "auto"],
    "Data type in which the encoder, the attention and the products of the recurrence's inputs compute. bfloat16 is "
    "faster on some processors, such as those with AMX, and slower on others; auto measures it on this machine.",
)
_MIN_PROBABILITY = define_float(
    "min_probability",
    0.0,
    "Leave out entities with a lower probability. --choose_threshold finds the best value for F1, and "
    "`emr-ner evaluate --report` shows its effect.",
    0.0,
    1.0,
)
_CHOOSE_THRESHOLD = flags.DEFINE_bool(
    "choose_threshold",
    False,
    "Choose --min_probability for the highest exact-match F1 on the annotated records of --verify_on. Score the bundle "
    "on other records.",
)
_TOKEN_BUDGET = flags.DEFINE_integer(
    "token_budget",
    0,
    "Characters in one call of the encoder, padding included, which bounds time, memory and latency; 0 takes "
    "config.text.token_budget (2048, for a CPU's caches). A bundle for a GPU is faster with 16384 or more.",
    lower_bound=0,
)
_LICENCE = define_path(
    "licence", None, "Licence of the weights: a file with its text, its name or its address.", remote=True
)
_KEEP = flags.DEFINE_integer(
    "keep", 0, "Number of newest versions to keep under --output; 0 keeps all.", lower_bound=0
)
_CHECKPOINT = flags.DEFINE_enum(
    "checkpoint",
    "best",
    ["best", "last"],
    "Checkpoint to export: the best one by validation F1, or the last.",
)
flags.mark_flags_as_required(["model_dir", "output"])


def main() -> None:
    """Exports, verifies and publishes."""
    if _CHOOSE_THRESHOLD.value and (_VERIFY_ON.value is None or _MIN_PROBABILITY.value):
        raise UsageError(
            "--choose_threshold needs --verify_on=FILE with annotated records and excludes --min_probability"
        )
    from emr_ner_tf.exporting.export import export

    report(
        export(
            _MODEL_DIR.value,
            _OUTPUT.value,
            verify_on=_VERIFY_ON.value,
            verify_format=_FORMAT.value,
            verify_options=format_options(),
            checkpoint=_CHECKPOINT.value,
            weights=_WEIGHTS.value,
            precision=_PRECISION.value,
            min_probability=_MIN_PROBABILITY.value,
            choose_threshold=_CHOOSE_THRESHOLD.value,
            token_budget=_TOKEN_BUDGET.value,
            licence=_LICENCE.value,
            keep=_KEEP.value,
        )
    )


def report(result: "ExportResult") -> None:
    """Prints the published and the removed versions, and the next step or a warning."""
    proof = result.verification
    print(
        f"{result.path}: the reloaded bundle finds the same {proof.entities} entities in {proof.records} records "
        f"(scores within {proof.largest_score_difference:.1e}); {result.megabytes:.1f} MB"
    )
    if result.comparison is not None:
        print(f"{result.path}: {_compared(result)}")
    if result.threshold is not None:
        print(f"{result.path}: {_chosen(result.threshold)}")
    for path in result.removed:
        print(f"{path}: removed (--keep)")
    if result.validation_f1 == 0:
        print(
            f"warning: {result.path}: the validation F1 of this checkpoint is 0, so the model finds no entity "
            "correctly; before you use it, train it longer or on more records, or try --checkpoint=last (history.json)",
            file=sys.stderr,
        )
        return
    if not proof.entities:
        print(
            f"warning: {result.path}: neither model finds an entity in the {proof.records} records, so the comparison "
            "shows little; give --verify_on records that contain entities",
            file=sys.stderr,
        )
    print(
        f"next: {command_line('annotate', f'--bundle={result.path.parent}', '--text=患者因右肺上叶腺癌入院。')}"
    )


def _chosen(chosen: "BestThreshold") -> str:
    if not chosen.threshold:
        return (
            f"leaves out no entity: on the records of --verify_on, no threshold raises exact F1 above "
            f"{chosen.f1_of_all:.4f}"
        )
    # All its digits: a rounded number, typed again, would be another threshold.
    return (
        f"leaves out entities with a probability below {chosen.threshold}: exact F1 {chosen.f1:.4f} instead of "
        f"{chosen.f1_of_all:.4f} on the records of --verify_on, which chose it"
    )


def _compared(result: "ExportResult") -> str:
    comparison = result.comparison
    text = (
        f"computes in {result.precision}; {comparison.different} entities differ from the {comparison.entities} that "
        f"the model finds in float32"
    )
    if comparison.f1 is not None:
        text += f" (exact F1 {comparison.f1:.4f} against {comparison.float32_f1:.4f})"
    return text


if __name__ == "__main__":
    run(main)
