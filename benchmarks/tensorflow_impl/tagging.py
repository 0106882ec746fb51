"""This project's side of raw text to entities, as a worker process: the exported bundle."""

import gc
import pathlib
import time
from typing import Any

from harness import Handlers, serve

from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.exporting.bundle import Bundle
from emr_ner_tf.exporting.packed_weights import keep_packed_weights
from emr_ner_tf.training.loading import restore
from tensorflow_impl.portable import save_model
from tensorflow_impl.threads import start_tensorflow


def load(model_dir: str, bundle: str, records: str, folder: str, threads: int) -> Handlers:
    """Writes the weights of `model_dir` for the peer and loads the bundle."""
    # As `annotate` and `serve` do.
    keep_packed_weights(bundle)
    start_tensorflow(threads)
    _save(model_dir, pathlib.Path(folder))
    gc.collect()
    loaded = Bundle(bundle)
    documents = list(read_documents(records, require_entities=False))

    def measure(first: int, step: int, one_by_one: bool = False) -> dict[str, Any]:
        chosen = documents[first::step]
        started = time.perf_counter()
        found = [loaded(document) for document in chosen] if one_by_one else list(loaded.annotate(chosen))
        seconds = time.perf_counter() - started
        characters = sum(len(document.text) for document in chosen)
        return {"seconds": seconds, "characters": characters, "entities": sum(len(d.entities) for d in found)}

    def entities() -> dict[str, Any]:
        found = loaded.annotate(documents)
        return {"entities": [[(e.start, e.end, e.label) for e in document.entities] for document in found]}

    return {"measure": measure, "entities": entities}


def _save(model_dir: str, folder: pathlib.Path) -> None:
    tagger, definition = restore(model_dir)
    save_model(tagger.ner_pipeline.tagger, definition, folder)


if __name__ == "__main__":
    serve(load)
