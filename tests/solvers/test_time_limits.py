"""A time limit ends a solver with the best that it has found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers import Problem, Uplink, solve, verify
from solvers.core import limit
from solvers.core.limit import Limit, PassedError
from solvers.registry import ALGORITHMS
from tests.instances.cases import CASES, make
from tests.solvers.strategies import problems

ENDED = ("dp", "greedy", "exhaustive")
"""Solvers that end by themselves, if they have the time."""


class Steps:
    """A clock that goes on by a second whenever it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def monotonic(self) -> float:
        """Return how often it was asked."""
        self.asked += 1
        return float(self.asked)


def test_a_limit_passes_once_its_time_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many seconds from its making; without one never."""
    monkeypatch.setattr(limit, "time", Steps())
    found = Limit.after(2.5)
    assert [found.passed() for _ in range(4)] == [False, False, True, True]
    assert Limit.after(100.0).left_s(0.5) == pytest.approx(49.5)
    assert Limit.after(0.5).left_s() == 0.0
    with pytest.raises(PassedError):
        found.check()
    forever = Limit.after(None)
    assert not forever.passed()
    assert forever.left_s(0.5) is None
    forever.check()


@pytest.mark.parametrize("name", ENDED)
def test_it_is_said_which_solvers_a_limit_ends(name: str) -> None:
    """They end by themselves too, so that their results hang on no limit."""
    assert ALGORITHMS[name].limited
    assert not ALGORITHMS[name].searches
    assert ALGORITHMS["branch"].searches


@pytest.mark.parametrize("solver", ENDED)
@pytest.mark.parametrize("uplink", ["upfront", "static", "dynamic"])
def test_whenever_it_ends_the_plan_is_right(solver: str, uplink: Uplink) -> None:
    """Verified, no better than without a limit, and not called optimal if it is not."""
    kind = {"sharing": "laminar"} if solver == "dp" else {"extensions": True}
    deadlines = "common" if solver == "dp" else "any"
    seen = {"ended": 0, "whole": 0}

    @settings(max_examples=60)
    @given(
        problems(deadlines=deadlines, min_users=3, max_users=6, **kind),
        st.integers(1, 60),
    )
    def check(problem: Problem, seconds: int) -> None:
        whole = solve(problem, solver, uplink=uplink)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(limit, "time", Steps())
            found = solve(problem, solver, uplink=uplink, time_limit_s=seconds + 0.5)
        verify(problem, found.schedule)
        if solver != "greedy":  # whose search may take another turn
            assert found.served <= whole.served
        assert found.bound >= whole.served
        if found.status == "optimal":
            assert found.served == found.bound
        seen["whole" if found.schedule == whole.schedule else "ended"] += 1

    check()
    assert seen["ended"] > 0 or solver != "exhaustive"
    assert seen["whole"] > 0


@pytest.mark.parametrize("solver", ["dp", "greedy"])
def test_large_problems_end_soon(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand users: a plan all the same, after a few steps of many."""
    case = next(case for case in CASES if case.name == "large-01-static")
    problem = make(case)
    clock = Steps()
    monkeypatch.setattr(limit, "time", clock)
    found = solve(problem, solver, uplink=case.uplink, time_limit_s=3)
    steps, clock.asked = clock.asked, 0
    verify(problem, found.schedule)
    assert found.served > 0
    if solver == "dp":  # the first walk is cut short, and upfront needs none
        assert found.served >= solve(problem, solver, uplink="upfront").served
    whole = solve(problem, solver, uplink=case.uplink, time_limit_s=1e9)
    assert 3 * steps < clock.asked
    assert found.served <= whole.served


def test_local_search_begins_with_a_whole_schedule() -> None:
    """Two thousand users and no time to speak of: no worse than greedy."""
    case = next(case for case in CASES if case.name == "large-01-static")
    problem = make(case)
    found = solve(problem, "local-search", uplink=case.uplink, time_limit_s=1e-9)
    verify(problem, found.schedule)
    assert found.served >= solve(problem, "greedy", uplink=case.uplink).served
