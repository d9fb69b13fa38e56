"""The peers find the optima of the oracle, and what they return verifies."""

from __future__ import annotations

import signal
from types import FrameType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvers import UPLINKS, Problem, RefusalError, Uplink, solve, verify
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import make_schedule, time_rounds
from tests.benchmarks.cpsat import solve_cp_sat
from tests.benchmarks.peer import PeerResult, repaired
from tests.benchmarks.plain_highs import solve_plain_highs
from tests.solvers.strategies import problems, seeded_problem

PEERS = pytest.mark.parametrize("peer", [solve_cp_sat, solve_plain_highs])
ENOUGH_S = 60.0


def few(count: int) -> settings:
    """Draw the same problems in every run."""
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def check(problem: Problem, uplink: Uplink, found: PeerResult) -> None:
    """Compare a peer's answer with the oracle's, and verify it."""
    optimum = solve(problem, "exhaustive", uplink=uplink).served
    assert (found.served, found.bound, found.proven) == (optimum, optimum, True)
    schedule = make_schedule(
        Tables(problem), found.rounds, uplink, solver="peer", bound=found.bound
    )
    assert schedule is not None
    verify(problem, schedule)
    assert schedule.served == found.served


def family(users: int, models: int, **kwargs: object) -> Problem:
    """Draw one problem of the seeded family."""
    kwargs = {"sharing": "crossing", **kwargs}
    rng = np.random.default_rng(5)
    return seeded_problem(rng, users=users, models=models, **kwargs)


@PEERS
@few(40)
@given(problems(deadlines="any", max_users=5), st.sampled_from(UPLINKS))
def test_the_optimum_under_every_discipline(peer, problem, uplink):
    """Any sharing, one deadline or each user its own: the oracle's optimum, proven."""
    check(problem, uplink, peer(problem, uplink, time_limit_s=ENOUGH_S))


@PEERS
@few(20)
@given(problems(deadlines="any", releases=True, max_users=5))
def test_the_optimum_with_releases(peer, problem):
    """Uploads may be interrupted by those of earlier rounds released later."""
    check(problem, "dynamic", peer(problem, "dynamic", time_limit_s=ENOUGH_S))


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("deadlines", ["common", "own"])
def test_cp_sat_on_larger_problems(uplink, deadlines):
    """Seven users of crossing models: batches and orders that tiny problems lack."""
    problem = family(7, 3, deadlines=deadlines)
    check(problem, uplink, solve_cp_sat(problem, uplink, time_limit_s=ENOUGH_S))


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("deadlines", ["common", "own"])
def test_a_hint_does_not_change_the_optimum(uplink, deadlines):
    """CP-SAT takes rounds to start from, and still proves the optimum."""
    problem = family(7, 3, deadlines=deadlines)
    tables = Tables(problem)
    number = {user: k for k, user in enumerate(tables.user_ids)}
    rounds = [
        PlannedRound(
            tables.model_names.index(r.model), tuple(number[u] for u in r.users)
        )
        for r in solve(problem, "edf", uplink=uplink).schedule.rounds
    ]
    found = solve_cp_sat(problem, uplink, time_limit_s=ENOUGH_S, hint=rounds)
    check(problem, uplink, found)


@PEERS
@pytest.mark.parametrize("uplink", UPLINKS)
def test_without_sharing(peer, uplink):
    """Every change of model loads the whole model: fewer are served, as ilp proves."""
    problem = family(7, 3)
    found = peer(problem, uplink, time_limit_s=ENOUGH_S, sharing=False)
    optimum = solve(problem, "ilp-noshare", uplink=uplink)
    assert optimum.status == "optimal"
    assert found.proven
    assert found.served == optimum.served
    assert time_rounds(Tables(problem, sharing=False), found.rounds, uplink) is not None


@PEERS
@pytest.mark.parametrize("uplink", UPLINKS)
def test_a_time_limit_leaves_a_feasible_answer_and_a_bound(peer, uplink):
    """A problem too large for the time: rounds that verify, below a proven bound."""
    problem = family(24, 6, deadlines="own")
    found = peer(problem, uplink, time_limit_s=0.5)
    assert not found.proven
    assert found.served < found.bound <= 24
    assert time_rounds(Tables(problem), found.rounds, uplink) is not None


@PEERS
def test_nobody_to_serve(peer):
    """No users at all are served, and that is proven."""
    problem = family(4, 2).model_copy(update={"users": ()})
    found = peer(problem, "dynamic", time_limit_s=1.0)
    assert (found.served, found.bound, found.proven) == (0, 0, True)


@PEERS
@pytest.mark.parametrize(
    ("changes", "uplink", "message"),
    [
        ({"residency": "cache"}, "dynamic", "residency"),
        ({"overlap": True}, "dynamic", "overlap"),
        ({}, "static", "release_s"),
        ({}, "upfront", "release_s"),
    ],
)
def test_what_a_peer_does_not_take(peer, changes, uplink, message):
    """Cache, overlap, and releases outside dynamic are refused by name."""
    problem = family(4, 2)
    late = tuple(u.model_copy(update={"release_s": 0.01}) for u in problem.users)
    with pytest.raises(RefusalError, match=message):
        peer(
            problem.model_copy(update={"users": late, **changes}),
            uplink,
            time_limit_s=1.0,
        )


def test_a_batch_shorter_than_a_tick_is_refused():
    """A clock of 1e9 ticks cannot tell the order of batches that take none."""
    problem = family(4, 2)
    short = {
        name: model.model_copy(update={"latency_s": (1e-12,)})
        for name, model in problem.models.items()
    }
    with pytest.raises(RefusalError, match="less than a tick"):
        solve_cp_sat(
            problem.model_copy(update={"models": short}), "dynamic", time_limit_s=1.0
        )


@pytest.mark.parametrize("uplink", UPLINKS)
def test_an_answer_that_is_late_is_repaired(uplink):
    """Users of greatest demand are taken out until the rest is in time."""
    tables = Tables(family(10, 3))
    everybody = [PlannedRound(int(tables.user_model[k]), (k,)) for k in range(10)]
    assert time_rounds(tables, everybody, uplink) is None
    kept = repaired(tables, everybody, uplink)
    assert time_rounds(tables, kept, uplink) is not None
    inside = [k for _, users in kept for k in users]
    outside = set(range(10)) - set(inside)
    assert max(tables.demand_s[inside]) <= min(tables.demand_s[list(outside)])


def test_an_interrupted_call_does_not_hold_up_the_next():
    """The process of an interrupted call is ended; the next call gets a new one."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError

    small, large = family(4, 2), family(24, 6, deadlines="own")
    solve_cp_sat(small, "dynamic", time_limit_s=ENOUGH_S)
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(TimeoutError):
            solve_cp_sat(large, "dynamic", time_limit_s=ENOUGH_S)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    check(small, "dynamic", solve_cp_sat(small, "dynamic", time_limit_s=ENOUGH_S))
