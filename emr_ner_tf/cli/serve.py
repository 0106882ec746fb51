"""Serves a bundle over gRPC and REST for development; in production, use TensorFlow Serving.

  emr-ner serve --bundle=runs/bundles/ner

It implements the interfaces of TensorFlow Serving, so clients work with both: gRPC on --port (PredictionService:
Predict, GetModelMetadata; ModelService: GetModelStatus; gRPC health) and REST on --rest_port:

  curl -d '{"instances": ["患者因腹痛入院。"]}' http://localhost:8501/v1/models/ner:predict

When it is ready it writes one line of JSON to standard output: {"ready": true, "model": ..., "versions": [...],
"port": ..., "rest_port": ...}. A version that is exported into --bundle while the server runs is loaded beside
the old one and replaces it without losing a request. After SIGTERM or Ctrl-C the server finishes running requests,
refuses new ones and exits.

--page adds a page to try the model in a browser, at http://localhost:8501/ (`emr-ner try` opens it), and
--annotation_tools the endpoints for Label Studio, doccano and INCEpTION (docs/annotation_tools.md).

With TLS; adding --tls_client_ca=ca.pem admits only clients whose certificate ca.pem has signed:

  emr-ner serve --bundle=runs/bundles/ner --tls_cert=server.pem --tls_key=server.key
"""

import json
import os
import re

from absl import flags, logging

from emr_ner_tf.cli.number_flags import define_float, define_seconds
from emr_ner_tf.cli.path_flags import define_path
from emr_ner_tf.cli.runner import run
from emr_ner_tf.cli.server_process import serve_until_signal
from emr_ner_tf.errors import UsageError

_BUNDLE = define_path("bundle", None, "Directory of a bundle's versions.")
_MODEL_NAME = flags.DEFINE_string("model_name", "ner", "Name of the model in requests.")
_MORE_MODELS = flags.DEFINE_multi_string(
    "more_model",
    [],
    "Further model to serve, as NAME:DIRECTORY of its versions; can be compared on the page.",
)
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0 listens on all interfaces.")
_PORT = flags.DEFINE_integer("port", 8500, "Port for gRPC; 0 picks a free port.", 0, 65535)
_REST_PORT = flags.DEFINE_integer(
    "rest_port", 8501, "Port for REST; 0 picks a free port, -1 disables REST.", -1, 65535
)
_NUM_VERSIONS = flags.DEFINE_integer("num_versions", 1, "Number of newest versions to serve.", 1)
_LABEL = flags.DEFINE_multi_string(
    "label",
    [],
    "Label for a version, as LABEL:VERSION; that version is served as well, and requests may use the label.",
)
_POLL_S = define_seconds("poll_s", 2.0, "Polling interval for new versions in seconds; 0 disables polling.")
_WARMUP_S = define_seconds(
    "warmup_s", 5.0, "Maximum time in seconds for the warm-up requests of a version before it serves."
)
_BATCHING = flags.DEFINE_bool("batching", True, "Merge concurrent requests into one call of the model.")
_BATCH_TEXTS = flags.DEFINE_integer("batch_texts", 32, "Maximum number of texts in a merged call.", 1)
_BATCH_CHARACTERS = flags.DEFINE_integer(
    "batch_characters",
    16_384,
    "Maximum number of characters in a merged call, each text counted with the length of the longest.",
    1,
)
_BATCH_TIMEOUT_MS = define_float(
    "batch_timeout_ms",
    2.0,
    "Time in milliseconds that a request waits for others to be merged with it.",
    0.0,
    1e6,
)
_THREADS = flags.DEFINE_integer("threads", 2, "Number of concurrent calls of the model.", 1, 1024)
_MAX_REQUESTS = flags.DEFINE_integer(
    "max_requests",
    256,
    "Maximum number of waiting and running requests; further ones are refused with UNAVAILABLE.",
    1,
)
_MAX_MESSAGE_MB = flags.DEFINE_integer("max_message_mb", 64, "Maximum size of a request in MiB.", 1, 2047)
_MAX_CHARACTERS = flags.DEFINE_integer(
    "max_characters",
    65_536,
    "Maximum number of characters in a request, each text counted with the length of the longest.",
    1,
)
_REST_TIMEOUT_S = define_seconds(
    "rest_timeout_s", 30.0, "Deadline of a REST request in seconds, from its first byte.", 0.001
)
_MAX_CONNECTIONS = flags.DEFINE_integer(
    "max_connections", 512, "Maximum number of open connections to the REST port; further ones get 503.", 1
)
_CORS_ORIGIN = flags.DEFINE_multi_string(
    "cors_origin", [], "Origin whose web pages may use the REST port, such as https://example.org; * is any."
)
# As browsers send it.
_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#\sA-Z]+")
_METRICS = flags.DEFINE_bool(
    "metrics", False, "Serve metrics for Prometheus at /monitoring/prometheus/metrics of the REST port."
)
_PAGE = flags.DEFINE_bool("page", False, "Serve a page to try the models at the root of the REST port.")
_ANNOTATION_TOOLS = flags.DEFINE_bool(
    "annotation_tools", False, "Serve suggestions to Label Studio, doccano and INCEpTION on the REST port."
)
_TLS_CERT = define_path("tls_cert", None, "Server certificate (PEM, with its chain).")
_TLS_KEY = define_path("tls_key", None, "Private key of --tls_cert (PEM).")
_TLS_CLIENT_CA = define_path(
    "tls_client_ca", None, "Certificate authority (PEM) that must have signed the certificates of clients."
)
_GRACE_S = define_seconds("grace_s", 10.0, "Seconds that running requests may take after a signal to stop.")
flags.mark_flags_as_required(["bundle"])


def main() -> None:
    """Serves until a signal arrives."""
    labels, more_models = _labels(), _more_models()
    if not re.fullmatch(r"[^/:]+", _MODEL_NAME.value):
        raise UsageError(
            "--model_name must not be empty or contain / or :, which separate the parts of a REST path, "
            f"got {_MODEL_NAME.value!r}"
        )
    if not _HOST.value:
        raise UsageError("--host must not be empty; 0.0.0.0 listens on all interfaces")
    if (_TLS_CERT.value is None) != (_TLS_KEY.value is None):
        raise UsageError("--tls_cert and --tls_key must be given together")
    if _TLS_CLIENT_CA.value is not None and _TLS_CERT.value is None:
        raise UsageError("--tls_client_ca requires --tls_cert and --tls_key")
    if _REST_PORT.value < 0 and (
        _PAGE.value or _ANNOTATION_TOOLS.value or _METRICS.value or _CORS_ORIGIN.value
    ):
        raise UsageError(
            "--page, --annotation_tools, --metrics and --cors_origin require a REST port, got --rest_port=-1"
        )
    for origin in _CORS_ORIGIN.value:
        if not _ORIGIN.fullmatch(origin):
            raise UsageError(
                "--cors_origin must be * or an origin as browsers send it, SCHEME://HOST or SCHEME://HOST:PORT in "
                f"lower case without a path, got {origin!r}"
            )
    logging.info("this server is for development; in production, use TensorFlow Serving")
    from emr_ner_tf.exporting.packed_weights import keep_packed_weights
    from emr_ner_tf.server.server import BatchingOptions, Server, ServerOptions, Tls

    keep_packed_weights(_BUNDLE.value, *more_models.values())

    tls = None
    if _TLS_CERT.value is not None:
        tls = Tls(_TLS_CERT.value, _TLS_KEY.value, _TLS_CLIENT_CA.value)
    server = Server(
        ServerOptions(
            bundle=_BUNDLE.value,
            model_name=_MODEL_NAME.value,
            more_models=more_models,
            host=_HOST.value,
            port=_PORT.value,
            rest_port=_REST_PORT.value if _REST_PORT.value >= 0 else None,
            num_versions=_NUM_VERSIONS.value,
            labels=labels,
            poll_s=_POLL_S.value,
            warm_up_s=_WARMUP_S.value,
            max_message_bytes=_MAX_MESSAGE_MB.value << 20,
            max_characters=_MAX_CHARACTERS.value,
            rest_timeout_s=_REST_TIMEOUT_S.value,
            max_connections=_MAX_CONNECTIONS.value,
            cors_origins=_CORS_ORIGIN.value,
            metrics=_METRICS.value,
            page=_PAGE.value,
            annotation_tools=_ANNOTATION_TOOLS.value,
            batching=BatchingOptions(
                enabled=_BATCHING.value,
                max_rows=_BATCH_TEXTS.value,
                max_characters=_BATCH_CHARACTERS.value,
                timeout_s=_BATCH_TIMEOUT_MS.value / 1000,
                threads=_THREADS.value,
                max_requests=_MAX_REQUESTS.value,
            ),
            tls=tls,
        )
    )
    ready = {
        "ready": True,
        "model": _MODEL_NAME.value,
        "versions": server.versions.available(),
        "port": server.port,
        "rest_port": server.rest_port,
    }
    serve_until_signal(server, _GRACE_S.value, json.dumps(ready))


def _more_models() -> dict[str, str]:
    models: dict[str, str] = {}
    for value in _MORE_MODELS.value:
        name, colon, directory = value.partition(":")
        if not (colon and directory and re.fullmatch(r"[^/:]+", name)):
            raise UsageError(f"--more_model must be NAME:DIRECTORY, got {value!r}")
        if name in models or name == _MODEL_NAME.value:
            raise UsageError(f"--more_model: {name!r} is given twice; a name belongs to one model")
        models[name] = os.path.expanduser(directory)
    return models


def _labels() -> dict[str, int]:
    from emr_ner_tf.exporting.versioning import LARGEST, version_number

    labels: dict[str, int] = {}
    for value in _LABEL.value:
        match = re.fullmatch(r"([^/:]+):([0-9]+)", value)
        if match is None:
            raise UsageError(f"--label must be LABEL:VERSION, got {value!r}")
        label, version = match[1], version_number(match[2])
        if version is None:
            raise UsageError(
                f"--label={label}:...: a version must be at most {LARGEST}, got a number of {len(match[2])} digits"
            )
        if label in labels:
            raise UsageError(f"--label: {label!r} is given twice; a label has one version")
        labels[label] = version
    return labels


if __name__ == "__main__":
    run(main)
