"""What holds for all tests."""

from __future__ import annotations

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec

import pytest
from hypothesis import settings

# The same random cases in every run, so that a change fails what it breaks and nothing
# else. ``pytest --hypothesis-profile=others`` draws others each time. No case fails for
# its time: a machine may be slow.
settings.register_profile("the same", derandomize=True, deadline=None)
settings.register_profile("others", deadline=None)
settings.load_profile("the same")

NO_SKIPS = "EDGESIM_NO_SKIPS"
"""Environment variable: if it is set, a run in which a test skips fails."""

MAY_SKIP = "EDGESIM_MAY_SKIP"
"""Environment variable: tests whose reason to skip names this may skip all the same."""

_SKIPPED: list[str] = []


class _SkipTorch(MetaPathFinder):
    """Where PyTorch is not installed, skip a module or a test that asks for it."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "torch":
            pytest.skip("PyTorch is not installed", allow_module_level=True)


NO_TORCH = find_spec("torch") is None
if NO_TORCH:
    sys.meta_path.insert(0, _SkipTorch())


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose processes need PyTorch, where it is not installed."""
    if NO_TORCH and item.get_closest_marker("torch"):
        pytest.skip("PyTorch is not installed")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note which tests skip."""
    if not hasattr(report, "wasxfail"):
        _note_skip(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note which modules skip as a whole."""
    _note_skip(report)


def _note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    allowed = os.environ.get(MAY_SKIP)
    if report.skipped and not (allowed and allowed in str(report.longrepr)):
        _SKIPPED.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where everything is to be there, and something was not."""
    if _SKIPPED and session.exitstatus == 0 and os.environ.get(NO_SKIPS):
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why the run fails."""
    if _SKIPPED and os.environ.get(NO_SKIPS):
        terminalreporter.write_line(
            f"{NO_SKIPS} is set, and {len(_SKIPPED)} tests or modules skipped: "
            f"{_SKIPPED[0]}, …"
        )
