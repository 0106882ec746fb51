"""A short form of the comparisons with other stacks, and one picture of them.

.venv-bench/bin/python benchmarks/short.py --encoder=DIR --records=FILE --model_dir=DIR --output_dir=DIR

It exports the model in float32 and in bfloat16, runs the benchmarks one after the other, writes their reports into
--output_dir, and draws the median ratio of each with its quartiles: above 1, this project is the faster side.
"""

import json
import pathlib
import subprocess
import sys

from absl import app, flags
from common_flags import define_encoder, define_pairs, define_records
from picture import draw, find_bars

_ENCODER = define_encoder()
_RECORDS = define_records()
_MODEL_DIR = flags.DEFINE_string("model_dir", None, "Model directory of a finished run.", required=True)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Folder of the reports and the picture.", required=True)
_PAIRS = define_pairs(3)

_FOLDER = pathlib.Path(__file__).parent
_PICTURE = "short.png"


def main(argv: list[str]) -> None:
    """Runs all benchmarks and draws the picture."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    output = pathlib.Path(_OUTPUT_DIR.value)
    output.mkdir(parents=True, exist_ok=True)
    bundles = {precision: output / f"bundle_{precision}" for precision in ("float32", "bfloat16")}
    for precision, bundle in bundles.items():
        _run(
            *("-m", "emr_ner_tf.cli.export", f"--model_dir={_MODEL_DIR.value}", f"--output={bundle}"),
            f"--precision={precision}",
        )
    training = (f"--encoder={_ENCODER.value}", f"--records={_RECORDS.value}")
    text = (f"--model_dir={_MODEL_DIR.value}", f"--records={_RECORDS.value}")
    in_float32, in_bfloat16 = (f"--bundle={bundle}" for bundle in bundles.values())
    jobs = {
        "crf": ("crf.py",),
        "recurrence": ("recurrence.py", "--shapes=1x254,16x254"),
        "update in float32": ("training_step.py", *training),
        "update in bfloat16": ("training_step.py", *training, "--precision=bfloat16"),
        "text, float32": ("text_to_entities.py", *text, in_float32),
        "one record, float32": ("text_to_entities.py", *text, in_float32, "--one_by_one"),
        "text, float32 against ONNX": ("text_to_entities.py", *text, in_float32, "--peer=onnx_float32"),
        "text, bfloat16 against float32": ("text_to_entities.py", *text, in_bfloat16),
        "text, bfloat16 against ONNX int8": ("text_to_entities.py", *text, in_bfloat16, "--peer=onnx_int8"),
    }
    bars = []
    for name, (script, *arguments) in jobs.items():
        report = output / f"{name.replace(' ', '_').replace(',', '')}.json"
        _run(str(_FOLDER / script), *arguments, f"--pairs={_PAIRS.value}", f"--output={report}")
        bars += find_bars(json.loads(report.read_text(encoding="utf-8")), name)
    draw(bars, output / _PICTURE)
    for bar in bars:
        print(f"{bar.median:6.2f}  ({bar.quartiles[0]:.2f} to {bar.quartiles[1]:.2f})  {bar.name}")
    print(output / _PICTURE)


def _run(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], check=False, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with status {done.returncode}")


if __name__ == "__main__":
    app.run(main)
