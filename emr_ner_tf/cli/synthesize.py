"""Writes the synthetic corpus as CCKS2019 JSON lines: OUTPUT_DIR/train.jsonl and OUTPUT_DIR/test.jsonl.

  emr-ner synthesize --output_dir=runs/synthetic

The same flags always write the same bytes.
"""

import pathlib

from absl import flags

from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.progress_bar import ProgressBar

# A limit, so that a typing error does not fill the disk.
_MAX_RECORDS = 10_000_000

_OUTPUT_DIR = define_path("output_dir", None, "Directory for train.jsonl and test.jsonl.", required=True)
_RECORDS = flags.DEFINE_integer(
    "records", 600, "Number of training records.", lower_bound=0, upper_bound=_MAX_RECORDS
)
_TEST_RECORDS = flags.DEFINE_integer(
    "test_records",
    200,
    "Number of test records; their sentences and many of their terms do not occur in the training records.",
    lower_bound=0,
    upper_bound=_MAX_RECORDS,
)
_SEED = flags.DEFINE_integer("seed", 1, "Random seed; a different seed gives different records.")


def main() -> None:
    """Generates both splits, writes them and prints their sizes."""
    from emr_ner_tf.data.synthetic.generator import generate
    from emr_ner_tf.data.writing import document_writers

    splits = {"train": _RECORDS.value, "test": _TEST_RECORDS.value}
    paths = [pathlib.Path(_OUTPUT_DIR.value) / f"{split}.jsonl" for split in splits]
    with document_writers(paths) as writers:
        for (split, records), write in zip(splits.items(), writers, strict=True):
            documents = generate(split, records=records, seed=_SEED.value)
            with ProgressBar(f"{split}.jsonl", records) as bar:
                for document in bar.track(documents):
                    write(document)
    for path, records in zip(paths, splits.values(), strict=True):
        print(f"{path}: {records} records")


if __name__ == "__main__":
    run(main)
