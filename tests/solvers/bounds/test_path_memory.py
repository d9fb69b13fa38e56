"""What a path remembers of a visit, and when it forgets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers import Problem, Uplink, solve
from solvers.bounds import path_grid
from solvers.bounds.path_bound import Relaxation, relaxation
from solvers.bounds.path_memory import Arc, Memory, memories
from solvers.core.tables import Tables
from tests.solvers.bounds.test_path_bound import FEW, compare, free_bound, made
from tests.solvers.strategies import problems, seeded_problem


def served_at_no_price(relaxed: Relaxation) -> np.ndarray:
    """Count how often the longest path serves each user if nothing costs anything."""
    return relaxed.evaluate(0 * relaxed.start(1), relaxed.everything()).served


def relaxed_by(problem: Problem, uplink: Uplink) -> Relaxation:
    """Relax a problem on a fine grid."""
    relaxed = relaxation(Tables(problem), uplink, 200_000)
    assert relaxed is not None
    return relaxed


@pytest.mark.parametrize("uplink", ["upfront", "static", "dynamic"])
def test_a_visit_serves_nobody_twice(
    uplink: Uplink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one visit of one model: who could wait is served once.

    But in the step of a deadline, where it is not sure who could have waited.
    """
    problem = made(
        {"a": (["x"], [0.1, 0.15])},
        [("a", 0.01, 0.97), ("a", 0.02, 0.98), ("a", 0.03, 0.99)],
    )
    remembering = served_at_no_price(relaxed_by(problem, uplink))
    monkeypatch.setattr(path_grid, "MEMORY_WORK", 0)
    forgetting = served_at_no_price(relaxed_by(problem, uplink))
    assert remembering.max() == (1 if uplink == "upfront" else 2)
    assert remembering.sum() <= 4
    assert forgetting.sum() >= 10


def test_whom_a_user_bars() -> None:
    """``dynamic``: who asks for no more and was there no later."""
    plain = made(
        {"a": (["x"], [0.1])},
        [("a", demand_s, 5.0) for demand_s in (0.1, 0.2, 0.2, 0.3)],
    )
    users = [
        user.model_copy(update={"release_s": release_s})
        for user, release_s in zip(plain.users, (2.0, 1.0, 0.0, 1.0), strict=True)
    ]
    problem = plain.model_copy(update={"users": tuple(users)})
    (order,), (memory,) = memories(Tables(problem), "dynamic", 1e9)
    assert order.tolist() == [0, 2, 1, 3]
    assert memory.bars.astype(int).tolist() == [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 1, 1, 0],
        [0, 1, 1, 1],
    ]
    assert memory.among(4, 4).tolist() == [0]


def test_a_user_bars_only_rounds_it_could_have_waited_for() -> None:
    """The best schedule serves the large demand first: it cannot wait, the other can.

    Were the large demand to bar the small one for good, the bound would be 1.
    """
    problem = made(
        {"a": (["x"], [0.1])},
        [("a", 0.3, 0.45), ("a", 0.02, 0.56)],
        load_s=0.3,
    )
    best = solve(problem, "exhaustive", uplink="dynamic")
    assert best.served == 2
    order = [u for r in best.schedule.rounds for u in r.users]
    assert order == ["u0", "u1"]
    assert free_bound(problem, "dynamic", 1) == 2


def test_arcs_of_every_kind() -> None:
    """By hand, of three users and batches of one and two."""
    bars = np.tri(3, dtype=bool)
    bars[2, 1] = False
    sizes = np.array([0, 1])
    assert Memory("nothing", bars).arcs(sizes) == [Arc(0, 0, 0, 0), Arc(1, 0, 0, 0)]
    assert Memory("prefix", bars).arcs(sizes) == [
        Arc(0, 0, 1, 1),
        Arc(0, 1, 2, 2),
        Arc(1, 0, 2, 2),
        Arc(0, 2, 3, 3),
        Arc(1, 1, 3, 3),
    ]
    assert Memory("last", bars).arcs(sizes) == [
        Arc(0, 0, 1, 1),
        Arc(0, 0, 2, 2),
        Arc(1, 0, 2, 2),
        Arc(0, 1, 2, 2),
        Arc(0, 0, 3, 3),
        Arc(1, 0, 3, 3),
        Arc(0, 1, 3, 3),
        Arc(1, 1, 3, 3),
        Arc(0, 2, 3, 3),
        # The last user does not bar the one before it, whom a batch may take alone.
        Arc(0, 3, 3, 0),
    ]


@pytest.mark.parametrize(
    ("kind", "uplink"),
    [
        ({"deadlines": "any"}, "static"),
        ({"deadlines": "any"}, "upfront"),
        ({"deadlines": "any", "releases": True}, "dynamic"),
    ],
)
def test_where_too_much_would_be_remembered_nothing_is(
    kind: dict, uplink: Uplink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is still one, with memory of no model or only of the small ones."""
    monkeypatch.setattr(path_grid, "MIN_STEPS", 3)

    @settings(FEW, max_examples=25)
    @given(problems(max_users=5, **kind), st.integers(0, 10**6))
    def run(problem: Problem, number: int) -> None:
        monkeypatch.setattr(path_grid, "MEMORY_WORK", 3 * (number % 12))
        compare(problem, uplink, number, {"compared": 0, "tight": 0})

    run()


def test_models_with_the_most_users_forget_first() -> None:
    """As far as the arcs would be too many."""
    rng = np.random.default_rng(1)
    problem = seeded_problem(
        rng, sharing="laminar", users=14, models=4, deadlines="own"
    )
    tables = Tables(problem)
    counts = np.array([len(tables.users_of[m]) for m in tables.active])
    remembering = []
    for most in (0, 20, 100, 1e9):
        kinds = [memory.kind for memory in memories(tables, "static", most)[1]]
        remembers = np.array([kind == "last" for kind in kinds])
        remembering.append(int(remembers.sum()))
        if remembers.any() and not remembers.all():
            assert counts[remembers].max() <= counts[~remembers].min()
    assert remembering == sorted(remembering)
    assert remembering[0] == 0
    assert remembering[-1] == len(counts)
