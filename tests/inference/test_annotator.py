"""The annotator over a callable: order kept, calls within their budget, resumable jobs."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UserError, describe_os_error
from emr_ner_tf.inference.annotator import Annotator, decode_entities, encode_texts
from emr_ner_tf.inference.file_job import annotate_to_file, partial_version


class _Of(Annotator):
    """Annotates by a function."""

    def __init__(self, function, name="m", version=None):
        self._function = function
        self._name, self._version = name, version

    @property
    def name(self):
        return self._name

    @property
    def version(self):
        return self._version

    def predict(self, texts):
        return self._function(texts)


def _first_characters(texts):
    """Tags the first character of each text with the text's own length as label: order cannot be faked."""
    return [(Entity(0, 1, str(len(text))),) if text else () for text in texts]


@given(texts=st.lists(st.text(max_size=30), max_size=40), budget=st.integers(1, 100))
def test_order_and_budget(texts, budget):
    calls = []

    def tag(batch):
        calls.append([len(text) for text in batch])
        return _first_characters(batch)

    documents = [Document(str(i), text) for i, text in enumerate(texts)]
    found = list(_Of(tag).annotate(documents, batch_characters=budget))
    assert [document.id for document in found] == [document.id for document in documents]
    assert [document.entities for document in found] == _first_characters(texts)
    assert all(len(call) == 1 or len(call) * max(call) <= budget for call in calls)
    assert sum(map(len, calls)) == len(texts)


def test_entities_of_padded_outputs():
    outputs = {
        "num_entities": np.array([1, 0, 2]),
        "start": np.array([[3, -1], [-1, -1], [0, 5]]),
        "end": np.array([[4, -1], [-1, -1], [2, 9]]),
        "label": np.array([["药物".encode(), b""], [b"", b""], [b"x", b"y"]], object),
        "score": np.array([[0.5, 0], [0, 0], [1, 0.25]]),
    }
    assert decode_entities(outputs) == [(Entity(3, 4, "药物"),), (), (Entity(0, 2, "x"), Entity(5, 9, "y"))]
    assert decode_entities(outputs)[2][1].score == 0.25


def test_lone_surrogate_is_named():
    with pytest.raises(UserError, match=r"text 1: character 2 .*U\+D800"):
        encode_texts(["fine", "ab\ud800"])


def test_lone_surrogate_of_a_document_is_named_by_its_place_among_all():
    documents = [Document(str(i), "字" * (900 - i)) for i in range(700)] + [Document("x", "ab\ud800")]
    with pytest.raises(UserError, match=r"document 700: character 2 .*U\+D800"):
        list(_Of(lambda texts: [()] * len(texts)).annotate(documents))


def test_a_damaged_partial_file_is_an_error(tmp_path):
    documents = [Document(str(i), "字") for i in range(3)]
    output, partial = tmp_path / "out.jsonl", tmp_path / "out.jsonl.partial"
    header = '{"partial_output_of": "m"}\n'
    for damage in (b'{"originalTe\n', b"\xff\n", b"[]\n", b"5\n", b"{}\n"):
        partial.write_bytes(header.encode() + damage)
        with pytest.raises(UserError, match=r"out\.jsonl\.partial:2: not a record that a job wrote"):
            annotate_to_file(documents, _Of(_first_characters, "m"), output, resume=True)
    partial.write_bytes(b"\xff\n")
    with pytest.raises(UserError, match=r"out\.jsonl\.partial:1: not a job of this model"):
        annotate_to_file(documents, _Of(_first_characters, "m"), output, resume=True)


def test_a_job_that_dies_is_resumed(tmp_path):
    documents = [Document(str(i), "字" * i, extra={"id": str(i)}) for i in range(600)]
    output = tmp_path / "out.jsonl"
    calls = 0

    def dies(texts):
        nonlocal calls
        calls += 1
        if calls > 8:
            raise RuntimeError("power cut")
        return _first_characters(texts)

    with pytest.raises(RuntimeError):
        annotate_to_file(documents, _Of(dies, "m"), output)
    partial = tmp_path / "out.jsonl.partial"
    assert not output.exists()
    finished = len(partial.read_text(encoding="utf-8").splitlines()) - 1
    assert 0 < finished < 600
    with pytest.raises(UserError, match="--resume"):
        annotate_to_file(documents, _Of(_first_characters, "m"), output)
    with pytest.raises(UserError, match="this model"):
        annotate_to_file(documents, _Of(_first_characters, "other"), output, resume=True)
    with pytest.raises(UserError, match="does not match this input"):
        annotate_to_file(reversed(documents), _Of(_first_characters, "m"), output, resume=True)
    result = annotate_to_file(documents, _Of(_first_characters, "m"), output, resume=True)
    assert (result.records, result.resumed) == (600, finished)
    assert not partial.exists()
    records = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [record["originalText"] for record in records] == [document.text for document in documents]


def _interrupted(documents, output):
    """Leaves the partial file of a job that was killed after its first pool of records."""

    def dies():
        yield from documents[:300]
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        annotate_to_file(dies(), _Of(_first_characters, "m"), output)


def test_a_job_is_not_resumed_with_other_records_of_the_same_texts(tmp_path):
    documents = [Document(f"f:{i}", "字", extra={"id": str(i), "n": math.nan}) for i in range(600)]
    moved = [*documents[1:2], *documents[:1], *documents[2:]]
    other_ward = [dataclasses.replace(one, extra={**one.extra, "ward": 7}) for one in documents]
    output = tmp_path / "out.jsonl"
    _interrupted(documents, output)
    for others in (moved, other_ward):
        with pytest.raises(UserError, match=r"partial:2: the record does not match this input"):
            annotate_to_file(others, _Of(_first_characters, "m"), output, resume=True)
    assert annotate_to_file(documents, _Of(_first_characters, "m"), output, resume=True).resumed == 256


@pytest.mark.parametrize("format", ["label_studio", "ccks2019"])
def test_keys_with_the_names_of_a_line_are_kept_where_the_format_can_hold_them(tmp_path, format, caplog):
    keys = {"entities": 3, "ward": "7", "originalText": "raw", "other_keys": {"text": 1}}
    documents = [Document(str(i), "字", extra=keys) for i in range(300)]
    output, direct = tmp_path / "out", tmp_path / "direct"
    _interrupted(documents, output)
    annotate_to_file(documents, _Of(_first_characters, "m"), output, resume=True, format=format)
    messages = [record.getMessage() for record in caplog.records if "not written" in record.getMessage()]
    write_documents(direct, _Of(_first_characters, "m").annotate(documents), format)
    assert output.read_bytes() == direct.read_bytes()
    if format == "label_studio":
        assert json.loads(output.read_bytes())[0]["data"] == {"text": "字", **keys}
        assert not messages
    else:
        assert len(messages) == 1
        assert messages[0].endswith(
            "out: not written, because ccks2019 cannot represent them: 600 keys of records"
        )


@pytest.mark.parametrize("format", ["label_studio", "doccano", "brat", "csv", "xlsx", "conll"])
def test_the_output_is_of_any_format(tmp_path, format):
    # brat's documents are read in the order of their names.
    documents = [Document(f"{i:02}", "𠮷野家😀" + "字" * i, extra={"id": f"{i:02}"}) for i in range(1, 20)]

    def scored(texts):
        return [(Entity(0, 2, "药物", 0.625), Entity(3, 4, "手术", 0.125)) for _ in texts]

    output = tmp_path / "out"
    result = annotate_to_file(documents, _Of(scored), output, format=format)
    assert (result.records, result.entities) == (19, 38)
    # Nothing in a file of doccano tells what its offsets count.
    options = FormatOptions(offset_unit="utf16") if format == "doccano" else FormatOptions()
    found = list(read_documents(output, format=format, options=options))
    assert [document.text for document in found] == [document.text for document in documents]
    assert [document.entities for document in found] == scored(documents)
    if format == "label_studio":
        assert [entity.score for entity in found[0].entities] == [0.625, 0.125]
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        ("folder", "ccks2019", "folder: must be a file, got a directory"),
        ("folder", "csv", "folder: must be a file, got a directory"),
        (
            "folder",
            "brat",
            "folder: the format is a folder of files, and this path already exists; name another",
        ),
        (
            "folder/file",
            "brat",
            "file: the format is a folder of files, and this path already exists; name another",
        ),
        ("new", "word", "format to write must be one of"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path, name, format, message):
    def works(_):
        raise AssertionError

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").touch()
    with pytest.raises(UserError, match=message):
        annotate_to_file([Document("1", "字")], _Of(works), tmp_path / name, format=format)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_name_that_is_too_long_for_the_partial_file_is_an_error_before_the_work(tmp_path):
    def works(_):
        raise AssertionError

    output = tmp_path / ("肝" * 83)
    with pytest.raises(OSError, match="File name too long") as raised:
        annotate_to_file([Document("1", "字")], _Of(works), output)
    assert describe_os_error(raised.value) == (
        f"{output}.partial: File name too long; a file name has at most 255 bytes, and a Chinese character has 3; "
        "choose a shorter name"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_job_is_of_one_version(tmp_path):
    documents = [Document(str(i), "字" * (i + 1)) for i in range(600)]
    output, partial = tmp_path / "out.jsonl", tmp_path / "out.jsonl.partial"

    def dies(texts):
        if len(texts[0]) > 300:
            raise RuntimeError("power cut")
        return _first_characters(texts)

    assert partial_version(output) is None
    with pytest.raises(RuntimeError):
        annotate_to_file(documents, _Of(dies, "m", 3), output)
    assert json.loads(partial.read_text(encoding="utf-8").splitlines()[0]) == {
        "partial_output_of": "m",
        "version": 3,
    }
    assert partial.stat().st_mode & 0o777 == 0o600
    assert partial_version(output) == 3
    for other in (4, None):
        with pytest.raises(
            UserError, match=r"partial:1: version 3 annotated its records, .* give --version=3"
        ):
            annotate_to_file(
                documents,
                _Of(_first_characters, "m", other),
                output,
                resume=True,
            )
    result = annotate_to_file(documents, _Of(_first_characters, "m", 3), output, resume=True)
    assert 0 < result.resumed < 600 == result.records
    assert len(output.read_text(encoding="utf-8").splitlines()) == 600


def test_a_job_that_fails_before_its_first_record_leaves_nothing(tmp_path):
    def fails(_):
        raise RuntimeError("no server")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            annotate_to_file([Document("1", "字")], _Of(fails, "m"), tmp_path / "out.jsonl")
        assert list(tmp_path.iterdir()) == []


def test_two_jobs_do_not_write_one_file(tmp_path):
    output = tmp_path / "out.jsonl"

    def another(texts):
        with pytest.raises(UserError, match=r"out\.jsonl\.partial: another job is writing this file"):
            annotate_to_file([Document("1", "字")], _Of(_first_characters, "m"), output, resume=True)
        return _first_characters(texts)

    assert annotate_to_file([Document("1", "字")], _Of(another, "m"), output).records == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
