"""Folders of versions, and the errors of an export before its work."""

import pytest

from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.export import export
from emr_ner_tf.exporting.versioning import find_versions, version_number


def test_numbers():
    names = (
        "0",
        "7",
        "007",
        str((1 << 63) - 1),
        str(1 << 63),
        "9" * 250,
        "\u00b2",
        "\u0663",
        "-1",
        "1.0",
        "",
        ".1",
    )
    numbers = [version_number(name) for name in names]
    assert numbers == [0, 7, 7, (1 << 63) - 1] + [None] * 8


def test_folders(tmp_path):
    for name in ("2", "10", "\u00b2", ".unpublished.1", "012x"):
        (tmp_path / name).mkdir()
    (tmp_path / "11").write_text("a file")
    assert find_versions(tmp_path) == {2: tmp_path / "2", 10: tmp_path / "10"}
    assert find_versions(tmp_path / "absent") == {}


@pytest.mark.parametrize(
    ("licence", "message"),
    [
        ("LICENSE.txt", "must be an existing file, or a name"),
        ("licences/mit", "must be an existing file, or a name"),
        # Taken as names; what is then missing is the run.
        ("CC BY-NC 4.0", "the run is not finished"),
        ("https://creativecommons.org/licenses/by/4.0", "the run is not finished"),
        ("x" * 5000, "the run is not finished"),
    ],
)
def test_a_licence_is_a_file_or_a_name(tmp_path, licence, message):
    with pytest.raises(UserError, match=message):
        export(tmp_path, tmp_path / "out", licence=licence)


def test_a_version_is_no_directory_of_versions(tmp_path):
    # A reader of such a directory would load the version itself, even if a newer one were in it.
    version = tmp_path / "ner" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    with pytest.raises(UserError, match=rf"1: is the directory of one version, .*; name .* {tmp_path}/ner$"):
        export(tmp_path, version)
    assert [path.name for path in version.iterdir()] == ["saved_model.pb"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": -1}, "keep must be at least 0, got -1"),
        ({"token_budget": -5}, "token_budget must be at least 0, got -5"),
        ({"min_probability": 30}, "min_probability must be at least 0 and at most 1, got 30"),
        ({"min_probability": float("nan")}, "min_probability must be at least 0 and at most 1, got nan"),
        ({"weights": "int8"}, "weights must be one of float32, bfloat16, float16, got 'int8'"),
        ({"precision": "float16"}, "precision must be one of float32, bfloat16, auto, got 'float16'"),
        ({"checkpoint": "newest"}, "checkpoint must be one of best, last, got 'newest'"),
    ],
)
def test_options_are_checked_before_the_work(tmp_path, options, message):
    with pytest.raises(UserError) as raised:
        export(tmp_path, tmp_path / "out", **options)
    assert str(raised.value) == message
