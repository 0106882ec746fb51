"""What the report says of the records; reading them first, too, so that a bad one shows before hours of training."""

from typing import Any

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.labels import resolve_labels
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.stats import corpus_stats


def describe(train: str, test: str, all_records: str, config: ConfigDict) -> dict[str, Any]:
    """Reads every record once, as the runs will.

    Args:
        train: files joined by commas.
        test: one file.
        all_records: files joined by commas, for Table III; "" for none.
        config: how records are read (`config.data`).

    Returns:
        `records` and `mentions` of `train` and `test`, the `labels`, and `distinct_forms` by label of `all_records`, or
        None.

    Raises:
        UserError: a bad record, with file and line.
    """
    labels = resolve_labels(config.data.labels, _paths(train), format=config.data.format)

    def read(paths: str) -> list[Document]:
        how = {"format": config.data.format, "labels": labels, "overlaps": config.data.overlaps}
        return [document for path in _paths(paths) for document in read_documents(path, **how)]

    described: dict[str, Any] = {"labels": list(labels), "distinct_forms": None}
    for name, paths in (("train", train), ("test", test)):
        documents = read(paths)
        described[name] = {"records": len(documents), "mentions": sum(len(d.entities) for d in documents)}
    if all_records:
        stats = corpus_stats(read(all_records), labels)
        described["distinct_forms"] = {label: row.distinct_forms for label, row in stats.by_label.items()}
        described["all_records"] = stats.records
    return described


def _paths(joined: str) -> list[str]:
    return [path for path in joined.split(",") if path]
