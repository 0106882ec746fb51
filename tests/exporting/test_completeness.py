"""A bundle of which a copy stopped half way, or a file was damaged: an error that names the file, and no bundle."""

import pathlib
import shutil

import pytest

from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting.bundle import Bundle, find_version

DATA = "variables/variables.data-00000-of-00001"
FILES = (
    "saved_model.pb",
    "variables/variables.index",
    DATA,
    "assets/vocab.txt",
    "assets/labels.txt",
    "assets/tags.txt",
    "assets/config.json",
    "assets/encoder.json",
    "assets/contract_version",
)


@pytest.fixture(scope="module")
def copied(bundles, tmp_path_factory):
    """A copy of the tiny model's versions."""
    return shutil.copytree(bundles, tmp_path_factory.mktemp("copied") / "ner")


@pytest.fixture
def damage(copied):
    """A function that changes a file of the version and returns its path; afterwards it is whole again."""
    whole: dict[pathlib.Path, bytes] = {}

    def change(name, make):
        path = copied / "1" / name
        whole[path] = path.read_bytes()
        content = make(whole[path])
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        return path

    yield change
    for path, content in whole.items():
        path.write_bytes(content)


def _refused(copied, path):
    for open_it in (find_version, Bundle):
        for place in (copied, copied / "1"):
            with pytest.raises(UserError) as raised:
                open_it(place)
            assert str(raised.value).startswith(f"{path}: ")
            assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", FILES)
def test_an_empty_file_is_named(copied, damage, name):
    _refused(copied, damage(name, lambda content: b""))


@pytest.mark.parametrize("name", [name for name in FILES if "contract" not in name])
@pytest.mark.parametrize("part", [0.01, 0.5, 0.999])
def test_a_file_that_is_cut_off_is_named(copied, damage, name, part):
    _refused(copied, damage(name, lambda content: content[: max(0, int(len(content) * part) - 1)]))


@pytest.mark.parametrize("name", ["assets/vocab.txt", "assets/labels.txt", "assets/tags.txt"])
def test_a_line_that_is_missing_is_noticed(copied, damage, name):
    _refused(copied, damage(name, lambda content: b"".join(content.splitlines(keepends=True)[:-1])))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copied, damage, name):
    _refused(copied, damage(name, lambda content: None))


def test_a_missing_folder(copied):
    (copied / "1/variables").rename(copied / "elsewhere")
    try:
        _refused(copied, copied / "1/variables")
    finally:
        (copied / "elsewhere").rename(copied / "1/variables")


def test_data_shorter_by_one_byte(copied, damage):
    _refused(copied, damage(DATA, lambda content: content[:-1]))


def test_damaged_data_is_an_error_of_one_line(copied, damage):
    damage(DATA, lambda content: bytes(100) + content[100:])
    with pytest.raises(UserError, match=r"saved_model\.pb or variables/\* is damaged") as raised:
        Bundle(copied)
    assert "\n" not in str(raised.value)
    assert str(copied / "1") in str(raised.value)


def test_whole_it_loads(copied):
    assert Bundle(copied).path == copied / "1"


def test_an_empty_folder_beside_a_whole_version(copied):
    newer = copied / "12"
    newer.mkdir()
    try:
        with pytest.raises(
            UserError, match=rf"^{newer}: the newest version has no saved_model.pb.*{copied / '1'}$"
        ):
            find_version(copied)
    finally:
        newer.rmdir()


def test_a_configuration_of_another_kind(copied, damage):
    _refused(copied, damage("assets/config.json", lambda content: b'{"model": []}'))
