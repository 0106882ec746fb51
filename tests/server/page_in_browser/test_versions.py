"""Versions of a model on the page in a real browser: a new one takes over, and two are compared."""

import json

import pytest
from browser import annotate, drawn, idle

pytestmark = pytest.mark.slow


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
