"""The parts that the gRPC and the REST client share: name, version, and the distribution of texts over requests."""

import abc
from collections.abc import Callable, Iterator, Sequence

from emr_ner_tf.client.chunking import Piece, merge, plan_requests
from emr_ner_tf.client.options import ClientOptions
from emr_ner_tf.client.version_pin import VersionPin
from emr_ner_tf.data.document import Entity
from emr_ner_tf.data.texts import check_texts


class PinnedClient(abc.ABC):
    """A client whose answers all come from one version; see `VersionPin`.

    Attributes:
        target: the address of the server.
        options: see `ClientOptions`.
    """

    def __init__(self, target: str, options: ClientOptions | None) -> None:
        self.target = target
        self.options = options or ClientOptions()
        self._pin = VersionPin(target, self.options)

    @property
    def version(self) -> int | None:
        """The requested version: `options.version` or, if pinned, that of the first answer; None if not yet known."""
        return self._pin.requested.version

    def pin(self, version: int) -> None:
        """Asks for a version from now on, as if it had given the first answer."""
        self._pin.pin(version)

    @property
    def name(self) -> str:
        """The server and the model."""
        return f"{self.target} {self.options.model}"

    def predict(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        """Returns the entities of each text, using several requests if `options` requires it.

        Raises:
            ServingError: the server refuses a request, or is unavailable for longer than `options.retry_timeout_s`.
                `VersionGoneError`: for as long, it does not have the version of the earlier answers.
            UserError: a text is not a string, or contains a lone surrogate.
        """
        texts = check_texts(texts)  # an invalid text is an error before anything is sent
        limits = self.options.max_records, self.options.max_characters
        requests = plan_requests(texts, max_records=limits[0], max_characters=limits[1])
        pieces = [piece for request in requests for piece in request]
        entities = [members for answer in self._answers(texts, requests) for members in answer]
        return merge(len(texts), pieces, entities)

    def _predict_pool(
        self, texts: Sequence[str], batch_characters: int, on_progress: Callable[[int], object]
    ) -> list[tuple[Entity, ...]]:
        # `options` limits the requests, and several of them may be in flight.
        found = self.predict(texts)
        on_progress(len(texts))
        return found

    def _answers(
        self, texts: Sequence[str], requests: Sequence[Sequence[Piece]]
    ) -> Iterator[list[tuple[Entity, ...]]]:
        """Yields the entities of each piece of each request."""
        for request in requests:
            yield self._predict(texts, request)

    @abc.abstractmethod
    def _predict(self, texts: Sequence[str], request: Sequence[Piece]) -> list[tuple[Entity, ...]]:
        """Returns the entities of each piece of a request."""
