"""``edgesim compile``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

import solvers
from solvers.core import compiling
from tests.command import edgesim


def compiles(monkeypatch: pytest.MonkeyPatch, found: Mapping[str, str]) -> None:
    """Let the loops have been found so."""

    def compile_loops(tell: Callable[[str], object]) -> Mapping[str, str]:
        for name, outcome in found.items():
            if outcome != "there":
                tell(name)
        return found

    monkeypatch.setattr(solvers, "compile_loops", compile_loops)


def test_what_was_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line each, and while it takes a minute one that says so."""
    compiles(monkeypatch, {"local-search": "compiled", "branch": "there"})
    finished = edgesim("compile")
    assert finished.code == 0
    assert finished.out.splitlines()[:2] == [
        "local-search: compiled",
        "branch: was compiled before",
    ]
    assert finished.err.splitlines() == [
        "local-search: compiling, which takes up to two minutes"
    ]


def test_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would all be compiled again."""
    compiles(monkeypatch, {"local-search": "not kept", "branch": "not kept"})
    finished = edgesim("compile")
    assert finished.code == 2
    assert "local-search: compiled loops can be kept neither" in finished.err


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """How to install it."""
    monkeypatch.setattr(compiling, "COMPILED", False)
    finished = edgesim("compile")
    assert finished.code == 2
    assert finished.err.splitlines() == [
        "error: edgesim compile: numba is not installed, or told to compile nothing; "
        "pip install 'edgesim[fast]'"
    ]
