"""The models of a server, by name."""

import contextlib
from collections.abc import Sequence

from tensorflow_serving.apis import get_model_status_pb2, model_pb2

from emr_ner_tf.server.servable import Servable
from emr_ner_tf.server.version_manager import VersionManager


class ServedModels:
    """Version managers by the name of their model.

    Attributes:
        managers: version managers in the order in which they were given; the first one is the server's main model.
        names: names of the models.
    """

    def __init__(self, managers: Sequence[VersionManager]) -> None:
        self.managers = tuple(managers)
        self.names = tuple(manager.name for manager in managers)

    def use(self, spec: model_pb2.ModelSpec) -> contextlib.AbstractContextManager[Servable]:
        """See `VersionManager.use`."""
        return self._of(spec.name).use(spec)

    def status(self, spec: model_pb2.ModelSpec) -> get_model_status_pb2.GetModelStatusResponse:
        """See `VersionManager.status`."""
        return self._of(spec.name).status(spec)

    def _of(self, name: str) -> VersionManager:
        # The first one refuses an unknown name.
        return next((one for one in self.managers if one.name == name), self.managers[0])
