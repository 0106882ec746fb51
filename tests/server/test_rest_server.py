"""REST over real sockets with the tiny model: TensorFlow Serving's JSON forms, statuses and errors."""

import base64
import http.client
import json

import pytest
import requests
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2

TEXTS = ["患者因右肺上叶腺癌入院，行胸部CT检查。", "", "𠮷😀既往高血压病史10年。"]
SECRET = "某某某身份证"


@pytest.fixture(scope="module")
def rows(bundle):
    """The outputs of the signature for TEXTS, as lists by name."""
    outputs = bundle.signatures["serving_default"](text=tf.constant(TEXTS))
    found = {name: value.numpy().tolist() for name, value in outputs.items()}
    assert sum(found["num_entities"]) > 0
    for name in ("label", "mention"):
        found[name] = [[item.decode("utf-8") for item in row] for row in found[name]]
    return found


def post(server, document, path="/v1/models/ner:predict"):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return requests.post(server.url + path, data=body, timeout=60)


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        wanted = [[pytest.approx(s, abs=1e-5) for s in row] for row in value] if name == "score" else value
        assert found[name] == wanted, name


@pytest.mark.parametrize("inputs", [TEXTS, {"text": TEXTS}], ids=["list", "object"])
def test_by_column(server, rows, inputs):
    answer = post(server, {"inputs": inputs})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    same(answer.json()["outputs"], rows)


@pytest.mark.parametrize(
    "instances",
    [
        TEXTS,
        [{"text": text} for text in TEXTS],
        [{"b64": base64.b64encode(text.encode()).decode()} for text in TEXTS],
        [{"text": {"b64": base64.b64encode(text.encode()).decode()}} for text in TEXTS],
    ],
    ids=["strings", "objects", "b64", "objects of b64"],
)
def test_by_row(server, rows, instances):
    answer = post(server, {"instances": instances})
    assert answer.status_code == 200, answer.text
    predictions = answer.json()["predictions"]
    same({name: [row[name] for row in predictions] for name in predictions[0]}, rows)


def test_bytes_that_are_not_utf8(server):
    answer = post(server, {"instances": [{"b64": base64.b64encode(b"\xff\xfe").decode()}]})
    assert answer.status_code == 200, answer.text


def test_versions_labels_and_signatures(server):
    for part in ("versions/1", "labels/stable"):
        assert post(server, {"instances": TEXTS}, f"/v1/models/ner/{part}:predict").status_code == 200
    tags = post(server, {"signature_name": "tag", "inputs": ["腹痛"]}).json()["outputs"]
    assert (tags["length"], len(tags["tags"][0])) == ([2], 2)
    instances = [{"token_ids": [5, 6, 7], "length": 3}, {"token_ids": [5, 6, 0], "length": 2}]
    decoded = post(server, {"signature_name": "decode", "instances": instances}).json()["predictions"]
    assert decoded[0].keys() == {"tag_ids", "path_score"}
    # A single output has no name, as in TensorFlow Serving.
    inputs = {"token_ids": [[5, 6]], "length": [2]}
    (marginals,) = post(server, {"signature_name": "marginals", "inputs": inputs}).json()["outputs"]
    assert [sum(row) for row in marginals] == pytest.approx([1.0, 1.0], abs=1e-4)


def test_status_and_metadata(server):
    document = requests.get(f"{server.url}/v1/models/ner", timeout=60).json()
    (status,) = document["model_version_status"]
    assert status == {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    for part in ("", "/versions/1", f"/versions/{1:020}", "/labels/stable"):
        document = requests.get(f"{server.url}/v1/models/ner{part}/metadata", timeout=60).json()
        assert document["model_spec"]["name"] == "ner"
        signatures = get_model_metadata_pb2.SignatureDefMap()
        json_format.ParseDict(document["metadata"]["signature_def"], signatures)
        assert {"serving_default", "tag", "decode", "marginals"} <= set(signatures.signature_def)


WRONG = [
    (b'{"instances": ["' + SECRET.encode(), 400, "JSON Parse error"),
    (b"", 400, "JSON Parse error"),
    (b'["' + SECRET.encode() + b'"]', 400, "Is not object"),
    (b'{"instances": ["\xff"]}', 400, "Invalid UTF-8 at offset: 16"),
    (b"[" * 100_000, 400, "nested too deep"),
    ({}, 400, "Missing 'inputs' or 'instances' key"),
    ({"inputs": [], "instances": []}, 400, "only one of"),
    ({"instances": SECRET}, 400, "to be a list"),
    ({"instances": []}, 400, "No values"),
    ({"instances": [1]}, 400, "not of expected type: string"),
    ({"instances": [SECRET, [SECRET]]}, 400, "a list at level 1"),
    ({"instances": [SECRET, {"text": SECRET}]}, 400, "item 1 of 'instances'"),
    ({"instances": [{"txt": SECRET}]}, 400, "keys must be equal to: text"),
    ({"instances": [[SECRET], [SECRET, SECRET]]}, 400, "expected a list of 1 at level 1"),
    ({"instances": ["\ud800"]}, 400, "lone surrogate"),
    ({"instances": [{"b64": "!"}]}, 400, "base64"),
    ({"instances": [[[[[[[[[[[]]]]]]]]]]]}, 400, "nested too deep"),
    ({"inputs": SECRET}, 400, "must have shape [-1], got []"),
    ({"inputs": {"txt": [SECRET]}}, 400, "Missing named input: text"),
    ({"signature_name": 1, "inputs": [SECRET]}, 400, "must be a string"),
    ({"signature_name": "spans", "inputs": [SECRET]}, 400, "not found"),
    ({"signature_name": "decode", "inputs": [1]}, 400, "multiple input tensors"),
    ({"signature_name": "decode", "instances": [{"token_ids": [1 << 31], "length": 1}]}, 400, "int32"),
    ({"instances": [SECRET * 11_000]}, 400, "limit of 65536"),
]


@pytest.mark.parametrize(("body", "status", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_a_wrong_body(server, body, status, message):
    answer = post(server, body)
    document = answer.json()
    assert (answer.status_code, list(document)) == (status, ["error"])
    assert message in document["error"]
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/other:predict", 404),
        ("/v1/models/ner/versions/9:predict", 404),
        ("/v1/models/ner/labels/canary:predict", 400),
        ("/v1/models/ner:classify", 501),
        ("/v1/models/ner", 400),
        (f"/v1/models/ner/versions/{1 << 63}:predict", 400),
        pytest.param(f"/v1/models/ner/versions/{'9' * 5000}:predict", 400, id="5000 digits"),
        (f"/{SECRET}", 400),
    ],
)
def test_a_wrong_path(server, path, status):
    answer = post(server, {"instances": ["x"]}, path)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert SECRET not in answer.text


def test_reading_what_is_not_there(server):
    for path, status in (("/v1/models/other", 404), ("/v1/models/ner/versions/9", 404), ("/v1/models", 400)):
        answer = requests.get(server.url + path, timeout=60)
        assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_a_body_that_is_too_large_or_of_no_length(server):
    answer = post(server, {"instances": ["x" * (8 << 20)]})
    assert (answer.status_code, list(answer.json())) == (413, ["error"])
    host, port = server.url.removeprefix("http://").split(":")
    for headers, status in (
        ({"Content-Length": str(2 << 20)}, 413),
        ({}, 400),
        ({"Content-Length": "x"}, 400),
        ({"Content-Length": "9" * 5000}, 400),
    ):
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        connection.putrequest("POST", "/v1/models/ner:predict")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == status
        assert list(json.loads(answer.read())) == ["error"]
        connection.close()


def test_what_is_no_http(server):
    host, port = server.url.removeprefix("http://").split(":")
    for method in ("DELETE", SECRET.encode().decode("latin-1")):
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        connection._encode_request = lambda request: request.encode("latin-1")
        connection.putrequest(method, "/v1/models/ner", skip_host=True)
        connection.endheaders()
        content = connection.getresponse().read()
        assert list(json.loads(content)) == ["error"]
        assert SECRET.encode() not in content
        connection.close()
    log = server.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert SECRET not in log
