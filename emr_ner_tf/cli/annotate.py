"""Finds the entities of raw records with a bundle or with a server.

One text, in colour:

  emr-ner annotate --bundle=runs/bundles/ner --text='患者因腹痛入院。'

A file of records in any format of docs/data.md, to JSON lines:

  emr-ner annotate --bundle=runs/bundles/ner --input=records.jsonl --output=found.jsonl
  emr-ner annotate --bundle=runs/bundles/ner --input=notes.txt --format=text --output=found.jsonl
  emr-ner annotate --bundle=runs/bundles/ner --input=notes.csv --encoding=gb18030 --output=found.jsonl

To suggestions with their probabilities for Label Studio, or to any other format:

  emr-ner annotate --bundle=runs/bundles/ner --input=records.jsonl --output=tasks.json --to=label_studio

With a server (TensorFlow Serving or `emr-ner serve`), over gRPC or, with --protocol=rest, over REST:

  emr-ner annotate --server=localhost:8500 --input=records.jsonl --output=found.jsonl

An interrupted job leaves found.jsonl.partial; the same command with --resume continues it. All records of a file are
annotated by one version of the server's model: without --version, the newest one when the job first started.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from absl import flags, logging

from emr_ner_tf.cli.deprecated_flags import define_deprecated_alias
from emr_ner_tf.cli.format_flags import (
    define_format_flags,
    define_on_error,
    define_to,
    format_options,
    output_format,
)
from emr_ner_tf.cli.number_flags import define_float, define_seconds
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.record_count import count_for_bar
from emr_ner_tf.cli.runner import run
from emr_ner_tf.data.document import Document
from emr_ner_tf.errors import UsageError, UserError
from emr_ner_tf.inference.annotator import Annotator

_BUNDLE = define_path(
    "bundle",
    None,
    "Bundle to load: the directory of one version, or the directory of all versions (the newest is used).",
)
_SERVER = flags.DEFINE_string("server", None, "Address of a server (HOST:PORT) to use instead of --bundle.")
_PROTOCOL = flags.DEFINE_enum("protocol", "grpc", ["grpc", "rest"], "Protocol used with --server.")
_MODEL_NAME = flags.DEFINE_string("model_name", "ner", "Name of the model on --server.")
_VERSION = flags.DEFINE_integer(
    "version",
    None,
    "Model version to use on --server; by default the newest one when the job starts.",
    0,
    (1 << 63) - 1,
)
_VERSION_LABEL = flags.DEFINE_string(
    "version_label", None, "Label of the model version to use on --server, instead of --version."
)
_DEADLINE_S = define_seconds("deadline_s", 60.0, "Timeout of one request to --server, in seconds.", 0.001)
_RETRY_TIMEOUT_S = define_seconds(
    "retry_timeout_s",
    30.0,
    "Seconds to keep retrying while --server is unavailable or overloaded, or lacks the version of the job.",
)
define_deprecated_alias("patience_s", "retry_timeout_s")
_MAX_RECORDS = flags.DEFINE_integer(
    "max_records",
    32,
    "Maximum number of texts in one request to --server; must not exceed the server's max_batch_size.",
    1,
)
_MAX_CHARACTERS = flags.DEFINE_integer(
    "max_characters",
    16_384,
    "Maximum number of characters in one request to --server, padding included; longer texts are sent in "
    "overlapping pieces.",
    1024,
)
_CONCURRENCY = flags.DEFINE_integer(
    "concurrency",
    4,
    "Maximum number of requests in flight to --server over gRPC; a server with batching computes them together.",
    1,
)
_MAX_MESSAGE_MB = define_float("max_message_mb", 64.0, "Maximum message size in MiB.", 0.001, 2047)
_HEADER = flags.DEFINE_multi_string(
    "header", [], "Header to send with each request, as NAME=VALUE. Keep secrets in a file: --flagfile=FILE."
)
_TLS = flags.DEFINE_bool("tls", False, "Use TLS with --server; the other --tls flags imply it.")
_TLS_CA = define_path("tls_ca", None, "Certificate authority that signed the server's certificate (PEM).")
_TLS_CERT = define_path("tls_cert", None, "Client certificate (PEM), for a server that requires one.")
_TLS_KEY = define_path("tls_key", None, "Private key of --tls_cert (PEM).")
_TEXT = flags.DEFINE_string("text", None, "Text of one record to annotate.")
_INPUT = define_path("input", None, "File of records to annotate.", stream="input")
_FORMAT = define_format_flags()
_OUTPUT = define_path("output", None, "File to write; by default, standard output.", stream="output")
_TO = define_to(
    "ccks2019, JSON lines. Standard output has JSON lines. label_studio writes predictions with their probabilities."
)
_ON_ERROR = define_on_error("OUTPUT.rejects.jsonl")
_RESUME = flags.DEFINE_bool(
    "resume", False, "Continue an interrupted job after the records in OUTPUT.partial."
)
_COLOUR = flags.DEFINE_enum(
    "colour",
    "auto",
    ["auto", "always", "never"],
    "Print coloured text instead of JSON on standard output; auto does so on a terminal.",
)


# These flags only apply to --server.
_SERVER_FLAGS = (
    _PROTOCOL,
    _MODEL_NAME,
    _VERSION,
    _VERSION_LABEL,
    _DEADLINE_S,
    _RETRY_TIMEOUT_S,
    _MAX_RECORDS,
    _MAX_CHARACTERS,
    _CONCURRENCY,
    _MAX_MESSAGE_MB,
    _HEADER,
    _TLS,
    _TLS_CA,
    _TLS_CERT,
    _TLS_KEY,
)


def main() -> None:
    """Annotates the records that the flags name."""
    _check_flags()

    from emr_ner_tf.api import load
    from emr_ner_tf.cli.colours import coloured
    from emr_ner_tf.data.atomic_io import STANDARD, check_not_an_input, is_stream
    from emr_ner_tf.data.labels import CCKS2019_LABELS
    from emr_ner_tf.data.reading import read_documents
    from emr_ner_tf.data.rejects import RejectsWriter
    from emr_ner_tf.data.writing import write_documents

    # A folder is not a stream, and some formats are folders.
    to_stream = _OUTPUT.value is None or (is_stream(_OUTPUT.value) and not os.path.isdir(_OUTPUT.value))
    if to_stream and _RESUME.value:
        raise UsageError(
            "--resume requires --output to be a file, since the finished records of a job are kept beside it"
        )
    if to_stream and _TO.value not in (None, "ccks2019"):
        raise UsageError(
            f"--to={_TO.value} requires --output to be a file; to write a stream in it, pipe the JSON lines into "
            f"emr-ner data convert --input=- --to={_TO.value}"
        )
    if _OUTPUT.value is not None:
        check_not_an_input(_OUTPUT.value, [_INPUT.value or "", format_options().tag_names])
    rejects = RejectsWriter.beside(_OUTPUT.value, [_INPUT.value or ""]) if _ON_ERROR.value == "skip" else None
    annotator = _from_server() if _SERVER.value is not None else load(_BUNDLE.value)
    if _TEXT.value is not None:
        documents = iter([Document("--text", _TEXT.value, extra={})])
    else:
        documents = read_documents(_INPUT.value, rejects=rejects, **_reading())
    with contextlib.nullcontext() if rejects is None else rejects:
        if not to_stream:
            _to_file(documents, annotator)
        elif _OUTPUT.value is None and (
            _COLOUR.value == "always" or (_COLOUR.value == "auto" and sys.stdout.isatty())
        ):
            for document in annotator.annotate(documents):
                coloured(document, annotator.labels or tuple(CCKS2019_LABELS))
        else:
            write_documents(_OUTPUT.value or STANDARD, annotator.annotate(documents))
    if rejects is not None and rejects.count:
        logging.warning("%d records rejected, see %s", rejects.count, rejects.path)


def _check_flags() -> None:
    if (_BUNDLE.value is None) == (_SERVER.value is None):
        raise UsageError("exactly one of --bundle and --server is required")
    if (_TEXT.value is None) == (_INPUT.value is None):
        raise UsageError("exactly one of --text and --input is required")
    if _VERSION.value is not None and _VERSION_LABEL.value is not None:
        raise UsageError("--version and --version_label cannot be given together")
    if _BUNDLE.value is not None:
        extra = [f"--{flag.name}" for flag in _SERVER_FLAGS if flags.FLAGS[flag.name].present]
        if extra:
            raise UsageError(
                f"{', '.join(extra)} can only be given with --server; to use a version of a bundle, name its "
                "directory, such as --bundle=BUNDLES/3"
            )


def _to_file(documents: Iterator[Document], annotator: Annotator) -> None:
    from emr_ner_tf.client.options import ServingError
    from emr_ner_tf.inference.file_job import annotate_to_file, partial_path

    try:
        result = annotate_to_file(
            documents,
            annotator,
            _OUTPUT.value,
            resume=_RESUME.value,
            total=1 if _TEXT.value is not None else count_for_bar([_INPUT.value], **_reading()),
            format=output_format(_TO.value, _OUTPUT.value, "ccks2019"),
        )
    except ServingError as error:
        partial = partial_path(_OUTPUT.value)
        if error.code == "NOT_FOUND" and annotator.version is not None and partial.exists():
            raise UserError(
                f"{_SERVER.value}: not every server has version {annotator.version} of {_MODEL_NAME.value} (any more, "
                f"or yet), which annotated the records in {partial}; serve it again and continue with --resume, or "
                f"remove {partial} to start again with another version"
            ) from error
        raise
    new = result.records - result.resumed
    logging.info(
        "%s: %d records, %d of them from before --resume; %d entities in the others, %.1f records/s",
        _OUTPUT.value,
        result.records,
        result.resumed,
        result.entities,
        new / max(result.seconds, 1e-9),
    )


def _reading() -> dict[str, Any]:
    return {
        "format": _FORMAT.value,
        "overlaps": "longest",
        "require_entities": False,
        "options": format_options(),
    }


def _from_server() -> Annotator:
    from emr_ner_tf.client.options import ClientOptions, TlsFiles
    from emr_ner_tf.inference.file_job import partial_version

    secured = _TLS.value or _TLS_CA.value or _TLS_CERT.value or _TLS_KEY.value
    options = ClientOptions(
        model=_MODEL_NAME.value,
        version=_VERSION.value,
        label=_VERSION_LABEL.value,
        deadline_s=_DEADLINE_S.value,
        retry_timeout_s=_RETRY_TIMEOUT_S.value,
        max_records=_MAX_RECORDS.value,
        max_characters=_MAX_CHARACTERS.value,
        concurrency=_CONCURRENCY.value,
        max_message_bytes=int(_MAX_MESSAGE_MB.value * (1 << 20)),
        headers=_headers(),
        tls=TlsFiles(_TLS_CA.value, _TLS_CERT.value, _TLS_KEY.value) if secured else None,
    )
    if _PROTOCOL.value == "rest":
        from emr_ner_tf.client.rest_client import RestClient as Client
    else:
        from emr_ner_tf.client.grpc_client import GrpcClient as Client
    client = Client(_SERVER.value, options)
    if _RESUME.value and _VERSION.value is None:
        version = partial_version(_OUTPUT.value)
        if version is not None:
            client.pin(version)
    return client


def _headers() -> dict[str, str]:
    from emr_ner_tf.client.headers import check_headers

    headers = {}
    for given in _HEADER.value:
        name, equals, value = given.partition("=")
        if not (name and equals):
            raise UsageError(f"--header must be NAME=VALUE, got {len(given)} characters in another form")
        try:
            check_headers({name: value})
        except UserError as error:
            raise UsageError(f"--header: {error}") from None
        if name.lower() in (known.lower() for known in headers):
            raise UsageError(f"--header: {name!r} is given twice")
        headers[name] = value
    return headers


def _own_process() -> None:
    """Annotates in a process that ends with the command; one that goes on may train."""
    if _BUNDLE.value is not None:
        from emr_ner_tf.exporting.packed_weights import keep_packed_weights

        keep_packed_weights(_BUNDLE.value)
    main()


if __name__ == "__main__":
    run(_own_process)
