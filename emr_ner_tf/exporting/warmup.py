"""Warm-up requests, which TensorFlow Serving runs on a version before it serves it."""

import os
import pathlib

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from emr_ner_tf.data.synthetic.generator import generate

# The path in a version where TensorFlow Serving expects the requests, and the maximum number that it accepts.
PLACE = pathlib.Path("assets.extra") / "tf_serving_warmup_requests"
MAX_WARMUP_RECORDS = 1000

# Numbers of characters of a text, from a line to a long record. Further windows run the same graph with more rows, and
# the longest text has windows for several micro-batches.
_LENGTHS = (1, 16, 64, 254, 512, 1664, 10_000)
_BATCHES = (1, 8)
_LONGEST_BATCH = 2048


def warmup_requests() -> list[predict_pb2.PredictRequest]:
    """Creates requests of synthetic text for each length class and signature, including an empty text."""
    text = "".join(document.text for document in generate("train", records=200, seed=0))
    text *= -(-max(_LENGTHS) // len(text))
    requests = [_of_texts("serving_default", [""])]
    for length in _LENGTHS:
        for batch in _BATCHES if length <= _LONGEST_BATCH else (1,):
            texts = [text[i : i + length] for i in range(batch)]
            requests.append(_of_texts("serving_default", texts))
        requests.append(_of_texts("tag", [text[:length]]))
    for signature in ("decode", "marginals"):
        request = predict_pb2.PredictRequest()
        request.model_spec.signature_name = signature
        request.inputs["token_ids"].CopyFrom(tf.make_tensor_proto([[1] * 64], tf.int32))
        request.inputs["length"].CopyFrom(tf.make_tensor_proto([64], tf.int32))
        requests.append(request)
    return requests


def write_warmup(version: str | os.PathLike[str]) -> int:
    """Writes the requests into a version's directory, as PredictionLog records of a TFRecord file.

    Returns:
        The number of requests.
    """
    path = pathlib.Path(version) / PLACE
    path.parent.mkdir(exist_ok=True)
    requests = warmup_requests()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests:
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
    return len(requests)


def _of_texts(signature: str, texts: list[str]) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature
    request.inputs["text"].CopyFrom(tf.make_tensor_proto([text.encode("utf-8") for text in texts], tf.string))
    return request
