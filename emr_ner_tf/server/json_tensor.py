"""TensorFlow Serving's JSON forms of Predict: "instances" by row, "inputs" by column.

Source: the RESTful API of TensorFlow Serving, https://www.tensorflow.org/tfx/serving/api_rest
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from emr_ner_tf.server.errors import invalid_argument

Infos = Mapping[str, meta_graph_pb2.TensorInfo]
_B64 = "b64"
_MAX_DEPTH = 8
_INTEGERS = {types_pb2.DT_INT32: ("int_val", 31), types_pb2.DT_INT64: ("int64_val", 63)}
_FLOATS = {types_pb2.DT_FLOAT: "float_val", types_pb2.DT_DOUBLE: "double_val"}


def parse_object(content: bytes) -> dict[str, Any]:
    """Parses a JSON object.

    Raises:
        RequestError: INVALID_ARGUMENT, with the position of the fault.
    """
    try:
        document = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise invalid_argument(f"JSON Parse error: Invalid UTF-8 at offset: {error.start}") from None
    except json.JSONDecodeError as error:
        raise invalid_argument(f"JSON Parse error: {error.msg} at offset: {error.pos}") from None
    except (RecursionError, ValueError):
        raise invalid_argument("JSON Parse error: nested too deep, or a number too long") from None
    if not isinstance(document, dict):
        raise invalid_argument("JSON Value: Is not object")
    return document


def read_request(body: bytes, infos_of: Callable[[str], Infos]) -> tuple[predict_pb2.PredictRequest, bool]:
    """Reads the body of a Predict request.

    Args:
        body: JSON.
        infos_of: maps the name of a signature, which may be empty, to its inputs by name.

    Returns:
        The request, without the model's name and version, and whether it was by row.

    Raises:
        RequestError: INVALID_ARGUMENT.
    """
    document = parse_object(body)
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise invalid_argument("'signature_name' key must be a string value.")
    infos = infos_of(signature)
    by_row = "instances" in document
    if by_row and "inputs" in document:
        raise invalid_argument("expecting only one of 'inputs' or 'instances' keys to exist")
    if not by_row and "inputs" not in document:
        raise invalid_argument("Missing 'inputs' or 'instances' key")
    columns = _columns(document["instances"], infos) if by_row else _named(document["inputs"], infos)
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature
    for name, value in columns.items():
        _fill(request.inputs[name], name, value, infos[name].dtype)
    return request, by_row


def write_response(response: predict_pb2.PredictResponse, by_row: bool) -> dict[str, Any]:
    """Returns the JSON object of a Predict response: `predictions` by row, or `outputs` by column.

    Raises:
        RequestError: for a response by row, an output has no rows, or another number of rows than the others.
    """
    outputs = {name: tf.make_ndarray(proto) for name, proto in sorted(response.outputs.items())}
    columns = {name: _values(name, value) for name, value in outputs.items()}
    if not by_row:
        return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    if len({value.shape[:1] for value in outputs.values()}) != 1 or not next(iter(outputs.values())).ndim:
        raise invalid_argument("the outputs differ in batch size: ask for them by column, with 'inputs'")
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    rows = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def _columns(instances: Any, infos: Infos) -> dict[str, Any]:
    if not isinstance(instances, list):
        raise invalid_argument("Expecting 'instances' to be a list/array")
    if not instances:
        raise invalid_argument("No values in 'instances' array")
    of_objects = _is_object(instances[0])
    if not of_objects and len(infos) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required"
        )
    for i, item in enumerate(instances):
        if _is_object(item) != of_objects:
            raise invalid_argument(f"item {i} of 'instances': either all are objects or none is")
        if of_objects and item.keys() != infos.keys():
            raise invalid_argument(
                f"item {i} of 'instances': keys must be equal to: {','.join(sorted(infos))}"
            )
    if of_objects:
        return {name: [item[name] for item in instances] for name in infos}
    return dict.fromkeys(infos, instances)


def _named(inputs: Any, infos: Infos) -> dict[str, Any]:
    if not _is_object(inputs):
        if len(infos) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required"
            )
        return dict.fromkeys(infos, inputs)
    for name in infos:
        if name not in inputs:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
    return {name: inputs[name] for name in infos}


def _is_object(value: Any) -> bool:
    """Returns whether a value is an object of names, not one that represents bytes."""
    return isinstance(value, dict) and not (value.keys() == {_B64} and isinstance(value[_B64], str))


def _fill(proto: tensor_pb2.TensorProto, name: str, value: Any, dtype: int) -> None:
    proto.dtype = dtype
    proto.tensor_shape.SetInParent()
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
        if len(shape) > _MAX_DEPTH:
            raise invalid_argument(f"input {name} is nested too deep")
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    leaves = _leaves(name, value, shape)
    if dtype == types_pb2.DT_STRING:
        proto.string_val.extend(_bytes(name, leaf) for leaf in leaves)
    elif dtype in _INTEGERS:
        field, bits = _INTEGERS[dtype]
        for leaf in leaves:
            if type(leaf) is not int or not -(1 << bits) <= leaf < 1 << bits:
                raise invalid_argument(f"input {name}: a value is not of expected type: int{bits + 1}")
        getattr(proto, field).extend(leaves)
    elif dtype in _FLOATS:
        if not all(type(leaf) in (int, float) for leaf in leaves):
            raise invalid_argument(f"input {name}: a value is not of expected type: float")
        getattr(proto, _FLOATS[dtype]).extend(leaves)
    else:
        raise invalid_argument(
            f"input {name}: no JSON form for type {types_pb2.DataType.Name(dtype)} on this server"
        )


def _leaves(name: str, value: Any, shape: list[int]) -> list[Any]:
    level = [value]
    for depth, size in enumerate(shape):
        for item in level:
            if not isinstance(item, list) or len(item) != size:
                got = f"a list of {len(item)}" if isinstance(item, list) else "a value"
                raise invalid_argument(f"input {name}: expected a list of {size} at level {depth}, got {got}")
        level = [leaf for item in level for leaf in item]
    if any(isinstance(leaf, list) for leaf in level):
        raise invalid_argument(f"input {name}: a list at level {len(shape)}, where others have values")
    return level


def _bytes(name: str, value: Any) -> bytes:
    try:
        if isinstance(value, str):
            return value.encode("utf-8")
        if isinstance(value, dict) and not _is_object(value):
            encoded = value[_B64]
            return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except UnicodeEncodeError:
        raise invalid_argument(
            f"input {name}: a string has a lone surrogate, which UTF-8 cannot encode"
        ) from None
    except (binascii.Error, ValueError):
        raise invalid_argument("Unable to base64 decode") from None
    raise invalid_argument(f"input {name}: a value is not of expected type: string")


def _values(name: str, value: np.ndarray) -> Any:
    """Returns nested lists for JSON; a float has the fewest digits from which it can be read back."""
    flat: list[Any] = value.ravel().tolist()
    if value.dtype == object and name.endswith("_bytes"):
        flat = [{_B64: base64.b64encode(item).decode("ascii")} for item in flat]
    elif value.dtype == object:
        flat = [item.decode("utf-8", errors="replace") for item in flat]
    elif value.dtype == np.float32:
        flat = [float(str(item)) for item in value.ravel()]
    nested = np.empty(len(flat), object)
    nested[:] = flat
    return nested.reshape(value.shape).tolist()
