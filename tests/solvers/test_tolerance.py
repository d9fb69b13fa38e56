"""One tolerance: no solver proves less than what another one serves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvers import UPLINKS, Problem, RefusalError, check, solve
from solvers.core.tables import Rounds, Tables
from solvers.core.timing import time_rounds
from solvers.tolerance import TIME_TOLERANCE_S, granted
from solvers.uplink import Uplink
from tests.solvers.strategies import Draw, planned

MANY = settings(
    max_examples=100,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)

# Offsets of a deadline from the end of a plan, in tolerances, and in steps from a float
# to the next.
AT_THE_TOLERANCE = (-0.999, -1.0, -1.001)
OFFSETS = (0.0, 0.3, -0.3, -0.6, -0.9, *AT_THE_TOLERANCE, -1.1, -2.0)
STEPS = (0, 0, 1, -1, 2, -2)


def due(problem: Problem, deadline_s: float) -> Problem:
    """Give all users one deadline."""
    users = tuple(
        user.model_copy(update={"deadline_s": deadline_s}) for user in problem.users
    )
    return problem.model_copy(update={"users": users})


def scaled(problem: Problem, factor: float) -> Problem:
    """Make all times longer or shorter."""
    return Problem.model_validate(
        {
            **problem.model_dump(exclude_none=True),
            "blocks": {
                name: {"bytes": block.bytes, "load_s": block.load_s * factor}
                for name, block in problem.blocks.items()
            },
            "models": {
                name: {
                    **model.model_dump(exclude_none=True),
                    "latency_s": [factor * one for one in model.latency_s],
                }
                for name, model in problem.models.items()
            },
            "bandwidth_hz": problem.bandwidth_hz / factor,
            "users": [
                {
                    **user.model_dump(),
                    "release_s": user.release_s * factor,
                    "deadline_s": user.deadline_s * factor,
                }
                for user in problem.users
            ],
        }
    )


def ends_s(problem: Problem, rounds: Rounds, uplink: Uplink) -> list[float]:
    """Find the ends of a plan's rounds as floats; of ``static``, one for all.

    That is the earliest deadline which the whole tolerance makes possible.
    """
    late_s = 1e3
    timing = time_rounds(Tables(due(problem, late_s)), rounds, uplink)
    assert timing is not None
    if uplink != "static":
        found: list[float] = timing.end_s.tolist()
        return found
    early_s = 0.0
    while (middle_s := (early_s + late_s) / 2) not in (early_s, late_s):
        if time_rounds(Tables(due(problem, middle_s)), rounds, uplink) is None:
            early_s = middle_s
        else:
            late_s = middle_s
    return [late_s + TIME_TOLERANCE_S] * len(rounds)


def moved(number: float, steps: int) -> float:
    """Step to one of the next floats."""
    for _ in range(abs(steps)):
        number = math.nextafter(number, math.copysign(math.inf, steps))
    return number


@st.composite
def edges(draw: Draw, uplink: Uplink) -> tuple[Problem, float]:
    """Draw a problem with deadlines at the ends of a plan, and how far from there."""
    releases = uplink == "dynamic" and draw(st.booleans())
    tables, rounds = draw(planned(releases=releases, max_users=4, max_models=3))
    # No multiple of the small scale is one of the tolerance: no other plan is at it.
    problem = scaled(tables.problem, draw(st.sampled_from([1.0, 1.7e-8])))
    offset = draw(st.sampled_from(OFFSETS))
    steps = draw(st.sampled_from(STEPS))
    at = ends_s(problem, rounds, uplink) or [1.0]
    if draw(st.booleans()):
        at = [at[-1]] * len(at)
    at = [moved(one + offset * TIME_TOLERANCE_S, steps) for one in at]
    of = {k: one for (_, batch), one in zip(rounds, at, strict=False) for k in batch}
    users = [
        user.model_copy(
            update={
                "deadline_s": max(
                    of.get(k, at[-1]), math.nextafter(user.release_s, math.inf)
                )
            }
        )
        for k, user in enumerate(problem.users)
    ]
    return problem.model_copy(update={"users": tuple(users)}), offset


@pytest.mark.parametrize("uplink", UPLINKS)
@MANY
@given(data=st.data())
def test_solvers_agree_on_deadlines_at_the_ends_of_plans(uplink, data):
    """Proven optima are one number, and nothing is served above any bound."""
    problem, offset = data.draw(edges(uplink))
    exact = ["exhaustive", "ilp"]
    others = ["fcfs", "edf", "greedy", "local-search"]
    if takes(problem, "dp", uplink):
        (exact if uplink == "upfront" else others).append("dp")
    found = {name: solve(problem, name, uplink=uplink) for name in (*exact, *others)}
    served = max(result.served for result in found.values())
    assert all(result.bound >= served for result in found.values())
    proven = {r.served for r in found.values() if r.status == "optimal"}
    assert proven <= {served}
    # Only where rounding decides may an exact solver not know.
    if offset not in AT_THE_TOLERANCE:
        assert {found[name].status for name in exact} == {"optimal"}


def takes(problem: Problem, solver: str, uplink: Uplink) -> bool:
    """Whether a solver takes a problem."""
    try:
        check(problem, solver, uplink=uplink)
    except RefusalError:
        return False
    return True


@pytest.mark.parametrize("short", [0.0, 0.4, 0.6, 0.9])
def test_a_deadline_within_the_tolerance_is_met_by_all(short):
    """One user whose upload, load and batch end just after the deadline."""
    user = {"id": "u", "model": "a", "input_bits": 1.0, "spectral_efficiency": 1.0}
    problem = Problem.model_validate(
        {
            "name": "one",
            "bandwidth_hz": 10.0,
            "blocks": {"a": {"bytes": 1, "load_s": 0.1}},
            "models": {"a": {"blocks": ["a"], "latency_s": [0.1]}},
            "users": [{**user, "deadline_s": 0.3 - short * TIME_TOLERANCE_S}],
        }
    )
    for solver in ("dp", "ilp", "exhaustive", "fcfs"):
        result = solve(problem, solver, uplink="upfront")
        assert (result.served, result.status) == (1, "optimal")


def test_bounds_grant_the_tolerance_of_the_band():
    """A long upload within 1e-9 of the band is above the deadline by far more."""
    user = {"id": "u", "model": "a", "spectral_efficiency": 1.0, "deadline_s": 11.0}
    problem = Problem.model_validate(
        {
            "name": "one",
            "bandwidth_hz": 1.0,
            "blocks": {"a": {"bytes": 1, "load_s": 0.1}},
            "models": {"a": {"blocks": ["a"], "latency_s": [1.0]}},
            "users": [{**user, "input_bits": 10.0 * (1 + 0.9e-9)}],
        }
    )
    for solver in ("dp", "ilp", "exhaustive", "fcfs"):
        assert solve(problem, solver, uplink="static").bound == 1
    assert solve(problem, "fcfs", uplink="static").served == 1


def test_a_proof_grants_the_tolerance_and_rounding():
    """Of limits below 0 and of arrays as well."""
    for limit in (-2.0, 0.0, 1e-9, 3.0):
        assert limit + TIME_TOLERANCE_S < granted(limit) < limit + 1.1e-9 + 1e-10
    limits = np.array([-2.0, 3.0])
    assert granted(limits).tolist() == [granted(-2.0), granted(3.0)]
