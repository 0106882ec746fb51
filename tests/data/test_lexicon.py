import numpy as np
import pytest
from absl import logging

from emr_ner_tf.data.lexicon import LONGEST_WORD, build_lexicon, read_lexicon
from emr_ner_tf.errors import UserError


def _file(tmp_path, text):
    path = tmp_path / "words.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_keeps_its_order_and_what_can_be_looked_up(tmp_path):
    longest = "长" * LONGEST_WORD
    path = _file(tmp_path, f"\ufeff直肠癌\r\n\n肝\n {longest} \n{longest}长\nCEA\n")
    lexicon = read_lexicon(path)
    assert lexicon.words == ("直肠癌", longest, "CEA")
    assert lexicon.vectors is None


@pytest.mark.parametrize("header", ["", "3 2\n", "\ufeff"])
def test_vectors_stay_beside_their_words(tmp_path, header):
    lexicon = read_lexicon(_file(tmp_path, f"{header}直肠 1 2\n肝 3 4\n肝脏 5 6\n"))
    assert lexicon.words == ("直肠", "肝脏")
    np.testing.assert_array_equal(lexicon.vectors, np.float32([[1, 2], [5, 6]]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"words\.txt: must hold words"),
        ("肝\n", r"words\.txt: must hold words"),
        ("肝脏\n直肠 癌\n", r"words\.txt:2: a line must be one word"),
        ("肝脏 1 2\n直肠 1\n", r"words\.txt:2: must have 2 numbers"),
        ("肝脏 1 2\n直肠\n", r"words\.txt:2: a line must be a token and its numbers"),
        ("直肠 癌\n", r"words\.txt:1: .*numbers"),
    ],
)
def test_errors_name_file_and_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_lexicon(_file(tmp_path, text))


@pytest.mark.parametrize("numbers", [("", "", ""), (" 1 2", " 3 4", " 5 6")])
def test_the_first_of_a_repeated_word_counts(tmp_path, caplog, numbers):
    logging.use_absl_handler()
    words = ("肝脏", "直肠", "肝脏")
    path = _file(tmp_path, "".join(f"{word}{more}\n" for word, more in zip(words, numbers, strict=True)))
    with caplog.at_level("WARNING", logger="absl"):
        lexicon = read_lexicon(path)
    assert lexicon.words == ("肝脏", "直肠")
    if numbers[0]:
        np.testing.assert_array_equal(lexicon.vectors, np.float32([[1, 2], [3, 4]]))
    assert f"{path}: 1 " in caplog.text
    assert "left out" in caplog.text


def test_a_file_that_is_not_utf_8_or_not_there(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("肝脏\n".encode() + b"\xff\n")
    with pytest.raises(UserError, match=r"words\.txt:2: .*UTF-8"):
        read_lexicon(path)
    with pytest.raises(UserError, match="no such file"):
        read_lexicon(tmp_path / "absent.txt")


def test_words_are_segmented_and_counted():
    texts = [
        "患者出现腹痛，患者住院。",
        "患者出院，腹痛。",
        "患者 12.5ng 12.5ng 12.5ng 腹痛，行行行术。\ud800",
    ]
    lexicon = build_lexicon(texts, min_count=3)
    # Three times in all; no number, no single character, no white space.
    assert lexicon.words == ("患者", "腹痛")
    assert lexicon.vectors is None
    assert {"住院", "出院"} <= set(build_lexicon(texts, min_count=1).words)


def test_a_corpus_without_text_or_words():
    with pytest.raises(UserError, match="a lexicon needs text"):
        build_lexicon([""], min_count=1)
    with pytest.raises(UserError, match="min_count=2"):
        build_lexicon(["患者"], min_count=2)
