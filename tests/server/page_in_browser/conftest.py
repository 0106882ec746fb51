"""A browser, a server with the page, and the function that opens the page and checks its requests and its console."""

import pytest
from browser import require_browser

from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.data.writing import write_documents


# Session scope, so that no model is trained where there is no browser.
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
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra dev)")
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
