"""Hooks of MkDocs: the pages of the site in the order of docs/README.md, and GitHub's Markdown in MkDocs' dialect."""

import pathlib
import posixpath
import re

from mkdocs.structure.files import File

_ROOT = pathlib.Path(__file__).parents[1]
# Files of the repository that have another place on the site.
_PAGES = {
    "README.md": "index.md",
    "README.zh-CN.md": "zh/index.md",
    "docs/README.md": "contents.md",
    "CONTRIBUTING.md": "contributing.md",
    "CONTRIBUTING.zh-CN.md": "zh/contributing.md",
    "CHANGELOG.md": "changelog.md",
    "export/examples/README.md": "loaders.md",
}
_SOURCES = {uri: source for source, uri in _PAGES.items()}
# Pages of the site that the index names through another page or not at all.
_AFTER = {"other_stacks.md": ["loaders.md"], "paper_one_epoch.md": ["changelog.md", "contributing.md"]}
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.DOTALL | re.MULTILINE)


def on_config(config):
    """Makes the navigation: the sections of docs/README.md, then the Chinese pages in the same order."""
    index = (_ROOT / "docs/README.md").read_text(encoding="utf-8")
    sections, order = [], []
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        pages = []
        for text, target in _LINK.findall(body):
            uris = _uris(f"docs/{target}")
            pages += [{text.strip("/").capitalize(): uris}] if text.endswith("/") else uris
            order += uris
        sections.append({title: pages})
    sections[0]["Start"].insert(1, "contents.md")
    chinese = [f"zh/{uri}" for uri in order]
    chinese = [uri for uri in chinese if uri in _SOURCES or (_ROOT / "docs" / uri).exists()]
    config.nav = [*sections, {"中文": chinese}]
    return config


def on_files(files, config):
    """Adds the pages whose files are outside `docs/`."""
    for source, uri in _PAGES.items():
        text = (_ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown, page, **_):
    """Returns the page's text as Python-Markdown reads it, with links between pages of the site."""
    uri = page.file.src_uri
    source = _SOURCES.get(uri, f"docs/{uri}")
    markdown = re.sub(r"^<!-- .*? -->\n", "", markdown, flags=re.MULTILINE)
    prose, code = slice(0, None, 2), slice(1, None, 2)
    parts = _FENCE.split(markdown)
    parts[prose] = [_LINK.sub(lambda match: _link(match, source, uri), part) for part in parts[prose]]
    # Python-Markdown indents what belongs to an item of a list by four spaces, GitHub by two.
    parts[prose] = [re.sub("^  ", "    ", part, flags=re.MULTILINE) for part in parts[prose]]
    parts[code] = [
        re.sub("^", "  ", part, flags=re.MULTILINE) if part[0] == " " else part for part in parts[code]
    ]
    # GitHub wants a backslash before a bar in the code of a table; Python-Markdown shows it.
    return re.sub(r"^ *\|.*", lambda row: row[0].replace("\\|", "|"), "".join(parts), flags=re.MULTILINE)


def _uris(path):
    """Returns the pages of the site that replaces a file or folder of the repository, and those that follow it."""
    path = posixpath.normpath(path)
    if path in _PAGES:
        return [_PAGES[path]]
    if not path.startswith("docs/") or path.endswith(".py"):
        return []
    uri, folder = path.removeprefix("docs/"), _ROOT / path
    if folder.is_dir():
        return [f"{uri}/{page.name}" for page in sorted(folder.glob("*.md"))]
    return [uri, *_AFTER.get(uri, [])]


def _link(match, source, uri):
    """Returns a link to a page of the site; of a file that has none, such as a program, the text alone."""
    text, target = match.groups()
    if ":" in target or target.startswith("#"):
        return match[0]
    path, hash_, anchor = target.partition("#")
    pages = _uris(posixpath.normpath(posixpath.join(posixpath.dirname(source), path)))
    if not pages:
        return text
    return f"[{text}]({posixpath.relpath(pages[0], posixpath.dirname(uri) or '.')}{hash_}{anchor})"
