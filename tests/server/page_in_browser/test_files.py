"""Files on the page in a real browser: opened, dropped, downloaded; and answers that come late or fail."""

import json

import pytest
from browser import annotate, by_api, choose, drawn, idle, upload

from emr_ner_tf.data.reading import read_documents

pytestmark = pytest.mark.slow


def test_what_is_downloaded_and_copied(open_page, site, records, tmp_path):
    path, documents = records
    page = open_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    choose(page, "ner", "toy")
    upload(page, path)
    page.select_option("#source", label="ner version 1")
    expected = [[one[:3] for one in by_api(site, document.text)] for document in documents]
    assert any(expected)
    for button in page.locator("button[data-format]").all():
        with page.expect_download() as download:
            button.click()
        idle(page)
        saved = tmp_path / download.value.suggested_filename
        download.value.save_as(saved)
        read = list(read_documents(saved))
        assert [document.text for document in read] == [document.text for document in documents]
        assert [
            [(one.start, one.end, one.label) for one in document.entities] for document in read
        ] == expected
    assert "2 records written to label_studio.json" in page.locator("#status").inner_text()
    page.click("#copy")
    idle(page)
    lines = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert lines[0].split("\t")[:4] == ["Mention", "Label", "Start", "End"]
    assert len(lines) == 1 + page.locator("#rows tr").count()


def test_other_files_and_dropping_them(open_page, tmp_path):
    page = open_page()
    choose(page, "toy")
    (tmp_path / "a.txt").write_bytes("腹痛x。\n".encode("gb18030"))
    page.select_option("#format", "text")
    page.select_option("#encoding", "gb18030")
    upload(page, tmp_path / "a.txt")
    assert page.locator(".text").inner_text() == "腹痛x。"
    page.select_option("#format", "auto")
    page.select_option("#encoding", "utf-8")
    drop = """([...files]) => {
      const data = new DataTransfer();
      files.forEach(([name, text]) => data.items.add(new File([text], name)));
      for (const kind of ["dragover", "drop"]) {
        document.body.dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
      }
    }"""
    # A record of brat is two files.
    page.evaluate(drop, [["1.txt", "左肾结石x。"], ["1.ann", "T1\tDISEASE 0 4\t左肾结石\n"]])
    idle(page)
    assert "1 records read as brat" in page.locator("#status").inner_text()
    assert drawn(page, 1) == [(0, 4, "DISEASE", "左肾结石")]
    page.evaluate(drop, [["bad.jsonl", '{"originalText": "某某某身份证", "entities": [1]}\n']])
    idle(page)
    message = page.locator("#error").inner_text()
    assert "bad.jsonl:1" in message
    assert "某某某身份证" not in message
    page.fill("#text", "")
    page.set_input_files("#files", [])
    page.click("#annotate")
    idle(page)
    assert "There is no text" in page.locator("#error").inner_text()


def test_dropping_a_folder_or_text(open_page, tmp_path):
    page = open_page()
    choose(page, "toy")
    (tmp_path / "brat").mkdir()
    (tmp_path / "x.txt").write_text("腹痛x。\n", encoding="utf-8")
    protocol = page.context.new_cdp_session(page)
    box = page.locator("#text").bounding_box()
    where = {"x": box["x"] + 9, "y": box["y"] + 9}

    def drop(**data):
        data = {"items": [], "dragOperationsMask": 1} | data
        for kind in ("dragEnter", "dragOver", "drop"):
            protocol.send("Input.dispatchDragEvent", {"type": kind, "data": data} | where)
        idle(page)

    drop(files=[str(tmp_path / "brat")])
    assert (
        page.locator("#error").inner_text() == "brat cannot be read. If it is a folder, drop the files in it."
    )
    drop(files=[str(tmp_path / "x.txt")])
    assert drawn(page) == [(2, 3, "one", "x")]
    drop(items=[{"mimeType": "text/plain", "data": "予头孢。"}])
    assert page.locator("#text").input_value() == "予头孢。"
    assert page.locator("body.dropping").count() == 0


def test_the_unit_of_offsets_is_asked_for(browser, site, tmp_path):
    # Not by `open_page`: chromium itself writes a refusal to the console.
    page = browser.new_page(locale="en-US")
    page.goto(site)
    page.wait_for_selector("#models input")
    choose(page, "toy")
    path = tmp_path / "units.jsonl"
    path.write_text('{"text": "𠮷腹痛x。", "label": [[2, 4, "DISEASE"]]}\n', encoding="utf-8")

    def open_file():
        with page.expect_file_chooser() as chooser:
            page.click("#files")
        chooser.value.set_files(path)
        idle(page)

    open_file()
    assert "Unit of the offsets in the files: codepoint|utf16" in page.locator("#error").inner_text()
    page.select_option("#offset-unit", "utf16")
    open_file()
    assert page.locator("#error").inner_text() == ""
    assert drawn(page, 1) == [(1, 3, "DISEASE", "腹痛")]
    page.close()


def test_nothing_is_lost_while_the_server_works(open_page, site, tmp_path):
    page = open_page()
    choose(page, "toy")
    path = tmp_path / "one.jsonl"
    path.write_text('{"originalText": "患者x。", "entities": []}\n', encoding="utf-8")
    # Both are asked before the first answer.
    page.fill("#text", "腹痛x，予头孢。" * 2000)
    page.evaluate("document.querySelector('#annotate').click()")
    page.set_input_files("#files", [str(path)])
    idle(page)
    assert page.locator(".text").inner_text() == "患者x。"
    assert drawn(page) == [(2, 3, "one", "x")]


def test_an_answer_that_fails_leaves_what_is_shown(browser, site):
    # Not by `open_page`: chromium itself writes a failure to the console.
    page = browser.new_page(locale="en-US")
    page.goto(site)
    page.wait_for_selector("#models input")
    choose(page, "toy")
    annotate(page, "患者x。")
    page.route("**/page/api/annotate", lambda route: route.fulfill(status=503, json={"error": "no room"}))
    annotate(page, "他人xx。")
    assert page.locator("#error").inner_text() == "no room"
    assert drawn(page) == [(2, 3, "one", "x")]
    page.unroute("**/page/api/annotate")
    with page.expect_download() as download:
        page.click("button[data-format=ccks2019]")
    assert json.loads(download.value.path().read_text(encoding="utf-8"))["originalText"] == "患者x。"
    page.close()
