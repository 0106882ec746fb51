"""Annotates texts of any length with a model of this server, for the page and for annotation tools."""

from collections.abc import Mapping, Sequence

import grpc
import numpy as np
from tensorflow_serving.apis import model_pb2

from emr_ner_tf.client.chunking import merge, plan_requests, texts_of
from emr_ner_tf.data.document import Entity
from emr_ner_tf.data.texts import check_texts
from emr_ner_tf.inference.annotator import decode_entities, encode_texts
from emr_ner_tf.server.batcher import Batcher, PendingRequest
from emr_ner_tf.server.errors import RequestError
from emr_ner_tf.server.servable import DEFAULT_SIGNATURE
from emr_ner_tf.server.served_models import ServedModels

# Maximum number of characters in a call; requests of other callers can run between two calls.
_MAX_RECORDS = 32
_MAX_CHARACTERS = 16_384


class TextAnnotator:
    """Annotates texts through the server's queue.

    Attributes:
        models: the models with their versions.
    """

    def __init__(self, models: ServedModels, batcher: Batcher, max_characters: int) -> None:
        """Stores the arguments.

        Args:
            models: the models with their versions.
            batcher: runs the calls.
            max_characters: limit of a request to the server; a longer text is annotated in pieces.
        """
        self.models = models
        self._batcher = batcher
        self._max_characters = max(1024, min(max_characters, _MAX_CHARACTERS))

    def annotate(
        self, texts: Sequence[str], deadline: float, model: str = "", version: int | None = None
    ) -> tuple[int, list[tuple[Entity, ...]]]:
        """Returns the version that answered and the entities of each text.

        Args:
            texts: any number of texts of any length.
            deadline: time on the clock of `time.monotonic`, for all texts together.
            model: name of the model; the main one if it is empty.
            version: None for the newest one.

        Raises:
            RequestError: an unknown model or version, a call failed, or the deadline has passed.
            UserError: a text cannot be encoded as UTF-8.
        """
        spec = model_pb2.ModelSpec(name=model or self.models.names[0])
        if version is not None:
            spec.version.value = version
        texts = check_texts(texts)
        requests = plan_requests(texts, max_records=_MAX_RECORDS, max_characters=self._max_characters)
        entities = []
        # One version answers for all texts, also while another one takes over.
        with self.models.use(spec) as servable:
            for request in requests:
                parts = encode_texts(texts_of(texts, request))
                longest = max(piece.end - piece.start for piece in request)
                pending = PendingRequest(
                    servable,
                    DEFAULT_SIGNATURE,
                    {"text": np.array(parts, object)},
                    len(parts),
                    longest,
                    deadline,
                )
                entities += decode_entities(self._run(pending))
            found = merge(len(texts), [piece for request in requests for piece in request], entities)
            return servable.version, found

    def _run(self, pending: PendingRequest) -> Mapping[str, np.ndarray]:
        try:
            return self._batcher.run(pending)
        except RequestError as error:
            if error.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            remedy = "send fewer or shorter texts, or start the server with a longer --rest_timeout_s"
            raise RequestError(error.code, f"{error}; {remedy}") from None
