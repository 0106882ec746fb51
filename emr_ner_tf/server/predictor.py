"""Predict and GetModelMetadata: requests checked against a signature, and answered as TensorFlow Serving does."""

import math
import time
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from emr_ner_tf.server.batcher import Batcher, PendingRequest
from emr_ner_tf.server.errors import from_exception, invalid_argument
from emr_ner_tf.server.metrics import Metrics
from emr_ner_tf.server.servable import DEFAULT_SIGNATURE
from emr_ner_tf.server.served_models import ServedModels

# TensorFlow Serving puts values into the field of their type, where clients read them.
_FIELDS = {
    types_pb2.DT_STRING: "string_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_BOOL: "bool_val",
}


class Predictor:
    """Answers requests about the models.

    Attributes:
        versions: the models with their versions.
        metrics: counts the requests; None if they are not counted.
    """

    def __init__(
        self, versions: ServedModels, batcher: Batcher, max_characters: int, metrics: Metrics | None = None
    ) -> None:
        """Stores the arguments.

        Args:
            versions: the models with their versions.
            batcher: runs the requests.
            max_characters: maximum number of characters of a request, each text counted with the length of the longest.
            metrics: counts the requests to `predict`.
        """
        self.versions = versions
        self.metrics = metrics
        self._batcher = batcher
        self._max_characters = max_characters

    def predict(
        self,
        request: predict_pb2.PredictRequest,
        deadline: float | None = None,
        on_cancel: Callable[[Callable[[], object]], object] | None = None,
        entrypoint: str = "GRPC",
    ) -> predict_pb2.PredictResponse:
        """Answers a Predict request.

        Args:
            request: request of any client.
            deadline: time on the clock of `time.monotonic`; None means no deadline.
            on_cancel: as in `Batcher.run`.
            entrypoint: "GRPC" or "REST", for the metrics.

        Raises:
            RequestError: with the status that TensorFlow Serving gives.
        """
        if self.metrics is None:
            return self._predict(request, deadline, on_cancel)
        started, status = time.monotonic(), "OK"
        try:
            return self._predict(request, deadline, on_cancel)
        except Exception as error:
            status = from_exception(error).code.name
            raise
        finally:
            # Callers could send any number of other names.
            if request.model_spec.name in self.versions.names:
                self.metrics.record(request.model_spec.name, status, entrypoint, time.monotonic() - started)

    def _predict(
        self,
        request: predict_pb2.PredictRequest,
        deadline: float | None,
        on_cancel: Callable[[Callable[[], object]], object] | None,
    ) -> predict_pb2.PredictResponse:
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        with self.versions.use(request.model_spec) as model:
            name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            signature = model.signature(name)
            inputs, rows, longest = self._inputs(signature, request.inputs)
            wanted = _outputs(signature, request.output_filter)
            pending = PendingRequest(model, name, inputs, rows, longest, deadline)
            outputs = self._batcher.run(pending, on_cancel)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = model.version
        response.model_spec.signature_name = name
        for key in wanted:
            response.outputs[key].CopyFrom(_to_proto(outputs[key], signature.outputs[key].dtype))
        return response

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Answers a GetModelMetadata request with the signatures of the SavedModel.

        Raises:
            RequestError: with the status that TensorFlow Serving gives.
        """
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        if not request.metadata_field:
            raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid_argument(f"Metadata field {field} is not supported")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        with self.versions.use(request.model_spec) as model:
            for name, signature in model.signature_defs.items():
                signatures.signature_def[name].CopyFrom(signature)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = model.version
        response.metadata["signature_def"].Pack(signatures)
        return response

    def _inputs(
        self, signature: meta_graph_pb2.SignatureDef, sent: Mapping[str, tensor_pb2.TensorProto]
    ) -> tuple[dict[str, np.ndarray], int, int]:
        """Returns the checked inputs and their `_size`."""
        extra, missing = sorted(set(sent) - set(signature.inputs)), sorted(set(signature.inputs) - set(sent))
        if len(sent) != len(signature.inputs):
            raise invalid_argument(
                f"input size does not match signature: {len(sent)}!={len(signature.inputs)} "
                f"len({{{','.join(sorted(sent))}}}) != len({{{','.join(sorted(signature.inputs))}}}). "
                f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
            )
        if extra:
            raise invalid_argument(
                f"input tensor alias not found in signature: {extra[0]}. Inputs expected to be in the set "
                f"{{{','.join(sorted(signature.inputs))}}}."
            )
        inputs = {name: self._input(name, sent[name], info) for name, info in signature.inputs.items()}
        if len({value.shape[0] for value in inputs.values() if value.ndim}) > 1:
            raise invalid_argument("input tensors must have equal 0th-dimension size")
        rows, longest = _size(inputs)
        if rows * longest > self._max_characters:
            raise invalid_argument(
                f"{rows} x {longest} characters exceed the limit of {self._max_characters} in a request; "
                "send long texts one by one or in pieces"
            )
        return inputs, rows, longest

    def _input(self, name: str, proto: tensor_pb2.TensorProto, info: meta_graph_pb2.TensorInfo) -> np.ndarray:
        if proto.dtype != info.dtype:
            got, expected = (types_pb2.DataType.Name(dtype) for dtype in (proto.dtype, info.dtype))
            raise invalid_argument(f"input {name} must be {expected}, got {got}")
        shape = [dim.size for dim in proto.tensor_shape.dim]
        expected = [dim.size for dim in info.tensor_shape.dim]
        fits = len(shape) == len(expected) and all(
            size >= 0 and want in (-1, size) for size, want in zip(shape, expected, strict=True)
        )
        if not fits and not info.tensor_shape.unknown_rank:
            raise invalid_argument(f"input {name} must have shape {expected}, got {shape}")
        # A tensor may leave out values that repeat the last one, so its size follows from the shape only.
        if math.prod(shape) > self._max_characters:
            raise invalid_argument(
                f"input {name} has shape {shape}: more than {self._max_characters} elements"
            )
        try:
            if proto.dtype == types_pb2.DT_STRING and not proto.string_val and not proto.tensor_content:
                # `make_ndarray` would repeat a `str`, and all other strings here are bytes.
                return np.full(shape, b"", object)
            return tf.make_ndarray(proto)
        except (ValueError, TypeError, IndexError):
            raise invalid_argument(f"tensor parsing error: {name}") from None


def _outputs(signature: meta_graph_pb2.SignatureDef, asked: list[str]) -> list[str]:
    for i, name in enumerate(asked):
        if name not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{','.join(sorted(signature.outputs))}}}."
            )
        if name in asked[:i]:
            raise invalid_argument(f"duplicate output tensor alias: {name}")
    return list(asked) or sorted(signature.outputs)


def _size(inputs: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Returns the number of rows of a request and of characters (or token ids) of the longest."""
    rows, longest = 1, 0
    for value in inputs.values():
        if value.ndim:
            rows = value.shape[0]
        if value.dtype == object:
            # The graph computes on characters; a malformed byte of UTF-8 counts as one.
            longest = max([longest, *(len(text.decode("utf-8", "replace")) for text in value.flat)])
        elif value.ndim > 1:
            longest = max(longest, math.prod(value.shape[1:]))
    return rows, longest


def _to_proto(value: np.ndarray, dtype: int) -> tensor_pb2.TensorProto:
    if dtype not in _FIELDS:
        return tf.make_tensor_proto(value, dtype)
    proto = tensor_pb2.TensorProto(dtype=dtype)
    proto.tensor_shape.SetInParent()
    for size in value.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, _FIELDS[dtype]).extend(value.ravel().tolist())
    return proto
