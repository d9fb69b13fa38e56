"""The relaxation by deadlines: never below the optimum, and sharp where it is meant."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from solvers import UPLINKS, Problem, solve
from solvers.bounds.upper_bound import upper_bound
from solvers.core.tables import Tables
from solvers.ilp import deadlines
from solvers.ilp import solver as ilp
from solvers.ilp.deadlines import deadline_bound
from solvers.ilp.engine import Clock
from tests.solvers.strategies import EXTENDED_KINDS, problems, seeded_problem

FEW = settings(
    max_examples=40,
    derandomize=True,
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


@pytest.mark.parametrize("uplink", UPLINKS)
def test_it_is_enough_for_a_proof_of_ilp(uplink, monkeypatch):
    """Where the buckets prove nothing, and no program of slots is built."""
    monkeypatch.setattr(ilp, "RELAXATIONS", dict.fromkeys(UPLINKS, ()))
    monkeypatch.setattr(ilp, "SMALL", 0)
    monkeypatch.setattr(ilp, "MOST_CHOICES", 0)
    rng = np.random.default_rng(33)
    problem = seeded_problem(
        rng, sharing="crossing", users=12, models=4, deadlines="own"
    )
    result = solve(problem, "ilp", uplink=uplink)
    assert result.status == "optimal"
    assert result.served < upper_bound(Tables(problem), uplink)


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


def one_model(users: list[dict[str, object]], **changes: object) -> Problem:
    """One model that needs no load; each batch holds one user and takes 0.1 s."""
    given = {"model": "a", "input_bits": 0.2, "spectral_efficiency": 1.0}
    return Problem.model_validate(
        {
            "name": "one",
            "bandwidth_hz": 1.0,
            "blocks": {"x": {"bytes": 1, "load_s": 0.0}},
            "models": {"a": {"blocks": ["x"], "latency_s": [0.1]}},
            "users": [{"id": f"u{k}", **given, **user} for k, user in enumerate(users)],
            **changes,
        }
    )


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("demand_s", [1e16, 1e300, 1e308])
def test_a_user_whom_nobody_can_serve_leaves_the_rows_to_the_others(uplink, demand_s):
    """HiGHS takes no row with a coefficient of 1e15 or more, and PuLP no infinite one.

    Of the others, each asks for a fifth of the time that uploads have.
    """
    weak = {"input_bits": 1.0, "spectral_efficiency": 1 / demand_s}
    late = {"deadline_s": 1.0}
    problem = one_model([{**weak, "deadline_s": 0.5}, *[late] * 8])
    optimum = solve(problem, "exhaustive", uplink=uplink).served
    assert optimum <= deadline_bound(Tables(problem), uplink, 0, 9, NO_CLOCK) < 6


@pytest.mark.parametrize("uplink", UPLINKS)
def test_an_upload_that_is_infinite_in_shares_of_the_deadline_is_none(uplink):
    """1e300 s in shares of 1e-9 s; two more users are served, by the tolerance."""
    given = {"input_bits": 1e-12, "spectral_efficiency": 1e18}
    users = [{**given, "deadline_s": k * 1e-12} for k in (1, 2, 3)]
    users[0].update(input_bits=1e18, spectral_efficiency=1e-270)
    quick = {"a": {"blocks": ["x"], "latency_s": [1e-12]}}
    problem = one_model(users, bandwidth_hz=1e-12, models=quick)
    assert deadline_bound(Tables(problem), uplink, 0, 3, NO_CLOCK) == 2
    assert solve(problem, "exhaustive", uplink=uplink).served == 2


def test_nobody_who_can_be_served_proves_none():
    """A load of 2 s and a batch of 1 s do not end by 2.5 s, nor an upload of 3 s."""
    late = [{"id": "u", "model": "a", "deadline_s": 2.5}]
    given = {"input_bits": 1.0, "spectral_efficiency": 1.0}
    problem = two_jobs(users=[{**given, **user} for user in late])
    assert deadline_bound(Tables(problem), "dynamic", 0, 1, NO_CLOCK) == 0
    long = one_model([{"input_bits": 3.0, "deadline_s": 2.5}])
    assert deadline_bound(Tables(long), "static", 0, 1, NO_CLOCK) == 0
    without = one_model([])
    assert deadline_bound(Tables(without), "upfront", 0, 0, NO_CLOCK) == 0


def test_a_constant_that_highs_drops_is_put_into_the_slope():
    """A line of costs never rises: by dropping −1e-10 it would."""
    assert deadlines._kept(0.5, -1e-10) == (0.5 - 1e-10, 0.0)
    assert deadlines._kept(0.5, -1e-8) == (0.5, -1e-8)
    assert deadlines._kept(0.5, 1e-10) == (0.5, 1e-10)


def reached(pairs: list[tuple[int, int]]) -> set[tuple[int, int]]:
    """Close pairs under going on from the second."""
    closed = set(pairs)
    while more := {(a, d) for a, b in closed for c, d in pairs if b == c} - closed:
        closed |= more
    return closed


def test_users_yield_to_those_who_are_no_worse(monkeypatch):
    """Pairs lead to all such users, none to another way round, and few are enough."""
    rng = np.random.default_rng(1)
    users = [
        {
            "input_bits": int(rng.integers(1, 4)) / 10,
            "release_s": int(rng.integers(3)) / 10,
            "deadline_s": 1 + int(rng.integers(4)) / 10,
        }
        for _ in range(30)
    ]
    tables = Tables(one_model(users))
    worth = list(
        zip(tables.demand_s, tables.release_s, -tables.deadline_s, strict=True)
    )
    wanted = {
        (k, other)
        for k in range(30)
        for other in range(30)
        if all(a >= b for a, b in zip(worth[k], worth[other], strict=True))
        and (worth[k] != worth[other] or k > other)
    }
    pairs = list(deadlines._yields(tables, tables.users, NO_CLOCK))
    assert reached(pairs) == wanted
    assert not {(a, d) for a, b in wanted for c, d in wanted if b == c} & set(pairs)
    monkeypatch.setattr(deadlines, "MOST_YIELDED", 1)
    few = list(deadlines._yields(tables, tables.users, NO_CLOCK))
    assert set(few) < set(pairs)
    assert len({k for k, _ in few}) == len(few)


@pytest.mark.parametrize("uplink", UPLINKS)
def test_many_users_of_one_model_keep_to_the_time_limit(uplink):
    """To find who yields to whom takes no cube of the users, and looks at the clock."""
    rng = np.random.default_rng(2)
    users = [
        {"input_bits": bits, "deadline_s": deadline_s}
        for bits, deadline_s in rng.uniform(
            [0.01, 2.0], [0.1, 20.0], (2000, 2)
        ).tolist()
    ]
    tables = Tables(one_model(users))
    start_s = time.process_time()
    deadline_bound(tables, uplink, 1, 2000, Clock.of(1.0))
    assert time.process_time() - start_s < 3.0
