"""A development server with the interfaces of TensorFlow Serving, for machines without a container engine."""

import dataclasses
import functools
import threading
import time
from collections.abc import Mapping, Sequence

from starlette.routing import Route

from emr_ner_tf.server.annotation_tools.routes import tool_routes
from emr_ner_tf.server.batcher import Batcher, BatchingOptions
from emr_ner_tf.server.grpc_server import GrpcServer
from emr_ner_tf.server.http_endpoints import Endpoints
from emr_ner_tf.server.metrics import Metrics
from emr_ner_tf.server.page.routes import page_routes
from emr_ner_tf.server.predictor import Predictor
from emr_ner_tf.server.rest_routes import model_routes
from emr_ner_tf.server.rest_server import RestServer
from emr_ner_tf.server.servable import Servable
from emr_ner_tf.server.served_models import ServedModels
from emr_ner_tf.server.text_annotator import TextAnnotator
from emr_ner_tf.server.tls import Tls
from emr_ner_tf.server.version_manager import VersionManager

# Number of threads for health, status, metadata and refusals, while all other threads wait for answers.
_SPARE_THREADS = 16


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Models to serve, addresses and limits.

    Attributes:
        bundle: directory of the versions.
        model_name: name of the model in requests.
        more_models: directories of the versions of further models by name.
        host: address to listen on.
        port: port for gRPC; 0 selects a free port.
        rest_port: port for REST; 0 selects a free port, None disables REST.
        num_versions: number of newest versions to serve.
        labels: version by label.
        poll_s: polling interval for new versions in seconds; 0 disables polling.
        warm_up_s: maximum time in seconds for the warm-up requests of a version before it serves.
        max_message_bytes: maximum size in bytes of a request.
        max_characters: maximum number of characters of a request, each text counted with the length of the longest.
        rest_timeout_s: deadline of a REST request in seconds, from its first byte.
        max_connections: maximum number of open connections to the REST port.
        cors_origins: origins whose pages may use the REST port; `*` allows any.
        metrics: whether the REST port serves metrics.
        page: whether the REST port serves the page to try the models.
        annotation_tools: whether the REST port serves Label Studio, doccano and INCEpTION.
        batching: settings for merging requests.
        tls: files for TLS; None for plain connections.
    """

    bundle: str
    model_name: str = "ner"
    more_models: Mapping[str, str] = dataclasses.field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 8500
    rest_port: int | None = 8501
    num_versions: int = 1
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)
    poll_s: float = 2.0
    warm_up_s: float = 5.0
    max_message_bytes: int = 64 << 20
    max_characters: int = 65_536
    rest_timeout_s: float = 30.0
    max_connections: int = 512
    cors_origins: Sequence[str] = ()
    metrics: bool = False
    page: bool = False
    annotation_tools: bool = False
    batching: BatchingOptions = dataclasses.field(default_factory=BatchingOptions)
    tls: Tls | None = None


class Server:
    """The server.

    Attributes:
        versions: versions of the model `model_name`.
        models: all models.
        port: port for gRPC.
        rest_port: port for REST; None if REST is disabled.
    """

    def __init__(self, options: ServerOptions) -> None:
        """Loads the models and starts to serve.

        Raises:
            UserError: no version can be loaded, the version of a label cannot be loaded, a port cannot be bound, or a
                certificate cannot be read.
        """
        tls, host = options.tls, options.host
        credentials = None if tls is None else tls.credentials()
        context = None if tls is None else tls.context()
        closing = threading.Event()
        load = functools.partial(Servable, warm_up_s=options.warm_up_s, closing=closing)
        self.versions = VersionManager(
            options.model_name,
            options.bundle,
            count=options.num_versions,
            labels=options.labels,
            load=load,
            closing=closing,
        )
        others = [
            VersionManager(name, directory, count=options.num_versions, load=load, closing=closing)
            for name, directory in options.more_models.items()
        ]
        self.models = ServedModels([self.versions, *others])
        self._batcher = Batcher(options.batching)
        predictor = Predictor(
            self.models, self._batcher, options.max_characters, Metrics() if options.metrics else None
        )
        threads = options.batching.max_requests + _SPARE_THREADS
        self._grpc = GrpcServer(
            predictor,
            host,
            options.port,
            max_message_bytes=options.max_message_bytes,
            threads=threads,
            credentials=credentials,
        )
        self._rest = None
        self._endpoints = Endpoints(threads, options.max_message_bytes, options.rest_timeout_s)
        if options.rest_port is not None:
            self._rest = RestServer(
                self._routes(predictor, options),
                host,
                options.rest_port,
                timeout_s=options.rest_timeout_s,
                max_connections=options.max_connections,
                cors_origins=options.cors_origins,
                context=context,
            )
        self.port = self._grpc.port
        self.rest_port = None if self._rest is None else self._rest.port
        for manager in self.models.managers:
            manager.start(options.poll_s)
        self._grpc.start()
        if self._rest is not None:
            self._rest.start()

    def stop(self, grace_s: float) -> bool:
        """Sets the health status to NOT_SERVING, refuses new requests, and answers running ones.

        Args:
            grace_s: seconds that running requests may take; after that, they are aborted.

        Returns:
            Whether all were answered in time.
        """
        until = time.monotonic() + grace_s
        fronts = [self._grpc] if self._rest is None else [self._grpc, self._rest]
        for front in fronts:
            front.drain()
        in_time = [front.wait_until_idle(max(0.0, until - time.monotonic())) for front in fronts]
        # Requests in the queue are refused while their connections are still open.
        self._batcher.drain()
        self._grpc.close()
        if self._rest is not None:
            in_time.append(self._rest.close(max(0.0, until - time.monotonic())))
        self._endpoints.close()
        for manager in self.models.managers:
            manager.close(max(0.0, until - time.monotonic()))
        return self._batcher.close(max(0.1, until - time.monotonic())) and all(in_time)

    def _routes(self, predictor: Predictor, options: ServerOptions) -> list[Route]:
        texts = TextAnnotator(self.models, self._batcher, options.max_characters)
        routes: list[Route] = []
        if options.page:
            routes += page_routes(texts, self._endpoints)
        if options.annotation_tools:
            routes += tool_routes(texts, self._endpoints)
        # The last of these routes matches all remaining paths.
        return routes + model_routes(predictor, self._endpoints)
