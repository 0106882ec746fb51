"""The client of TensorFlow Serving over gRPC."""

import collections
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import tenacity
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from emr_ner_tf.client import protos as messages
from emr_ner_tf.client.chunking import Piece
from emr_ner_tf.client.options import ClientOptions, check_target
from emr_ner_tf.client.pinned_client import PinnedClient
from emr_ner_tf.client.retry import is_temporary, retry_policy
from emr_ner_tf.data.document import Entity
from emr_ner_tf.inference.annotator import Annotator


class GrpcClient(PinnedClient, Annotator):
    """Annotates over one open connection; safe to use from several threads.

    Attributes:
        target: `host:port`, or any name that gRPC resolves.
        options: see `ClientOptions`.
    """

    def __init__(self, target: str, options: ClientOptions | None = None) -> None:
        """Opens the channel.

        Raises:
            UserError: `target` is not an address.
        """
        super().__init__(check_target(target, resolvers=True), options)
        secured = messages.credentials(self.options)
        arguments = messages.channel_arguments(self.options)
        if secured is None:
            self._channel = grpc.insecure_channel(target, arguments)
        else:
            self._channel = grpc.secure_channel(target, secured, arguments)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def status(self) -> list[messages.VersionStatus]:
        """Returns the versions that the server knows; raises the errors of `predict`."""
        request = messages.status_request(self.options)
        return messages.statuses(self._call(self._model.GetModelStatus, request, self.options))

    def signatures(self) -> dict[str, messages.Signature]:
        """Returns the signatures of the version in use; raises the errors of `predict`."""
        requested = self._pin.requested
        request = messages.metadata_request(requested)
        return messages.signatures(self._call(self._prediction.GetModelMetadata, request, requested))

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def _answers(
        self, texts: Sequence[str], requests: Sequence[Sequence[Piece]]
    ) -> Iterator[list[tuple[Entity, ...]]]:
        requests = collections.deque(requests)
        if self._pin.open and requests:
            # Its answer pins the version that the others ask for.
            yield self._predict(texts, requests.popleft())
        in_flight: collections.deque[tuple[Sequence[Piece], ClientOptions, Any]] = collections.deque()
        try:
            while requests or in_flight:
                while requests and len(in_flight) < self.options.concurrency:
                    request, requested = requests.popleft(), self._pin.requested
                    message = messages.predict_request(texts, request, requested, self.target)
                    call = self._prediction.Predict.future(
                        message, timeout=self.options.deadline_s, metadata=messages.metadata(self.options)
                    )
                    in_flight.append((request, requested, call))
                yield self._finish(texts, *in_flight.popleft())
        finally:
            for *_, call in in_flight:
                call.cancel()

    def _finish(
        self, texts: Sequence[str], request: Sequence[Piece], requested: ClientOptions, call: Any
    ) -> list[tuple[Entity, ...]]:
        """Waits for a request in flight; repeats it if that may help, or if the version is another one."""
        try:
            answer = call.result()
        except grpc.RpcError as error:
            failure = self._pin.explain(messages.from_rpc_error(self.target, error), requested)
        else:
            if self._pin.take(messages.version_of(answer), requested):
                return messages.predicted(answer, request, self.target)
            return self._predict(texts, request)
        if is_temporary(failure):
            return self._predict(texts, request)
        raise failure

    def _predict(self, texts: Sequence[str], request: Sequence[Piece]) -> list[tuple[Entity, ...]]:
        while True:
            requested = self._pin.requested
            message = messages.predict_request(texts, request, requested, self.target)
            answer = self._call(self._prediction.Predict, message, requested)
            if self._pin.take(messages.version_of(answer), requested):
                return messages.predicted(answer, request, self.target)

    def _call(self, method: Callable[..., Any], request: Any, requested: ClientOptions) -> Any:
        policy = retry_policy(self.options.retry_timeout_s)
        return tenacity.Retrying(**policy)(self._call_once, method, request, requested)

    def _call_once(self, method: Callable[..., Any], request: Any, requested: ClientOptions) -> Any:
        try:
            return method(request, timeout=self.options.deadline_s, metadata=messages.metadata(self.options))
        except grpc.RpcError as error:
            failure = self._pin.explain(messages.from_rpc_error(self.target, error), requested)
        # Raised outside the handler, so that gRPC's error, which may quote a text, is not its context.
        raise failure
