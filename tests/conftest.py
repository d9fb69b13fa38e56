"""What holds for all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# The same random cases in every run, so that a change fails what it breaks and nothing
# else. ``pytest --hypothesis-profile=default`` draws others each time.
settings.register_profile("the same", derandomize=True)
settings.load_profile("the same")

NO_SKIPS = "EDGESIM_NO_SKIPS"
"""Environment variable: if it is set, a run in which a test skips fails."""

_SKIPPED: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note which tests skip."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _SKIPPED.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where everything is to be there, and something was not."""
    if _SKIPPED and session.exitstatus == 0 and os.environ.get(NO_SKIPS):
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why the run fails."""
    if _SKIPPED and os.environ.get(NO_SKIPS):
        terminalreporter.write_line(
            f"{NO_SKIPS} is set, and {len(_SKIPPED)} tests skipped: {_SKIPPED[0]}, …"
        )
