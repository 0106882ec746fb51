"""Writes a trained model as a SavedModel bundle that TensorFlow Serving loads: raw text in, entities out.

  python -m emr_ner_tf.cli.export --model_dir=runs/mine --output=runs/bundles/ner --verify_on=validation.jsonl

The bundle becomes the next integer version under --output, and only once the reloaded SavedModel has found the
entities of the model in this process on every record of --verify_on (without it, on synthetic records).
"""

from absl import flags

from emr_ner_tf.cli.runner import run

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "A directory that the train main has written.")
_OUTPUT = flags.DEFINE_string("output", None, "Directory of the bundle's versions.")
_VERIFY_ON = flags.DEFINE_string(
    "verify_on", None, "Records (CCKS2019 JSON lines) to compare both models on."
)
_CHECKPOINT = flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Whose weights.")
flags.mark_flags_as_required(["model_dir", "output"])


def main() -> None:
    """Exports, verifies and publishes."""
    from emr_ner_tf.exporting.export import export

    result = export(_MODEL_DIR.value, _OUTPUT.value, verify_on=_VERIFY_ON.value, checkpoint=_CHECKPOINT.value)
    proof = result.verification
    print(
        f"{result.path}: the reloaded bundle finds the same {proof.entities} entities in {proof.records} records "
        f"(scores within {proof.largest_score_difference:.1e}); {result.megabytes:.1f} MB"
    )
    print(f"next: python -m emr_ner_tf.cli.annotate --bundle={_OUTPUT.value} --text='...'")


if __name__ == "__main__":
    run(main)
