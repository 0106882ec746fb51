"""Label Studio's tasks: which of their results are mentions of the text, and what is counted as not read."""

import json

import pytest

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.reading import RecordError, read_documents
from emr_ner_tf.data.writing import write_documents


def _span(start, end, to_name="text", **keys):
    value = {"start": start, "end": end, "labels": ["病"]}
    return {"type": "labels", "from_name": "label", "to_name": to_name, "value": value, **keys}


def _tasks(path, *tasks):
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return path


def _task(data, *results, **keys):
    return {"data": data, "annotations": [{"result": list(results)}], **keys}


def _mentions(path, **options):
    documents = read_documents(path, format="label_studio", options=FormatOptions(**options))
    return [[entity.text for entity in document.entities] for document in documents]


def test_mentions_of_another_text_are_counted_and_not_read(tmp_path, caplog):
    data = {"title": "左肾", "text": "患者左肾结石"}
    path = _tasks(tmp_path / "in.json", _task(data, _span(0, 2, "title"), _span(2, 4)))
    with caplog.at_level("WARNING", logger="absl"):
        assert _mentions(path) == [["左肾"]]
        assert _mentions(path, text_column="title") == [["左肾"]]
    assert caplog.text.count("not read: 1 mentions of other keys than the text's") == 2


def test_the_tag_of_the_text_may_have_any_name(tmp_path, caplog):
    path = _tasks(tmp_path / "in.json", *[_task({"病历": "患者左肾"}, _span(2, 4, "t"))] * 2)
    with caplog.at_level("WARNING", logger="absl"):
        assert _mentions(path) == [["左肾"], ["左肾"]]
    assert not caplog.text


def test_a_tag_named_like_the_text_is_that_of_the_text(tmp_path, caplog):
    data = {"title": "左肾", "text": "患者左肾结石"}
    path = _tasks(tmp_path / "in.json", _task(data, _span(2, 4), _span(0, 2, "t")))
    with caplog.at_level("WARNING", logger="absl"):
        assert _mentions(path) == [["左肾"]]
    assert "1 mentions of other keys" in caplog.text


def test_two_tags_of_which_none_is_known_are_refused(tmp_path):
    data = {"title": "左肾", "text": "患者左肾结石"}
    path = _tasks(tmp_path / "in.json", _task(data, _span(2, 4, "a")), _task(data, _span(0, 2, "b")))
    with pytest.raises(
        RecordError,
        match=r"in\.json:1: record 2 of the line: entity 1: `to_name`=.* differs from .*; name the tag",
    ):
        _mentions(path)
    path = _tasks(tmp_path / "in.json", _task(data, _span(0, 2, ["text"])))
    with pytest.raises(RecordError, match="entity 1: `to_name`=<list of 1> is not a string"):
        _mentions(path)


def test_drafts_and_meta_are_counted(tmp_path, caplog):
    result = _span(0, 2, meta={"text": ["note"]})
    draft = {"result": [_span(2, 4)]}
    path = _tasks(
        tmp_path / "in.json", _task({"text": "患者左肾"}, result, drafts=[draft, draft], meta={"a": 1})
    )
    with caplog.at_level("WARNING", logger="absl"):
        assert _mentions(path) == [["患者"]]
    for lost in ("2 drafts", "1 meta of tasks", "1 meta of mentions"):
        assert lost in caplog.text
    assert "note" not in caplog.text


def test_cancelled_annotations_are_counted(tmp_path, caplog):
    annotations = [{"result": [_span(0, 2)], "was_cancelled": True}, {"result": [_span(2, 4)]}]
    path = _tasks(tmp_path / "in.json", {"data": {"text": "患者左肾"}, "annotations": annotations})
    with caplog.at_level("WARNING", logger="absl"):
        assert _mentions(path) == [["左肾"]]
    assert "1 cancelled annotations" in caplog.text


def test_predictions_that_are_numbers_are_counted(tmp_path, caplog):
    path = _tasks(tmp_path / "in.json", _task({"text": "患者左肾"}, _span(2, 4), predictions=[7]))
    with caplog.at_level("WARNING", logger="absl"):
        assert _mentions(path) == [["左肾"]]
    assert "1 annotations or predictions that are no objects" in caplog.text


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("", ["predictions", "annotations", "annotations", "predictions"]),
        ("predictions", ["predictions"] * 4),
        ("annotations", ["annotations"] * 4),
    ],
)
def test_tasks_have_annotations_or_predictions(tmp_path, kind, written):
    """Label Studio takes a task with an annotation, even an empty one, for finished: nobody has annotated the last."""
    scored, plain = Entity(0, 2, "病", 0.5), Entity(2, 4, "病")
    documents = [
        Document("-", f"患者左肾{i}", entities)
        for i, entities in enumerate(((scored,), (scored, plain), (plain,), ()))
    ]
    options = FormatOptions(label_studio=kind)
    write_documents(tmp_path / "out.json", documents, "label_studio", options=options)
    tasks = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [task.keys() - {"data"} for task in tasks] == [{name} for name in written]
    found = list(read_documents(tmp_path / "out.json"))
    assert [document.entities for document in found] == [document.entities for document in documents]
    for task, name in zip(tasks, written, strict=True):
        (one,) = task[name]
        whole = name == "predictions" and task is tasks[0]
        assert one.get("score") == (0.5 if whole else None)
        assert "score" not in one or whole


@pytest.mark.parametrize(
    "own", ["左肾\\r\\n结石", "左肾\\n结石", "左肾\n结石", "左肾\r\n结石", "左肾 结石", "左肾  结石"]
)
def test_a_line_break_within_a_mention_may_be_written_in_any_way(tmp_path, own):
    value = {"start": 1, "end": 7, "text": own, "labels": ["病"]}
    task = {
        "data": {"text": "患左肾\r\n结石。"},
        "annotations": [{"result": [{"type": "labels", "value": value}]}],
    }
    path = tmp_path / "in.json"
    path.write_text(json.dumps([task], ensure_ascii=False), encoding="utf-8")
    (document,) = read_documents(path)
    assert [entity.text for entity in document.entities] == ["左肾\r\n结石"]
    path.write_text(json.dumps([task], ensure_ascii=False).replace("左肾", "右肾", 1), encoding="utf-8")
    with pytest.raises(RecordError, match="is not where the mention's own text is"):
        list(read_documents(path))
