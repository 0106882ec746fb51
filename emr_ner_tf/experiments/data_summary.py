"""What the report says of the records; reading them first, too, so that a bad one shows before hours of training."""

from typing import Any

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.labels import resolve_labels
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.stats import corpus_stats
from emr_ner_tf.errors import UserError

_REMEDIES = {
    "labels": "use --override=data.labels=infer, the labels of --train, or --override=data.labels=FILE with one label "
    "a line",
    "overlaps": "use --override=data.overlaps=longest, which keeps the longest of them",
}


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
        UserError: a bad record, with file and line, or files without a mention.
    """
    how = {"format": config.data.format, "overlaps": config.data.overlaps}
    labels = resolve_labels(config.data.labels, split_paths(train, "--train"), require_entities=True, **how)

    def read(paths: str, name: str) -> list[Document]:
        documents = [
            document
            for path in split_paths(paths, name)
            for document in read_documents(path, labels=labels, remedies=_REMEDIES, **how)
        ]
        if not any(document.entities for document in documents):
            has = f"none of its {len(documents)} records has a mention" if documents else "it holds no record"
            raise UserError(f"{name}={paths}: must hold annotated records, and {has}")
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
