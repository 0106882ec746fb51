"""Finds the entities of raw records with a bundle, or with a server that serves one.

One text, coloured:

  python -m emr_ner_tf.cli.annotate --bundle=runs/bundles/ner --text='患者因腹痛入院。'

A file of JSON lines, or of plain text with one record a line, into JSON lines:

  python -m emr_ner_tf.cli.annotate --bundle=runs/bundles/ner --input=records.jsonl --output=found.jsonl
  python -m emr_ner_tf.cli.annotate --bundle=runs/bundles/ner --input=notes.txt --format=text --output=found.jsonl

The same by a server's work (TensorFlow Serving, or emr_ner_tf.cli.serve), over gRPC or, with --protocol=rest, REST:

  python -m emr_ner_tf.cli.annotate --server=localhost:8500 --input=records.jsonl --output=found.jsonl

A job that dies leaves found.jsonl.partial; the same command with --resume goes on from there.
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple

from absl import flags, logging

from emr_ner_tf.annotator import TagTexts
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.errors import UsageError

_BUNDLE = define_path("bundle", None, "A bundle's version, or the directory of its versions (newest taken).")
_SERVER = flags.DEFINE_string("server", None, "HOST:PORT of a server, instead of --bundle.")
_PROTOCOL = flags.DEFINE_enum("protocol", "grpc", ["grpc", "rest"], "Of --server.")
_MODEL_NAME = flags.DEFINE_string("model_name", "ner", "Of --server.")
_VERSION = flags.DEFINE_integer("version", None, "Of the model of --server; without it its newest.")
_VERSION_LABEL = flags.DEFINE_string("version_label", None, "Instead of --version.")
_DEADLINE_S = flags.DEFINE_float("deadline_s", 60.0, "Seconds that one request to --server may take.", 0.001)
_PATIENCE_S = flags.DEFINE_float(
    "patience_s", 30.0, "Seconds to try again while --server is away or full.", 0.0
)
_MAX_RECORDS = flags.DEFINE_integer(
    "max_records", 32, "Most texts of a request to --server; at most its own max_batch_size.", 1
)
_MAX_CHARACTERS = flags.DEFINE_integer(
    "max_characters",
    16_384,
    "Most characters of a request to --server, padding included; longer texts are cut with an overlap.",
    1024,
)
_MAX_MESSAGE_MB = flags.DEFINE_float("max_message_mb", 64.0, "Most of a request or an answer.", 0.001)
_HEADER = flags.DEFINE_multi_string(
    "header", [], "NAME=VALUE to send with each request. A token is better kept in a file: --flagfile=FILE."
)
_TLS = flags.DEFINE_bool("tls", False, "Speak TLS with --server; implied by each of the other --tls flags.")
_TLS_CA = define_path("tls_ca", None, "Authority of the server's certificate (PEM).")
_TLS_CERT = define_path("tls_cert", None, "This client's certificate (PEM), where the server wants one.")
_TLS_KEY = define_path("tls_key", None, "Key of --tls_cert (PEM).")
_TEXT = flags.DEFINE_string("text", None, "One record.")
_INPUT = define_path("input", None, "A file of records.", stream="input")
_FORMAT = flags.DEFINE_enum(
    "format", "ccks2019", ["ccks2019", "text"], "Of --input: CCKS2019 JSON lines, or one record a line."
)
_OUTPUT = define_path(
    "output", None, "Takes JSON lines; without it they go to standard output.", stream="output"
)
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


def main() -> None:
    """Annotates what the flags name."""
    if (_BUNDLE.value is None) == (_SERVER.value is None):
        raise UsageError("give --bundle or --server, one of the two")
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

    tagger = _from_server() if _SERVER.value is not None else _from_bundle()
    rejects = RejectsWriter(f"{_OUTPUT.value}.rejects.jsonl") if _ON_ERROR.value == "skip" else None
    if _TEXT.value is not None:
        documents = iter([Document("--text", _TEXT.value)])
    else:
        documents = read_documents(
            _INPUT.value, format=_FORMAT.value, overlaps="longest", rejects=rejects, require_entities=False
        )
    if _OUTPUT.value is None:
        in_colour = _COLOUR.value == "always" or (_COLOUR.value == "auto" and sys.stdout.isatty())
        for document in annotate(documents, tagger.tag_texts):
            if in_colour:
                coloured(document, tagger.labels)
            else:
                print(record_line(document))
        return
    result = annotate_to_file(
        documents, tagger.tag_texts, _OUTPUT.value, model=tagger.name, resume=_RESUME.value
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


class _Tagger(NamedTuple):
    """What annotates: texts to entities, the labels for colours, and what a job calls the model."""

    tag_texts: TagTexts
    labels: Sequence[str]
    name: str


def _from_bundle() -> _Tagger:
    from emr_ner_tf.exporting.bundle import Bundle

    bundle = Bundle(_BUNDLE.value)
    return _Tagger(bundle.tag_texts, bundle.definition.labels, bundle.fingerprint())


def _from_server() -> _Tagger:
    from emr_ner_tf.data.labels import CCKS2019_LABELS
    from emr_ner_tf.serving.client_options import ClientOptions, TlsFiles

    secured = _TLS.value or _TLS_CA.value or _TLS_CERT.value or _TLS_KEY.value
    options = ClientOptions(
        model=_MODEL_NAME.value,
        version=_VERSION.value,
        label=_VERSION_LABEL.value,
        deadline_s=_DEADLINE_S.value,
        patience_s=_PATIENCE_S.value,
        max_records=_MAX_RECORDS.value,
        max_characters=_MAX_CHARACTERS.value,
        max_message_bytes=int(_MAX_MESSAGE_MB.value * (1 << 20)),
        headers=_headers(),
        tls=TlsFiles(_TLS_CA.value, _TLS_CERT.value, _TLS_KEY.value) if secured else None,
    )
    if _PROTOCOL.value == "rest":
        from emr_ner_tf.serving.rest_client import RestClient as Client
    else:
        from emr_ner_tf.serving.grpc_client import GrpcClient as Client
    client = Client(_SERVER.value, options)
    version = options.label or options.version or "newest"
    return _Tagger(client.tag_texts, tuple(CCKS2019_LABELS), f"{_SERVER.value} {options.model} {version}")


def _headers() -> dict[str, str]:
    headers = {}
    for given in _HEADER.value:
        name, equals, value = given.partition("=")
        if not (name and equals):
            raise UsageError(f"--header must be NAME=VALUE, got {len(given)} characters without that")
        headers[name] = value
    return headers


if __name__ == "__main__":
    run(main)
