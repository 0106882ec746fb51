"""The part of a client that is the same over gRPC and REST: its name, its version, and texts in several requests."""

import abc
from collections.abc import Sequence

from emr_ner_tf.client.chunking import Piece, merge, plan_requests
from emr_ner_tf.client.options import ClientOptions
from emr_ner_tf.client.version_pin import VersionPin
from emr_ner_tf.data.document import Entity
from emr_ner_tf.data.texts import check_texts


class PinnedClient(abc.ABC):
    """A client whose answers are all of one version, see `VersionPin`.

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
        """The version that is asked for: `options.version` or, where it is pinned, the first answer's; None before."""
        return self._pin.asked.version

    @property
    def name(self) -> str:
        """The server and the model."""
        return f"{self.target} {self.options.model}"

    def predict(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        """Entities of each text, in as many requests as `options` asks for.

        Raises:
            ServingError: the server refuses, or is away for longer than `options.retry_timeout_s`; `VersionGoneError`
                where it no longer has the version of the earlier answers.
            UserError: a text is no string, or holds a lone surrogate.
        """
        texts = check_texts(texts)  # says which text cannot be sent, before any is
        limits = self.options.max_records, self.options.max_characters
        pieces, entities = [], []
        for request in plan_requests(texts, max_records=limits[0], max_characters=limits[1]):
            pieces += request
            entities += self._predict(texts, request)
        return merge(len(texts), pieces, entities)

    @abc.abstractmethod
    def _predict(self, texts: Sequence[str], request: Sequence[Piece]) -> list[tuple[Entity, ...]]:
        """Returns the entities of each piece of a request."""
