"""Near-duplicates: long strings in common, texts that differ in punctuation, texts within others (a plain search)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_ner_tf.data.near_duplicates import near_duplicate_groups


def _groups(texts, *sizes):
    return near_duplicate_groups(texts, texts, *sizes)


def _slow_groups(texts, shared, contained):
    group = list(range(len(texts)))

    def is_part(one, other):
        return contained <= len(one) < shared and one in other

    for (i, one), (j, other) in itertools.combinations(enumerate(texts), 2):
        folded = [text.replace("，", "").replace("A", "a") or text for text in (one, other)]
        near = folded[0] == folded[1]
        near = near or is_part(one, other) or is_part(other, one)
        near = near or any(
            one[k : k + shared] in other for k in range(len(one) - shared + 1) if len(other) >= shared
        )
        if near:
            old, new = max(group[i], group[j]), min(group[i], group[j])
            group = [new if member == old else member for member in group]
    return group


@given(st.lists(st.text("肝癌aA，", max_size=12), max_size=8), st.integers(1, 8), st.integers(2, 6))
def test_groups_are_those_of_a_plain_search(texts, shared, contained):
    assert _groups(texts, shared, contained) == _slow_groups(texts, shared, contained)


def test_thirty_characters_join_and_twenty_nine_do_not():
    block = "".join(map(chr, range(0x4E00, 0x4E00 + 30)))
    assert _groups([f"甲{block}", f"{block}乙"]) == [0, 0]
    assert _groups([f"甲{block[:29]}丙", f"丁{block[:29]}乙"]) == [0, 1]
    assert _groups(["短", "", "短", ""]) == [0, 1, 0, 1]
    assert _groups([]) == []


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("左肾结石，予CT。", "左肾结石, 予ｃｔ", True),
        ("左肾结石", "右肾结石", False),
        ("HER2(+)", "HER2(-)", False),
        ("。", "，", False),
        ("患者神志清，精神可。", "查体：患者神志清，精神可。予出院。", True),
        ("患者神志清精神可", "查体：患者神志清精神可，予出院", False),
    ],
)
def test_short_records(one, other, near):
    assert _groups([one, "别的", other]) == [0, 1, 0 if near else 2]
    assert _groups([other, "别的", one]) == [0, 1, 0 if near else 2]
