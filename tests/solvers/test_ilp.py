"""The integer programs: proven optima, honest bounds, and both engines."""

from __future__ import annotations

import os

import numpy as np
import pulp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvers import UPLINKS, Problem, RefusalError, solve
from solvers.bound import upper_bound
from solvers.ilp import RoundModel, _run, most_rounds
from solvers.tables import Tables
from solvers.timing import time_rounds
from tests.shared_data import REQUIRE
from tests.solvers.strategies import planned, problems, seeded_problem

FEW = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
CBC = pulp.COIN_CMD(path=pulp.PULP_CBC_CMD.pulp_cbc_path, msg=False)


def family(count: int, users: int, **kwargs: object) -> list[Problem]:
    """List the first problems of the seeded family."""
    rng = np.random.default_rng(5)
    kwargs = {"sharing": "crossing", "models": 4, **kwargs}
    return [seeded_problem(rng, users=users, **kwargs) for _ in range(count)]


@pytest.mark.parametrize("uplink", UPLINKS)
def test_improves_on_greedy(uplink):
    """Where greedy misses the optimum, the program finds and proves it."""
    improved = 0
    for problem in family(6, 7) + family(6, 7, deadlines="own"):
        optimum = solve(problem, "exhaustive", uplink=uplink).served
        if solve(problem, "greedy", uplink=uplink).served == optimum:
            continue
        result = solve(problem, "ilp", uplink=uplink)
        assert (result.served, result.status) == (optimum, "optimal")
        improved += 1
    if uplink != "upfront":
        assert improved >= 1


@FEW
@given(problems(deadlines="own", releases=True, max_users=5))
def test_own_deadlines_and_releases(problem):
    """The same optimum as the oracle, proven."""
    result = solve(problem, "ilp", uplink="dynamic")
    optimum = solve(problem, "exhaustive", uplink="dynamic").served
    assert (result.served, result.bound, result.status) == (optimum, optimum, "optimal")


@pytest.mark.parametrize("uplink", UPLINKS)
def test_a_time_limit_is_kept_and_the_bound_stays_proven(uplink):
    """A problem too large for the time: feasible, with an honest gap.

    PuLP 3.3.2 reports status "Optimal" when HiGHS stops at its limit.
    """
    problem = family(1, 40, models=8, deadlines="own")[0]
    result = solve(problem, "ilp", uplink=uplink, time_limit_s=1.0)
    # Building the program comes on top of the limit.
    assert result.runtime_s < 5.0
    assert result.status == "feasible"
    assert result.served < result.bound <= upper_bound(Tables(problem), uplink)
    assert result.gap == (result.bound - result.served) / result.bound
    assert result.served >= solve(problem, "greedy", uplink=uplink).served


def test_an_answer_at_the_time_limit_is_not_taken_for_the_best():
    """PuLP 3.3.2 says "Optimal" of it; the solution status tells the difference."""
    tables = Tables(family(1, 30, models=8, deadlines="own")[0])
    program = RoundModel(tables, "dynamic", slots=8, wanted=0, bound=30)
    answer = _run(program, "highs", 0.5)
    assert program.problem.status == pulp.LpStatusOptimal
    assert answer.chosen
    assert not answer.finished
    served = sum(len(users) for _, users in program.rounds())
    assert served < answer.bound <= 30


@pytest.mark.parametrize("uplink", UPLINKS)
def test_no_time_at_all_leaves_greedy_and_the_bound(uplink):
    """What is at hand is returned, and nothing is claimed beyond it."""
    for problem in family(3, 20, deadlines="own"):
        result = solve(problem, "ilp", uplink=uplink, time_limit_s=1e-9)
        assert result.served == solve(problem, "greedy", uplink=uplink).served
        assert result.bound == upper_bound(Tables(problem), uplink)


@pytest.mark.skipif(
    not CBC.available() and not os.environ.get(REQUIRE),
    reason="CBC's binary cannot be run here",
)
@pytest.mark.parametrize("uplink", UPLINKS)
def test_cbc_proves_the_same_optimum(uplink):
    """Both engines end with the same number of users, and both have proven it.

    When greedy is best already, CBC has to find that nothing better exists.
    """
    for problem in family(3, 5, deadlines="own"):
        highs = solve(problem, "ilp", uplink=uplink)
        cbc = solve(problem, "ilp", uplink=uplink, mip="cbc")
        assert (cbc.served, cbc.status) == (highs.served, "optimal")


def test_says_so_when_cbc_cannot_be_run(monkeypatch):
    """The message names the alternative."""
    monkeypatch.setattr(pulp.COIN_CMD, "available", lambda _: False)
    problem = family(1, 7, deadlines="own")[0]
    with pytest.raises(
        RefusalError, match=r"CBC engine cannot be run; use mip 'highs'"
    ):
        solve(problem, "ilp", mip="cbc")


def test_refuses_an_unknown_engine():
    """The message says what was found and what is allowed."""
    with pytest.raises(
        ValueError, match=r"mip must be one of highs, cbc, found 'scip'"
    ):
        solve(family(1, 3)[0], "dp", mip="scip")


@settings(FEW, max_examples=100)
@given(planned(deadlines="any", releases=True, horizon=(5, 40)))
def test_there_are_slots_enough(case):
    """No feasible rounds are more than the program has slots for."""
    tables, rounds = case
    if rounds and time_rounds(tables, rounds, "dynamic") is not None:
        assert len(rounds) <= most_rounds(tables)


@pytest.mark.parametrize(("deadline_s", "slots"), [(0.9, 3), (0.89, 2), (0.1, 0)])
def test_slots_are_as_many_as_shortest_batches_fit(deadline_s, slots):
    """Three users of 0.3 s each, loads and uploads not counted."""
    user = {"model": "a", "input_bits": 1.0, "spectral_efficiency": 1.0}
    problem = Problem.model_validate(
        {
            "name": "slots",
            "bandwidth_hz": 1.0,
            "blocks": {"x": {"bytes": 1, "load_s": 0.5}},
            "models": {"a": {"blocks": ["x"], "latency_s": [0.4, 0.3]}},
            "users": [
                {"id": f"u{k}", "deadline_s": deadline_s, **user} for k in range(3)
            ],
        }
    )
    assert most_rounds(Tables(problem)) == slots


@settings(FEW, max_examples=200)
@given(
    demand_s=st.floats(0.01, 5),
    start_s=st.floats(0.01, 10),
    touch_s=st.floats(0.01, 10),
)
def test_tangents_bound_the_band_from_below(demand_s, start_s, touch_s):
    """w·(2x/τ − s/τ²) is at most w·x²/s for x 0 and 1, and touches at s = τ."""
    for x in (0, 1):
        tangent = demand_s * (2 * x / touch_s - start_s / touch_s**2)
        assert tangent <= demand_s * x / start_s * (1 + 1e-9) + 1e-9
    touching = demand_s * (2 / touch_s - touch_s / touch_s**2)
    assert touching == pytest.approx(demand_s / touch_s)


@pytest.mark.parametrize("uplink", UPLINKS)
def test_engines_tolerance_does_not_decide(uplink):
    """A deadline missed by far less than an engine's 1e-6 is missed all the same."""
    problem = Problem.model_validate(
        {
            "name": "close",
            "bandwidth_hz": 1.0,
            "blocks": {"x": {"bytes": 1, "load_s": 0.0}},
            "models": {"a": {"blocks": ["x"], "latency_s": [0.25]}},
            "users": [
                {
                    "id": f"u{k}",
                    "model": "a",
                    "input_bits": 0.25,
                    "spectral_efficiency": 1.0,
                    # Together they need 1 s upfront and 0.75 s at least else.
                    "deadline_s": (1.0 if uplink == "upfront" else 0.75) - 1e-8,
                }
                for k in range(2)
            ],
        }
    )
    result = solve(problem, "ilp", uplink=uplink)
    assert (result.served, result.status) == (1, "optimal")
    assert solve(problem, "exhaustive", uplink=uplink).served == 1


def test_a_model_may_recur():
    """Going a, b, a is in the program: a user of a arrives after b had to run."""
    problem = Problem.model_validate(
        {
            "name": "again",
            "bandwidth_hz": 1e3,
            "blocks": {n: {"bytes": 1, "load_s": 0.1} for n in "ab"},
            "models": {n: {"blocks": [n], "latency_s": [0.1]} for n in "ab"},
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
    assert solve(problem, "ilp", uplink="dynamic").served == 3
