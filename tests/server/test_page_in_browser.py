"""The page in a real browser: every control, no request elsewhere, offsets behind characters of two UTF-16 units."""

import json

import pytest
import requests
from browser import annotate, choose, drawn, idle, require_browser, upload

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.writing import write_documents

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra dev)")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
pytestmark = pytest.mark.slow

# Made up. The toy model's mentions are the letters x, with a probability of 0.5.
HARD = (
    "𠮷😀患者因右肺上叶腺癌入院，\r\n行胸部CT检查x。<script>alert('x')</script><b>予头孢哌酮</b>👩‍👩‍👧x静滴。"
)
COUNT_TURNS = """() => {
  setInterval(() => { window.turns += 1; });
  const fetch = window.fetch;
  window.fetch = async (...request) => {
    const response = await fetch(...request);
    const json = response.json.bind(response);
    response.json = async () => {
      const value = await json();
      window.turns = 0;
      return value;
    };
    return response;
  };
}"""


# Of the session, so that no model is trained where there is no browser.
@pytest.fixture(scope="session", autouse=True)
def chromium():
    return require_browser()


@pytest.fixture(scope="module")
def site(bundles, toys, tmp_path_factory):
    """The address of a server in this process with two models, `ner` and `toy`."""
    from emr_ner_tf.server.server import Server, ServerOptions

    folder = tmp_path_factory.mktemp("toy")
    (folder / "3").symlink_to(toys / "one")
    server = Server(
        ServerOptions(
            str(bundles), more_models={"toy": str(folder)}, port=0, rest_port=0, poll_s=0, page=True
        )
    )
    yield f"http://127.0.0.1:{server.rest_port}"
    server.stop(5)


@pytest.fixture(scope="module")
def browser(chromium):
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, site):
    """The function that opens the page; at the end, nothing was asked of another server and nothing was refused."""
    contexts, asked, complaints = [], [], []

    def start(**options):
        defaults = {"locale": "en-US", "viewport": {"width": 1200, "height": 900}}
        contexts.append(browser.new_context(**defaults | options))
        contexts[-1].set_default_timeout(60_000)
        page = contexts[-1].new_page()
        page.on("request", lambda request: asked.append(request.url))
        # A violation of the Content-Security-Policy is one of these, too.
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append("a dialog"))
        page.goto(site)
        page.wait_for_selector("#models input")
        return page

    yield start
    for context in contexts:
        context.close()
    assert asked
    assert [url for url in asked if not url.startswith((site, "blob:" + site))] == []
    assert complaints == []


def by_api(site, text, model="ner"):
    body = {"inputs": {"text": [text]}}
    outputs = requests.post(f"{site}/v1/models/{model}:predict", json=body, timeout=60).json()["outputs"]
    (starts,), (ends,), (labels,) = outputs["start"], outputs["end"], outputs["label"]
    return [(*one, text[one[0] : one[1]]) for one in zip(starts, ends, labels, strict=True) if one[0] >= 0]


@pytest.fixture
def records(corpus, tmp_path):
    """Two synthetic records with their annotation, in a file of CCKS2019."""
    found = list(read_documents(corpus / "test.jsonl"))[:2]
    found[1] = Document(
        found[1].id,
        "x" + found[1].text,
        tuple(Entity(one.start + 1, one.end + 1, one.label) for one in found[1].entities),
    )
    write_documents(tmp_path / "records.jsonl", found)
    return tmp_path / "records.jsonl", found


def test_highlights_are_the_answers_offsets(open_page, site, tmp_path):
    # A field of a form changes line ends, a file does not.
    (tmp_path / "hard.jsonl").write_text(json.dumps({"originalText": HARD, "entities": []}), encoding="utf-8")
    page = open_page()
    for model in ("ner", "toy"):
        choose(page, model)
        upload(page, tmp_path / "hard.jsonl")
        assert page.locator(".text").evaluate("panel => panel.textContent") == HARD
        expected = by_api(site, HARD, model)
        assert expected
        assert drawn(page) == expected
        rows = page.locator("#rows tr").all()
        cells = [[cell.inner_text() for cell in row.locator("td").all()] for row in rows]
        assert [(int(row[2]), int(row[3]), row[1]) for row in cells] == [one[:3] for one in expected]
    # Markup is text.
    assert page.locator(".text script, .text b").count() == 0


def test_threshold_labels_and_descriptions(open_page, site):
    page = open_page()
    choose(page, "toy")
    annotate(page, "腹痛x，\n予头孢x。")
    assert len(drawn(page)) == 2
    mention = page.locator(".mention").first
    assert mention.get_attribute("data-label") == "one"
    mention.hover()
    assert page.locator("#tip").inner_text() == "one\nprobability 0.5000\ncharacters 2–3"
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()
    page.locator(".text").focus()
    for key, place in (
        ("ArrowRight", 0),
        ("ArrowRight", 1),
        ("ArrowRight", 1),
        ("ArrowLeft", 0),
        ("End", 1),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.dataset.place") == str(place), key
        assert page.locator("#tip").is_visible()
    assert mention.get_attribute("aria-label") == "one, probability 0.5000, characters 2–3"
    shown = "getComputedStyle(document.querySelector('.mention'), '::after').content"
    assert page.evaluate(shown) == '"one"'
    page.uncheck("#show-labels")
    assert page.evaluate(shown) == "none"
    for value, count in (("0.51", 0), ("0.5", 2)):
        page.locator("#threshold").fill(value)
        playwright.expect(page.locator("#rows tr")).to_have_count(count)
        assert len(drawn(page)) == count
        assert page.locator("#threshold-value").inner_text() == f"{float(value):.2f}"
        assert page.locator("[role=button].mention").count() == count
    assert "one 2" in page.locator("#legend").inner_text()


def test_models_and_the_files_annotation_side_by_side(open_page, site, records):
    path, documents = records
    page = open_page()
    choose(page, "ner", "toy")
    upload(page, path)
    assert "2 records read as ccks2019" in page.locator("#status").inner_text()
    titles = [heading.inner_text() for heading in page.locator("#columns h3").all()]
    assert titles == ["ner version 1", "toy version 3", "annotated in the file"]
    page.click("#next")
    idle(page)
    document = documents[1]
    assert [one[:3] for one in drawn(page, 2)] == [
        (one.start, one.end, one.label) for one in document.entities
    ]
    assert drawn(page, 1)[0][:3] == (0, 1, "one")
    # No two of them agree everywhere: the toy's mention is marked, in the text and in the table.
    assert "differs" in page.locator(".text").nth(1).locator(".mention").first.get_attribute("class")
    row = page.locator("#rows tr").first
    assert "differs" in row.get_attribute("class")
    assert row.locator("td").all_inner_texts()[4:] == ["–", "0.5000", "–", "differs"]
    page.select_option("#record", "0")
    idle(page)
    assert page.locator("#previous").is_disabled()
    page.click("#next")
    idle(page)
    page.click("#previous")
    idle(page)
    choose(page, "ner")
    assert page.locator("#columns h3").count() == 2
    found, gold = ({one[:3] for one in drawn(page, column)} for column in (0, 1))
    marked = page.locator(".text").first.locator(".mention.differs").count()
    assert marked == len(found - gold)
    choose(page)
    assert page.locator("#error").inner_text() == "Select at least one model."


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


def test_a_hundred_thousand_characters(open_page, site):
    text = ("𠮷患者因腹痛x入院，行检查，予药物治疗后好转出院。" * 5000)[:100_000]
    page = open_page()
    choose(page, "toy")
    # How often other work gets its turn while the mentions are drawn, after the server's answer.
    page.evaluate(COUNT_TURNS)
    page.fill("#text", text)
    page.click("#annotate")
    idle(page)
    assert page.locator(".text").evaluate("panel => panel.textContent") == text
    places = [i for i, character in enumerate(text) if character == "x"]
    assert [one[0] for one in drawn(page)] == places
    assert page.locator(".block").count() > 20
    assert page.evaluate("window.turns") > 5
    # The table grows on demand.
    assert page.locator("#rows tr").count() == 200
    page.click("#more")
    assert page.locator("#rows tr").count() == 400


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


def test_a_version_that_replaces_another_is_used(browser, toys, tmp_path):
    from emr_ner_tf.server.server import Server, ServerOptions

    (tmp_path / "1").symlink_to(toys / "one")
    server = Server(ServerOptions(str(tmp_path), port=0, rest_port=0, poll_s=0.1, page=True))
    try:
        page = browser.new_page(locale="en-US")
        page.goto(f"http://127.0.0.1:{server.rest_port}")
        page.wait_for_selector("#models input")
        annotate(page, "患者x。")
        assert page.locator("#models").inner_text().strip() == "ner version 1"
        (tmp_path / "2").symlink_to(toys / "one")
        while page.request.get(f"{page.url}page/api/models").json()["models"][0]["version"] != 2:
            page.wait_for_timeout(100)
        annotate(page, "患者xx。")
        assert page.locator("#error").inner_text() == ""
        assert page.locator("#models").inner_text().strip() == "ner version 2"
        assert len(drawn(page)) == 2
        page.close()
    finally:
        server.stop(5)


def test_two_versions_of_one_model_side_by_side(browser, toys, tmp_path):
    from emr_ner_tf.server.server import Server, ServerOptions

    # Both find the same letters, and give them other labels.
    (tmp_path / "1").symlink_to(toys / "one")
    (tmp_path / "2").symlink_to(toys / "two")
    options = {"port": 0, "rest_port": 0, "poll_s": 0, "num_versions": 2, "page": True}
    server = Server(ServerOptions(str(tmp_path), **options))
    try:
        page = browser.new_page(locale="en-US")
        page.goto(f"http://127.0.0.1:{server.rest_port}")
        page.wait_for_selector("#models input")
        annotate(page, "患者x。")
        assert page.locator("#columns h3").all_inner_texts() == ["ner version 2", "ner version 1"]
        assert [drawn(page, column) for column in (0, 1)] == [[(2, 3, "two", "x")], [(2, 3, "one", "x")]]
        assert page.locator(".mention.differs").count() == 2
        assert [row.locator("td").all_inner_texts()[1:] for row in page.locator("#rows tr").all()] == [
            ["two", "2", "3", "0.5000", "–", "differs"],
            ["one", "2", "3", "–", "0.5000", "differs"],
        ]
        # Each can be downloaded.
        for version, label in (("1", "one"), ("2", "two")):
            page.select_option("#source", label=f"ner version {version}")
            with page.expect_download() as download:
                page.click("button[data-format=ccks2019]")
            idle(page)
            (entity,) = json.loads(download.value.path().read_text(encoding="utf-8"))["entities"]
            assert entity["label_type"] == label
        # Alone, a version has nothing to differ from.
        page.get_by_role("checkbox", name="ner version 2").uncheck()
        idle(page)
        assert drawn(page) == [(2, 3, "one", "x")]
        assert page.locator(".mention.differs").count() == 0
        page.close()
    finally:
        server.stop(5)


def test_language_and_phone(open_page, site):
    page = open_page(locale="zh-CN", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    assert page.locator("#annotate").inner_text() == "识别"
    choose(page, "toy")
    annotate(page, "腹痛x，" + "予头孢" * 100)
    page.locator(".mention").first.tap()
    assert "概率 0.5000" in page.locator("#tip").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.click("#language")
    page.wait_for_selector("#models input")
    assert page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility(open_page, records, scheme):
    page = open_page(color_scheme=scheme)
    checker = axe.Axe()
    reports = [checker.run(page)]
    choose(page, "ner", "toy")
    upload(page, records[0])
    page.locator(".mention:not(.below)").first.hover()
    reports.append(checker.run(page))
    for report in reports:
        assert report.violations_count == 0, report.generate_report()
