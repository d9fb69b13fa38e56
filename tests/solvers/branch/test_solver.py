"""Branch and bound: its proofs are the oracle's, and its limits hold."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from solvers import UPLINKS, Problem, Uplink, solve
from solvers.bounds import path_grid
from solvers.bounds.path_bound import relaxation
from solvers.bounds.path_network import Part
from solvers.bounds.upper_bound import upper_bound
from solvers.branch import solver as branch
from solvers.core.algorithm import Options
from solvers.core.tables import Rounds, Tables
from solvers.core.timing import time_rounds
from tests.solvers.brute import MOST_USERS, best_served
from tests.solvers.strategies import EXTENDED_KINDS as KINDS
from tests.solvers.strategies import problems, seeded_problem

FEW = settings(
    max_examples=8,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
EFFORT = branch.Effort(nodes=20, root_tries=1000, tries=100, rows=(), program_nodes=0)
CASES = [
    (kind, uplink)
    for kind, drawn in KINDS.items()
    for uplink in UPLINKS
    if uplink == "dynamic" or not drawn.get("releases")
]


def compare(problem: Problem, uplink: Uplink) -> None:
    """Hold the result, and the bound from plans that are not the best, to the oracle.

    From a worse plan there is more to refute, so more is divided.
    """
    if problem.overlap or problem.residency == "cache":
        optimum = best_served(problem, uplink)
    else:
        optimum = solve(problem, "exhaustive", uplink=uplink).served
    result = solve(problem, "branch", uplink=uplink, iterations=20)
    assert result.served <= optimum <= result.bound
    if result.status == "optimal":
        assert result.served == optimum
    tables = Tables(problem)
    if not tables.active:
        return
    bound = upper_bound(tables, uplink)
    best = branch.solve(tables, uplink, Options(iterations=20)).rounds
    for left_out in {0, min(1, optimum)}:
        plan = without(best, left_out)
        rounds, found = branch.proven(
            tables, uplink, plan, bound, EFFORT, lambda: False
        )
        assert branch.count_users(rounds) <= optimum <= found <= max(bound, optimum)
        if rounds != plan:
            assert time_rounds(tables, rounds, uplink) is not None


def without(rounds: Rounds, left_out: int) -> Rounds:
    """Leave so many users out of the first round."""
    if not rounds or not left_out:
        return rounds
    first = rounds[0]
    return [first._replace(users=first.users[left_out:]), *rounds[1:]]


@pytest.mark.parametrize(("kind", "uplink"), CASES)
def test_its_proofs_are_those_of_the_oracle(kind: str, uplink: Uplink) -> None:
    """All disciplines, own deadlines, releases, cache and overlap."""

    @FEW
    @given(problems(max_users=MOST_USERS, **KINDS[kind]))
    def check(problem: Problem) -> None:
        compare(problem, uplink)

    check()


@pytest.mark.long
@pytest.mark.parametrize(("kind", "uplink"), CASES)
def test_its_proofs_are_those_of_the_oracle_often(kind: str, uplink: Uplink) -> None:
    """The same on more problems."""

    @settings(FEW, max_examples=60)
    @given(problems(max_users=MOST_USERS, **KINDS[kind]))
    def check(problem: Problem) -> None:
        compare(problem, uplink)

    check()


def test_it_proves_what_prices_leave_open() -> None:
    """``static``: of 12 users it proves all optima, where other bounds leave a gap."""
    gaps = 0
    for number in range(4):
        rng = np.random.default_rng(number)
        problem = seeded_problem(rng, sharing="crossing", users=12, models=4)
        result = solve(problem, "branch", uplink="static")
        assert result.status == "optimal"
        gaps += upper_bound(Tables(problem), "static") > result.served
    assert gaps >= 2


def test_the_same_seed_gives_the_same_result() -> None:
    """Without a time limit nothing depends on the machine."""
    rng = np.random.default_rng(3)
    problem = seeded_problem(rng, sharing="laminar", users=20, models=5)
    first, again = (
        solve(problem, "branch", uplink="dynamic", seed=1).schedule for _ in range(2)
    )
    assert first == again


def test_a_time_limit_ends_it() -> None:
    """Also between the nodes and within the first bound."""
    rng = np.random.default_rng(4)
    problem = seeded_problem(
        rng, sharing="crossing", users=60, models=12, deadlines="own"
    )
    started = time.perf_counter()
    result = solve(problem, "branch", uplink="static", time_limit_s=1.0)
    assert time.perf_counter() - started < 3.0
    assert result.served <= result.bound <= upper_bound(Tables(problem), "static")


def test_a_leaf_is_timed() -> None:
    """Where users and steps are decided, the one sequence of rounds is had or not."""
    problem = seeded_problem(
        np.random.default_rng(1), sharing="laminar", users=9, models=3
    )
    best = solve(problem, "exhaustive", uplink="static")
    tables = Tables(problem)
    number = {user: k for k, user in enumerate(tables.user_ids)}
    relaxed = relaxation(tables, "static", 20_000)
    assert relaxed is not None
    place = {int(k): i for i, k in enumerate(relaxed.network.users)}
    part = relaxed.everything()
    forced = np.zeros(len(part.forced), dtype=bool)
    steps = part.latest.copy()
    for r in best.schedule.rounds:
        for user in r.users:
            k = place[number[user]]
            forced[k] = True
            steps[k] = int(r.end_s / relaxed.network.step_s)
    decided = part._replace(forced=forced, banned=~forced, earliest=steps, latest=steps)
    assert 1 < best.served < len(forced)
    search = branch._Search(relaxed, "static", [], 9, EFFORT, lambda: False)
    assert search._decide(decided)
    assert branch.count_users(search.rounds) == best.served
    # All users at once are more than a batch takes, or can be in time.
    everybody = decided._replace(
        forced=np.ones_like(forced),
        banned=np.zeros_like(forced),
        latest=np.full_like(steps, relaxed.network.last),
    )
    search = branch._Search(relaxed, "static", [], 9, EFFORT, lambda: False)
    assert search._decide(everybody)
    assert not search.rounds


def test_parts_that_a_coarse_grid_cannot_refute_are_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Users are divided, then steps, and what is left proves the optimum."""
    monkeypatch.setattr(path_grid, "MIN_STEPS", 3)
    divided = []

    class Watched(branch._Search):
        def _divide_by_time(self, node: branch._Node) -> list[Part]:
            divided.append(node)
            return super()._divide_by_time(node)

    proofs = 0
    for number in range(6):
        problem = seeded_problem(
            np.random.default_rng(number), sharing="crossing", users=6, models=3
        )
        tables = Tables(problem)
        best = solve(problem, "exhaustive", uplink="static").served
        relaxed = relaxation(tables, "static", 1)
        assert relaxed is not None
        everything = relaxed.everything()
        root = relaxed.tune(
            relaxed.start(best),
            best,
            everything,
            iterations=20,
            out_of_time=lambda: False,
        )
        plan = branch.solve(tables, "static", Options(iterations=50)).rounds
        assert branch.count_users(plan) == best
        search = Watched(relaxed, "static", plan, 6, branch.LIMITED, lambda: False)
        search.labels = False  # or nothing is left to divide
        before = len(divided)
        assert search.run(root) == best
        proofs += len(divided) > before
    assert proofs >= 1
