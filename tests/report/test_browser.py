"""Pages in a browser: headless Chromium, from a file, without any network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from edgesim.report.file import write_report
from tests.browser import open_page, started
from tests.report.conftest import Copied
from tests.report.test_page import HOSTILE


@pytest.fixture(scope="module")
def browser(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[webdriver.Chrome]:
    """Start a browser with a profile of its own, or skip without one."""
    with started(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def _open(browser: webdriver.Chrome, page: Path) -> None:
    """Open a page, and wait until its timeline is drawn."""
    open_page(browser, page)
    if browser.find_elements(By.ID, "timeline-plot"):
        WebDriverWait(browser, 60).until(
            lambda it: it.execute_script(
                "return !document.getElementById('timeline-controls').hidden"
            )
        )


def _plot(browser: webdriver.Chrome, what: str) -> Any:
    return browser.execute_script(
        f"const plot = document.getElementById('timeline-plot'); return {what}"
    )


def _range(browser: webdriver.Chrome) -> list[float]:
    found: list[float] = _plot(browser, "plot.layout.xaxis.range")
    return found


def _check_quiet(browser: webdriver.Chrome) -> None:
    """Nothing went wrong, and nothing was asked for from elsewhere."""
    assert browser.get_log("browser") == []
    fetched = browser.execute_script(
        "return performance.getEntriesByType('resource').map((one) => one.name)"
    )
    assert [name for name in fetched if not name.startswith("data:")] == []


@pytest.mark.parametrize("name", ["plan", "online"])
def test_the_timeline_is_drawn(
    browser: webdriver.Chrome, copied: Copied, name: str
) -> None:
    """With bars and marks in both panels, and quietly."""
    _open(browser, write_report(copied(name)))
    drawn = _plot(browser, "plot.data.map((one) => [one.name, one.x.length])")
    assert {"load", "batch", "deadline", "dropped"} <= {one for one, _ in drawn}
    assert all(count for _, count in drawn)
    assert browser.find_elements(By.CSS_SELECTOR, "#timeline-plot .bars .point path")
    texts = _plot(browser, "plot.data.find((one) => one.name === 'load').hovertext")
    assert all("loaded" in text for text in texts)
    _check_quiet(browser)


def test_zooming(browser: webdriver.Chrome, copied: Copied) -> None:
    """By a drag, and by each button, which all change what is shown of the time."""
    _open(browser, write_report(copied("plan")))
    before = _range(browser)
    drag = browser.find_element(By.CSS_SELECTOR, "#timeline-plot .nsewdrag")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", drag)
    actions = webdriver.ActionChains(browser)
    actions.move_to_element_with_offset(drag, -100, 0).click_and_hold()
    actions.move_by_offset(120, 0).move_by_offset(80, 0).release().perform()
    WebDriverWait(browser, 10).until(lambda it: _range(it) != before)
    zoomed = _range(browser)
    assert before[0] < zoomed[0] < zoomed[1] < before[1]
    lengths = {"closer": 0.5, "wider": 2.0, "earlier": 1.0, "later": 1.0}
    for name, factor in lengths.items():
        old = _range(browser)
        browser.find_element(By.ID, f"timeline-{name}").click()
        new = _range(browser)
        assert new != old
        assert new[1] - new[0] == pytest.approx(factor * (old[1] - old[0]))
    browser.find_element(By.ID, "timeline-whole").click()
    assert _range(browser) == before
    _check_quiet(browser)


def test_another_solver_and_repeat(browser: webdriver.Chrome, copied: Copied) -> None:
    """Another timeline and another sentence, and the same place in the same repeat."""
    _open(browser, write_report(copied("plan")))
    solver = Select(browser.find_element(By.ID, "timeline-name"))
    repeat = Select(browser.find_element(By.ID, "timeline-repeat"))
    assert [one.text for one in solver.options] == ["dp", "dp-noshare", "greedy"]
    assert [one.text for one in repeat.options] == ["0", "1"]
    browser.find_element(By.ID, "timeline-closer").click()
    place = _range(browser)
    seen = set()
    for name in ("dp", "greedy", "dp-noshare"):
        solver.select_by_visible_text(name)
        assert _range(browser) == place
        note = browser.find_element(By.ID, "timeline-note").text
        assert note.startswith(f"{name}, repeat 0: ")
        seen.add(_plot(browser, "JSON.stringify(plot.data)"))
    assert len(seen) == 3
    repeat.select_by_visible_text("1")
    assert _range(browser) != place
    note = browser.find_element(By.ID, "timeline-note").text
    assert note.startswith("dp-noshare, repeat 1: ")
    _check_quiet(browser)


def test_an_online_run_of_one_repeat_offers_none(
    browser: webdriver.Chrome, copied: Copied
) -> None:
    """And its timeline begins with the first rounds of many."""
    _open(browser, write_report(copied("online")))
    assert not browser.find_element(By.ID, "timeline-repeat").is_displayed()
    assert browser.find_element(By.ID, "timeline-name").is_displayed()
    shown = _range(browser)
    browser.find_element(By.ID, "timeline-whole").click()
    whole = _range(browser)
    assert whole[1] - whole[0] > 2 * (shown[1] - shown[0])


def _column(browser: webdriver.Chrome, section: str, place: int) -> list[str]:
    found: list[str] = browser.execute_script(
        "return Array.from(document.querySelectorAll(`#${arguments[0]} tbody tr`),"
        " (row) => row.cells[arguments[1]].textContent)",
        section,
        place,
    )
    return found


@pytest.mark.parametrize(
    ("column", "is_number"), [("upload_end_s", True), ("round", True), ("model", False)]
)
def test_tables_are_sorted(
    browser: webdriver.Chrome, copied: Copied, column: str, is_number: bool
) -> None:
    """Up and down, numbers as numbers, what is empty last, and no row lost."""
    _open(browser, write_report(copied("plan")))
    heads = browser.find_elements(By.CSS_SELECTOR, "#requests thead th")
    place = [head.text.strip() for head in heads].index(column)
    before = _column(browser, "requests", place)
    for direction in ("ascending", "descending"):
        browser.execute_script("arguments[0].scrollIntoView()", heads[place])
        heads[place].click()
        assert heads[place].get_attribute("aria-sort") == direction
        after = _column(browser, "requests", place)
        known = [cell for cell in after if cell]
        assert after == known + [""] * (len(before) - len(known))
        assert sorted(after) == sorted(before)
        assert known == sorted(
            known,
            key=float if is_number else str,
            reverse=direction == "descending",
        )
    _check_quiet(browser)


def test_means_are_sorted_by_their_first_number(
    browser: webdriver.Chrome, copied: Copied
) -> None:
    """``14.3 ± 5.7`` comes after ``9.0 ± 20``; the keyboard does as the mouse does."""
    _open(browser, write_report(copied("plan")))
    head = browser.find_elements(By.CSS_SELECTOR, "#measures thead th")[1]
    head.send_keys("\n")
    means = [float(cell.split()[0]) for cell in _column(browser, "measures", 1)]
    assert means == sorted(means)
    assert head.get_attribute("aria-sort") == "ascending"


def test_names_that_are_code_do_not_run(
    browser: webdriver.Chrome, copied: Copied
) -> None:
    """Neither in the page nor in what plotly makes of them."""
    folder = copied("plan")
    name = HOSTILE.replace("\ud800", "").replace("\x00", "")
    name += "<img src=x onerror=window.broken=1><b>bold</b>"
    quoted = '"' + name.replace('"', '""') + '"'
    for file in ("requests.csv", "rounds.csv"):
        table = (folder / file).read_text(encoding="utf-8")
        for old in ("resnet101-v09", "u138", "q02"):
            table = table.replace(f",{old},", f",{quoted},")
        (folder / file).write_text(table, encoding="utf-8")
    _open(browser, write_report(folder))
    assert browser.execute_script("return window.broken") is None
    labels = _plot(
        browser,
        "Array.from(plot.querySelectorAll('.bartext, .ytick text'),"
        " (one) => one.textContent)",
    )
    assert name in labels
    assert not browser.find_elements(By.CSS_SELECTOR, "img[src='x']")
    _check_quiet(browser)


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("name", ["plan", "online"])
def test_it_fits_narrow_and_wide_windows(
    browser: webdriver.Chrome, copied: Copied, name: str, width: int
) -> None:
    """Tables scroll in themselves; the page does not, sideways."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        _open(browser, write_report(copied(name)))
        widths = browser.execute_script(
            "const page = document.documentElement;"
            "return [page.scrollWidth, page.clientWidth, window.innerWidth]"
        )
        assert widths[0] == widths[1]
        assert widths[2] == width
        plot = browser.find_element(By.CSS_SELECTOR, "#timeline-plot .main-svg")
        assert 0.9 * width - 40 < plot.size["width"] <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_without_scripts_all_but_the_timeline_is_there(
    browser: webdriver.Chrome, copied: Copied
) -> None:
    """Key numbers, tables and pictures, and a word about the timeline."""
    off = "Emulation.setScriptExecutionDisabled"
    browser.execute_cdp_cmd(off, {"value": True})
    try:
        page = write_report(copied("plan"))
        open_page(browser, page)
        said = browser.find_element(By.TAG_NAME, "main").text
        assert "Sharing gains dp" in said
        assert "The timeline needs JavaScript" in said
        assert "resnet101-v09" in said
        assert not browser.find_element(By.ID, "timeline-controls").is_displayed()
    finally:
        browser.execute_cdp_cmd(off, {"value": False})
