"""The gRPC client for asyncio: the same methods, with several requests in flight."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

import grpc
import tenacity
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from emr_ner_tf.client import protos as messages
from emr_ner_tf.client.chunking import Piece, merge, plan_requests
from emr_ner_tf.client.options import ClientOptions, check_target
from emr_ner_tf.client.retry import retry_policy
from emr_ner_tf.client.version_pin import VersionPin
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.texts import check_texts
from emr_ner_tf.inference.annotator import pool_documents


class AsyncGrpcClient:
    """The same as `GrpcClient`, with coroutines.

    Attributes:
        target: `host:port`, or any name that gRPC resolves.
        options: see `ClientOptions`.
    """

    def __init__(self, target: str, options: ClientOptions | None = None) -> None:
        """Opens the channel; must be called in a running event loop.

        Raises:
            UserError: `target` is not an address.
        """
        self.target = check_target(target, resolvers=True)
        self.options = options or ClientOptions()
        self._pin = VersionPin(target, self.options)
        secured = messages.credentials(self.options)
        arguments = messages.channel_arguments(self.options)
        if secured is None:
            self._channel = grpc.aio.insecure_channel(target, arguments)
        else:
            self._channel = grpc.aio.secure_channel(target, secured, arguments)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._slots = asyncio.Semaphore(self.options.concurrency)

    @property
    def version(self) -> int | None:
        """See `GrpcClient.version`."""
        return self._pin.requested.version

    async def annotate(self, documents: Iterable[Document]) -> AsyncIterator[Document]:
        """See `GrpcClient.annotate`."""
        for pool in pool_documents(documents):
            for found in await self._annotate_pool(pool):
                yield found

    async def predict(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        """See `GrpcClient.predict`; up to `options.concurrency` requests are in flight."""
        texts = check_texts(texts)  # an invalid text is an error before anything is sent
        options = self.options
        requests = plan_requests(
            texts, max_records=options.max_records, max_characters=options.max_characters
        )
        tasks = [asyncio.ensure_future(self._predict(texts, request)) for request in requests]
        try:
            answers = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        pieces = [piece for request in requests for piece in request]
        return merge(len(texts), pieces, [entities for answer in answers for entities in answer])

    async def status(self) -> list[messages.VersionStatus]:
        """See `GrpcClient.status`."""
        request = messages.status_request(self.options)
        return messages.statuses(await self._call(self._model.GetModelStatus, request, self.options))

    async def signatures(self) -> dict[str, messages.Signature]:
        """See `GrpcClient.signatures`."""
        requested = self._pin.requested
        request = messages.metadata_request(requested)
        return messages.signatures(await self._call(self._prediction.GetModelMetadata, request, requested))

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()

    async def __aenter__(self) -> "AsyncGrpcClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _annotate_pool(self, pool: Sequence[Document]) -> list[Document]:
        found = await self.predict([document.text for document in pool])
        pairs = zip(pool, found, strict=True)
        return [dataclasses.replace(document, entities=entities) for document, entities in pairs]

    async def _predict(self, texts: Sequence[str], request: Sequence[Piece]) -> list[tuple[Entity, ...]]:
        async with self._slots:
            while True:
                requested = self._pin.requested
                message = messages.predict_request(texts, request, requested, self.target)
                answer = await self._call(self._prediction.Predict, message, requested)
                if self._pin.take(messages.version_of(answer), requested):
                    return messages.predicted(answer, request, self.target)

    async def _call(self, method: Callable[..., Any], request: Any, requested: ClientOptions) -> Any:
        policy = retry_policy(self.options.retry_timeout_s)
        return await tenacity.AsyncRetrying(**policy)(self._call_once, method, request, requested)

    async def _call_once(self, method: Callable[..., Any], request: Any, requested: ClientOptions) -> Any:
        try:
            return await method(
                request, timeout=self.options.deadline_s, metadata=messages.metadata(self.options)
            )
        except grpc.RpcError as error:
            failure = self._pin.explain(messages.from_rpc_error(self.target, error), requested)
        # Raised outside the handler, as in `GrpcClient`.
        raise failure
