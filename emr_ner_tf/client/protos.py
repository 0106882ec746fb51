"""Builds PredictionService's requests from texts and reads entities from its answers, for both gRPC clients."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)

from emr_ner_tf.client.chunking import Piece, check_answer, texts_of
from emr_ner_tf.client.options import (
    NO_CONNECTION,
    OTHER_ANSWER,
    ClientOptions,
    ServingError,
    handshake_error,
    redacted_error,
)
from emr_ner_tf.data.document import Entity
from emr_ner_tf.inference.annotator import decode_entities, encode_texts

SIGNATURE = "serving_default"
# gRPC's messages for a name that cannot be resolved.
_UNRESOLVED = ("errors resolving", "DNS resolution failed")
OUTPUTS = ("num_entities", "start", "end", "label", "score")


class VersionStatus(NamedTuple):
    """A version of the model on a server.

    Attributes:
        version: its number.
        state: START, LOADING, AVAILABLE, UNLOADING or END.
        error: its error message; "" if there is none.
    """

    version: int
    state: str
    error: str


class TensorFacts(NamedTuple):
    """An input or output of a signature.

    Attributes:
        dtype: name of the TensorFlow data type.
        shape: its shape, with None for a dimension that is not fixed.
    """

    dtype: str
    shape: tuple[int | None, ...]


class Signature(NamedTuple):
    """A signature of the model: inputs and outputs by name."""

    inputs: Mapping[str, TensorFacts]
    outputs: Mapping[str, TensorFacts]


def fill_spec(spec: model_pb2.ModelSpec, options: ClientOptions) -> None:
    """Fills in the name and the version or label of the model."""
    spec.name = options.model
    if options.version is not None:
        spec.version.value = options.version
    elif options.label is not None:
        spec.version_label = options.label


def predict_request(
    texts: Sequence[str], pieces: Sequence[Piece], options: ClientOptions, target: str
) -> predict_pb2.PredictRequest:
    """Builds the request for pieces of texts.

    Raises:
        UserError: a text contains a lone surrogate.
        ServingError: RESOURCE_EXHAUSTED, if the message is larger than `options.max_message_bytes`.
    """
    request = predict_pb2.PredictRequest()
    fill_spec(request.model_spec, options)
    request.model_spec.signature_name = SIGNATURE
    # No output_filter: TensorFlow Serving only merges requests for all outputs of the signature.
    # The tensor is filled field by field, because TensorFlow's conversion goes through an array that pads strings.
    tensor = request.inputs["text"]
    tensor.dtype = tf.string.as_datatype_enum
    tensor.tensor_shape.dim.add(size=len(pieces))
    tensor.string_val.extend(encode_texts(texts_of(texts, pieces)))
    size = request.ByteSize()
    if size > options.max_message_bytes:
        raise ServingError(
            target,
            "RESOURCE_EXHAUSTED",
            f"a request must have at most {options.max_message_bytes} bytes (max_message_bytes), got {size}; it "
            "was not sent; reduce max_characters",
        )
    return request


def predicted(
    response: predict_pb2.PredictResponse, request: Sequence[Piece], target: str
) -> list[tuple[Entity, ...]]:
    """Returns the entities of each piece of a request from the answer.

    Raises:
        ServingError: UNKNOWN, if the answer is not that of a bundle, or not one to this request.
    """
    try:
        entities = decode_entities({name: tf.make_ndarray(response.outputs[name]) for name in OUTPUTS})
    except (AttributeError, IndexError, TypeError, ValueError):
        raise ServingError(target, "UNKNOWN", OTHER_ANSWER) from None
    check_answer(target, request, entities)
    return entities


def version_of(response: predict_pb2.PredictResponse) -> int | None:
    """Returns the version that gave an answer, or None if the answer does not name it."""
    spec = response.model_spec
    return spec.version.value if spec.HasField("version") else None


def status_request(options: ClientOptions) -> get_model_status_pb2.GetModelStatusRequest:
    """Builds the request for the states of the versions."""
    request = get_model_status_pb2.GetModelStatusRequest()
    fill_spec(request.model_spec, options)
    return request


def statuses(response: get_model_status_pb2.GetModelStatusResponse) -> list[VersionStatus]:
    """Returns the states of the versions."""
    states = get_model_status_pb2.ModelVersionStatus.State
    return [
        VersionStatus(one.version, states.Name(one.state), one.status.error_message)
        for one in response.model_version_status
    ]


def metadata_request(options: ClientOptions) -> get_model_metadata_pb2.GetModelMetadataRequest:
    """Builds the request for the signatures."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    fill_spec(request.model_spec, options)
    return request


def signatures(response: get_model_metadata_pb2.GetModelMetadataResponse) -> dict[str, Signature]:
    """Returns the signatures by name."""
    found = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(found)
    return {
        name: Signature(
            *({key: _facts(info) for key, info in side.items()} for side in (one.inputs, one.outputs))
        )
        for name, one in found.signature_def.items()
        if name != "__saved_model_init_op"
    }


def _facts(info) -> TensorFacts:
    shape = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    return TensorFacts(tf.dtypes.as_dtype(info.dtype).name, shape)


def metadata(options: ClientOptions) -> list[tuple[str, str]]:
    """Returns the headers as gRPC metadata, whose names are in lower case."""
    return [(name.lower(), value) for name, value in options.headers.items()]


def channel_arguments(options: ClientOptions) -> list[tuple[str, str | int]]:
    """Returns the arguments of the gRPC channel: size limits, keep-alive, fast reconnection, load balancing."""
    arguments: dict[str, str | int] = {
        "grpc.max_send_message_length": options.max_message_bytes,
        "grpc.max_receive_message_length": options.max_message_bytes,
        # A gRPC server with default settings closes a connection that is pinged more often than every five minutes.
        "grpc.keepalive_time_ms": 310_000,
        "grpc.keepalive_timeout_ms": 20_000,
        # With gRPC's defaults, a client may wait two minutes after a server's restart.
        "grpc.initial_reconnect_backoff_ms": 200,
        "grpc.max_reconnect_backoff_ms": 3000,
        "grpc.lb_policy_name": "round_robin",
        # The target is the user's own server, so proxies named in the environment are not used.
        "grpc.enable_http_proxy": 0,
    }
    return list((arguments | dict(options.channel_options)).items())


def credentials(options: ClientOptions) -> grpc.ChannelCredentials | None:
    """Returns the credentials for TLS, or None without TLS."""
    if options.tls is None:
        return None

    def read(path: str | None) -> bytes | None:
        if path is None:
            return None
        with open(path, "rb") as file:
            return file.read()

    return grpc.ssl_channel_credentials(
        read(options.tls.authorities), read(options.tls.key), read(options.tls.cert)
    )


def from_rpc_error(target: str, error: grpc.RpcError | grpc.aio.AioRpcError) -> ServingError:
    """Returns the error for a failed call."""
    code, details = error.code().name, error.details() or "no details"
    hints = {
        "UNAVAILABLE": NO_CONNECTION,
        "DEADLINE_EXCEEDED": "; use a longer deadline_s or smaller requests (max_characters)",
    }
    if code == "UNAVAILABLE" and (failure := handshake_error(target, details)) is not None:
        return failure
    hint = hints.get(code, "")
    if code == "UNAVAILABLE" and any(word in details for word in _UNRESOLVED):
        hint = "; the host name cannot be resolved: is it correct?"
    return redacted_error(target, code, f"{details}{hint}")
