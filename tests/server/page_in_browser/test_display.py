"""What the page shows in a real browser: mentions behind characters of two UTF-16 units, models, every control."""

import json

import pytest
from browser import annotate, by_api, choose, drawn, idle, upload

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
