"""This project's side of finding words, as a worker process: the graph that every export holds."""

import hashlib
import json
import pathlib
import time
from typing import Any

import numpy as np
import tensorflow as tf
from harness import Handlers, serve

from emr_ner_tf.inference.annotator import encode_texts
from emr_ner_tf.text.characters import look_up
from emr_ner_tf.text.trie import build_trie
from emr_ner_tf.text.vocabulary import Vocabulary
from emr_ner_tf.text.word_matcher import Matches, WordMatcher
from tensorflow_impl.threads import start_tensorflow


def load(data: str, threads: int) -> Handlers:
    """Builds the trie and traces the graph."""
    start_tensorflow(threads)
    loaded = json.loads(pathlib.Path(data).read_text(encoding="utf-8"))
    vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]")).extended(
        [*loaded["texts"], *loaded["words"]]
    )
    codes = tf.constant(vocabulary.code_point_table())
    started = time.perf_counter()
    trie = build_trie(loaded["words"], vocabulary)
    built = time.perf_counter() - started
    matcher = WordMatcher(trie)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def match(texts: tf.Tensor) -> Matches:
        return matcher(*look_up(texts, codes, vocabulary.pad_id)[1:])

    def run() -> np.ndarray:
        found = match(tf.constant(encode_texts(loaded["texts"])))
        return np.stack([field.numpy() for field in (found.row, found.start, found.end)], 1)

    def measure() -> dict[str, Any]:
        started = time.perf_counter()
        run()
        return {"seconds": time.perf_counter() - started}

    def occurrences() -> dict[str, Any]:
        found = run()
        found = np.ascontiguousarray(found[np.lexsort(found.T[::-1])], np.int32)
        return {"number": len(found), "digest": hashlib.sha256(found.tobytes()).hexdigest()}

    facts = {
        "words": len(trie.kept),
        "build_seconds": built,
        "bytes": sum(array.nbytes for array in (trie.base, trie.check, trie.word)),
    }
    return {"facts": lambda: facts, "measure": measure, "occurrences": occurrences}


if __name__ == "__main__":
    serve(load)
