r"""Selects the records to annotate next: those on which the model is least certain.

  emr-ner next --model_dir=runs/mine --input=pool.jsonl --known=train.jsonl --count=100 --output=next.jsonl
  emr-ner next --model_dir=runs/mine --input=notes.txt --format=text --output=tasks.json --to=label_studio

Records are ranked by the probability of their best path under the CRF, per character. Near-duplicates of a known or a
selected record are left out, and a record whose mentions are all common among the selected ones is passed over. The
selected records have the model's mentions, for annotators to correct.
"""

from typing import Any

from absl import flags, logging

from emr_ner_tf.cli.format_flags import define_format_flags, define_to, format_options, output_format
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.data.atomic_io import check_not_an_input
from emr_ner_tf.data.formats.flag_names import flags_named
from emr_ner_tf.data.formats.options import parse_options
from emr_ner_tf.data.formats.table import AUTO, READ_FORMATS
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UsageError, UserError
from emr_ner_tf.progress_bar import ProgressBar

_MODEL_DIR = define_path("model_dir", None, "Model directory that `emr-ner train` wrote.", required=True)
_CHECKPOINT = flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Checkpoint of --model_dir to use.")
_INPUT = define_path("input", None, "Records to select from.", required=True, stream="input")
_FORMAT = define_format_flags()
_KNOWN = define_path(
    "known",
    None,
    "Files of records that are annotated already, separated by commas; near-duplicates of them are left out.",
    several=True,
)
_KNOWN_FORMAT = flags.DEFINE_enum(
    "known_format", AUTO, [AUTO, *READ_FORMATS], "Format of --known; auto finds it by looking."
)
_KNOWN_OPTIONS = flags.DEFINE_string(
    "known_options",
    "",
    "The other format flags, such as --encoding and --text_column, for --known: NAME=VALUE, several separated by "
    "commas. Those flags themselves apply to --input only.",
)
_COUNT = flags.DEFINE_integer("count", 100, "Number of records to select.", lower_bound=1)
_MAX_PER_FORM = flags.DEFINE_integer(
    "max_per_form",
    5,
    "Number of selected records with the same surface form, after which this form is no reason to select another.",
    lower_bound=1,
)
_OUTPUT = define_path(
    "output", None, "File to write the selected records to.", required=True, stream="output"
)
_TO = define_to("ccks2019, JSON lines.")


def main() -> None:
    """Ranks the records, selects from the ranking and writes the selected ones."""
    known = split_paths(_KNOWN.value, "--known") if _KNOWN.value else []
    if not known and (_KNOWN_FORMAT.value != AUTO or _KNOWN_OPTIONS.value):
        raise UsageError("--known_format and --known_options require --known")
    known_options = parse_options(_KNOWN_OPTIONS.value, "--known_options")
    names = (format_options().tag_names, known_options.tag_names)
    check_not_an_input(_OUTPUT.value, [_INPUT.value, *known, *names])

    from emr_ner_tf.evaluation.selection import select_records, shortage
    from emr_ner_tf.models.confidence import Confidence
    from emr_ner_tf.training.loading import restore

    pool = list(read_documents(_INPUT.value, format=_FORMAT.value, options=format_options(), **_reading()))
    if not pool:
        raise UserError(f"--input={_INPUT.value}: must contain records to select from, but it contains none")
    reading = {"format": _KNOWN_FORMAT.value, "options": known_options, **_reading()}
    with flags_named("--known_format", "--known_options"):
        known_texts = [document.text for path in known for document in read_documents(path, **reading)]
    tagger, _ = restore(_MODEL_DIR.value, _CHECKPOINT.value)
    with ProgressBar("ranking", len(pool)) as bar:
        confidence = Confidence(tagger.ner_pipeline).per_character(
            [document.text for document in pool], bar.advance
        )
    order = sorted(range(len(pool)), key=lambda i: (confidence[i], i))
    # The selection ends when it has enough records, so the total is the most that are annotated.
    with ProgressBar("annotating until enough are selected", len(pool)) as bar:
        ranked = tagger.annotate((pool[i] for i in order), on_progress=bar.advance)
        selected = select_records(
            ranked, _COUNT.value, max_per_form=_MAX_PER_FORM.value, known_texts=known_texts
        )
    written = write_documents(_OUTPUT.value, selected, output_format(_TO.value, _OUTPUT.value, "ccks2019"))
    logging.info("%d of %d records selected", written, len(pool))
    reason = shortage(_COUNT.value, written, len(pool))
    if reason is not None:
        logging.warning("%s", reason)


def _reading() -> dict[str, Any]:
    """Returns how records are read: annotation is not needed, and mentions that they have do not matter."""
    return {"overlaps": "longest", "require_entities": False}


if __name__ == "__main__":
    run(main)
