"""The page about solvers of one's own does what it says."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest

from tests.command import edgesim

DOCUMENT = Path(__file__).parents[2] / "docs" / "solvers-of-your-own.md"


def _blocks(language: str) -> list[str]:
    text = DOCUMENT.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_commands_of_its_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Typed in their order, with the files that it shows, they succeed."""
    for block in _blocks("python") + _blocks("toml"):
        name = re.match(r"# ([\w-]+\.\w+)\n", block)
        if name:
            Path(name[1]).write_text(block, encoding="utf-8")
    assert Path("rolling-with-mine.toml").exists()
    commands = [
        line.removeprefix("$ edgesim ")
        for block in _blocks("console")
        for line in block.splitlines()
    ]
    assert len(commands) == 3
    for command in commands:
        finished = edgesim(*shlex.split(command))
        assert finished.code == 0, (command, finished.err)
    assert Path("results/mine/plans/0/mine-solve.json").exists()
    assert Path("rolling-with-mine.png").exists()
    refused = edgesim("figure", "rolling-with-mine.toml")
    assert refused.err.endswith("edgesim figure rolling-with-mine.toml --own-code\n")


def test_the_documented_solver_is_as_short_as_promised() -> None:
    """Twenty lines, and good enough to be worth it."""
    (code,) = (block for block in _blocks("python") if block.startswith("# mine.py"))
    assert len(code.strip().splitlines()) <= 21


def test_the_examples_of_its_documentation() -> None:
    """Every Python example gives the output that stands below it."""
    test = doctest.DocTestParser().get_doctest(
        "\n".join(_blocks("python")), {}, DOCUMENT.name, str(DOCUMENT), 0
    )
    assert len(test.examples) >= 5
    assert doctest.DocTestRunner().run(test).failed == 0
