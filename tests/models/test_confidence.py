"""The probability of the best path against the marginals, where a text of one character has no other path."""

import numpy as np
import pytest
import tensorflow as tf

from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.models.confidence import Confidence


def test_of_one_character_it_is_the_largest_marginal(restored):
    pipeline = restored.ner_pipeline
    ids = tf.constant([[pipeline.vocabulary.tokens.index("痛")]])
    marginals = pipeline.marginals(ids, tf.constant([1]))["marginals"].numpy()[0, 0]
    (found,) = Confidence(pipeline).per_character(["痛"])
    assert found == pytest.approx(np.log(marginals.max()), abs=1e-4)


def test_texts_of_any_length_in_their_order(restored, corpus):
    texts = [document.text for document in read_documents(corpus / "test.jsonl")]
    confidence, batches = Confidence(restored.ner_pipeline), []
    found = confidence.per_character(["", *texts, texts[0] * 5], batches.append)
    assert found[0] == 0
    assert all(value < 0 for value in found[1:])
    assert sum(batches) == len(texts) + 2
    alone = [confidence.per_character([text])[0] for text in texts[:3]]
    assert found[1:4] == pytest.approx(alone, abs=1e-4)
