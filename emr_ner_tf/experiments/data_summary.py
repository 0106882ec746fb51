"""Describes the records for the report. They are read first, so that a bad record is found before any training."""

from typing import Any

from emr_ner_tf.config import ConfigDict, reading_settings
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.formats.flag_names import flags_named
from emr_ner_tf.data.labels import resolve_labels
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.stats import corpus_stats
from emr_ner_tf.errors import UserError

_REMEDIES = {
    "labels": "use --override=data.labels=infer (the labels of --train) or --override=data.labels=FILE (one label per "
    "line)",
    "overlaps": "use --override=data.overlaps=longest, which keeps the longest of them",
}


@flags_named("--override=data.format", "--override=data.options")
def describe(train: str, test: str, all_records: str, data: ConfigDict) -> dict[str, Any]:
    """Reads every record once, with the settings of the runs.

    Args:
        train: training files, joined by commas.
        test: the test file.
        all_records: files for Table III, joined by commas, or "".
        data: section `data` of the configuration.

    Returns:
        `records` and `mentions` of `train` and `test`, the `labels`, and `distinct_forms` of `all_records` by label, or
        None.

    Raises:
        UserError: a record is bad (the message has file and line), or the files have no mention.
    """
    how = reading_settings(data)
    labels = resolve_labels(data.labels, split_paths(train, "--train"), require_entities=True, **how)

    def read(paths: str, name: str) -> list[Document]:
        documents = [
            document
            for path in split_paths(paths, name)
            for document in read_documents(path, labels=labels, remedies=_REMEDIES, **how)
        ]
        if not any(document.entities for document in documents):
            has = (
                f"none of its {len(documents)} records has a mention"
                if documents
                else "it contains no record"
            )
            raise UserError(f"{name}={paths}: must contain annotated records, but {has}")
        return documents

    described: dict[str, Any] = {"labels": list(labels), "distinct_forms": None}
    for name, paths in (("train", train), ("test", test)):
        documents = read(paths, f"--{name}")
        described[name] = {"records": len(documents), "mentions": sum(len(d.entities) for d in documents)}
    if all_records:
        stats = corpus_stats(read(all_records, "--all_records"), labels)
        described["distinct_forms"] = {label: row.distinct_forms for label, row in stats.by_label.items()}
        described["all_records"] = stats.records
    return described
