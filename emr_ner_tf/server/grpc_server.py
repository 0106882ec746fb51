"""TensorFlow Serving's gRPC services over a `Predictor`."""

import concurrent.futures
import time
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from absl import logging
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from emr_ner_tf.errors import UserError
from emr_ner_tf.server.address import listen_problem
from emr_ner_tf.server.errors import RequestError, from_exception, invalid_argument, log_refusal
from emr_ner_tf.server.predictor import Predictor
from emr_ner_tf.server.request_counter import RequestCounter

_Answer = TypeVar("_Answer")
_NO_DEADLINE_S = 1e8
# gRPC's own grace period is not used; `close` ends the calls.
_LONG_S = 3600.0
_SETTLE_S = 0.1
_FLUSH_S = 0.3
SERVICES = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; the other calls are UNIMPLEMENTED."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Runs a signature."""

        def answer() -> predict_pb2.PredictResponse:
            left = context.time_remaining()
            # Without a deadline, the remaining time is centuries, which is too long for a timeout.
            deadline = None if left is None or left > _NO_DEADLINE_S else time.monotonic() + left
            return self._predictor.predict(request, deadline, context.add_callback)

        return _answered(context, answer)

    def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Returns the signatures."""
        return _answered(context, lambda: self._predictor.metadata(request))

    def Classify(self, request: object, context: grpc.ServicerContext) -> None:
        """Answers UNIMPLEMENTED, like Regress and MultiInference: a tagger has no such signature."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "this development server has no method but Predict")

    Regress = MultiInference = Classify


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus; only flags configure this server."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Returns the state of each version."""

        def answer() -> get_model_status_pb2.GetModelStatusResponse:
            if not request.HasField("model_spec"):
                raise invalid_argument("Missing ModelSpec")
            return self._predictor.versions.status(request.model_spec)

        return _answered(context, answer)

    def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest, context: grpc.ServicerContext
    ) -> model_management_pb2.ReloadConfigResponse:
        """Answers UNIMPLEMENTED."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "this development server is configured by flags only")


class GrpcServer:
    """The three services on a port.

    Attributes:
        port: bound port.
    """

    def __init__(
        self,
        predictor: Predictor,
        host: str,
        port: int,
        *,
        max_message_bytes: int,
        threads: int,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        """Binds the port.

        Args:
            predictor: answers the requests.
            host: a name or an address, IPv6 without brackets.
            port: port to listen on; 0 selects a free port.
            max_message_bytes: maximum size in bytes of a request.
            threads: number of threads: the maximum number of requests, and some for status and metadata.
            credentials: TLS credentials; None for plain connections.

        Raises:
            UserError: the address cannot be bound.
        """
        options = [
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", -1),
            # Otherwise, a second server on the same port would get half of the requests.
            ("grpc.so_reuseport", 0),
        ]
        self._pool = _CountingPool(threads, thread_name_prefix="grpc")
        self._server = grpc.server(self._pool, options=options)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(predictor), self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(predictor), self._server)
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if credentials is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            self.port = 0
        if self.port == 0:
            problem = listen_problem(host, port) or "gRPC gives no reason"
            raise UserError(f"{address}: gRPC cannot listen there: {problem}")

    def start(self) -> None:
        """Starts serving."""
        self._server.start()
        for service in SERVICES:
            self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

    def drain(self) -> None:
        """Sets the health status to NOT_SERVING and refuses new requests."""
        self._health.enter_graceful_shutdown()
        self._server.stop(_LONG_S)

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Waits for the running requests; returns whether all were answered within `timeout_s` seconds."""
        end = time.monotonic() + timeout_s
        while self._pool.requests.wait_until_idle(max(0.0, end - time.monotonic())):
            # gRPC may have accepted a request that has not reached the pool yet; closing would cancel it.
            time.sleep(_SETTLE_S)
            if self._pool.requests.wait_until_idle(0.0):
                return True
        return False

    def close(self) -> None:
        """Stops, after a short time in which answers can be sent."""
        # Watches of the health status never end by themselves; nor do aborted calls.
        self._server.stop(_FLUSH_S).wait(2 * _FLUSH_S)


class _CountingPool(concurrent.futures.ThreadPoolExecutor):
    """Counts its running calls, which gRPC's server does not report."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.requests = RequestCounter()

    def submit(self, *args: Any, **kwargs: Any) -> concurrent.futures.Future:
        """See the base class."""
        self.requests.begin()
        future = super().submit(*args, **kwargs)
        future.add_done_callback(lambda _: self.requests.end())
        return future


def _answered(context: grpc.ServicerContext, answer: Callable[[], _Answer]) -> _Answer:
    try:
        return answer()
    except RequestError as caught:
        error = caught
        log_refusal(error)
    except Exception as caught:
        error = from_exception(caught)
        logging.error("a request failed: %s", error)
    return context.abort(error.code, str(error))
