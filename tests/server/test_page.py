"""The page's own paths over HTTP; tests/server/page_in_browser uses its controls."""

import base64
import json
import pathlib
import re

import pytest
import requests
from small_disk import no_file_beyond

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.formats.options import FormatOptions
from emr_ner_tf.data.formats.table import FORMATS, WRITE_FORMATS
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.server.errors import RequestError
from emr_ner_tf.server.page.records import read_files

PAGE = pathlib.Path(__file__).parents[2] / "emr_ner_tf/server/page"
SECRET = "某某某身份证"
# Made up; the toy model's mentions are the letters x.
DOCUMENTS = [
    Document("1", "𠮷😀左肾结石x。", (Entity(2, 6, "疾病和诊断"),)),
    Document("2", "予头孢x静滴。", (Entity(1, 3, "药物"),)),
]


@pytest.fixture(scope="module")
def page(toy_server):
    """The function that asks the page's server: (path, document to post or None, headers) -> response."""
    server = toy_server(page=True, max_characters=1024)

    def ask(path, document=None, **headers):
        url = f"http://127.0.0.1:{server.rest_port}{path}"
        if document is None:
            return requests.get(url, headers=headers, timeout=60)
        return requests.post(url, json=document, headers=headers, timeout=60)

    return ask


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("de,en;q=0.7,zh;q=0.1", "en"), ("fr", "en"), ("", "en")],
)
def test_its_language_is_the_browsers(page, accepted, language):
    answer = page("/", **{"Accept-Language": accepted})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert f'<html lang="{language}">' in answer.text
    assert '<html lang="zh-CN">' in page("/?lang=zh", **{"Accept-Language": accepted}).text


def test_nothing_of_it_is_from_elsewhere_or_inline(page):
    answer = page("/")
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script(?! type=\"(application/json|module)\")", answer.text)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", answer.text)
    names = [path.name for path in (PAGE / "static").iterdir()]
    assert {"page.js", "page.css", "icon.svg"} <= set(names)
    for name in names:
        static = page(f"/page/{name}")
        assert static.status_code == 200
        assert static.headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|innerHTML|eval\(", static.text), (
            name
        )
    assert page("/page/../routes.py").status_code == 400
    assert page("/page/routes.py").status_code == 400


def test_every_message_has_both_languages_and_a_use():
    messages = json.loads((PAGE / "templates/messages.json").read_text(encoding="utf-8"))
    scripts = "".join(path.read_text(encoding="utf-8") for path in (PAGE / "static").glob("*.js"))
    template = (PAGE / "templates/page.html.jinja").read_text(encoding="utf-8")
    for part, used in (
        ("page", set(re.findall(r"\bt\.(\w+)", template))),
        ("script", set(re.findall(r'say\("(\w+)"', scripts)) | {"differs", "same"}),
    ):
        assert set(messages[part]) == used
        for key, texts in messages[part].items():
            assert list(texts) == ["en", "zh"], key
            assert set(re.findall(r"\{\w+\}", texts["en"])) == set(re.findall(r"\{\w+\}", texts["zh"])), key


def test_models_and_mentions(page):
    assert page("/page/api/models").json() == {"models": [{"model": "ner", "version": 1, "labels": []}]}
    # Longer than a request may be, and an empty one.
    answer = page("/page/api/annotate", {"texts": ["痛x" * 3000, "", "𠮷😀x"], "model": "ner", "version": 1})
    assert answer.json()["version"] == 1
    long, empty, short = answer.json()["entities"]
    assert long == [[2 * i + 1, 2 * i + 2, "one", 0.5] for i in range(3000)]
    assert (empty, short) == ([], [[2, 3, "one", 0.5]])
    assert page("/page/api/annotate", {"texts": ["x"], "version": 9}).status_code == 404
    for wrong in ({}, {"texts": "x"}, {"texts": [1]}, {"texts": ["\ud800"]}, {"texts": [], "version": "1"}):
        assert page("/page/api/annotate", wrong).status_code == 400
    for version in (-1, 1 << 63, True):
        assert page("/page/api/annotate", {"texts": ["x"], "version": version}).status_code == 400


def test_only_json_is_taken(page):
    # A form of another origin can send other types without asking.
    answer = page("/page/api/annotate", {"texts": ["x"]}, **{"Content-Type": "text/plain"})
    assert answer.status_code == 415


def files_of(*paths):
    return [{"name": path.name, "content": base64.b64encode(path.read_bytes()).decode()} for path in paths]


@pytest.mark.parametrize("format", [name for name in WRITE_FORMATS if name not in ("text", "uie")])
def test_files_of_any_format_are_read(page, tmp_path, format):
    path = tmp_path / (f"records.{FORMATS[format].extension}" if FORMATS[format].extension else "records")
    write_documents(path, DOCUMENTS, format)
    files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    # Nothing in a file of doccano tells what its offsets count.
    unit = "utf16" if format == "doccano" else ""
    answer = page("/page/api/read", {"files": files_of(*files), "offset_unit": unit})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert not found["problems"]
    assert not found["more"]
    expected = list(read_documents(path, options=FormatOptions(offset_unit=unit)))
    assert [one["text"] for one in found["documents"]] == [one.text for one in expected]
    for one, document in zip(found["documents"], expected, strict=True):
        spans = [(entity["start"], entity["end"], entity["label"]) for entity in one["entities"]]
        assert spans == [(entity.start, entity.end, entity.label) for entity in document.entities]


def test_several_files_and_other_encodings(page, tmp_path):
    for name, text in (("a.txt", "患者入院。\n"), ("b.txt", "腹痛。\n")):
        (tmp_path / name).write_text(text, encoding="gb18030")
    request = {
        "files": files_of(tmp_path / "a.txt", tmp_path / "b.txt"),
        "format": "text",
        "encoding": "gb18030",
    }
    found = page("/page/api/read", request).json()
    assert [(one["id"], one["text"]) for one in found["documents"]] == [
        ("a.txt:1", "患者入院。"),
        ("b.txt:1", "腹痛。"),
    ]
    answer = page("/page/api/read", request | {"encoding": "utf-8"})
    assert "not valid UTF-8" in json.dumps(answer.json())


def test_an_unreadable_file_is_an_error_without_its_text(page):
    def read(content, name="../../records.jsonl", **others):
        files = [{"name": name, "content": base64.b64encode(content.encode()).decode()}]
        answer = page("/page/api/read", {"files": files} | others)
        assert SECRET not in answer.text
        assert "/tmp" not in answer.text
        return answer

    good = json.dumps({"originalText": "腹痛。", "entities": []})
    bad = json.dumps(
        {"originalText": SECRET, "entities": [{"label_type": "药物", "start_pos": 0, "end_pos": 99}]}
    )
    found = read(f"{good}\n{bad}\n").json()
    assert [one["id"] for one in found["documents"]] == ["records.jsonl:1"]
    (problem,) = found["problems"]
    assert problem.startswith("records.jsonl:2: entity 1: ")
    assert read(SECRET, format="xlsx").status_code in (200, 400)
    assert read(good, format="no").status_code == 400
    assert read(good, encoding="no").status_code == 400
    assert read("", name="empty").json()["documents"] == []
    for wrong in (
        {},
        {"files": []},
        {"files": [{"name": "a"}]},
        {"files": [{"name": "a", "content": "!"}]},
        {"files": [1]},
    ):
        assert page("/page/api/read", wrong).status_code == 400


def _file(name, content):
    return {"name": name, "content": base64.b64encode(content.encode()).decode()}


def test_files_of_one_name_do_not_replace_each_other():
    # From two folders.
    files = [_file("1.txt", "患者入院。\n"), _file("1.txt", "腹痛。\n")]
    with pytest.raises(RequestError, match=r"1\.txt: files that are read together must have different names"):
        read_files({"files": files})


@pytest.mark.parametrize("name", ["", ".", "..", "a/.."])
def test_a_name_that_is_none_is_replaced(name):
    (document,) = read_files({"files": [_file(name, "患者入院。\n")], "format": "text"})["documents"]
    assert document["id"] == "file:1"


def test_a_name_that_is_longer_than_a_file_s_may_be():
    name = f"{'病' * 120}.txt"
    (document,) = read_files({"files": [_file(name, "患者入院。\n")]})["documents"]
    assert document["text"] == "患者入院。"
    assert document["id"].endswith("病.txt:1")


def test_records_that_are_left_out_are_counted():
    bad = json.dumps({"originalText": SECRET, "entities": 1})
    found = read_files({"files": [_file("a.jsonl", f"{bad}\n" * 50)]})
    assert (found["documents"], found["left_out"]) == ([], 50)
    assert 1 <= len(found["problems"]) < 50


def test_a_full_disk_is_no_fault_of_the_file():
    with no_file_beyond(100), pytest.raises(RequestError, match="cannot store the files") as caught:
        read_files({"files": [_file("a.txt", "患者入院。\n" * 100)]})
    assert caught.value.http_status == 500
    assert "large" in str(caught.value)


def test_no_more_records_than_a_page_can_show(page):
    content = base64.b64encode("腹痛。\n".encode() * 1001).decode()
    found = page(
        "/page/api/read", {"files": [{"name": "a.txt", "content": content}], "format": "text"}
    ).json()
    assert (len(found["documents"]), found["more"]) == (1000, True)


@pytest.mark.parametrize("format", ["ccks2019", "csv", "label_studio"])
def test_a_download_can_be_read(page, tmp_path, format):
    scored = [
        {
            "id": one.id,
            "text": one.text,
            "entities": [entity.to_dict() | {"score": 0.75} for entity in one.entities],
            "extra": {"text": "a key of its own"},
        }
        for one in DOCUMENTS
    ]
    answer = page("/page/api/write", {"documents": scored, "format": format})
    assert answer.status_code == 200, answer.text
    path = tmp_path / "download"
    path.write_bytes(answer.content)
    assert [(one.text, one.entities) for one in read_documents(path)] == [
        (one.text, one.entities) for one in DOCUMENTS
    ]
    if format == "ccks2019":
        assert {one.extra["text"] for one in read_documents(path)} == {"a key of its own"}
    sound = {"id": "1", "text": "ab", "entities": []}
    mention = {"start": 0, "end": 1, "label": "x"}
    wrong_mentions = (
        {"score": "1"},
        {"score": [1]},
        {"score": 2},
        {"score": True},
        {"label": "\ud800"},
        {"label": 5},
    )
    broken = (
        {"id": "1"},
        *(
            sound | change
            for change in ({"id": 1}, {"id": "\ud800"}, {"text": 2}, {"text": "\ud800"}, {"extra": 5})
        ),
        sound | {"extra": {"id": "\ud800"}},
        *(sound | {"entities": [mention | change]} for change in wrong_mentions),
    )
    assert (
        page(
            "/page/api/write", {"documents": [sound | {"entities": [mention]}], "format": format}
        ).status_code
        == 200
    )
    for wrong in ({"format": "brat"}, *({"documents": [one]} for one in broken)):
        assert page("/page/api/write", {"documents": scored, "format": format} | wrong).status_code == 400
