"""Serves a bundle for development, where no container engine is at hand. In production use TensorFlow Serving.

  python -m emr_ner_tf.cli.serve --bundle=runs/bundles/ner

It speaks TensorFlow Serving's own interfaces, so that a client written against it needs no change: gRPC
(PredictionService: Predict and GetModelMetadata; ModelService: GetModelStatus; gRPC health) and REST.

When it is ready it writes one line of JSON to standard output, with the ports. A version that is exported into the
directory of --bundle is loaded beside the old one and takes over without a lost request.

SIGTERM or Ctrl-C: requests in work are answered, new ones are refused, and it ends.
"""

import json
import signal
import threading

from absl import flags, logging

from emr_ner_tf.cli.runner import run

_BUNDLE = flags.DEFINE_string("bundle", None, "Directory of a bundle's versions.")
_MODEL_NAME = flags.DEFINE_string("model_name", "ner", "Name that requests give.")
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0 is every one.")
_PORT = flags.DEFINE_integer("port", 8500, "Of gRPC; 0 takes a free one.")
flags.mark_flags_as_required(["bundle"])


def main() -> None:
    """Serves until a signal comes."""
    from emr_ner_tf.serving.server import Server, ServerOptions

    logging.info("a server for development; in production use TensorFlow Serving")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server = Server(
        ServerOptions(bundle=_BUNDLE.value, model_name=_MODEL_NAME.value, host=_HOST.value, port=_PORT.value)
    )
    ready = {
        "ready": True,
        "model": _MODEL_NAME.value,
        "versions": server.versions.available(),
        "port": server.port,
    }
    print(json.dumps(ready), flush=True)
    ended.wait()
    server.stop(10)


if __name__ == "__main__":
    run(main)
