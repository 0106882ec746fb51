import bz2

import numpy as np
import pytest
from absl import logging

from emr_ner_tf.data.record_error import RecordError
from emr_ner_tf.data.vectors import read_vectors, train_word2vec


def _file(tmp_path, text):
    path = tmp_path / "some.vec"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("header", ["", "2 3\n", "\ufeff", "\ufeff2 3\n"])
def test_reads_word2vec_text(tmp_path, header):
    vectors = read_vectors(_file(tmp_path, f"{header}肾 1 2 3.5\n右肾 -1 0 1e-3 \n"))
    assert vectors.tokens == ("肾", "右肾")
    assert vectors.values.dtype == np.float32
    np.testing.assert_allclose(vectors.values, [[1, 2, 3.5], [-1, 0, 1e-3]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold vectors"),
        ("肾 1 2\n石 1 2 3\n", r"some\.vec:2: must have 2 numbers.*3"),
        ("肾 1 2\n石 1 x\n", r"some\.vec:2: .*numbers"),
        ("肾 1 2\n肾 1\n", r"some\.vec:2: must have 2 numbers.*1"),
        ("4 2\n肾 1 2\n肾 1 2\n石 1 2\n", r"some\.vec:1: must be followed by 4 vectors.*3"),
        ("2 3\n肾 1 2\n石 1 2\n", r"some\.vec:2: must have 3 numbers.*2"),
        ("3 2\n肾 1 2\n石 1 2\n", r"some\.vec:1: must be followed by 3 vectors.*2"),
        ("0 2\n肾 1 2\n", r"some\.vec:1: must be followed by 0 vectors.*1"),
        ("肾\n", r"some\.vec:1: a line must be a token and its numbers"),
        ("肾 1 nan\n", r"some\.vec:1: .*finite"),
    ],
)
def test_errors_name_file_and_line(tmp_path, text, message):
    with pytest.raises(RecordError, match=message):
        read_vectors(_file(tmp_path, text))


@pytest.mark.parametrize("header", ["", "5 2\n", "3 2\n"])
def test_the_first_of_a_repeated_token_counts(tmp_path, caplog, header):
    logging.use_absl_handler()
    path = _file(tmp_path, f"{header}肾 1 2\n石 3 4\n肾 5 6\n胃 7 8\n肾 9 9\n")
    with caplog.at_level("WARNING", logger="absl"):
        vectors = read_vectors(path)
    assert vectors.tokens == ("肾", "石", "胃")
    np.testing.assert_array_equal(vectors.values, [[1, 2], [3, 4], [7, 8]])
    assert f"{path}: 2 vectors left out" in caplog.text


def test_a_compressed_file_is_named_as_one(tmp_path):
    path = tmp_path / "some.vec.bz2"
    path.write_bytes(bz2.compress("肾 1 2\n".encode()))
    with pytest.raises(RecordError, match=r"some\.vec\.bz2:1: .* compressed by bzip2; unpack it first"):
        read_vectors(path)


def test_word2vec_gives_one_result_for_a_seed_and_puts_like_by_like():
    # Two groups of characters that never meet: a group's own are nearer to one another than to the other's.
    random = np.random.default_rng(0)
    groups = ["甲乙丙丁", "子丑寅卯"]
    sentences = [random.choice(list(groups[i % 2]), 12).tolist() for i in range(400)]
    one, again = (train_word2vec(sentences, size=8, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.values, again.values)
    assert sorted(one.tokens) == sorted("".join(groups))
    unit = dict(zip(one.tokens, one.values / np.linalg.norm(one.values, axis=1, keepdims=True), strict=True))
    assert unit["甲"] @ unit["乙"] > unit["甲"] @ unit["子"] + 0.1


def test_word2vec_learns_from_all_of_a_long_sentence():
    # gensim reads 10,000 tokens of a sentence; the tokens past them must count nevertheless.
    long = ["甲"] * 10_000 + ["乙", "丙"] * 500
    found = train_word2vec([long], size=4, seed=1)
    split = train_word2vec([long[:10_000], long[10_000:]], size=4, seed=1)
    np.testing.assert_array_equal(found.values, split.values)
    without = train_word2vec([long[:10_000], ["乙"] * 500, ["丙"] * 500], size=4, seed=1)
    assert np.abs(found.values - without.values).max() > 0


def test_word2vec_of_nothing_has_no_vectors():
    vectors = train_word2vec([], size=4, seed=1)
    assert vectors.tokens == ()
    assert vectors.values.shape == (0, 4)
