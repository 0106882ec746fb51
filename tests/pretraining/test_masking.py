"""Masks: shares, what is never masked, whole words, and that the same epoch draws the same."""

import numpy as np
import pytest

from emr_ner_tf.errors import UserError
from emr_ner_tf.pretraining.masking import mask, word_units
from emr_ner_tf.text.vocabulary import Vocabulary

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##甲", "药物")
VOCABULARY = Vocabulary((*SPECIAL, *map(chr, range(0x4E00, 0x4E40))))
TEXT = np.random.default_rng(1).integers(len(SPECIAL), len(VOCABULARY.tokens), 100_000).astype(np.int32)


def test_shares_of_what_is_masked():
    masked = mask(TEXT, None, VOCABULARY, rate=0.15, seed=1, epoch=0)
    chosen = masked.labels >= 0
    np.testing.assert_array_equal(masked.labels[chosen], TEXT[chosen])
    np.testing.assert_array_equal(masked.token_ids[~chosen], TEXT[~chosen])
    assert abs(chosen.mean() - 0.15) < 0.005
    hidden = masked.token_ids[chosen] == VOCABULARY.mask_id
    assert abs(hidden.mean() - 0.8) < 0.02
    kept = masked.token_ids[chosen] == TEXT[chosen]
    # A tenth stays, and a replacement may hit the character itself.
    assert abs(kept.mean() - (0.1 + 0.1 / 64)) < 0.01
    replaced = masked.token_ids[chosen][~hidden]
    assert (replaced >= len(SPECIAL)).all(), "a replacement is a character"


def test_special_tokens_are_never_masked():
    text = np.repeat(np.arange(len(SPECIAL), dtype=np.int32), 50)
    masked = mask(text, None, VOCABULARY, rate=0.9, seed=1, epoch=0)
    np.testing.assert_array_equal(masked.token_ids, text)
    assert (masked.labels == -1).all()


def test_an_epoch_is_a_function_of_seed_and_number():
    one, same, other_epoch, other_seed = (
        mask(TEXT, None, VOCABULARY, rate=0.15, seed=seed, epoch=epoch)
        for seed, epoch in ((1, 3), (1, 3), (1, 4), (2, 3))
    )
    np.testing.assert_array_equal(one.token_ids, same.token_ids)
    np.testing.assert_array_equal(one.labels, same.labels)
    assert (one.labels != other_epoch.labels).any()
    assert (one.labels != other_seed.labels).any()


def test_whole_words_are_masked_together():
    passages = ["患者因右肺上叶腺癌入院。", "CT提示12.5mm结节"]
    units = word_units(passages)
    assert len(units) == sum(map(len, passages))
    words = [
        "".join(character for character, unit in zip("".join(passages), units, strict=True) if unit == number)
        for number in range(units[-1] + 1)
    ]
    assert {"患者", "腺癌", "CT", "12.5mm"} <= set(words)
    rng = np.random.default_rng(2)
    units = np.repeat(np.arange(30_000), rng.integers(1, 5, 30_000))
    text = rng.integers(len(SPECIAL), len(VOCABULARY.tokens), len(units)).astype(np.int32)
    chosen = mask(text, units, VOCABULARY, rate=0.15, seed=1, epoch=0).labels >= 0
    inside = units[1:] == units[:-1]
    assert (chosen[1:] == chosen[:-1])[inside].all()
    assert abs(chosen.mean() - 0.15) < 0.01


def test_a_vocabulary_without_mask():
    vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "甲"))
    with pytest.raises(UserError, match=r"\[MASK\]"):
        mask(np.array([4], np.int32), None, vocabulary, rate=0.15, seed=1, epoch=0)
