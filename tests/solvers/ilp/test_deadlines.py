"""The relaxation by deadlines: never below the optimum, and sharp where it is meant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from solvers import UPLINKS, Problem, solve
from solvers.core.tables import Tables
from solvers.ilp import deadlines
from solvers.ilp.deadlines import deadline_bound
from solvers.ilp.engine import Clock
from tests.solvers.strategies import EXTENDED_KINDS, problems, seeded_problem

FEW = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
NO_CLOCK = Clock.of(None)
KINDS = [
    (kind, uplink)
    for kind, drawn in EXTENDED_KINDS.items()
    for uplink in UPLINKS
    if uplink == "dynamic" or not drawn.get("releases")
]


def two_jobs(**changes: object) -> Problem:
    """Two models of one block each; each batch takes 1 s, each load 2 s."""
    users = [
        {"model": "a", "deadline_s": 4.5},
        {"model": "a", "deadline_s": 9.0},
        {"model": "b", "deadline_s": 9.0},
        {"model": "b", "deadline_s": 9.0},
    ]
    return Problem.model_validate(
        {
            "name": "two",
            "bandwidth_hz": 1.0,
            "blocks": {name: {"bytes": 1, "load_s": 2.0} for name in "ab"},
            "models": {name: {"blocks": [name], "latency_s": [1.0]} for name in "ab"},
            "users": [
                {"id": f"u{k}", "input_bits": 1.0, "spectral_efficiency": 1.0, **user}
                for k, user in enumerate(users)
            ],
            **changes,
        }
    )


@pytest.mark.parametrize(("kind", "uplink"), KINDS)
def test_never_below_the_optimum(kind, uplink, monkeypatch):
    """With a row for every deadline, and with two of each; nothing is assumed."""

    @FEW
    @given(problems(max_users=6, **EXTENDED_KINDS[kind]))
    def check(problem: Problem) -> None:
        tables = Tables(problem)
        if not tables.active:
            return
        optimum = solve(problem, "exhaustive", uplink=uplink).served
        for served, rows in ((0, 12), (optimum, 2)):
            monkeypatch.setattr(deadlines, "RELEASES", rows)
            found = deadline_bound(tables, uplink, served, 99, NO_CLOCK, rows=[rows])
            assert optimum <= found <= len(tables.users)

    check()


@pytest.mark.parametrize("residency", ["previous", "cache"])
def test_what_is_due_early_is_done_early(residency):
    """By 4.5 s: 4 s of uploads leave no time, unless fewer upload.

    Two of one model are served, for 2 + 2 + 2 s; or without the early one the other of
    its model, and nobody else by 9 s. Three would take 3 + 4 + 3 s.
    """
    tables = Tables(two_jobs(residency=residency))
    assert solve(tables.problem, "exhaustive", uplink="upfront").served == 2
    assert deadline_bound(tables, "upfront", 0, 4, NO_CLOCK) == 2


def test_uploads_matter_only_for_deadlines_that_are_met():
    """Nobody is in time by 4.5 s, so nothing need be: three of model b end by 9 s."""
    users = [{"model": "b", "deadline_s": 9.0}] * 3
    users.append({"model": "a", "deadline_s": 4.5})
    problem = two_jobs(
        users=[
            {"id": f"u{k}", "input_bits": 1.0, "spectral_efficiency": 1.0, **user}
            for k, user in enumerate(users)
        ]
    )
    tables = Tables(problem)
    assert solve(problem, "exhaustive", uplink="upfront").served == 3
    assert deadline_bound(tables, "upfront", 0, 4, NO_CLOCK) == 3


def test_what_is_resident_at_first_is_free():
    """Under a cache: 2 s are spared, and one more is in time."""
    early = two_jobs(residency="cache", resident_model="b")
    assert deadline_bound(Tables(early), "upfront", 0, 4, NO_CLOCK) == 3


def test_a_known_bound_and_a_known_plan_are_kept():
    """It is never above the one, never below the other."""
    tables = Tables(two_jobs())
    assert deadline_bound(tables, "upfront", 0, 1, NO_CLOCK) == 1
    assert deadline_bound(tables, "upfront", 3, 4, NO_CLOCK) == 3


@pytest.mark.parametrize("uplink", UPLINKS)
def test_no_time_and_too_many_choices_leave_the_known_bound(uplink, monkeypatch):
    """Nothing is proven then."""
    tables = Tables(two_jobs())
    assert deadline_bound(tables, uplink, 0, 4, Clock.of(0.0)) == 4
    monkeypatch.setattr(deadlines, "MOST_CHOICES", 3)
    assert deadline_bound(tables, uplink, 0, 4, NO_CLOCK) == 4


def test_a_cache_with_deadlines_is_bounded_below_what_loads_alone_tell():
    """On a seeded family: the first deadlines leave no time for what the last would."""
    rng = np.random.default_rng(3)
    problem = seeded_problem(
        rng, sharing="crossing", users=40, models=8, deadlines="own"
    ).model_copy(update={"residency": "cache"})
    tables = Tables(problem)
    latest_s = max(user.deadline_s for user in problem.users)
    later = problem.model_copy(
        update={
            "users": tuple(
                user.model_copy(update={"deadline_s": latest_s})
                for user in problem.users
            )
        }
    )
    own = deadline_bound(tables, "upfront", 0, 40, NO_CLOCK)
    common = deadline_bound(Tables(later), "upfront", 0, 40, NO_CLOCK)
    assert solve(problem, "greedy", uplink="upfront").served <= own < common


def test_more_users_than_rows_allow_have_the_latest_deadline_alone(monkeypatch):
    """One row is that of the latest deadline, whatever the choices leave room for."""
    tables = Tables(two_jobs())
    every = deadline_bound(tables, "dynamic", 0, 4, NO_CLOCK)
    monkeypatch.setattr(deadlines, "MOST_CHOICES", 7)
    assert deadline_bound(tables, "dynamic", 0, 4, NO_CLOCK) >= every
