"""One loaded version of a model. Only TensorFlow is imported, because a bundle needs none of the training code."""

import os
import pathlib
import threading
import time
from collections.abc import Mapping

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.versioning import GRAPH
from emr_ner_tf.server.errors import RequestError

DEFAULT_SIGNATURE = "serving_default"
_TAGS = pathlib.Path("assets") / "tags.txt"
_WARM_UP = pathlib.Path("assets.extra") / "tf_serving_warmup_requests"
_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Servable:
    """A version in memory.

    Attributes:
        version: its number.
        signature_defs: signatures of the SavedModel by name.
        labels: labels of its entities, in the model's order; empty if the directory does not name them.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        version: int,
        *,
        warm_up_s: float = 0.0,
        closing: threading.Event | None = None,
    ) -> None:
        """Loads the SavedModel of a version's directory; raises UserError for a damaged graph, or TensorFlow's errors.

        Args:
            path: path of the directory.
            version: number of the version.
            warm_up_s: maximum time for the warm-up requests in the directory; they are run so that no caller waits for
                the preparations of a first call.
            closing: event that stops the warm-up when it is set.
        """
        self.version = version
        graph = pathlib.Path(path) / GRAPH
        saved = saved_model_pb2.SavedModel()
        try:
            saved.ParseFromString(graph.read_bytes())
            self.signature_defs: Mapping[str, meta_graph_pb2.SignatureDef] = dict(
                saved.meta_graphs[0].signature_def
            )
        except FileNotFoundError as error:
            # The folder is empty or an incomplete copy. As in TensorFlow Serving, no older version replaces it.
            raise UserError(
                f"{graph}: {error.strerror}; copy or export the version again, or remove its folder"
            ) from error
        except (DecodeError, IndexError) as error:
            raise UserError(
                f"{graph}: is empty, cut off or damaged; copy or export the bundle again"
            ) from error
        self.labels = _labels(pathlib.Path(path) / _TAGS)
        # The functions hold no reference to the object that owns their variables.
        self._model = tf.saved_model.load(os.fspath(path))
        self._functions = self._model.signatures
        requests = pathlib.Path(path) / _WARM_UP
        if warm_up_s > 0 and requests.exists():
            self._warm_up(requests, time.monotonic() + warm_up_s, closing or threading.Event())

    def signature(self, name: str) -> meta_graph_pb2.SignatureDef:
        """Returns the signature that a request names; an empty name is the default signature.

        Raises:
            RequestError: FAILED_PRECONDITION, there is no such signature.
        """
        name = name or DEFAULT_SIGNATURE
        if name not in self._functions:
            raise RequestError(
                grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
            )
        return self.signature_defs[name]

    def merges(self, name: str) -> bool:
        """Returns whether requests to a signature can be merged: it maps texts to rows of entities."""
        signature = self.signature_defs[name]
        return (
            name == DEFAULT_SIGNATURE
            and [*signature.inputs] == ["text"]
            and signature.inputs["text"].dtype == types_pb2.DT_STRING
            and "num_entities" in signature.outputs
        )

    def run(self, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Calls a signature.

        Args:
            name: name of the signature.
            inputs: arrays of the signature's types by name; strings as objects that are bytes.

        Returns:
            Arrays by name.

        Raises:
            RequestError: an operation failed.
        """
        types = self.signature_defs[name].inputs
        try:
            tensors = {key: tf.constant(value, types[key].dtype) for key, value in inputs.items()}
            outputs = self._functions[name](**tensors)
        except tf.errors.OpError as error:
            # The message of a failed operation may quote its input.
            code = _GRPC_CODES.get(error.error_code, grpc.StatusCode.INTERNAL)
            raise RequestError(
                code, f"signature {name}: the graph failed with {type(error).__name__}"
            ) from None
        return {key: value.numpy() for key, value in outputs.items()}

    def _warm_up(self, path: pathlib.Path, until: float, closing: threading.Event) -> None:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            if time.monotonic() >= until or closing.is_set():
                return
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.HasField("predict_log"):
                request = log.predict_log.request
                inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
                self.run(request.model_spec.signature_name or DEFAULT_SIGNATURE, inputs)


def _labels(tags: pathlib.Path) -> tuple[str, ...]:
    """Returns labels of the tags, such as B-DRUG, in their order."""
    if not tags.is_file():
        return ()
    lines = tags.read_text(encoding="utf-8").splitlines()
    return tuple(dict.fromkeys(line.partition("-")[2] for line in lines if "-" in line))


def split_rows(outputs: Mapping[str, np.ndarray], rows: list[int]) -> list[dict[str, np.ndarray]]:
    """Splits the outputs of merged requests, each as wide as without merging.

    Args:
        outputs: outputs of `serving_default`: `num_entities` int32 [B], the others [B, E].
        rows: number of rows of each request, in order; their sum is B.

    Returns:
        The outputs of each request.
    """
    parts, begin = [], 0
    for count in rows:
        part = {name: value[begin : begin + count] for name, value in outputs.items()}
        width = int(part["num_entities"].max(initial=0))
        parts.append({name: value[:, :width] if value.ndim > 1 else value for name, value in part.items()})
        begin += count
    return parts
