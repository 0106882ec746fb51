"""Checks that a built site asks nothing of others: `python docs/check_site.py site`.

A page may link to other sites. It must not load a script, a style sheet, a font, an image or a frame from them.
"""

import pathlib
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser

# Attributes from which a browser loads; a link (`a`) is followed by the reader only.
_LOADS = {"src", "srcset", "poster", "data"}
# Kinds of `link` that name a page and load nothing.
_NAMES = {"canonical", "alternate", "prev", "next", "author", "license"}
_OUTSIDE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_STYLE_URL = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s]+)""")


def main() -> None:
    """Checks all pages and style sheets; lists what they load from elsewhere and exits with 1 if there is any."""
    site = pathlib.Path(sys.argv[1])
    pages = sorted(site.rglob("*.html"))
    found = [f"{path}: {url}" for path in pages for url in outside_of_page(path.read_text(encoding="utf-8"))]
    for path in sorted(site.rglob("*.css")):
        found += [f"{path}: {url}" for url in outside_of_style(path.read_text(encoding="utf-8"))]
    if found or not pages:
        sys.exit("\n".join(found) or f"{site}: contains no page")
    print(f"{site}: {len(pages)} pages load nothing from elsewhere")


def outside_of_page(html: str) -> list[str]:
    """Returns the addresses of other sites from which a page loads something."""
    parser = _Loads()
    parser.feed(html)
    return [url for url in parser.urls if _OUTSIDE.match(url)]


def outside_of_style(css: str) -> list[str]:
    """Returns the addresses of other sites from which a style sheet loads something."""
    return [url for url in _STYLE_URL.findall(css) if _OUTSIDE.match(url)]


class _Loads(HTMLParser):
    """Collects the addresses from which a page loads, in `urls`."""

    def __init__(self):
        super().__init__()
        self.urls = []
        self._in_style = False

    def handle_starttag(self, tag, attrs):
        self._in_style = tag == "style"
        self.urls += self._of(tag, {name: value or "" for name, value in attrs})

    def handle_data(self, data):
        if self._in_style:
            self.urls += _STYLE_URL.findall(data)

    def _of(self, tag, attributes) -> Iterator[str]:
        yield from (value for name, value in attributes.items() if name in _LOADS and name != "srcset")
        yield from (one.split()[0] for one in attributes.get("srcset", "").split(",") if one.strip())
        yield from _STYLE_URL.findall(attributes.get("style", ""))
        if tag == "link" and not set(attributes.get("rel", "").split()) <= _NAMES:
            yield attributes.get("href", "")
        if tag in ("image", "use"):
            yield attributes.get("href", attributes.get("xlink:href", ""))


if __name__ == "__main__":
    main()
