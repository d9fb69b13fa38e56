"""Take into the site what pages link to outside docs/, and point the links there.

On a code host a page's ``../figures/x.png`` lies beside docs/. In the site, where the
pages of docs/ are at the root, it is ``figures/x.png``: MkDocs calls the functions
here, which add the file and rewrite the link, so that one text serves both.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LINK = re.compile(r"(?<=\]\()([^)\s#]+)")
FENCED = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside docs/ that the navigation or a page names, and theirs."""
    root = Path(config.docs_dir).parent
    pages = {f"docs/{page.src_uri}" for page in files.documentation_pages()}
    waiting = [
        *sorted(pages),
        *(name for name in _named(config.nav) if f"docs/{name}" not in pages),
    ]
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        file = root / name
        if not name.startswith("docs/"):
            files.append(File.generated(config, name, abs_src_path=str(file)))
        if not name.endswith(".md"):
            continue
        found = {_target(link, name) for link in _links(file.read_text("utf-8"))}
        new = {target for target in found - seen if (root / target).is_file()}
        seen |= new
        waiting += sorted(new)
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, **_: object
) -> str:
    """Point links at where the site has what they name; MkDocs judges the rest."""
    root = Path(config.docs_dir).parent
    here = _in_repository(page.file.src_uri, root)

    def rewritten(match: re.Match[str]) -> str:
        link = match[0]
        target = _target(link, here)
        if "://" in link or not (root / target).exists():
            return link
        in_site = target.removeprefix("docs/")
        return posixpath.relpath(in_site, posixpath.dirname(page.file.src_uri) or ".")

    parts = FENCED.split(markdown)
    return "".join(
        part if i % 2 else LINK.sub(rewritten, part) for i, part in enumerate(parts)
    )


def on_page_content(html: str, **_: object) -> str:
    """Put each table into a box that scrolls, with or without the theme's script."""
    return TABLE.sub(lambda table: f'<div class="table">{table[0]}</div>', html)


def _named(nav: object) -> Iterator[str]:
    """Give the files that a part of the navigation names."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, Mapping | list):
        for part in nav.values() if isinstance(nav, Mapping) else nav:
            yield from _named(part)


def _links(text: str) -> list[str]:
    found = LINK.findall(FENCED.sub("", text))
    return [link for link in found if "://" not in link]


def _target(link: str, page: str) -> str:
    """Return the path in the repository that a page's link names."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def _in_repository(source: str, root: Path) -> str:
    inside = f"docs/{source}"
    return inside if (root / inside).is_file() else source
