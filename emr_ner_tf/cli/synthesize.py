"""Writes the synthetic corpus as CCKS2019 JSON lines: OUTPUT_DIR/train.jsonl and OUTPUT_DIR/test.jsonl.

  emr-ner synthesize --output_dir=runs/synthetic

The same flags always write the same bytes. An earlier synthetic corpus in the directory is replaced; files of these
names that hold other records are an error.
"""

import pathlib

from absl import flags

from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.errors import UserError
from emr_ner_tf.progress_bar import ProgressBar

# The first record of each file begins so.
_BEGINNING = b'{"id": "synthetic-'
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
    for path in paths:
        _check_replaceable(path)
    with document_writers(paths) as writers:
        for (split, records), write in zip(splits.items(), writers, strict=True):
            documents = generate(split, records=records, seed=_SEED.value)
            with ProgressBar(f"{split}.jsonl", records) as bar:
                for document in bar.track(documents):
                    write(document)
    for path, records in zip(paths, splits.values(), strict=True):
        print(f"{path}: {records} records")


def _check_replaceable(path: pathlib.Path) -> None:
    """Raises if a file holds records of another origin, whose annotation cannot be made again."""
    if not path.is_file():
        return
    with open(path, "rb") as file:
        beginning = file.read(len(_BEGINNING))
    if beginning not in (b"", _BEGINNING):
        raise UserError(
            f"{path}: must not exist, or be a synthetic corpus, which is replaced, and it holds other records; name "
            "another --output_dir"
        )


if __name__ == "__main__":
    run(main)
