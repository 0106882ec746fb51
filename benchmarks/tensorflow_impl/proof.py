"""A bundle, or the model that it was exported from, in a process of its own: what it finds, and what it costs."""

import resource
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from harness import Handlers, serve

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.synthetic.generator import generate
from emr_ner_tf.exporting.bundle import Bundle
from emr_ner_tf.training.loading import restore
from tensorflow_impl.threads import start_tensorflow

_TOLERANCE = 1e-4


def load(
    threads: int, bundle: str | None = None, model_dir: str | None = None, records: str | None = None
) -> Handlers:
    """Loads a bundle, or a model; each of the answers needs one of the two."""
    start_tensorflow(threads)
    tagger = Bundle(bundle) if bundle is not None else restore(model_dir)[0]
    documents = list(read_documents(records, require_entities=False)) if records is not None else []

    def entities() -> dict[str, Any]:
        found = tagger.annotate(documents)
        return {"entities": [[(e.start, e.end, e.label, e.score) for e in one.entities] for one in found]}

    return {
        "entities": entities,
        "signatures": lambda: compare_signatures(tagger, documents),
        "memory": lambda length: _memory(tagger, length),
    }


def compare_signatures(bundle: Bundle, documents: Sequence[Document]) -> dict[str, Any]:
    """Calls all four signatures on each record, one at a time.

    Returns:
        `entities` of each record by `serving_default`, as (start, end, label, score); `contradictions`, the number of
        the record and what it is; `largest_sum_error` of a character's marginals.
    """
    codes = bundle.definition.vocabulary.code_point_table()
    contradictions, entities, error = [], [], 0.0
    for number, document in enumerate(documents):
        text = tf.constant([document.text.encode("utf-8")])
        tokens = codes[np.array([ord(character) for character in document.text], np.int64)]
        batch = {
            "token_ids": tf.constant(tokens[np.newaxis], tf.int32),
            "length": tf.constant([len(tokens)], tf.int32),
        }
        found = _first(bundle.signatures["serving_default"](text=text))
        tagged = _first(bundle.signatures["tag"](text=text))
        decoded = _first(bundle.signatures["decode"](**batch))
        marginals = _first(bundle.signatures["marginals"](**batch))["marginals"]
        labels = [label.decode("utf-8") for label in found["label"].tolist()]
        starts, ends, scores = (found[name].tolist() for name in ("start", "end", "score"))
        tags = [tag.decode("utf-8") for tag in tagged["tags"].tolist()]
        sums = np.abs(marginals.sum(axis=-1) - 1)
        error = max(error, float(sums.max(initial=0.0)))
        spans = list(zip(starts, ends, labels, strict=True))
        # A mention is at most as probable as each of its tags.
        bounds = [
            min(marginals[i, bundle.tags.index(tags[i])] for i in range(start, end))
            for start, end, _ in spans
        ]
        agrees = {
            "`serving_default`: `num_entities`": found["num_entities"] == len(spans),
            "`serving_default`: `mention`": [mention.decode("utf-8") for mention in found["mention"].tolist()]
            == [document.text[start:end] for start, end, _ in spans],
            "`serving_default`: `score` within [0, 1]": all(0 <= score <= 1 + _TOLERANCE for score in scores),
            "`tag`: `length`": tagged["length"] == len(document.text) == len(tags),
            "`tag` and `serving_default`": list(_spans(tags)) == spans,
            "`tag` and `decode`": tags == [bundle.tags[i] for i in decoded["tag_ids"].tolist()],
            "`marginals` sum to 1": bool((sums <= _TOLERANCE).all()),
            "`marginals` and `score`": all(
                score <= bound + _TOLERANCE for score, bound in zip(scores, bounds, strict=True)
            ),
        }
        contradictions += [(number, what) for what, holds in agrees.items() if not holds]
        entities.append([(*span, score) for span, score in zip(spans, scores, strict=True)])
    return {"entities": entities, "contradictions": contradictions, "largest_sum_error": error}


def _first(outputs: dict[str, tf.Tensor]) -> dict[str, Any]:
    """Outputs of the one record of a batch."""
    return {name: value.numpy()[0] for name, value in outputs.items()}


def _spans(tags: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Yields mentions that a legal sequence of BIO or BIOES tags holds."""
    begun: tuple[int, str] | None = None
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, label = tag.partition("-")
        if begun is not None and prefix not in ("I", "E"):
            yield begun[0], i, begun[1]
            begun = None
        if prefix in ("B", "S"):
            begun = (i, label)


def _memory(bundle: Bundle, length: int) -> dict[str, Any]:
    """Returns the entities of one synthetic text, and the most memory that this process has held."""
    written = "".join(document.text for document in generate("test", records=100, seed=0))
    text = (written * (length // len(written) + 1))[:length]
    started = time.perf_counter()
    (found,) = bundle.predict([text])
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"peak_megabytes": peak, "seconds": seconds, "entities": len(found)}


if __name__ == "__main__":
    serve(load)
