"""The main over real sockets with the tiny model: Predict, GetModelMetadata, GetModelStatus, health."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

from emr_ner_tf.exporting.bundle import find_version

TEXTS = [
    "患者因右肺上叶腺癌入院，行胸部CT检查。",
    "",
    "𠮷😀既往高血压病史10年，口服硝苯地平控释片。",
    b"\xff\xfe\xe4\xbd",
    "a\x00b\r\n\u3000" + "术后" * 200,
]
SECRET = "某某某身份证"


def arrays(response):
    return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        value = value.numpy()
        assert found[name].shape == value.shape, name
        if value.dtype.kind == "f":
            np.testing.assert_allclose(found[name], value, atol=1e-5, rtol=1e-4)
        else:
            assert (found[name] == value).all(), name


def error_of(call, request, code):
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=60)
    assert caught.value.code() == code, caught.value
    assert SECRET not in caught.value.details()
    return caught.value.details()


def test_predict_is_the_signature(stub, bundle, request_of):
    response = stub.Predict(request_of(TEXTS), timeout=60)
    expected = bundle.signatures["serving_default"](text=tf.constant([*map(tf.compat.as_bytes, TEXTS)]))
    same(arrays(response), expected)
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("ner", 1, "serving_default")
    # Values stand in the field of their type, where clients in other languages look for them.
    assert list(response.outputs["start"].int_val) == expected["start"].numpy().ravel().tolist()


def test_predict_is_what_the_bundle_tags(stub, bundle, corpus, request_of):
    from emr_ner_tf.data.reading import read_documents
    from emr_ner_tf.inference.annotator import decode_entities

    texts = [document.text for document in read_documents(corpus / "test.jsonl")]
    found = decode_entities(arrays(stub.Predict(request_of(texts), timeout=60)))
    expected = bundle.predict(texts)
    assert sum(map(len, expected)) > 0
    assert [[(e.start, e.end, e.label) for e in entities] for entities in found] == [
        [(e.start, e.end, e.label) for e in entities] for entities in expected
    ]


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_entities_are_no_columns(stub, request_of, texts):
    found = arrays(stub.Predict(request_of(texts), timeout=60))
    assert found["num_entities"].tolist() == [0] * len(texts)
    assert found["mention"].shape == (len(texts), 0)


def test_the_other_signatures(stub, bundle, request_of):
    found = arrays(stub.Predict(request_of(TEXTS, signature_name="tag"), timeout=60))
    same(found, bundle.signatures["tag"](text=tf.constant([*map(tf.compat.as_bytes, TEXTS)])))
    inputs = {"token_ids": tf.constant([[5, 6, 7], [8, 9, 0]]), "length": tf.constant([3, 2])}
    for name in ("decode", "marginals"):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "ner"
        request.model_spec.signature_name = name
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        same(arrays(stub.Predict(request, timeout=60)), bundle.signatures[name](**inputs))


def test_output_filter(stub, request_of):
    request = request_of(["患者因腹痛入院。"])
    request.output_filter.extend(["start", "num_entities"])
    assert set(stub.Predict(request, timeout=60).outputs) == {"start", "num_entities"}


def _with(request, change):
    change(request)
    return request


WRONG = {
    "no model": (lambda r: r.ClearField("model_spec"), "INVALID_ARGUMENT", "Missing ModelSpec"),
    "no name": (lambda r: r.model_spec.ClearField("name"), "INVALID_ARGUMENT", "no name"),
    "model": (
        lambda r: setattr(r.model_spec, "name", "other"),
        "NOT_FOUND",
        "Servable not found for request: Latest(other)",
    ),
    "version": (
        lambda r: setattr(r.model_spec.version, "value", 7),
        "NOT_FOUND",
        "Servable not found for request: Specific(ner, 7)",
    ),
    "label": (
        lambda r: setattr(r.model_spec, "version_label", "canary"),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: canary",
    ),
    "signature": (
        lambda r: setattr(r.model_spec, "signature_name", "spans"),
        "FAILED_PRECONDITION",
        'Serving signature key "spans" not found.',
    ),
    "no input": (lambda r: r.inputs.clear(), "INVALID_ARGUMENT", "Missing but required: {text}"),
    "other input": (
        lambda r: (r.inputs["txt"].CopyFrom(r.inputs["text"]), r.inputs.pop("text")),
        "INVALID_ARGUMENT",
        "input tensor alias not found in signature: txt",
    ),
    "further input": (
        lambda r: r.inputs["txt"].CopyFrom(r.inputs["text"]),
        "INVALID_ARGUMENT",
        "Sent extra: {txt}",
    ),
    "dtype": (
        lambda r: r.inputs["text"].CopyFrom(tf.make_tensor_proto([1])),
        "INVALID_ARGUMENT",
        "input text must be DT_STRING, got DT_INT32",
    ),
    "scalar": (
        lambda r: r.inputs["text"].CopyFrom(tf.make_tensor_proto(SECRET)),
        "INVALID_ARGUMENT",
        "must have shape [-1], got []",
    ),
    "rank": (
        lambda r: r.inputs["text"].CopyFrom(tf.make_tensor_proto([[SECRET]])),
        "INVALID_ARGUMENT",
        "must have shape [-1], got [1, 1]",
    ),
    "negative size": (
        lambda r: setattr(r.inputs["text"].tensor_shape.dim[0], "size", -3),
        "INVALID_ARGUMENT",
        "got [-3]",
    ),
    "more values than the shape": (
        lambda r: r.inputs["text"].string_val.append(b"x"),
        "INVALID_ARGUMENT",
        "tensor parsing error: text",
    ),
    "a huge shape of one value": (
        lambda r: setattr(r.inputs["text"].tensor_shape.dim[0], "size", 1 << 40),
        "INVALID_ARGUMENT",
        "more than 65536 elements",
    ),
    "output": (
        lambda r: r.output_filter.append("span"),
        "INVALID_ARGUMENT",
        "alias not found in signature: span",
    ),
    "output twice": (
        lambda r: r.output_filter.extend(["end", "end"]),
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: end",
    ),
    "characters": (
        lambda r: r.inputs["text"].string_val.__setitem__(0, (SECRET * 11_000).encode()[:900_000]),
        "INVALID_ARGUMENT",
        "characters exceed the limit of 65536 in a request",
    ),
    "message": (
        lambda r: r.inputs["text"].string_val.__setitem__(0, b"x" * (1 << 20)),
        "RESOURCE_EXHAUSTED",
        "larger than max",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request(stub, request_of, case):
    change, code, message = WRONG[case]
    request = _with(request_of([SECRET]), change)
    assert message in error_of(stub.Predict, request, grpc.StatusCode[code])


def test_texts_without_values_are_empty(stub, request_of):
    request = request_of(["", ""])
    request.inputs["text"].ClearField("string_val")
    assert arrays(stub.Predict(request, timeout=60))["num_entities"].tolist() == [0, 0]


def test_inputs_of_different_batches(stub):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "ner"
    request.model_spec.signature_name = "decode"
    request.inputs["token_ids"].CopyFrom(tf.make_tensor_proto([[1, 2]], tf.int32))
    request.inputs["length"].CopyFrom(tf.make_tensor_proto([1, 2], tf.int32))
    assert "0th-dimension" in error_of(stub.Predict, request, grpc.StatusCode.INVALID_ARGUMENT)


def test_version_and_label(stub, request_of):
    for spec in ({"version": 1}, {"version_label": "stable"}):
        assert stub.Predict(request_of(["x"], **spec), timeout=60).model_spec.version.value == 1


def test_metadata_is_what_the_saved_model_holds(stub, bundles):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "ner"
    response = stub.GetModelMetadata(request, timeout=60)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((find_version(bundles) / "saved_model.pb").read_bytes())
    assert dict(signatures.signature_def) == dict(saved.meta_graphs[0].signature_def)
    assert response.model_spec.version.value == 1
    request.metadata_field[:] = []
    error_of(stub.GetModelMetadata, request, grpc.StatusCode.INVALID_ARGUMENT)
    request.metadata_field[:] = ["assets"]
    assert "assets" in error_of(stub.GetModelMetadata, request, grpc.StatusCode.INVALID_ARGUMENT)


def test_status(models):
    request = get_model_status_pb2.GetModelStatusRequest()
    assert "Missing" in error_of(models.GetModelStatus, request, grpc.StatusCode.INVALID_ARGUMENT)
    request.model_spec.name = "ner"
    (status,) = models.GetModelStatus(request, timeout=60).model_version_status
    assert (status.version, status.state) == (1, get_model_status_pb2.ModelVersionStatus.AVAILABLE)
    request.model_spec.version.value = 2
    message = error_of(models.GetModelStatus, request, grpc.StatusCode.NOT_FOUND)
    assert message == "Could not find version 2 of model ner"
    request.model_spec.name = "other"
    error_of(models.GetModelStatus, request, grpc.StatusCode.NOT_FOUND)


def test_what_is_not_served_says_so(stub, models):
    reload = model_management_pb2.ReloadConfigRequest()
    error_of(models.HandleReloadConfigRequest, reload, grpc.StatusCode.UNIMPLEMENTED)
    error_of(stub.Classify, classification_pb2.ClassificationRequest(), grpc.StatusCode.UNIMPLEMENTED)


def test_health(server):
    with grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "tensorflow.serving.PredictionService"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=60)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_log_names_the_server_and_no_text(server, stub, request_of):
    stub.Predict(request_of([SECRET]), timeout=60)
    log = server.log.read_text(encoding="utf-8")
    assert "this server is for development; in production, use TensorFlow Serving" in log
    assert SECRET not in log
    assert "Traceback" not in log
