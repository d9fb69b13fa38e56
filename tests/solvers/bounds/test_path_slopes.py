"""The path bound as a function of its multipliers: its slopes, and how low it gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from solvers import UPLINKS, Problem, Uplink, solve
from solvers.bounds import path_bound, path_grid
from solvers.bounds.path_bound import Relaxation, Tuned, relaxation, tuned
from solvers.core.tables import Tables
from tests.solvers.strategies import seeded_problem

KINDS: dict[str, dict[str, Any]] = {
    "one deadline": {"resident_model": "m0"},
    "own deadlines": {},
    "cache": {"residency": "cache", "resident_model": "m1"},
    "overlap": {"overlap": True},
    "cache and overlap": {"residency": "cache", "overlap": True},
    "releases": {},
}
CASES = [
    (kind, uplink)
    for kind in KINDS
    for uplink in UPLINKS
    if uplink == "dynamic" or kind != "releases"
]


def drawn(kind: str, number: int) -> Problem:
    """Draw a problem of some kind, with 8 to 20 users of 4 models."""
    rng = np.random.default_rng(number)
    problem = seeded_problem(
        rng,
        sharing=("laminar", "crossing")[number % 2],
        users=int(rng.integers(8, 21)),
        models=4,
        deadlines="common" if kind == "one deadline" else "own",
    )
    users = problem.users
    if kind == "releases":
        shares = rng.choice([0.0, 0.2, rng.random(), rng.random()], len(users))
        users = tuple(
            user.model_copy(update={"release_s": share * user.deadline_s})
            for user, share in zip(users, shares.tolist(), strict=True)
        )
    return problem.model_copy(update={**KINDS[kind], "users": users})


def relaxed(kind: str, uplink: Uplink, number: int) -> Relaxation:
    """Relax one of these problems."""
    found = relaxation(Tables(drawn(kind, number)), uplink, 4000)
    assert found is not None
    return found


def improved(bound: Relaxation, served: int, paths: int) -> Tuned:
    """Improve the first multipliers by so many paths."""
    return bound.tune(
        bound.start(served),
        served,
        bound.everything(),
        iterations=paths,
        out_of_time=lambda: False,
    )


@pytest.mark.parametrize(("kind", "uplink"), CASES)
def test_slopes_are_those_of_the_bound(kind: str, uplink: Uplink) -> None:
    """Convex, so never below its tangents; and along a small step it follows one."""
    followed = 0
    for number in range(10):
        rng = np.random.default_rng(number)
        bound = relaxed(kind, uplink, number)
        everything = bound.everything()
        scale = bound.scale(3)
        for trial in range(8):
            here, there, way = rng.exponential(0.4, (3, len(scale))) * scale
            if trial % 2:  # a corner, as many paths are as long
                here *= rng.random(len(scale)) < 0.7
            found = bound.evaluate(here, everything)
            tangent = found.bound + float(found.gradient @ (there - here))
            assert bound.evaluate(there, everything).bound >= tangent - 1e-7
            if trial % 2 == 0:
                near = bound.evaluate(here + 1e-6 * way, everything)
                along = found.bound + 1e-6 * float(found.gradient @ way)
                followed += abs(near.bound - along) < 1e-9
    assert followed >= 38


PROBLEMS, PATHS = 4, 40
USERS = {
    ("one deadline", "upfront"): 45.37,
    ("one deadline", "static"): 55.06,
    ("one deadline", "dynamic"): 59.76,
    ("own deadlines", "upfront"): 35.22,
    ("own deadlines", "static"): 50.97,
    ("own deadlines", "dynamic"): 59.47,
    ("cache", "upfront"): 61.33,
    ("cache", "static"): 54.74,
    ("cache", "dynamic"): 74.27,
    ("overlap", "upfront"): 45.22,
    ("overlap", "static"): 59.73,
    ("overlap", "dynamic"): 76.37,
    ("cache and overlap", "upfront"): 58.27,
    ("cache and overlap", "static"): 54.71,
    ("cache and overlap", "dynamic"): 65.26,
    ("releases", "dynamic"): 63.31,
}
"""What the bounds of the first problems add up to after so many paths."""


def users_bounded(kind: str, uplink: Uplink) -> float:
    """Add up the bounds of the first problems after a few paths, in users."""
    total = 0.0
    for number in range(PROBLEMS):
        bound = relaxed(kind, uplink, number)
        served = solve(drawn(kind, number), "greedy", uplink=uplink).served
        found = improved(bound, served, PATHS)
        # Means of the steps, of which some are late.
        assert bound.network.last / 2 < found.step.max() <= bound.network.last
        assert 0 < found.spread.max() <= bound.network.last
        total += found.bound
    return total


@pytest.mark.parametrize(("kind", "uplink"), CASES)
def test_a_few_paths_make_it_as_sharp_as_they_did(kind: str, uplink: Uplink) -> None:
    """Any multipliers bound; the steps lead to good ones soon."""
    assert users_bounded(kind, uplink) <= 1.005 * USERS[kind, uplink]


@pytest.mark.parametrize(("kind", "uplink"), CASES)
def test_paths_keep_to_their_part(kind: str, uplink: Uplink) -> None:
    """Nobody who is banned is served, and nobody before or after their steps."""
    served = 0
    for number in range(6):
        rng = np.random.default_rng(number)
        bound = relaxed(kind, uplink, number)
        scale = bound.scale(3)
        for before, after in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5)):
            part = bound.everything()
            users, last = len(part.banned), bound.network.last
            late = rng.integers(0, last // 2, users) * (rng.random(users) < before)
            soon = rng.integers(0, last // 2, users) * (rng.random(users) < after)
            part = part._replace(
                banned=rng.random(users) < 0.3,
                earliest=late,
                latest=part.latest - soon,
            )
            for _ in range(4):
                here = rng.exponential(0.2, len(scale)) * scale
                found = bound.evaluate(here, part)
                assert not found.served[part.banned].any()
                assert (found.steps >= found.served * part.earliest).all()
                assert (found.steps <= found.served * part.latest).all()
                assert found.bound <= bound.evaluate(here, bound.everything()).bound
                served += int(found.served.sum())
    assert served >= 100


@pytest.mark.parametrize("uplink", UPLINKS)
def test_the_better_of_two_grids_is_taken(
    uplink: Uplink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fine grid after a coarse one; the bound is the less of both."""
    monkeypatch.setattr(path_grid, "MIN_STEPS", 3)
    monkeypatch.setattr(path_bound, "COARSE_WORK", 2000)
    finer = 0
    for number in range(4):
        tables = Tables(drawn("own deadlines", number))
        coarse = relaxation(tables, uplink, 2000)
        found = tuned(tables, uplink, 2, 12, lambda: False)
        assert coarse is not None
        assert found is not None
        assert found[1].bound <= improved(coarse, 2, 12).bound
        finer += found[0].network.last > coarse.network.last
    assert finer >= 2
