"""Formats of two files a record, brat and the pairs of CCKS2017 and CCKS2018: their names, types and offsets."""

import errno
import os

import pytest

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.reading import RecordError, RejectsWriter, read_documents
from emr_ner_tf.data.writing import write_documents


def _folder(path, files):
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("identifier", ["a.txt", "a.ann", "a.txt.txt", "A.TXT", "a.b", "a."])
@pytest.mark.parametrize("name", ["brat", "ccks2017", "ccks2018"])
def test_ids_that_look_like_names_of_files_come_back(tmp_path, name, identifier):
    documents = [Document(each, "左肾", (Entity(0, 1, "病"),), {"id": each}) for each in ("a", identifier)]
    if identifier == "A.TXT":
        documents.pop(0)
    write_documents(tmp_path / "out", documents, name)
    found = {
        document.id: document.entities[0].text for document in read_documents(tmp_path / "out", format=name)
    }
    assert found == {document.id: "左" for document in documents}


@pytest.mark.parametrize("name", ["brat", "ccks2017", "ccks2018", "uima_xmi"])
def test_names_as_long_as_names_may_be(tmp_path, name):
    path = tmp_path / ("肝" * 85)
    documents = [
        Document(each, "左肾", (Entity(0, 1, "病"),), {"id": each}) for each in ("肾" * 79, "肾" * 80)
    ]
    write_documents(path, documents, name)
    found = list(read_documents(path, format=name))
    assert [document.text for document in found] == ["左肾", "左肾"]
    # The longer one is a number, since its file would have 256 bytes in the pairs of CCKS.
    if name != "uima_xmi":
        assert [document.id for document in found] == ["000002", "肾" * 79]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("format", ["brat", "ccks2018", "auto"])
def test_a_file_whose_partner_would_have_too_long_a_name_has_none(tmp_path, caplog, format):
    long = f"{'肝' * 83}a.txt"
    path = _folder(tmp_path / "in", {long: "左\n", "b.txtoriginal.txt": "右", "b.txt": ""})
    with caplog.at_level("WARNING", logger="absl"):
        found = [document.text for document in read_documents(path, format=format, require_entities=False)]
    if format == "brat":
        assert sorted(found) == ["", "右", "左\n"]
    else:
        assert found == ["右"]
        assert "not read: 1 files of mentions without their text" in caplog.text
    assert [document.text for document in read_documents(path / long, format="text")] == ["左"]


@pytest.mark.parametrize("identifier", ["a.txtoriginal", "a.TXToriginal"])
def test_an_id_that_would_make_mentions_a_text_is_counted_as_lost(tmp_path, caplog, identifier):
    documents = [Document(each, "左肾", (Entity(0, 1, "病"),), {"id": each}) for each in ("a", identifier)]
    with caplog.at_level("WARNING", logger="absl"):
        write_documents(tmp_path / "out", documents, "ccks2018")
    assert "1 ids" in caplog.text
    assert [document.id for document in read_documents(tmp_path / "out")] == ["000002", "a"]


def test_one_file_of_a_pair_is_named(tmp_path):
    path = _folder(tmp_path / "in", {"a.txt.txtoriginal.txt": "左肾", "a.txt.txt": "左\t0\t1\t病\n"})
    for name in ("a.txt.txtoriginal.txt", "a.txt.txt"):
        (document,) = read_documents(path / name, format="ccks2018")
        assert (document.id, document.entities[0].text) == ("a.txt", "左")


@pytest.mark.parametrize(
    ("name", "files", "lost"),
    [
        (
            "brat",
            {"x.txt": "左", "x.ann": "", "y.ann": "T1\tD 0 1\t左\n"},
            "1 files of annotations without their text",
        ),
        ("brat", {"notes.ann": "T1\tD 0 1\t左\n"}, "1 files of annotations without their text"),
        (
            "ccks2018",
            {"x.txtoriginal.txt": "左", "x.txt": "", "y.txt": "左\t0\t1\t病\n"},
            "1 files of mentions without their text",
        ),
    ],
)
def test_mentions_without_their_text_are_counted(tmp_path, caplog, name, files, lost):
    path = _folder(tmp_path / "in", files)
    with caplog.at_level("WARNING", logger="absl"):
        documents = list(read_documents(path, format=name))
    assert [document.id for document in documents] == ["x"] * ("x.txt" in files)
    assert f"not read: {lost}" in caplog.text


@pytest.mark.parametrize("format", ["auto", "brat", "ccks2018", "uima_json"])
def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch, format):
    _folder(tmp_path / "in", {"a.txt": "左", "a.ann": ""})
    _folder(tmp_path / "in" / "b", {"b.txt": "右", "b.ann": ""})
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("b"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(RecordError, match=r"in/b: cannot be read: Permission denied"):
        list(read_documents(tmp_path / "in", format=format))


@pytest.mark.parametrize("format", ["auto", "brat", "ccks2018", "uima_json"])
def test_a_name_that_is_not_utf_8_is_named(tmp_path, format):
    write_documents(tmp_path / "in", [Document("1", "左", (), {})], "brat" if format == "auto" else format)
    for path in list((tmp_path / "in").iterdir()):
        os.rename(path, os.path.join(os.fsencode(path.parent), b"\xd7\xf3" + os.fsencode(path.name)))
    with pytest.raises(RecordError, match=r"the name of the file is the id .* not valid UTF-8; rename"):
        list(read_documents(tmp_path / "in", format=format))


@pytest.mark.parametrize("encoding", ["punycode", "ascii"])
@pytest.mark.parametrize("name", ["in", "in.txt"])
def test_a_codec_that_cannot_decode_a_file_is_named(tmp_path, encoding, name):
    _folder(tmp_path / "in", {"1.txt": "左肾", "1.ann": ""})
    (tmp_path / "in.txt").write_text("左肾", encoding="utf-8")
    with pytest.raises(RecordError, match=f"the file is not valid {encoding}") as caught:
        list(read_documents(tmp_path / name, options=FormatOptions(encoding=encoding)))
    assert "左" not in str(caught.value)


def test_links_to_folders_are_counted(tmp_path, caplog):
    path = _folder(tmp_path / "in", {"x.txt": "左", "x.ann": ""})
    _folder(path / "ward", {"y.txt": "右", "y.ann": ""})
    (path / "linked").symlink_to("ward")
    (path / "ward" / "back").symlink_to("..")
    (path / "z.txt").symlink_to("x.txt")
    with caplog.at_level("WARNING", logger="absl"):
        documents = list(read_documents(path, format="brat", require_entities=False))
    assert [document.id for document in documents] == ["y", "x", "z"]
    assert "not read: 2 links to folders" in caplog.text


def test_a_type_of_others_that_looks_like_a_code_point_is_its_own_label(tmp_path):
    path = _folder(tmp_path / "in", {"1.txt": "左肾", "1.ann": "T1\tU2019 0 1\t左\n"})
    (document,) = read_documents(path)
    assert document.entities[0].label == "U2019"


def test_types_with_names_for_display_keep_their_types(tmp_path):
    shown = "[labels]\nDrug | 药物 | 药\nTherapy | 药物\nU75C5_7406 | 病理\n"
    rows = "T1\tDrug 0 1\t左\nT2\tTherapy 1 2\t肾\nT3\tU75C5_7406 2 3\t痛\n"
    path = _folder(tmp_path / "in", {"1.txt": "左肾痛", "1.ann": rows, "visual.conf": shown})
    (document,) = read_documents(path)
    assert [entity.label for entity in document.entities] == ["Drug", "Therapy", "病理"]


@pytest.mark.parametrize("label", ["U2019", "’", "a|b", "病|U75C5", "U75C5_7406"])
def test_labels_that_are_no_types_come_back(tmp_path, label):
    write_documents(tmp_path / "out", [Document("1", "左肾", (Entity(0, 1, label),))], "brat")
    (document,) = read_documents(tmp_path / "out")
    assert document.entities[0].label == label


@pytest.mark.parametrize("digits", ["9" * 19, "9" * 5000])
def test_offsets_of_many_digits_are_refused_by_line(tmp_path, digits):
    files = {"1.txt": "左肾", "1.ann": f"T1\tD 0 {digits}\t左肾\n", "2.txt": "右", "2.ann": ""}
    pairs = {
        "1.txtoriginal.txt": "左肾",
        "1.txt": f"左肾\t0\t{digits}\t病\n",
        "2.txtoriginal.txt": "右",
        "2.txt": "",
    }
    for number, (name, each) in enumerate((("brat", files), ("ccks2018", pairs))):
        path = _folder(tmp_path / str(number), each)
        with pytest.raises(RecordError, match=r"/1\.\w+:1: entity 1: .*has more than 18 digits") as caught:
            list(read_documents(path, format=name))
        assert len(str(caught.value)) < 300
        with RejectsWriter(tmp_path / f"{name}.rejects.jsonl") as rejects:
            assert [document.id for document in read_documents(path, format=name, rejects=rejects)] == ["2"]
        assert rejects.count == 1
