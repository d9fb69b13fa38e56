"""The floors: the order they serve in, and what they skip."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvers import UPLINKS, Problem, Result, Uplink, solve, verify
from solvers.baselines import _serve_in_order
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import time_rounds
from tests.solvers.strategies import problems, seeded_problem

FEW = settings(
    max_examples=40,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def problem(*users: tuple[str, float, float], **change: Any) -> Problem:
    """Build users from (model, release, deadline), each uploading for 0.1 s.

    Models a and b compute a batch of one or two in 0.1 s and load for 0.2 s.
    """
    return Problem.model_validate(
        {
            "name": "floor",
            "bandwidth_hz": 1.0,
            "blocks": {n: {"bytes": 1, "load_s": 0.2} for n in "ab"},
            "models": {n: {"blocks": [n], "latency_s": [0.1, 0.1]} for n in "ab"},
            "users": [
                {
                    "id": f"u{k}",
                    "model": model,
                    "input_bits": 0.1,
                    "spectral_efficiency": 1.0,
                    "release_s": release_s,
                    "deadline_s": deadline_s,
                }
                for k, (model, release_s, deadline_s) in enumerate(users)
            ],
            **change,
        }
    )


def batches(result: Result) -> list[tuple[str, ...]]:
    """List the users of each round."""
    return [round_.users for round_ in result.schedule.rounds]


def test_fcfs_serves_by_release():
    """The first to arrive is first, and takes the next of its model along."""
    found = problem(("a", 0.2, 9.0), ("b", 0.1, 9.0), ("b", 0.3, 9.0), ("a", 0.0, 9.0))
    assert batches(solve(found, "fcfs")) == [("u3", "u0"), ("u1", "u2")]


def test_edf_serves_by_deadline():
    """The most urgent is first, and takes the next of its model along."""
    found = problem(("a", 0.0, 9.0), ("b", 0.0, 8.0), ("b", 0.0, 9.5), ("a", 0.0, 8.5))
    assert batches(solve(found, "edf")) == [("u1", "u2"), ("u3", "u0")]


@pytest.mark.parametrize("name", ["fcfs", "edf"])
def test_ties_keep_the_order_of_the_problem(name):
    """Equal users come out as they went in."""
    found = problem(*[("a", 0.0, 9.0)] * 4)
    assert batches(solve(found, name)) == [("u0", "u1"), ("u2", "u3")]


@pytest.mark.parametrize("name", ["fcfs", "edf"])
def test_who_cannot_be_in_time_is_skipped(name):
    """A hopeless user at the head costs the others nothing."""
    found = problem(("a", 0.0, 0.2), ("b", 0.0, 0.4), ("a", 0.0, 9.0))
    assert batches(solve(found, name)) == [("u1",), ("u2",)]


def test_a_batch_is_as_large_as_is_still_in_time():
    """Taking the second along would make the first late, so it goes alone."""
    found = problem(("a", 0.0, 0.31), ("a", 0.5, 9.0))
    assert batches(solve(found, "fcfs")) == [("u0",), ("u1",)]


def test_a_head_that_fits_only_in_company():
    """One alone does not fit in memory, two do; the head waits for nobody else."""
    models = {
        "a": {"blocks": ["a"], "latency_s": [0.1, 0.1], "activation_bytes": [9, 2]},
        "b": {"blocks": ["b"], "latency_s": [0.1]},
    }
    found = problem(
        *[("a", 0.0, 9.0), ("b", 0.0, 9.0), ("a", 0.0, 9.0)],
        models=models,
        gpu_memory_bytes=5,
    )
    assert batches(solve(found, "fcfs")) == [("u0", "u2"), ("u1",)]


def test_random_depends_on_the_seed_alone():
    """The same seed, the same schedule; other seeds, other schedules."""
    found = problem(*[("a", 0.0, 9.0), ("b", 0.0, 9.0)] * 4)
    schedules = [solve(found, "random", seed=seed).schedule for seed in range(8)]
    again = [solve(found, "random", seed=seed).schedule for seed in range(8)]
    assert schedules == again
    assert len({schedule.model_dump_json() for schedule in schedules}) > 1


@FEW
@given(problems(deadlines="any"))
def test_floors_are_valid_under_every_discipline(problem):
    """Whatever the problem, the schedule verifies and the bound holds."""
    for uplink in UPLINKS:
        for name in ("fcfs", "edf", "random"):
            result = solve(problem, name, uplink=uplink)
            verify(problem, result.schedule)
            assert result.served <= result.bound


def served_slowly(tables: Tables, uplink: Uplink, order: list[int]) -> list[Any]:
    """Serve users in order, and time all rounds anew for every round that is tried."""
    rounds: list[PlannedRound] = []
    waiting = list(order)
    while waiting:
        model = int(tables.user_model[waiting[0]])
        mates = [k for k in waiting if tables.user_model[k] == model]
        gone = {waiting[0]}
        for size in range(min(len(tables.latency_s[model]) - 1, len(mates)), 0, -1):
            planned = PlannedRound(model, tuple(mates[:size]))
            if time_rounds(tables, [*rounds, planned], uplink) is not None:
                rounds.append(planned)
                gone = set(planned.users)
                break
        waiting = [k for k in waiting if k not in gone]
    return rounds


@pytest.mark.parametrize("uplink", UPLINKS)
def test_running_totals_decide_as_timing_does(uplink):
    """Rounds are those that timing the whole plan for each of them allows."""
    seen = Counter[str]()

    @settings(FEW, max_examples=150)
    @given(
        problems(deadlines="any", releases=uplink == "dynamic", max_users=12),
        st.randoms(use_true_random=False),
    )
    def check(drawn, random):
        tables = Tables(drawn)
        order = tables.users.tolist()
        random.shuffle(order)
        slow = served_slowly(tables, uplink, order)
        fast = _serve_in_order(tables, uplink, np.array(order, dtype=np.int64))
        assert list(fast.rounds) == slow
        seen.update(rounds=len(slow), left=len(order) - sum(len(r.users) for r in slow))

    check()
    assert seen["rounds"] > 100
    assert seen["left"] > 100


@pytest.mark.parametrize("uplink", UPLINKS)
def test_running_totals_decide_as_timing_does_on_longer_plans(uplink):
    """The same with more users than the strategies draw."""
    total = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        tables = Tables(
            seeded_problem(rng, sharing="crossing", users=80, models=8, deadlines="own")
        )
        order = rng.permutation(tables.users)
        slow = served_slowly(tables, uplink, order.tolist())
        assert list(_serve_in_order(tables, uplink, order).rounds) == slow
        total += len(slow)
    assert total > 10
