"""A development server: a bundle behind TensorFlow Serving's own interfaces, where no container engine is at hand."""

import dataclasses
import pathlib
import time
from collections.abc import Mapping

import grpc

from emr_ner_tf.errors import UserError
from emr_ner_tf.serving.server_batching import Batcher, BatchingOptions
from emr_ner_tf.serving.server_grpc import GrpcServer
from emr_ner_tf.serving.server_predict import Predictor
from emr_ner_tf.serving.server_versions import Versions

# Threads for questions about health, status and metadata, and for refusals, while all others wait for answers.
_SPARE_THREADS = 16


@dataclasses.dataclass(frozen=True)
class Tls:
    """Files of certificates, PEM.

    Attributes:
        certificate: the server's own chain.
        key: of the certificate.
        client_ca: signs the clients; None where a client needs no certificate.
    """

    certificate: str
    key: str
    client_ca: str | None = None


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """What is served, and how.

    Attributes:
        bundle: directory of the versions.
        model_name: under which they are served.
        host: address to listen on.
        port: of gRPC; 0 is any free one.
        num_versions: how many of the newest are served.
        labels: version by label.
        poll_s: seconds between looks for other versions; 0 is never.
        max_message_bytes: of a request.
        max_characters: of a request, each of its texts counted as long as the longest.
        batching: how requests are merged.
        tls: None for plain connections.
    """

    bundle: str
    model_name: str = "ner"
    host: str = "127.0.0.1"
    port: int = 8500
    num_versions: int = 1
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)
    poll_s: float = 2.0
    max_message_bytes: int = 64 << 20
    max_characters: int = 262_144
    batching: BatchingOptions = dataclasses.field(default_factory=BatchingOptions)
    tls: Tls | None = None


class Server:
    """The server.

    Attributes:
        versions: of the model.
        port: of gRPC.
    """

    def __init__(self, options: ServerOptions) -> None:
        """Loads the model and listens.

        Raises:
            UserError: no version can be loaded, a port cannot be had, or a certificate cannot be read.
        """
        credentials = None if options.tls is None else _credentials(options.tls)
        self.versions = Versions(
            options.model_name, options.bundle, count=options.num_versions, labels=options.labels
        )
        self._batcher = Batcher(options.batching)
        predictor = Predictor(self.versions, self._batcher, options.max_characters)
        self._grpc = GrpcServer(
            predictor,
            f"{options.host}:{options.port}",
            max_message_bytes=options.max_message_bytes,
            threads=options.batching.max_requests + _SPARE_THREADS,
            credentials=credentials,
        )
        self.port = self._grpc.port
        self.versions.start(options.poll_s)
        self._grpc.start()

    def stop(self, grace_s: float) -> bool:
        """Says that it is not serving, refuses new requests, and answers those that it has.

        Args:
            grace_s: seconds that these may take; then they are broken off.

        Returns:
            Whether all were answered in time.
        """
        until = time.monotonic() + grace_s
        self._grpc.stop(grace_s)()
        in_time = time.monotonic() < until
        self.versions.close()
        return in_time


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    files = [_read(name) for name in (tls.key, tls.certificate)]
    ca = None if tls.client_ca is None else _read(tls.client_ca)
    return grpc.ssl_server_credentials(
        [(files[0], files[1])], root_certificates=ca, require_client_auth=ca is not None
    )


def _read(name: str) -> bytes:
    content = pathlib.Path(name).read_bytes()
    if b"-----BEGIN " not in content:
        raise UserError(f"{name}: not a PEM file")
    return content
