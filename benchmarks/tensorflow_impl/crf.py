"""This project's CRF, or that of tensorflow-addons, as a worker process."""

import time
import warnings
from typing import Any

import numpy as np
import tensorflow as tf
from harness import Handlers, serve

from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.layers import crf_ops
from emr_ner_tf.layers.crf_ops import Potentials
from emr_ner_tf.layers.span_scores import span_log_probability
from emr_ner_tf.text.spans import spans_from_tags
from tensorflow_impl.threads import start_tensorflow

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)
    import tensorflow_addons as tfa


class Ours:
    """Functions of emissions, lengths, transitions, start and end scores, and tags."""

    def __init__(self, labels: int) -> None:
        self.table = TagTable(tuple(f"label{i}" for i in range(labels)))

    def loss(self, *inputs: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Returns the mean loss and the gradients by emissions, transitions, start and end scores."""
        emissions, _, *weights = inputs[:5]
        with tf.GradientTape() as tape:
            tape.watch([emissions, *weights])
            loss = tf.reduce_mean(crf_ops.negative_log_likelihood(Potentials(*inputs[:5]), inputs[5]))
        return loss, *tape.gradient(loss, [emissions, *weights])

    def decode(self, *inputs: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Returns the best paths."""
        return (crf_ops.viterbi(Potentials(*inputs[:5]))[0],)

    def decode_and_score(self, *inputs: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Returns the best paths and the probability of each mention."""
        potentials = Potentials(*inputs[:5])
        tag_ids, _ = crf_ops.viterbi(potentials)
        spans = spans_from_tags(tag_ids, potentials.length, self.table)
        return tag_ids, tf.exp(span_log_probability(potentials, spans, self.table))


class Addons:
    """The same of tensorflow-addons; start and end scores are in the emissions already, and it has no scores."""

    def loss(self, *inputs: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Returns the mean loss and the gradients by emissions and transitions."""
        emissions, length, transitions, _, _, tag_ids = inputs
        with tf.GradientTape() as tape:
            tape.watch([emissions, transitions])
            likelihood, _ = tfa.text.crf_log_likelihood(emissions, tag_ids, length, transitions)
            loss = -tf.reduce_mean(likelihood)
        return loss, *tape.gradient(loss, [emissions, transitions])

    def decode(self, *inputs: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Returns the best paths."""
        emissions, length, transitions = inputs[:3]
        return (tfa.text.crf_decode(emissions, transitions, length)[0],)

    decode_and_score = decode


def load(data: str, side: str, threads: int) -> Handlers:
    """Traces nothing yet; `side` is "ours", or "peer" for tensorflow-addons."""
    start_tensorflow(threads)
    arrays = np.load(data)
    labels = (len(arrays["start"]) - 1) // 2
    functions = Ours(labels) if side == "ours" else Addons()
    tags = len(arrays["start"])
    floats = [tf.TensorSpec(shape) for shape in ([None, None, tags], [tags, tags], [tags], [tags])]
    integers = [tf.TensorSpec(shape, tf.int32) for shape in ([None], [None, None])]
    signature = [floats[0], integers[0], *floats[1:], integers[1]]
    graphs = {
        task: tf.function(getattr(functions, task), input_signature=signature)
        for task in ("loss", "decode", "decode_and_score")
    }

    def inputs_of(task: str, shape: str) -> list[tf.Tensor]:
        prefix = "" if task == "loss" else "allowed_"
        emissions, length = arrays[f"emissions {shape}"].copy(), arrays[f"length {shape}"]
        transitions, start, end = (arrays[prefix + name] for name in ("transitions", "start", "end"))
        if side == "peer":
            emissions[:, 0] += start
            emissions[np.arange(len(length)), length - 1] += end
        values = (emissions, length, transitions, start, end, arrays[f"tag_ids {shape}"])
        return [tf.constant(value) for value in values]

    def check(task: str, shape: str) -> dict[str, Any]:
        result = graphs[task](*inputs_of(task, shape))
        if task == "loss":
            return {"loss": float(result[0]), "gradient_norm": float(tf.norm(result[1]))}
        real = np.arange(result[0].shape[1]) < arrays[f"length {shape}"][:, None]
        checksum = int(
            (np.where(real, result[0], 0) * (1 + np.arange(real.size).reshape(real.shape) % 97)).sum()
        )
        return {"tags": int(real.sum()), "checksum": checksum}

    def measure(task: str, shape: str, seconds: float) -> dict[str, Any]:
        inputs, graph = inputs_of(task, shape), graphs[task]
        graph(*inputs)[0].numpy()
        started, calls = time.perf_counter(), 0
        while calls == 0 or time.perf_counter() - started < seconds:
            graph(*inputs)[0].numpy()
            calls += 1
        return {"seconds": (time.perf_counter() - started) / calls, "calls": calls}

    return {"check": check, "measure": measure}


if __name__ == "__main__":
    serve(load)
