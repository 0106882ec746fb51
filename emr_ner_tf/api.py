"""The functions behind `import emr_ner_tf`: load, connect, train, evaluate and export.

TensorFlow and other large modules are imported when a function is called.
"""

import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emr_ner_tf.config import CONFIG_FILE, ConfigDict, check_config, set_keys
from emr_ner_tf.data.document import Document
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UserError
from emr_ner_tf.inference.annotator import Annotator
from emr_ner_tf.recipes import read_recipe

if TYPE_CHECKING:
    from emr_ner_tf.evaluation.report import Report
    from emr_ner_tf.exporting.export import ExportResult

__all__ = ["connect", "evaluate", "export", "load", "read_documents", "train", "write_documents"]

_PROTOCOLS = ("grpc", "rest")


def load(path: str | os.PathLike[str], *, checkpoint: str = "best") -> Annotator:
    """Loads a model into this process.

    Args:
        path: a bundle, a directory of bundle versions (the newest is loaded), or a model directory.
        checkpoint: "best" or "last"; only for a model directory.

    Returns:
        The annotator. Call it with one text, or its `annotate` with any number of texts or documents.

    Raises:
        UserError: there is no model at `path`, or one of its files is missing or cut off.

    Example:
        >>> import emr_ner_tf
        >>> tagger = emr_ner_tf.load("BUNDLES")
        >>> document = tagger("患者因右肺上叶腺癌入院。")
        >>> [type(entity).__name__ for entity in document.entities][:1]
        ['Entity']
        >>> [document.id for document in tagger.annotate(["患者入院。", "予阿司匹林口服。"])]
        ['0', '1']
    """
    path = pathlib.Path(path).expanduser()
    if (path / CONFIG_FILE).is_file() and not (path / "saved_model.pb").exists():
        from emr_ner_tf.training.loading import restore

        return restore(path, checkpoint)[0]
    from emr_ner_tf.exporting.bundle import Bundle

    return Bundle(path)


def connect(target: str, *, protocol: str = "grpc", **options: Any) -> Annotator:
    """Returns an annotator that uses a model on a server: TensorFlow Serving or `emr-ner serve`.

    Args:
        target: `HOST:PORT`.
        protocol: "grpc" or "rest".
        options: fields of `emr_ner_tf.client.options.ClientOptions`, such as `model`, `version`, `retry_timeout_s`,
            `tls` or `headers`.

    Returns:
        The annotator, with the same interface as that of `load`. Close it, or use it in a `with` statement. It connects
        when the first text is annotated.

    Raises:
        UserError: the address, the protocol or an option is invalid.

    Example:
        >>> import emr_ner_tf
        >>> with emr_ner_tf.connect("SERVER", model="ner") as tagger:
        ...     document = tagger("患者因右肺上叶腺癌入院。")
        >>> document.text
        '患者因右肺上叶腺癌入院。'
    """
    if protocol not in _PROTOCOLS:
        raise UserError(f"protocol must be one of {', '.join(_PROTOCOLS)}, got {protocol!r}")
    from emr_ner_tf.client.options import ClientOptions

    unknown = sorted(options.keys() - ClientOptions.__dataclass_fields__.keys())
    if unknown:
        known = ", ".join(ClientOptions.__dataclass_fields__)
        raise UserError(f"connect: an option must be one of {known}, got {', '.join(unknown)}")
    settings = ClientOptions(**options)
    if protocol == "rest":
        from emr_ner_tf.client.rest_client import RestClient

        return RestClient(target, settings)
    from emr_ner_tf.client.grpc_client import GrpcClient

    return GrpcClient(target, settings)


def train(
    recipe: str | os.PathLike[str] | ConfigDict,
    model_dir: str | os.PathLike[str],
    settings: Mapping[str, Any] | None = None,
    *,
    strategy: str = "one_device",
) -> dict[str, Any]:
    """Trains a tagger, or resumes the run that `model_dir` holds.

    Args:
        recipe: name of a recipe ("default", "quickstart", "paper:ROW"), path of a recipe, or a configuration.
        model_dir: directory for checkpoints, configuration, metrics and the learning curve.
        settings: values by dotted key, such as `{"data.train": "train.jsonl", "train.epochs": 5}`.
        strategy: "one_device", "mirrored" or "multi_worker_mirrored".

    Returns:
        The metrics, such as `epochs`, `best` (the scores of the best epoch), `training_seconds` and `parameters`.

    Raises:
        UserError: the recipe, a key, a value, a record or the model directory is invalid.

    Example:
        >>> import emr_ner_tf
        >>> metrics = emr_ner_tf.train("quickstart", "MODEL", {"data.train": "TRAIN", "train.epochs": 1})
        >>> metrics["epochs"]
        1
    """
    from emr_ner_tf.exporting.bundle import load_teacher
    from emr_ner_tf.training.trainer import train as run

    is_config = isinstance(recipe, ConfigDict)
    config = recipe.copy_and_resolve_references() if is_config else read_recipe(os.fspath(recipe))
    set_keys(config, settings or {})
    check_config(config)
    teacher = load_teacher(config, model_dir, strategy)
    return run(config, os.fspath(model_dir), strategy_name=strategy, teacher=teacher)


def evaluate(
    annotator: Annotator, documents: Iterable[Document], train_documents: Iterable[Document] = ()
) -> "Report":
    """Scores an annotator on annotated documents: exact and relaxed match, by label.

    Args:
        annotator: annotator from `load` or `connect`.
        documents: documents with gold annotation.
        train_documents: training documents; if given, mentions that do not occur in them are also scored separately.

    Returns:
        The report. `report.exact.micro.f1` is the exact-match F1; `report.to_json()` has all scores.

    Raises:
        UserError: no document has a mention, or the annotator does not know a label that one has.

    Example:
        >>> import emr_ner_tf
        >>> report = emr_ner_tf.evaluate(emr_ner_tf.load("BUNDLES"), emr_ner_tf.read_documents("TEST"))
        >>> 0 <= report.exact.micro.f1 <= 1
        True
    """
    from emr_ner_tf.evaluation.scoring import score, seen_mentions

    gold, train = list(documents), list(train_documents)
    for document in (*gold, *train):
        if not isinstance(document, Document):
            raise UserError(
                f"evaluate: a document must be a Document, as from read_documents, got {type(document).__name__}"
            )
    if not any(document.entities for document in gold):
        raise UserError(f"evaluate: none of the {len(gold)} documents has a mention to score")
    found = list(annotator.annotate(gold))
    # A server does not say which labels its model has.
    labels = annotator.labels or tuple(
        sorted({entity.label for one in gold + found for entity in one.entities})
    )
    return score(gold, found, labels, seen_mentions(train) if train else None)


def export(
    model_dir: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    **options: Any,
) -> "ExportResult":
    """Writes a trained model as a SavedModel bundle, and publishes it after the reloaded bundle passed a comparison.

    Args:
        model_dir: model directory of a finished run; several become one ensemble.
        output: directory of the bundle's versions; the new version gets the next integer.
        options: as `emr_ner_tf.exporting.export.export`: `verify_on`, `checkpoint`, `weights`,
            `precision`, `min_probability`, `choose_threshold`, `token_budget`, `licence`, `keep`.

    Returns:
        The `path` of the version, its size in `megabytes`, and the result of the comparison (`verification`).

    Raises:
        UserError: there is no model, the disk is full, or the bundle does not find the same entities as the model.

    Example:
        >>> import emr_ner_tf
        >>> emr_ner_tf.export("MODEL", "OUTPUT").path.name
        '1'
    """
    from emr_ner_tf.exporting.export import export as run

    return run(model_dir, output, **options)
