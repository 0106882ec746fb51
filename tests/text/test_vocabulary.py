"""The vocabulary against a character-by-character reading of the rule, against transformers, and on disk."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emr_ner_tf.errors import UserError
from emr_ner_tf.text.vocabulary import Vocabulary

SPECIAL = ("[PAD]", "[unused1]", "[unused2]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNUSED1, UNUSED2, UNK, CLS, SEP, MASK = range(7)

any_character = st.characters(blacklist_categories=["Cs"])
near_ascii = st.sampled_from(
    "aAbBαΑιΙµμΜ①1１ªﬁｆＦÅÅåſsSK℃İi㎏豈更 \u3000\n\t\x00\u2028\u200b\ufeff\ue000。，“”"
)
characters = any_character | near_ascii


def expected_id(rows, character):
    normal = unicodedata.normalize("NFKC", character)
    forms = [character, character.lower()]
    if len(normal) == 1:
        forms += [normal, normal.lower()]
    for form in forms:
        if len(form) == 1 and form in rows:
            return rows[form]
    return UNK


def test_special_ids():
    vocabulary = Vocabulary(SPECIAL)
    ids = (vocabulary.pad_id, vocabulary.unk_id, vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id)
    assert ids == (PAD, UNK, CLS, SEP, MASK)


def test_mask_is_missed_only_where_it_is_asked_for():
    vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]"))
    with pytest.raises(UserError, match=r"\[MASK\]"):
        _ = vocabulary.mask_id


def test_table_of_every_code_point():
    tokens = (*SPECIAL, "a", "##b", "1", "。", "μ", "i", "ss", "k", "更", "Å", "s", "##，", "ｶ", "[X]")
    table = Vocabulary(tokens).code_point_table()
    assert table.dtype == np.int32
    assert table.shape == (0x110000,)
    rows = {token: row for row, token in enumerate(tokens)}
    expected = [UNK if 0xD800 <= code < 0xE000 else expected_id(rows, chr(code)) for code in range(0x110000)]
    np.testing.assert_array_equal(table, expected)


@given(st.lists(characters, unique=True, max_size=12), st.lists(characters, max_size=12))
@settings(max_examples=25, deadline=None)
def test_table_of_any_vocabulary(held, asked):
    tokens = (*SPECIAL, *held)
    table = Vocabulary(tokens).code_point_table()
    rows = {token: row for row, token in enumerate(tokens)}
    for character in {*held, *asked, *(c.upper() for c in held if len(c.upper()) == 1)}:
        assert table[ord(character)] == expected_id(rows, character)


def test_order_of_the_forms():
    def entry(character, *held):
        tokens = (*SPECIAL, *held)
        return tokens[Vocabulary(tokens).code_point_table()[ord(character)]]

    assert entry("Ａ", "a", "A", "ａ", "Ａ") == "Ａ"
    assert entry("Ａ", "a", "A", "ａ") == "ａ"
    assert entry("Ａ", "a", "A") == "A"
    assert entry("Ａ", "a") == "a"
    assert entry("Ａ", "##a") == "[UNK]"
    assert entry("ﬁ", "f", "i", "fi") == "[UNK]"
    assert entry("İ", "i") == "[UNK]"


def test_added_rows_by_frequency_then_code_point():
    vocabulary = Vocabulary((*SPECIAL, "a")).extended(["“\n\n“A ", "”\n  ", "\ufffd\ufffd\ud800\ud800\ud800"])
    # three of " " and of "\n" (the lower code point first), two of “, one of ”; "A" has its lower case.
    assert vocabulary.added == (("\n", UNUSED1), (" ", UNUSED2), ("“", 8), ("”", 9))
    assert vocabulary.tokens == ("[PAD]", "\n", " ", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "“", "”")
    table = vocabulary.code_point_table()
    assert [table[ord(c)] for c in "\n “”aA\ufffd\ud800"] == [1, 2, 8, 9, 7, 7, UNK, UNK]


def test_min_count_and_a_second_extension():
    first = Vocabulary(SPECIAL).extended(["xxy"], min_count=2)
    assert first.added == (("x", UNUSED1),)
    second = first.extended(iter(["y", "z", "y"]))
    assert second.added == (("x", UNUSED1), ("y", UNUSED2), ("z", 7))
    with pytest.raises(ValueError, match="min_count must be at least 1, got 0"):
        first.extended([], min_count=0)


def test_nothing_to_add():
    vocabulary = Vocabulary((*SPECIAL, "a"))
    assert vocabulary.extended(["aA", ""]) == vocabulary
    assert vocabulary.extended([]).added == ()


@given(st.lists(st.text(st.characters() | near_ascii, max_size=8), max_size=5), st.randoms())
@settings(max_examples=25, deadline=None)
def test_an_extension_knows_every_character_and_not_the_order_of_texts(texts, random):
    vocabulary = Vocabulary((*SPECIAL, "a", "。"))
    extended = vocabulary.extended(texts)
    table = extended.code_point_table()
    for character in "".join(texts):
        no_character = character == "\ufffd" or "\ud800" <= character <= "\udfff"
        assert (table[ord(character)] == UNK) == no_character
    kept = [token for token in vocabulary.tokens if not token.startswith("[unused")]
    assert [extended.tokens.index(token) for token in kept] == [vocabulary.tokens.index(t) for t in kept]
    assert all(extended.tokens[row] == character for character, row in extended.added)
    shuffled = random.sample(texts, len(texts))
    assert vocabulary.extended(shuffled).added == extended.added


def test_file_layout(tmp_path):
    path = tmp_path / "made" / "vocab.txt"
    Vocabulary((*SPECIAL[3:], "[PAD]", "\n", " ", "\u2028", "\ufeff", "的", "##a", "")).save(path)
    lines = [*SPECIAL[3:], "[PAD]", "[U+000A]", "[U+0020]", "[U+2028]", "[U+FEFF]", "的", "##a"]
    assert path.read_bytes() == ("\n".join(lines) + "\n\n").encode()
    assert [file.name for file in path.parent.iterdir()] == ["vocab.txt"]


@given(tokens=st.lists(characters | st.text("[]U+0A#的", min_size=2, max_size=7), unique=True, max_size=20))
@settings(max_examples=50, deadline=None)
def test_saved_and_loaded(tmp_path_factory, tokens):
    path = tmp_path_factory.mktemp("saved") / "vocab.txt"
    vocabulary = Vocabulary((*tokens, *SPECIAL))
    vocabulary.save(path)
    assert Vocabulary.load(path).tokens == (*tokens, *SPECIAL)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", [True, False])
def test_files_of_other_makers(tmp_path, newline, start, end):
    tokens = (*SPECIAL, "\x85", "a", "\u2028", "b \u3000")
    path = tmp_path / "vocab.txt"
    path.write_bytes((start + newline.join(tokens) + newline * end).encode())
    assert Vocabulary.load(path).tokens == tokens


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[PAD]\n[UNK]\n[CLS]\na\n", r"vocab.txt: must contain .*, got 4 tokens without \[SEP\]"),
        (b"", r"vocab.txt: must contain .*, got 0 tokens without \[PAD\], \[UNK\], \[CLS\], \[SEP\]"),
        (b"[PAD]\n[U+D800]\n", r"vocab.txt:2: a token must not contain a surrogate"),
        (b"[PAD]\n\xff\n", r"vocab.txt:2: a vocabulary must be UTF-8"),
    ],
)
def test_unusable_files(tmp_path, content, message):
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        Vocabulary.load(path)


def test_the_last_of_lines_that_repeat_counts(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes(b"a\n\n[PAD]\n[UNK]\n[CLS]\n[SEP]\n[U+0041]\n\n[UNK]\na\nA\n")
    vocabulary = Vocabulary.load(path)
    table = vocabulary.code_point_table()
    assert [table[ord(character)] for character in "aA的"] == [9, 10, 8]
    assert vocabulary.unk_id == 8
    assert vocabulary.extended(["aA"]).added == ()
    assert [row for _, row in vocabulary.extended(["的"]).added] == [11]
    vocabulary.save(path)
    assert Vocabulary.load(path) == vocabulary


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.txt: cannot read the vocabulary"):
        Vocabulary.load(tmp_path / "none.txt")
    with pytest.raises(UserError, match="cannot read the vocabulary"):
        Vocabulary.load(tmp_path)


@pytest.mark.parametrize("token", ["a\nb", "a\r", "[U+0041]", "\ufeffab", "a\ud800"])
def test_tokens_that_no_file_could_hold(token):
    with pytest.raises(UserError, match="vocabulary: row 7: a token must"):
        Vocabulary((*SPECIAL, token))


def test_where_a_window_may_end():
    ends = "，。；：、！？,;:!?）)】」》”’…\n\t \u3000\xa0\u2028"
    others = "的a1.．/%％“‘（(《-－+×℃·~"
    table = Vocabulary((*SPECIAL, *ends, *others, "##。", "，，")).break_table()
    assert table.dtype == bool
    assert table.tolist() == [False] * len(SPECIAL) + [True] * len(ends) + [False] * (len(others) + 2)


def test_real_vocabulary_counts_characters_as_transformers_does(shared, tmp_path):
    from transformers import BertTokenizer

    folder = shared / "weights" / "bge-small-zh"
    vocabulary = Vocabulary.load(folder / "vocab.txt")
    tokenizer = BertTokenizer.from_pretrained(str(folder))
    held = [token for token in vocabulary.tokens if len(token) == 1]
    assert len(held) == 8000
    table = vocabulary.code_point_table()
    assert [int(table[ord(c)]) for c in held] == tokenizer.convert_tokens_to_ids(held)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    ids = [vocabulary.pad_id, vocabulary.unk_id, vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id]
    assert ids == tokenizer.convert_tokens_to_ids(special)
    vocabulary.save(tmp_path / "vocab.txt")
    assert Vocabulary.load(tmp_path / "vocab.txt") == vocabulary


def test_real_records_leave_nothing_unknown(shared):
    import json

    with open(shared / "data" / "ccks2019" / "split" / "train.jsonl", encoding="utf-8-sig") as file:
        texts = [json.loads(line)["originalText"] for line in file]
    start = Vocabulary.load(shared / "weights" / "bge-small-zh" / "vocab.txt")
    extended = start.extended(texts)
    present = np.array([ord(c) for c in set("".join(texts)) if c != "\ufffd"])
    assert (start.code_point_table()[present] == start.unk_id).sum() == len(extended.added) > 0
    assert not (extended.code_point_table()[present] == extended.unk_id).any()
    assert len(extended.tokens) == len(start.tokens) + max(0, len(extended.added) - 99)
