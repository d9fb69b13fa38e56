"""``edgesim compile``."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import solvers
from solvers.core import compiling
from tests.command import edgesim

REPOSITORY = Path(__file__).parents[2]


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
        "local-search: compiling (all loops take up to two minutes)"
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


SCRIPT = """
import time
import solvers
from edgesim.cli import main
from solvers.core.interrupts import deferred

def compile_loops(tell):
    with deferred():
        tell("local-search")
        time.sleep(60)

solvers.compile_loops = compile_loops
main()
"""


def test_an_interrupt_does_not_wait_for_the_compiler() -> None:
    """Nothing is lost by ending at once."""
    running = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "compile"],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    assert running.stderr.readline().startswith("local-search: compiling")
    started_s = time.monotonic()
    running.send_signal(signal.SIGINT)
    assert running.wait() == 130
    assert time.monotonic() - started_s < 30
    assert running.stderr.read() == "stopped\n"
    running.stderr.close()
