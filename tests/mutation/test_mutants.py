"""Mutants are what they say, and what may survive is still there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutation.__main__ import reasons
from tests.mutation.mutants import mutants, mutated
from tests.mutation.targets import JUDGED, REPOSITORY, TESTS

SOURCE = '''\
"""A module."""

LIMIT: int = 2


def least(values):
    """Return the least below the limit."""
    if not values:
        raise ValueError("no values, not 1")
    found = min(values)
    found += 1
    return found if found < LIMIT else None
'''

KEYS = [
    "module: LIMIT: int = 2 -> LIMIT: int = 3",
    "least: if not values: -> if values:",
    "least: found = min(values) -> pass",
    "least: found = min(values) -> found = max(values)",
    "least: found += 1 -> found -= 1",
    "least: found += 1 -> pass",
    "least: found += 1 -> found += 2",
    "least: return found if found < LIMIT else None -> return None",
    "least: return found if found < LIMIT else None -> "
    "return None if found < LIMIT else found",
    "least: return found if found < LIMIT else None -> "
    "return found if found <= LIMIT else None",
    "least: return found if found < LIMIT else None -> "
    "return found if found >= LIMIT else None",
]


def test_mutants_of_a_module() -> None:
    """Each kind of fault once, in the order of the text; what is told stays."""
    assert [mutant.key for mutant in mutants("m.py", SOURCE)] == KEYS


def test_each_mutant_is_one_fault() -> None:
    """The source of a mutant has its line, and all other lines as they were."""
    whole = ast.unparse(ast.parse(SOURCE)).splitlines()
    for mutant in mutants("m.py", SOURCE):
        lines = mutated(SOURCE, mutant.number).splitlines()
        changed = [pair for pair in zip(whole, lines, strict=True) if len({*pair}) == 2]
        ((old, new),) = changed
        assert mutant.key.partition(": ")[2] == f"{old.strip()} -> {new.strip()}"


def test_long_lines_show_their_difference() -> None:
    """Of a long line, what is around the fault is shown; equal keys are numbered."""
    text = f"value = [{'0, ' * 60}1.5, {'0, ' * 60}]"
    keys = [mutant.key for mutant in mutants("m.py", text)]
    assert len({*keys}) == len(keys)
    (middle,) = (key for key in keys if "2.5" in key)
    assert len(middle) < 200
    assert middle.startswith("module: …")


@pytest.mark.source
def test_targets_are_there() -> None:
    """Each module and each file of its tests."""
    for path, files in TESTS.items():
        assert all(Path(REPOSITORY, name).is_file() for name in (path, *files))
    bounds = {p.relative_to(REPOSITORY) for p in (REPOSITORY / JUDGED[-1]).glob("*.py")}
    assert {p.as_posix() for p in bounds if p.name != "__init__.py"} == {
        path for path in TESTS if path.startswith(JUDGED[-1])
    }


@pytest.mark.source
def test_survivors_are_mutants() -> None:
    """What has a reason to survive is a mutant of the code as it is now."""
    for path, key in reasons():
        text = (REPOSITORY / path).read_text(encoding="utf-8")
        assert key in {mutant.key for mutant in mutants(path, text)}, (path, key)
