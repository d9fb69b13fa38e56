"""Code of the user's own that takes long is named, and nothing else."""

from __future__ import annotations

import time

import pytest

from edgesim.cli.waiting import naming_slow_code

SOON_S = 0.05


def test_slow_code_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    """With its repeat, on standard error, while it is still at work."""
    with naming_slow_code(SOON_S) as at_work:
        at_work("mine:slow", 3)
        time.sleep(4 * SOON_S)
        found = capsys.readouterr()
    assert found.out == ""
    assert found.err == "waiting for mine:slow (repeat 3) for 0.05 s; Ctrl-C ends it\n"
    assert capsys.readouterr().err == ""


def test_what_ends_or_is_not_of_the_user_is_not_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither one that gave way to the next, nor a shipped one, nor the last."""
    with naming_slow_code(SOON_S) as at_work:
        at_work("mine:slow")
        at_work("ilp")
        time.sleep(4 * SOON_S)
        at_work("mine:slow-noshare")
    time.sleep(4 * SOON_S)
    assert capsys.readouterr() == ("", "")
