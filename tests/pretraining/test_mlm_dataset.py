"""The input of pre-training on literals: rows, segments, labels, shares of replicas."""

import numpy as np

from emr_ner_tf.models.tagger import SpecialTokens
from emr_ner_tf.pretraining.masking import Masked
from emr_ner_tf.pretraining.mlm_dataset import pretraining_dataset
from emr_ner_tf.pretraining.sentence_pairs import Pairs

_SPECIAL = SpecialTokens(pad=0, cls=1, sep=2)
_MASKED = Masked(
    token_ids=np.array([10, 3, 12, 20, 21, 3], np.int32), labels=np.array([-1, 11, -1, -1, -1, 30], np.int32)
)
# The first window has both its sentences, the second the sentence of another, the third has one only.
_PAIRS = Pairs(*np.array([[0, 3, 5], [2, 4, 6], [2, 4, 6], [3, 5, 6]]), np.array([0, 1, -1], np.int32))


def _elements(batches, **options):
    dataset = pretraining_dataset(_MASKED, _PAIRS, batches, _SPECIAL, **options)
    return [[value.numpy().tolist() for value in element] for element in dataset]


def test_rows_of_one_replica():
    (element,) = _elements([np.array([0, 1, 2])], replicas=1, first=0, count=1)
    tokens, segments, labels, length, other, masked, paired = element
    assert tokens == [[1, 10, 3, 2, 12, 2], [1, 20, 2, 21, 2, 0], [1, 3, 2, 0, 0, 0]]
    assert segments == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0]]
    assert labels == [[-1, -1, 11, -1, -1, -1], [-1] * 6, [-1, 30, -1, -1, -1, -1]]
    assert (length, other, masked, paired) == ([6, 5, 3], [0, 1, -1], 2.0, 2.0)


def test_replicas_share_a_step_and_count_all_of_it():
    elements = _elements([np.array([1, 2]), np.array([0])], replicas=2, first=0, count=2)
    assert [element[0] for element in elements] == [
        [[1, 20, 2, 21, 2]],
        [[1, 3, 2]],
        [[1, 10, 3, 2, 12, 2]],
        [[0]],
    ]
    assert [element[5:] for element in elements] == [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    # A share without a window is a row of nothing, which counts nowhere.
    *_, empty = elements
    assert empty[1:5] == [[[0]], [[-1]], [0], [-1]]
    second = _elements([np.array([1, 2]), np.array([0])], replicas=2, first=1, count=1)
    assert second == elements[1::2]
