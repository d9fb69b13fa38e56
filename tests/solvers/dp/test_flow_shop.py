"""``dynamic`` as a flow shop: the best order of given visits, and what comes of it."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from solvers import Problem, solve
from solvers.bounds.counts import budgets
from solvers.bounds.prices import make_charges
from solvers.bounds.upper_bound import prices
from solvers.core.forest import Forest, build_forest
from solvers.core.knapsack import visit_rounds
from solvers.core.limit import UNLIMITED, Limit
from solvers.core.tables import Tables, count_users
from solvers.core.timing import time_rounds
from solvers.dp.flow_shop import (
    MOST_WAYS,
    Job,
    Stay,
    Way,
    Ways,
    best_order,
    flow_shop,
    in_turn,
)
from tests.instances.cases import CASES, make
from tests.solvers.dp.test_solver import is_depth_first
from tests.solvers.strategies import problems, seeded_problem

FEW = settings(max_examples=200, suppress_health_check=list(HealthCheck))
TIMES = st.integers(0, 6).map(float)
FOR_EVER_S = 1e5


def patient(problem: Problem) -> Problem:
    """Let all deadlines be so late that everybody can be served."""
    users = [{**user.model_dump(), "deadline_s": FOR_EVER_S} for user in problem.users]
    return Problem.model_validate(
        {**problem.model_dump(exclude_none=True), "users": users}
    )


def taken(problem: Problem) -> tuple[Tables, Forest]:
    """Prepare a problem of laminar sharing."""
    tables = Tables(problem)
    forest = build_forest(tables)
    assert isinstance(forest, Forest)
    return tables, forest


def end_s(tables: Tables, chosen: dict[int, Way], order: tuple[int, ...]) -> float:
    """When the last batch of visits ends, as rounds are timed."""
    rounds = [
        planned
        for m in order
        if m in chosen
        for planned in visit_rounds(tables, m, chosen[m].sizes)
    ]
    timing = time_rounds(tables, rounds, "dynamic")
    assert timing is not None
    return float(timing.end_s[-1])


@FEW
@given(st.lists(st.tuples(TIMES, TIMES, TIMES), min_size=1, max_size=5))
def test_no_order_of_jobs_ends_earlier(times):
    """Among all permutations; a job with loads may have a short span."""
    stays = [
        Stay(Job(upload_s, gpu_s, upload_s + more_s), ())
        for upload_s, gpu_s, more_s in times
    ]

    def ends_s(order: list[Stay]) -> float:
        job = Job(0.0, 0.0, -np.inf)
        for stay in order:
            job = job.then(stay.job)
        return job.end_s

    least_s = min(ends_s(list(order)) for order in permutations(stays))
    assert ends_s(in_turn(stays)) == least_s


@FEW
@given(problems(sharing="laminar", max_users=6))
def test_no_depth_first_order_ends_earlier(problem):
    """Its end is that of the timing, and the least where nothing is resident."""
    tables, forest = taken(patient(problem))
    assume(tables.active)
    chosen = {m: Ways(tables, m).of(len(tables.users_of[m])) for m in tables.active}
    assume(all(chosen.values()))
    visits = {m: found[0] for m, found in chosen.items()}
    orders = [o for o in permutations(tables.active) if is_depth_first(forest, list(o))]
    least_s = min(end_s(tables, visits, order) for order in orders)
    found = []
    for limits in budgets(tables, make_charges(tables)):
        stay = best_order(forest, limits, visits)
        order = tuple(m for m, _ in stay.visits)
        assert order in orders
        found.append(end_s(tables, visits, order))
        # Atoms that the first model does not find are loaded.
        assert found[-1] <= stay.job.end_s + 1e-9
    if tables.resident is None or tables.resident in tables.active:
        assert min(found) == pytest.approx(least_s)
    if not tables.initial_atoms:
        assert found == pytest.approx([least_s])
        assert stay.job.end_s == pytest.approx(least_s)


def _all_ways(tables: Tables, m: int, users: int, sizes: tuple[int, ...] = ()):
    if not users:
        yield sizes
    latency_s = tables.latency_s[m]
    for size in range(1, min(users, len(latency_s) - 1) + 1):
        if np.isfinite(latency_s[size]):
            yield from _all_ways(tables, m, users - size, (*sizes, size))


@FEW
@given(problems(sharing="laminar", max_users=6))
def test_ways_are_those_that_no_other_one_betters(problem):
    """Of all sizes that add up, one after the other."""
    tables = Tables(patient(problem))
    for m in tables.active:
        count = len(tables.users_of[m])
        upload_s = np.concatenate(([0.0], tables.demand_s[tables.users_of[m]].cumsum()))
        all_ways = []
        for sizes in _all_ways(tables, m, count):
            now_s, sent = 0.0, 0
            for size in sizes:
                sent += size
                now_s = max(now_s, upload_s[sent]) + tables.latency_s[m][size]
            gpu_s = sum(tables.latency_s[m][size] for size in sizes)
            all_ways.append((round(gpu_s, 9), round(now_s, 9)))
        best = {
            way
            for way in all_ways
            if not any(
                other[0] <= way[0] and other[1] <= way[1] and other != way
                for other in all_ways
            )
        }
        found = Ways(tables, m).of(count)
        got = {(round(w.job.gpu_s, 9), round(w.job.span_s, 9)) for w in found}
        if len(found) < MOST_WAYS:
            assert got >= best
        assert [w.job.gpu_s for w in found] == sorted(w.job.gpu_s for w in found)
        assert all(sum(w.sizes) == count for w in found)


@FEW
@given(problems(sharing="laminar"))
def test_from_no_plan_at_all(problem):
    """What it finds can be had, and what it proves holds."""
    tables, forest = taken(problem)
    assume(tables.active)
    optimum = solve(problem, "exhaustive", uplink="dynamic").served
    found = prices(tables, "dynamic")
    rounds, bound = flow_shop(tables, forest, found, 0, UNLIMITED)
    assert optimum <= bound <= found.bound
    assert time_rounds(tables, rounds, "dynamic") is not None
    assert count_users(rounds) <= optimum


def test_few_stay_open() -> None:
    """Of 40 problems of 40 users it leaves one or two open, with a lower bound."""
    short = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        problem = seeded_problem(rng, sharing="laminar", users=40, models=8)
        tables, forest = taken(problem)
        found = prices(tables, "dynamic")
        rounds, bound = flow_shop(tables, forest, found, 0, UNLIMITED)
        assert count_users(rounds) <= bound <= found.bound
        short.append([found.bound, bound, count_users(rounds)])
    loose, tight, served = np.sum(short, axis=0).tolist()
    assert loose >= tight + 3
    assert served >= tight - 2


@pytest.mark.parametrize(
    ("name", "served"), [("measured-10-dynamic", 153), ("tight-09-dynamic", 58)]
)
def test_cases_that_were_open(name: str, served: int) -> None:
    """A plan of one user more, and a proof that no first model leaves time for more."""
    (case,) = (case for case in CASES if case.name == name)
    result = solve(make(case), "dp", uplink="dynamic")
    assert (result.served, result.bound) == (served, served)


def test_a_limit_that_has_passed() -> None:
    """Nothing is found, and nothing is proven."""
    problem = seeded_problem(
        np.random.default_rng(3), sharing="laminar", users=40, models=8
    )
    tables, forest = taken(problem)
    found = prices(tables, "dynamic")
    assert flow_shop(tables, forest, found, 0, Limit.after(0)) == ([], found.bound)
