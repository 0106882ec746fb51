"""Writes a trained model as a SavedModel bundle that TensorFlow Serving loads: raw text in, entities out.

  python -m emr_ner_tf.cli.export --model_dir=runs/mine --output=runs/bundles/ner --verify_on=validation.jsonl

The bundle becomes the next integer version under --output, and only once the reloaded SavedModel has found the
entities of the model in this process on every record of --verify_on (without it, on synthetic records).
"""

import sys
from typing import TYPE_CHECKING

from absl import flags

from emr_ner_tf.cli.console import command_line
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run

if TYPE_CHECKING:
    from emr_ner_tf.exporting.export import ExportResult

_MODEL_DIR = define_path("model_dir", None, "A directory that the train main has written.")
_OUTPUT = define_path("output", None, "Directory of the bundle's versions.")
_VERIFY_ON = define_path("verify_on", None, "Records (CCKS2019 JSON lines) to compare both models on.")
_WEIGHTS = flags.DEFINE_enum(
    "weights",
    "float32",
    ["float32", "bfloat16", "float16"],
    "How large weights are stored; in 16 bits the bundle is about half as large, and each weight rounded.",
)
_LICENCE = define_path(
    "licence", None, "Of the weights: a file with its text, or its name (or address).", remote=True
)
_KEEP = flags.DEFINE_integer("keep", 0, "Newest versions to keep under --output; 0: all.", lower_bound=0)
_CHECKPOINT = flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Whose weights.")
flags.mark_flags_as_required(["model_dir", "output"])


def main() -> None:
    """Exports, verifies and publishes."""
    from emr_ner_tf.exporting.export import export

    report(
        export(
            _MODEL_DIR.value,
            _OUTPUT.value,
            verify_on=_VERIFY_ON.value,
            checkpoint=_CHECKPOINT.value,
            weights=_WEIGHTS.value,
            licence=_LICENCE.value,
            keep=_KEEP.value,
        )
    )


def report(result: "ExportResult") -> None:
    """Prints what was published and removed, and the next step or what speaks against it."""
    proof = result.verification
    print(
        f"{result.path}: the reloaded bundle finds the same {proof.entities} entities in {proof.records} records "
        f"(scores within {proof.largest_score_difference:.1e}); {result.megabytes:.1f} MB"
    )
    for path in result.removed:
        print(f"{path}: removed (--keep)")
    if result.validation_f1 == 0:
        print(
            f"warning: {result.path}: the F1 of this checkpoint on the validation records is 0, so the model finds "
            "nothing right; train it for longer or on more records, or look at history.json and --checkpoint=last, "
            "before it is used",
            file=sys.stderr,
        )
        return
    if not proof.entities:
        print(
            f"warning: {result.path}: neither model finds an entity in the {proof.records} records, so the comparison "
            "says little; name records that hold some with --verify_on",
            file=sys.stderr,
        )
    print(
        f"next: {command_line('annotate', f'--bundle={result.path.parent}', '--text=患者因右肺上叶腺癌入院。')}"
    )


if __name__ == "__main__":
    run(main)
