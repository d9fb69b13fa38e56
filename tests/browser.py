"""Headless Chromium for tests of pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = Path("/usr/bin/chromium")
CHROMEDRIVER = Path("/usr/bin/chromedriver")
REQUIRE = "EDGESIM_REQUIRE_CHROMIUM"
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1400,1000",
)


@contextmanager
def started(profile: Path) -> Iterator[webdriver.Chrome]:
    """Start a browser with a profile of its own; without one skip, or fail if asked."""
    if not (CHROMIUM.is_file() and CHROMEDRIVER.is_file()):
        message = f"{CHROMIUM} or {CHROMEDRIVER} is not there"
        if os.environ.get(REQUIRE):
            pytest.fail(f"{message}, and {REQUIRE} is set")
        pytest.skip(message)
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for option in OPTIONS:
        options.add_argument(option)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(CHROMEDRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def open_page(browser: webdriver.Chrome, page: Path) -> None:
    """Open a file and wait until it is loaded; for files, ``get`` may return before."""
    address = page.as_uri()
    browser.get(address)
    WebDriverWait(browser, 60, poll_frequency=0.02).until(
        lambda it: it.execute_script(
            "return document.URL === arguments[0] "
            "&& document.readyState === 'complete'",
            address,
        )
    )
