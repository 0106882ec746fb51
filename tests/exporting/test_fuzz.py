"""Ten thousand texts that nobody wrote through the exported model: no crash, and offsets that are those of the text."""

import random

import pytest
import tensorflow as tf

from emr_ner_tf.data.synthetic.generator import generate
from emr_ner_tf.exporting.bundle import find_version

TEXTS, BATCH, SEED = 10_000, 250, 20241
_ODD = (
    "\x00\x07\x1b\r\n\t \u3000\u00a0\u200b\u200d\u202e\ufeff\ufffd\u0301\u20e3\ue000\U000e0001\U0010ffff"
    "😀🩺𠮷𝔸㎎ﬁＡ１"
)


def _bytes(source, seeds):
    return source.randbytes(source.randrange(120))


def _code_points(source, seeds):
    points = (source.randrange(0x110000) for _ in range(source.randrange(80)))
    return "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000).encode()


def _characters(source, seeds):
    alphabet = source.choice([_ODD, "患者右肺癌术后CT", "0123456789.,%×^/-+", "。，；！？\n"])
    return "".join(source.choices(alphabet, k=source.randrange(150))).encode()


def _mutated(source, seeds):
    """Returns a record with pieces doubled, dropped, exchanged, and odd characters between."""
    text = list(source.choice(seeds))
    for _ in range(source.randrange(12)):
        at, size = source.randrange(len(text) + 1), source.randrange(30)
        piece = source.choice([source.choices(_ODD, k=3), text[:size], [], text[at : at + size] * 2])
        text[at : at + size] = piece
    raw = bytearray("".join(text[:400]).encode())
    for _ in range(source.randrange(3)):
        # Bytes of a character that is cut in two are malformed.
        if raw:
            del raw[source.randrange(len(raw))]
    return bytes(raw)


@pytest.mark.slow
def test_ten_thousand_texts(bundles):
    source = random.Random(SEED)
    seeds = [document.text for document in generate("test", records=40, seed=3)]
    kinds = (_bytes, _code_points, _characters, _mutated)
    raws = [source.choice(kinds)(source, seeds) for _ in range(TEXTS)]
    signature = tf.saved_model.load(str(find_version(bundles))).signatures["serving_default"]
    found = malformed = 0
    for begin in range(0, TEXTS, BATCH):
        batch = raws[begin : begin + BATCH]
        outputs = {name: value.numpy() for name, value in signature(text=tf.constant(batch)).items()}
        for row, raw in enumerate(batch):
            text = raw.decode("utf-8", errors="replace")
            malformed += text.encode() != raw
            place = f"text {begin + row} of seed {SEED}"
            last = 0
            for i in range(outputs["num_entities"][row]):
                start, end = int(outputs["start"][row, i]), int(outputs["end"][row, i])
                assert last <= start < end <= len(text), place
                assert outputs["mention"][row, i].decode() == text[start:end], place
                assert 0 <= outputs["score"][row, i] <= 1 + 1e-5, place
                last = end
            assert (outputs["start"][row, outputs["num_entities"][row] :] == -1).all(), place
            found += int(outputs["num_entities"][row])
    # A fuzzer that never gets anywhere would prove nothing.
    assert found > 1000
    assert 500 < malformed < TEXTS
