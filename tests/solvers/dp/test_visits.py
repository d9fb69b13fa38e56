"""Visits in loops make what visits in numpy make, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers import solve
from solvers.bounds.upper_bound import prices
from solvers.core.compiling import COMPILED
from solvers.core.forest import Forest, build_forest
from solvers.core.orders import depth_first_orders
from solvers.core.tables import Tables
from solvers.dp import visit_loops, visits
from solvers.dp.labels import Labels, prune
from solvers.dp.walks import Search, walk
from tests.instances import CASES, make
from tests.solvers.strategies import problems, seeded_problem


def assert_alike(tables: Tables, target: int, width: int) -> int:
    """Walk every first order in both ways, and count the labels that were kept."""
    forest = build_forest(tables)
    deadline_s = tables.common_deadline_s
    assert isinstance(forest, Forest)
    assert deadline_s is not None
    known = prices(tables, "static")
    count = 0
    for order in depth_first_orders(tables, forest)[:3]:
        one, other = (
            walk(
                Search(tables, forest, known, "static", deadline_s, made),
                *(order,),
                target=target,
                width=width,
            )
            for made in (visits.visit, visit_loops.visit)
        )
        assert (one.users, one.value, one.steps) == (
            other.users,
            other.value,
            other.steps,
        )
        for (mine, _, best), (theirs, _, other_best) in zip(
            one.states, other.states, strict=True
        ):
            assert best == other_best
            for a, b in zip(mine, theirs, strict=True):
                assert np.array_equal(a, b)
            count += len(mine.users)
    return count


@settings(max_examples=60, deadline=None)
@given(
    problems(
        max_users=12,
        sharing="laminar",
        deadlines="common",
    ),
    st.integers(0, 4),
    st.sampled_from([1, 2, 4, 32]),
)
def test_both_make_the_same(problem, target, width):  # type: ignore[no-untyped-def]
    """Labels, their order, and the best schedule, of any width."""
    assert COMPILED
    tables = Tables(problem)
    if tables.active and prices(tables, "static").bound:
        assert_alike(tables, target, width)


@pytest.mark.parametrize("name", ["bottom-spectrum-06-static", "tight-05-static"])
def test_both_make_the_same_where_labels_are_left_out(name: str) -> None:
    """There are more labels than the width."""
    (case,) = (case for case in CASES if case.name == name)
    tables = Tables(make(case))
    assert assert_alike(tables, 1, 8) > 8 * len(tables.active)


def test_a_small_gain_of_band_counts() -> None:
    """However many users the labels serve: no large number is taken from it."""
    labels = Labels(
        np.array([90_000, 90_000, 5]),
        np.array([4, 4, 4]),
        np.array([1.0, 2.0, 1.0]),
        np.array([0.5, 0.5 - 1e-13, 0.9]),
        np.arange(3),
    )
    kept = prune(labels, np.full(3, 1e6), 1, 32)
    assert sorted(kept.entry.tolist()) == [0, 1, 2]


def test_dp_plans_the_same_in_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops only save time, and are loaded where that is much."""
    problem = seeded_problem(
        np.random.default_rng(5), sharing="laminar", users=101, models=9
    )
    tables = Tables(problem)
    found = []
    for kept in (False, True):
        monkeypatch.setattr(visit_loops, "kept", lambda kept=kept: kept)
        chosen = visits.choose(tables, None)
        assert chosen is (visit_loops.visit if kept else visits.visit)
        assert visits.choose(tables, 0.2) is visits.visit
        found.append(solve(problem, "dp", uplink="static").schedule)
    assert found[0] == found[1]
    few = seeded_problem(
        np.random.default_rng(5), sharing="laminar", users=20, models=9
    )
    assert visits.choose(Tables(few), None) is visits.visit
