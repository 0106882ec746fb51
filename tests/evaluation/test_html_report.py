"""The page of an evaluation, read by a parser: no outside reference, text stays text, nothing of it when redacted."""

import base64
import hashlib
import html.parser
import os
import re
import xml.etree.ElementTree as ElementTree

import pytest
from browser import require_browser

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.evaluation.calibration import best_threshold
from emr_ner_tf.evaluation.comparison import compare
from emr_ner_tf.evaluation.html_report import MAX_RECORDS, Source, html_report, segments
from emr_ner_tf.evaluation.scoring import score, seen_mentions

LABELS = ("疾病和诊断", "药物", "手术", '<b>"标签"&', "$x$")
DISEASE, DRUG, OPERATION, MARKUP, _ = LABELS
HOSTILE = (
    "</script><script>alert(1)</script><img src=//evil.example/x onerror='alert(2)'>\"'&amp;{{ 7 * 7 }}龘"
)
TEXTS = (f"患者{HOSTILE}因右肺上叶腺癌入院", "予头孢哌酮静滴，\n行切除术𠮷。", "无特殊。")
ADDRESSES = ("src", "href", "action", "srcset", "data", "poster", "background", "formaction", "xlink:href")


class _Page(html.parser.HTMLParser):
    """Collects elements with their attributes, the text outside scripts and styles, and the text of both."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text, self.code, self._open = [], [], {"script": [], "style": []}, []
        self.feed(page)
        self.close()
        self.text = "".join(self.text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        inside = self._open[-1] if self._open else ""
        self.code[inside].append(data) if inside in self.code else self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def _documents(*sides):
    return [
        Document(f"id {n} {HOSTILE}", text, side)
        for n, (text, side) in enumerate(zip(TEXTS, sides, strict=True))
    ]


@pytest.fixture(scope="module")
def gold():
    start = TEXTS[0].index("右肺")
    return _documents(
        [Entity(2, 2 + len(HOSTILE), MARKUP), Entity(start, start + 6, DISEASE)],
        [Entity(1, 5, DRUG), Entity(10, 13, OPERATION)],
        [],
    )


@pytest.fixture(scope="module")
def found():
    start = TEXTS[0].index("右肺")
    return _documents(
        [Entity(2, 2 + len(HOSTILE), DRUG, 0.4), Entity(start, start + 6, DISEASE, 0.97)],
        [Entity(0, 5, DRUG, 0.6), Entity(10, 13, OPERATION, 0.9)],
        [Entity(0, 2, DISEASE, 0.2)],
    )


@pytest.fixture(scope="module")
def make(gold, found):
    def make(**options):
        report = score(gold, found, LABELS, seen_mentions(gold[:1]))
        return html_report(gold, found, report, Source("held <1>.jsonl", "ner", "train.jsonl"), **options)

    return make


@pytest.fixture(scope="module")
def page(make, gold, found):
    return make(comparison=compare(gold, found, gold, LABELS, "other"))


def _images(page):
    return [base64.b64decode(a["src"].partition("base64,")[2]).decode("utf-8") for a in page.all("img")]


def test_no_outside_reference(page):
    parsed = _Page(page)
    addresses = [a[name] for _, a in parsed.elements for name in ADDRESSES if name in a]
    assert addresses
    assert {address[:1] if address[0] == "#" else address.partition(",")[0] for address in addresses} == {
        "#",
        "data:image/svg+xml;base64",
    }
    assert not parsed.all("link") + parsed.all("base") + parsed.all("iframe") + parsed.all("object")
    for text in parsed.code["style"] + parsed.code["script"]:
        assert not re.search(r"url\(|@import|https?:|fetch|XMLHttp|import\(", text)
    for attributes in (a for _, a in parsed.elements):
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    for svg in _images(parsed):
        for element in ElementTree.fromstring(svg).iter():
            assert element.tag.rpartition("}")[2] not in ("script", "image", "foreignObject", "metadata")
            for name, value in element.attrib.items():
                assert not name.endswith("href") or value.startswith("#")
                assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", value))


def test_the_policy_allows_the_own_script_and_style_alone(page):
    parsed = _Page(page)
    (policy,) = [a["content"] for a in parsed.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for name in ("script", "style"):
        (text,) = parsed.code[name]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{name}-src"] == f"'sha256-{digest}'"
        assert len(parsed.all(name)) == 1


def test_text_is_text(page):
    parsed = _Page(page)
    assert len(parsed.all("script")) == 1
    assert "alert" not in "".join(parsed.code["script"])
    # On both sides of the record, in its heading and in the list of its errors.
    assert parsed.text.count(HOSTILE) >= 5
    assert TEXTS[1].partition("𠮷")[0][-2:] in parsed.text
    assert "This page holds text of the records." in parsed.text
    assert MARKUP in parsed.text
    assert not [a for a in parsed.all("img") if not a["src"].startswith("data:")]


def test_content(page):
    parsed = _Page(page)
    for words in (
        "3 records of held <1>.jsonl: 4 annotated mentions, 5 predicted mentions",
        "Compared with other",
        "Expected calibration error",
        "Seen mentions occur in train.jsonl",
        "boundary and label",
    ):
        assert words in " ".join(parsed.text.split())
    articles = parsed.all("article")
    assert len(articles) == 3
    # A wrong label, between label 4 and label 2; the numbers of the filter.
    kinds = [a["data-errors"] for a in articles]
    assert kinds == ["3:1 3:3", "2:1", "1:0"]
    options = {a["value"] for a in parsed.all("option")}
    assert {token for each in kinds for part in each.split() for token in part.split(":")} <= options
    marks = [a for a in parsed.all("mark") if "wrong" in a["class"]]
    assert len(marks) == 5
    assert {a["title"] for a in marks} >= {f"{DRUG}, p=0.400", MARKUP}


def test_findings_in_the_annotation():
    text = f"患者头痛三天，伴发热，无头痛。{'行腹腔镜胆囊切除术' * 4}"
    record = Document("x", text, [Entity(2, 4, DISEASE), Entity(8, 11, DISEASE)])
    report = score([record], [record], LABELS)
    train = [Document("y", f"{text[15:]}后", [])]
    parsed = _Page(
        html_report([record], [record], report, Source("held.jsonl", "ner", "train.jsonl"), train=train)
    )
    shown = " ".join(parsed.text.split())
    # A form that is annotated in one place and not in another; text that training records have.
    assert "missed_repeat" in shown
    assert "leaked_text" in shown
    assert "All findings" in shown
    assert "few_records" not in shown
    redacted = html_report([record], [record], report, Source("held.jsonl", "ner"), train=train, redact=True)
    assert "头痛" not in redacted
    assert "胆囊" not in redacted


def test_chinese_labels_stay_text_in_figures(page):
    svg = _images(_Page(page))[0]
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]
    assert {DISEASE, DRUG, OPERATION, MARKUP} <= set(texts)
    assert "Noto Sans CJK SC" in svg


def test_the_same_page_each_time(make):
    assert make() == make()


def test_redacted(make, gold, found):
    page = make(redact=True, comparison=compare(gold, found, gold, LABELS, "other"))
    parsed = _Page(page)
    assert "This page holds no text and no id of a record" in parsed.text
    for piece in ("alert", "龘", "𠮷", "右肺", "头孢", "切除", "患者", "id 0"):
        assert piece not in page
    assert len(parsed.all("article")) == 3
    assert f"{len(TEXTS[0])} characters" in parsed.text


def test_tables_only(make):
    page = make(redact=True, tables_only=True)
    parsed = _Page(page)
    assert not parsed.all("img") + parsed.all("article")
    assert {a["href"][1:] for a in parsed.all("a")} == {a["id"] for a in parsed.all("h2")}
    assert "Best F1 over the threshold" in parsed.text
    assert "右肺" not in page


def test_without_probabilities_and_training(gold):
    report = score(gold, gold, LABELS)
    parsed = _Page(html_report(gold, gold, report, Source("held.jsonl", "ner")))
    assert "The predictions have no probabilities." in parsed.text
    assert "need the training records" in parsed.text
    assert not parsed.all("article")


def test_the_threshold_that_is_shown_is_the_one_that_an_export_chooses():
    text = "头痛" * 3
    gold = [Document("1", text, [Entity(2, 4, DISEASE), Entity(4, 6, DISEASE)])]
    mentions = [
        Entity(0, 2, DISEASE, 0.99993),
        Entity(2, 4, DISEASE, 0.99995),
        Entity(4, 6, DISEASE, 0.99997),
    ]
    found = [Document("1", text, mentions)]
    chosen = best_threshold(gold, found).threshold
    page = html_report(gold, found, score(gold, found, LABELS), Source("held.jsonl", "ner"))
    shown = float(re.search(r"--min_probability=([^<]+)<", page)[1])
    assert shown == chosen
    assert [entity for entity in mentions if entity.score >= shown] == mentions[1:]


def test_a_record_that_is_named_by_a_file_whose_name_is_not_utf8():
    name = os.fsdecode("病历.jsonl".encode("gb18030"))
    gold, found = ([Document(f"{name}:1", "头痛", some)] for some in ([Entity(0, 2, "症状")], []))
    page = html_report(gold, found, score(gold, found, ["症状"]), Source(name, "model"))
    assert rb"Record 1 (\udcb2\udca1" in page.encode("utf-8")


def test_the_costliest_records_are_shown():
    text = "头痛" * 9
    mentions = [Entity(2 * i, 2 * i + 2, DISEASE) for i in range(9)]
    gold = [Document(str(n), text, mentions) for n in range(MAX_RECORDS + 20)]
    found = [
        Document(str(n), text, mentions[1 + n % 3 :] if n >= 10 else mentions)
        for n in range(MAX_RECORDS + 20)
    ]
    parsed = _Page(html_report(gold, found, score(gold, found, LABELS), Source("held.jsonl", "ner")))
    assert len(parsed.all("article")) == MAX_RECORDS
    costs = [int(cost) for cost in re.findall(r"\): (\d+) false positives and negatives", parsed.text)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] == 3
    assert (
        f"The {MAX_RECORDS} records with the most false positives and false negatives, of 110 with any"
        in parsed.text
    )


def test_segments():
    document = Document(
        "1", "右肺腺癌，予头孢", [Entity(0, 4, DISEASE), Entity(2, 6, DRUG), Entity(6, 8, DRUG)]
    )
    pieces = segments(document, {document.entities[2]})
    assert [(piece.text, piece.entity and piece.entity.label, piece.is_wrong) for piece in pieces] == [
        ("右肺腺癌", DISEASE, False),
        ("，予", None, False),
        ("头孢", DRUG, True),
    ]


def test_without_a_browser_tests_are_skipped_and_fail_in_ci(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium; CI is set"):
        require_browser()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
        require_browser()


@pytest.mark.slow
def test_in_a_browser(page, tmp_path):
    """Nothing is refused by the policy or asked of others, the figures show, and the filter works with the keyboard."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra dev)")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    chromium = require_browser()
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    asked, complaints, dialogs = [], [], []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium)
        shown = browser.new_page()
        shown.set_default_timeout(60_000)
        shown.on("request", lambda request: asked.append(request.url))
        shown.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        shown.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        shown.goto(path.as_uri())
        assert shown.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        assert shown.locator("article:visible").count() == 3
        shown.locator("#kind").select_option("boundary")
        assert shown.locator("article:visible").count() == 1
        assert shown.locator("#shown").inner_text() == "1 of 3 records"
        shown.locator("#label").select_option(DISEASE)
        assert shown.locator("article:visible").count() == 0
        shown.locator("#kind").press("Home")
        assert shown.locator("article:visible").count() == 1
        shown.locator("#label").select_option("")
        assert shown.locator("article:visible").count() == 3
        # The page's own script runs, but no other does, and the checker is one.
        violations = []
        for width in (1200, 360):
            viewport = {"width": width, "height": 740}
            allowed = browser.new_context(bypass_csp=True, viewport=viewport).new_page()
            allowed.goto(path.as_uri())
            # Wide tables scroll, the page does not.
            assert allowed.evaluate("document.documentElement.scrollWidth") == width
            violations += axe.Axe().run(allowed).response["violations"]
        browser.close()
    assert [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in violations] == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert complaints + dialogs == []
