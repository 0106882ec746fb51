"""Lists of paths that are separated by commas."""

import pytest

from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.errors import UsageError


def test_paths_keep_their_order():
    assert split_paths("b,a b,./c", "--train") == ["b", "a b", "./c"]
    assert split_paths("", "--train") == []


@pytest.mark.parametrize(
    ("joined", "place"),
    [
        ("a,", "path 2 of 2"),
        (",a", "path 1 of 2"),
        ("a,,b", "path 2 of 3"),
        ("a, ,b", "path 2 of 3"),
        (",", "path 1"),
    ],
)
def test_an_empty_path_is_named_by_flag_and_place(joined, place):
    with pytest.raises(UsageError) as caught:
        split_paths(joined, "--train")
    assert str(caught.value).startswith("--train must be paths")
    assert place in str(caught.value)
    assert repr(joined) in str(caught.value)
