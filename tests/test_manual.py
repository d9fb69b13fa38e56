"""The manual as a site: it builds without a warning, and can be read."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from selenium import webdriver

from tests.browser import open_page, started

REPOSITORY = Path(__file__).parents[1]
LINKS = {("a", "href"), ("img", "src"), ("script", "src"), ("link", "href")}


class _Parsed(HTMLParser):
    """The links of a page, its anchors, and whatever it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and (tag, name) in LINKS:
                (self.links if tag == "a" else self.loaded).append(value)
            if value and name == "id":
                self.anchors.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, as ``make docs`` does; a warning is an error."""
    folder = tmp_path_factory.mktemp("manual") / "site"
    built = subprocess.run(
        [
            *(sys.executable, "-m", "mkdocs", "build", "--strict"),
            *("--site-dir", str(folder)),
        ],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


@pytest.fixture(scope="module")
def parsed(site: Path) -> dict[Path, _Parsed]:
    """Parse every page but the one for addresses that are not there."""
    return {
        path: _Parsed(path) for path in site.rglob("*.html") if path.name != "404.html"
    }


def _outside(link: str) -> bool:
    return link.startswith(("https://", "http://", "mailto:"))


def test_every_page_of_docs_is_a_page(site: Path) -> None:
    """Those of docs/, and those beside it that the navigation or a page names."""
    pages = (REPOSITORY / "docs").glob("*.md")
    assert {f"{page.stem}.html" for page in pages} <= {f.name for f in site.iterdir()}
    for folder in ("traces", "profiles", "figures", "solvers", "tests/instances"):
        assert (site / folder / "index.html").is_file(), folder
    assert (site / "CHANGELOG.html").is_file()
    assert not list(site.rglob("*.py"))


def test_links_hold(parsed: dict[Path, _Parsed]) -> None:
    """Every file and anchor that a page of the site links to, or shows, is there."""
    checked = 0
    for path, page in parsed.items():
        for link in (*page.links, *page.loaded):
            name, _, anchor = unquote(link).partition("#")
            if _outside(link):
                continue
            target = (path.parent / name).resolve() if name else path
            assert target.is_file(), (path.name, link)
            if anchor and target in parsed:
                assert anchor in parsed[target].anchors, (path.name, link)
            checked += 1
    assert checked > 1000


def test_nothing_is_loaded_from_elsewhere(parsed: dict[Path, _Parsed]) -> None:
    """Scripts, styles and pictures are files of the site."""
    loaded = [link for page in parsed.values() for link in page.loaded]
    assert [link for link in loaded if _outside(link) or link.startswith("//")] == []


def test_commands_are_those_of_the_command_line() -> None:
    """The page of commands is what ``make docs`` would write now."""
    made = runpy.run_path(str(REPOSITORY / "docs" / "site" / "commands.py"))
    assert (REPOSITORY / "docs" / "commands.md").read_text("utf-8") == made["page"]()


@pytest.fixture(scope="module")
def browser(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[webdriver.Chrome]:
    """Start a browser with a profile of its own, or skip without one."""
    with started(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


SETTLED = """
const done = arguments[arguments.length - 1];
jQuery(() => requestAnimationFrame(() => setTimeout(done)));
"""
"""Wait for the theme's script, which a page's load does not wait for."""

UNFIT = """
const width = document.documentElement.clientWidth;
const flow = e => getComputedStyle(e).overflowX;
const scrolls = e => e && (flow(e) === 'auto' || scrolls(e.parentElement));
const parts = [...document.querySelectorAll('.rst-content *')];
const wide = parts.filter(
    e => e.getBoundingClientRect().right > width + 1 && !scrolls(e));
const cut = parts.filter(
    e => flow(e) === 'hidden' && e.scrollWidth > e.clientWidth + 1);
const broken = [...document.images].filter(e => !e.complete || !e.naturalWidth);
const found = [...wide, ...cut, ...broken].map(e => e.outerHTML.slice(0, 200));
return document.documentElement.scrollWidth > width ? ['page', ...found] : found;
"""
"""What of a page is wider than the window, is cut off, or is no picture."""


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_pages_fit(
    browser: webdriver.Chrome, site: Path, width: int, scripts: bool
) -> None:
    """On a screen and on a telephone nothing is cut off; what is wider scrolls."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    browser.execute_cdp_cmd(
        "Emulation.setScriptExecutionDisabled", {"value": not scripts}
    )
    for page in sorted(site.rglob("*.html")):
        if page.name in ("404.html", "search.html"):
            continue
        open_page(browser, page)
        if scripts:
            browser.execute_async_script(SETTLED)
        assert browser.execute_script("return !!window.jQuery") == scripts
        unfit = browser.execute_script(UNFIT)
        assert unfit == [], (page.name, unfit)
