"""Checks of one mention."""

import pytest

from emr_ner_tf.data.checks.mentions import mention_problems


@pytest.mark.parametrize(
    ("form", "kinds"),
    [
        ("右肺上叶", []),
        ("肝癌（II期）", []),
        ("肝癌(II期）", []),
        ("CA19-9", []),
        ("Ki-67(30%)", []),
        ("血红蛋白%", []),
        ("#7牙", []),
        ("HBsAg-", []),
        ("“小三阳”", []),
        ("Crohn’s病", []),
        (" 肝癌", ["white_space_at_edge"]),
        ("肝癌\u3000", ["white_space_at_edge"]),
        (" ", ["white_space_at_edge"]),
        ("肝癌，", ["punctuation_at_edge"]),
        ("、肝癌", ["punctuation_at_edge"]),
        (" 肝癌。", ["white_space_at_edge", "punctuation_at_edge"]),
        ("肝癌（", ["unbalanced_brackets"]),
        ("肝癌）", ["unbalanced_brackets"]),
        ("1)肝癌", ["unbalanced_brackets"]),
        ("肝（癌]", ["unbalanced_brackets"]),
        ("肝癌。肺癌", ["mention_over_sentence_end"]),
        ("肝癌\n肺癌", ["mention_over_sentence_end"]),
        ("右肺 上叶", []),
    ],
)
def test_problems(form, kinds):
    assert [kind for kind, _ in mention_problems(form)] == kinds
