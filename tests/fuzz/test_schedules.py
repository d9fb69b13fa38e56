"""Every kind of damage to a valid schedule is caught, and nothing else is."""

from __future__ import annotations

import pytest

from tests.fuzz.schedules import HARMLESS, KINDS, Count, try_all


def check(found: Count) -> None:
    """Print how often each kind was applied, and check that each was judged right."""
    for name in (*KINDS, *HARMLESS):
        said = "caught" if name in KINDS else "accepted"
        print(f"{name:62}{found.applied[name]:7,} {found.right[name]:7,} {said}")
    assert found.wrong == []
    assert set(found.applied) == {*KINDS, *HARMLESS}


def test_every_kind_is_caught() -> None:
    """Fifty schedules of all disciplines, some with a cache and overlap."""
    check(try_all(50, seed=0))


@pytest.mark.long
def test_every_kind_is_caught_many_times() -> None:
    """A thousand others."""
    check(try_all(1000, seed=1))


def test_there_are_many_kinds() -> None:
    """What is said of all is said of many."""
    assert len(KINDS) >= 50
    assert len(HARMLESS) >= 8
