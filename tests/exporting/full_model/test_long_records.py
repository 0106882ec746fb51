"""A record of 100,000 characters through the exported model."""

import pytest
import tensorflow as tf

from emr_ner_tf.data.document import Document
from emr_ner_tf.data.synthetic.generator import generate

LENGTH = 100_000


@pytest.fixture(scope="module")
def text():
    written = "".join(document.text for document in generate("test", records=50, seed=3))
    return (written * (LENGTH // len(written) + 1))[:LENGTH]


def test_offsets_are_right_to_the_end(bundle, text):
    outputs = bundle.signatures["serving_default"](text=tf.constant([text.encode("utf-8"), b""]))
    starts, ends, mentions, scores = (
        outputs[name].numpy()[0].tolist() for name in ("start", "end", "mention", "score")
    )
    assert outputs["num_entities"].numpy().tolist() == [len(starts), 0]
    assert [mention.decode("utf-8") for mention in mentions] == [
        text[start:end] for start, end in zip(starts, ends, strict=True)
    ]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    assert all(0 <= score <= 1 + 1e-5 for score in scores)
    # The same sentences come again and again, up to the end.
    assert max(ends) > LENGTH - len(text) // 10
    documents = [Document("long", text), Document("empty", "")]
    found = [document.entities for document in bundle.annotate(documents)]
    assert [(entity.start, entity.end) for entity in found[0]] == list(zip(starts, ends, strict=True))
    assert found[1] == ()
