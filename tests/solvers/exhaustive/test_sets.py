"""The oracle against brute force over all sequences of rounds."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from solvers import UPLINKS, Problem, RefusalError, solve
from tests.solvers.arithmetic import sequences, starts_s
from tests.solvers.brute import best_served
from tests.solvers.strategies import problems, without_sharing


def brute_force(problem: Problem, uplink: str) -> tuple[int, float]:
    """Return most users served, and the earliest last end that serves so many."""
    best = (0, 0.0)
    users = tuple(user for user in problem.users if user.spectral_efficiency > 0)
    for rounds in sequences(problem, users):
        starts = starts_s(problem, rounds, uplink)
        if starts:
            served = sum(len(users) for _, users in rounds)
            model, last = rounds[-1]
            end_s = starts[-1] + problem.models[model].latency_s[len(last) - 1]
            best = min(best, (-served, end_s))
    return -best[0], best[1]


def check(problem: Problem, uplink: str) -> None:
    """Compare the oracle and brute force on one problem."""
    served, end_s = brute_force(problem, uplink)
    result = solve(problem, "exhaustive", uplink=uplink)
    assert result.served == served
    assert result.status == "optimal"
    assert result.bound == served
    if uplink != "static" and served:
        assert result.schedule.rounds[-1].end_s == pytest.approx(end_s)


FEW = settings(
    max_examples=100,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("deadlines", ["common", "own"])
def test_equals_brute_force(deadlines, uplink):
    """No sequence of rounds serves more, or as many with an earlier last end."""

    @FEW
    @given(problems(sharing="any", deadlines=deadlines, max_users=4))
    def compare(problem):
        check(problem, uplink)

    compare()


@FEW
@given(problems(sharing="any", deadlines="any", releases=True, max_users=4))
def test_equals_brute_force_with_releases(problem):
    """The same under ``dynamic`` when users arrive over time."""
    check(problem, "dynamic")


@FEW
@given(problems(max_users=4, max_models=1))
def test_equals_brute_force_on_one_model(problem):
    """One model: all depends on how its users are cut into batches."""
    for uplink in UPLINKS:
        check(problem, uplink)


@pytest.mark.parametrize("uplink", UPLINKS)
@FEW
@given(problems(deadlines="any", max_users=5))
def test_best_served_is_the_optimum(uplink, problem):
    """The tests' other oracle, for what this one refuses, agrees on what it takes."""
    found = solve(problem, "exhaustive", uplink=uplink).served
    assert best_served(problem, uplink) == found
    alone = solve(without_sharing(problem), "exhaustive", uplink=uplink).served
    assert best_served(problem, uplink, sharing=False) == alone


def users(count: int, **change: object) -> Problem:
    """Build a problem of equal users of one model without load."""
    return Problem.model_validate(
        {
            "name": "equal",
            "bandwidth_hz": 1.0,
            "blocks": {"b": {"bytes": 1, "load_s": 0.0}},
            "models": {"m": {"blocks": ["b"], "latency_s": [0.01] * 4}},
            "users": [
                {
                    "id": f"u{k}",
                    "model": "m",
                    "input_bits": 0.01,
                    "spectral_efficiency": 1.0,
                    "deadline_s": 9.0,
                    **change,
                }
                for k in range(count)
            ],
        }
    )


def test_refuses_more_than_twelve_users():
    """The message names the count, the limit and what to use instead."""
    with pytest.raises(
        RefusalError, match=r"exhaustive: 13 users, at most 12 are taken; use ilp"
    ):
        solve(users(13), "exhaustive")


def test_counts_only_users_that_can_be_scheduled():
    """Users without a link do not count towards the limit."""
    assert solve(users(30, spectral_efficiency=0.0), "exhaustive").served == 0


def test_a_model_may_recur():
    """A B A, resident B: returning to A beats any order that visits it once.

    The first user of A is urgent, the second arrives only after B had to run.
    """
    entry = {"latency_s": [0.1], "blocks": []}
    problem = Problem.model_validate(
        {
            "name": "again",
            "bandwidth_hz": 1e3,
            "blocks": {n: {"bytes": 1, "load_s": 0.1} for n in "ab"},
            "models": {n: {**entry, "blocks": [n]} for n in "ab"},
            "users": [
                {
                    "id": f"u{k}",
                    "model": model,
                    "input_bits": 1e-6,
                    "spectral_efficiency": 1.0,
                    "release_s": release_s,
                    "deadline_s": deadline_s,
                }
                for k, (model, release_s, deadline_s) in enumerate(
                    [("a", 0.0, 0.25), ("b", 0.0, 0.45), ("a", 0.5, 0.7)]
                )
            ],
        }
    )
    result = solve(problem, "exhaustive", uplink="dynamic")
    assert result.served == 3
    assert [r.model for r in result.schedule.rounds] == ["a", "b", "a"]
