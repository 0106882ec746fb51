"""Finds the entities of raw records with a bundle.

One text, coloured:

  python -m emr_ner_tf.cli.annotate --bundle=runs/bundles/ner --text='患者因腹痛入院。'

A file of JSON lines, or of plain text with one record a line, into JSON lines:

  python -m emr_ner_tf.cli.annotate --bundle=runs/bundles/ner --input=records.jsonl --output=found.jsonl
  python -m emr_ner_tf.cli.annotate --bundle=runs/bundles/ner --input=notes.txt --format=text --output=found.jsonl

A job that dies leaves found.jsonl.partial; the same command with --resume goes on from there.
"""

import sys

from absl import flags, logging

from emr_ner_tf.cli.runner import run
from emr_ner_tf.errors import UsageError

_BUNDLE = flags.DEFINE_string(
    "bundle", None, "A bundle's version, or the directory of its versions (newest taken)."
)
_TEXT = flags.DEFINE_string("text", None, "One record.")
_INPUT = flags.DEFINE_string("input", None, "A file of records.")
_FORMAT = flags.DEFINE_enum(
    "format", "ccks2019", ["ccks2019", "text"], "Of --input: CCKS2019 JSON lines, or one record a line."
)
_OUTPUT = flags.DEFINE_string("output", None, "Takes JSON lines; without it they go to standard output.")
_ON_ERROR = flags.DEFINE_enum(
    "on_error", "raise", ["raise", "skip"], "At a bad record: stop, or write it to OUTPUT.rejects.jsonl."
)
_RESUME = flags.DEFINE_bool("resume", False, "Go on after what OUTPUT.partial holds.")
_COLOUR = flags.DEFINE_enum(
    "colour",
    "auto",
    ["auto", "always", "never"],
    "Coloured text instead of JSON on standard output; auto: on a terminal.",
)
flags.mark_flags_as_required(["bundle"])


def main() -> None:
    """Annotates what the flags name."""
    if (_TEXT.value is None) == (_INPUT.value is None):
        raise UsageError("give --text or --input, one of the two")
    if _OUTPUT.value is None and (_RESUME.value or _ON_ERROR.value == "skip"):
        raise UsageError(
            "--resume and --on_error=skip need --output: beside it stand the partial and rejects files"
        )

    from emr_ner_tf.annotation_job import annotate_to_file
    from emr_ner_tf.annotator import annotate
    from emr_ner_tf.cli.colours import coloured
    from emr_ner_tf.data.document import Document
    from emr_ner_tf.data.reading import read_documents
    from emr_ner_tf.data.rejects import RejectsWriter
    from emr_ner_tf.data.writing import record_line
    from emr_ner_tf.exporting.bundle import Bundle

    bundle = Bundle(_BUNDLE.value)
    rejects = RejectsWriter(f"{_OUTPUT.value}.rejects.jsonl") if _ON_ERROR.value == "skip" else None
    if _TEXT.value is not None:
        documents = iter([Document("--text", _TEXT.value)])
    else:
        documents = read_documents(
            _INPUT.value, format=_FORMAT.value, overlaps="longest", rejects=rejects, require_entities=False
        )
    if _OUTPUT.value is None:
        in_colour = _COLOUR.value == "always" or (_COLOUR.value == "auto" and sys.stdout.isatty())
        for document in annotate(documents, bundle.tag_texts):
            if in_colour:
                coloured(document, bundle.definition.labels)
            else:
                print(record_line(document))
        return
    result = annotate_to_file(
        documents, bundle.tag_texts, _OUTPUT.value, model=bundle.fingerprint(), resume=_RESUME.value
    )
    if rejects is not None:
        rejects.close()
        if rejects.count:
            logging.warning("%d records rejected, see %s.rejects.jsonl", rejects.count, _OUTPUT.value)
    new = result.records - result.resumed
    logging.info(
        "%s: %d records (%d of an earlier try); %d entities in the others, %.1f records/s",
        _OUTPUT.value,
        result.records,
        result.resumed,
        result.entities,
        new / max(result.seconds, 1e-9),
    )


if __name__ == "__main__":
    run(main)
