"""The peers find the optima of the oracle, and what they return verifies."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvers import (
    UPLINKS,
    Block,
    Model,
    Problem,
    RefusalError,
    Uplink,
    User,
    solve,
    verify,
)
from solvers.core.tables import PlannedRound, Rounds, Tables
from solvers.core.timing import make_schedule, time_rounds
from tests.benchmarks.cpsat import solve_cp_sat, solve_cp_sat_hinted
from tests.benchmarks.peer import PeerResult, planned_rounds, repaired
from tests.benchmarks.plain_highs import solve_plain_highs
from tests.solvers.strategies import problems, seeded_problem

PEERS = pytest.mark.parametrize("peer", [solve_cp_sat, solve_plain_highs])
ENOUGH_S = 60.0


def few(count: int) -> settings:
    """Draw the same problems in every run."""
    return settings(
        max_examples=count,
        derandomize=True,
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


def hinted(tables: Tables, uplink: Uplink, rounds: Rounds) -> tuple[int, int, str, int]:
    """Fix a program to its hint, in a process of its own, and solve it.

    Variables, how many of them are hinted, what comes of it, and users served then.
    """
    code = (
        "import pickle, sys\n"
        "from ortools.sat.python import cp_model\n"
        "from tests.benchmarks.cpsat_search import _complete\n"
        "from tests.benchmarks.cpsat_times import add_times\n"
        "from tests.benchmarks.cpsat_tour import Tour\n"
        "tables, uplink, rounds = pickle.load(sys.stdin.buffer)\n"
        "tour = Tour(tables, uplink)\n"
        "if not tour.visits:\n"
        "    add_times(tour)\n"
        "tour.hint(rounds)\n"
        "_complete(tour, 60.0)\n"
        "engine = cp_model.CpSolver()\n"
        "engine.parameters.num_workers = 1\n"
        "engine.parameters.fix_variables_to_their_hinted_value = True\n"
        "status = engine.status_name(engine.solve(tour.program))\n"
        "proto = tour.program.proto\n"
        "found = len(proto.variables), len(proto.solution_hint.vars), status\n"
        "print(*found, round(engine.objective_value))\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps((tables, uplink, tuple(rounds))),
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout.split()
    variables, hints, served = (int(printed[i]) for i in (0, 1, 3))
    return variables, hints, printed[2].decode(), served


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
    rounds = planned_rounds(problem, solve(problem, "edf", uplink=uplink).schedule)
    found = solve_cp_sat(problem, uplink, time_limit_s=ENOUGH_S, hint=rounds)
    check(problem, uplink, found)
    assert 0 < found.build_s < found.build_s + found.hint_s < found.runtime_s


@few(30)
@given(
    problems(deadlines="any", max_users=5),
    st.sampled_from(UPLINKS),
    st.sampled_from(["greedy", "random"]),
)
def test_every_schedule_is_a_feasible_hint(problem, uplink, solver):
    """Whatever it is: a hint that contradicts the program would be an error."""
    rounds = planned_rounds(problem, solve(problem, solver, uplink=uplink).schedule)
    found = solve_cp_sat(problem, uplink, time_limit_s=ENOUGH_S, hint=rounds)
    check(problem, uplink, found)


@few(20)
@given(problems(deadlines="any", releases=True, max_users=5))
def test_every_schedule_with_releases_is_a_feasible_hint(problem):
    """Users that differ in demand alone may be served in another order."""
    rounds = planned_rounds(problem, solve(problem, "random").schedule)
    found = solve_cp_sat(problem, "dynamic", time_limit_s=ENOUGH_S, hint=rounds)
    check(problem, "dynamic", found)


@pytest.mark.parametrize("deadlines", ["common", "own"])
def test_a_hint_hints_every_variable(deadlines):
    """With all of it fixed the engine has nothing left to search."""
    problem = family(12, 3, deadlines=deadlines)
    for uplink in UPLINKS:
        schedule = solve(problem, "greedy", uplink=uplink).schedule
        tables = Tables(problem)
        found = hinted(tables, uplink, planned_rounds(problem, schedule))
        variables, hints, status, served = found
        assert hints == variables > 0
        assert status == "OPTIMAL"
        assert served == schedule.served > 0


@pytest.mark.parametrize("uplink", UPLINKS)
def test_an_answer_is_never_worse_than_its_hint(uplink):
    """Also where there is no time to find any."""
    problem = family(40, 8, deadlines="own")
    schedule = solve(problem, "greedy", uplink=uplink).schedule
    found = solve_cp_sat(
        problem, uplink, time_limit_s=0.01, hint=planned_rounds(problem, schedule)
    )
    assert found.served >= schedule.served > 0
    assert found.bound >= found.served


@pytest.mark.parametrize("sharing", [True, False])
def test_from_the_schedule_of_greedy(sharing):
    """With sharing and without, the hint is of the same rules as the search."""
    problem = family(7, 3, deadlines="own")
    found = solve_cp_sat_hinted(
        problem, "dynamic", time_limit_s=ENOUGH_S, sharing=sharing
    )
    if sharing:
        check(problem, "dynamic", found)
    else:
        optimum = solve(problem, "ilp-noshare", uplink="dynamic")
        assert (found.served, found.proven) == (optimum.served, True)
    assert 0 < found.hint_s < found.runtime_s


def test_a_hint_that_is_late_is_refused():
    """Everybody at once is no schedule."""
    tables = Tables(family(10, 3))
    everybody = [PlannedRound(int(tables.user_model[k]), (k,)) for k in range(10)]
    with pytest.raises(ValueError, match="hint is not feasible"):
        solve_cp_sat(family(10, 3), "upfront", time_limit_s=1.0, hint=everybody)


@few(40)
@given(problems(sharing="laminar", deadlines="common", max_users=6))
def test_blocks_once_finds_the_optimum(problem):
    """A depth-first order loads each block once, so no order has to be found."""
    if problem.resident_model is not None:
        problem = problem.model_copy(update={"resident_model": None})
    rounds = planned_rounds(problem, solve(problem, "edf", uplink="upfront").schedule)
    for hint in (None, rounds):
        found = solve_cp_sat(
            problem, "upfront", time_limit_s=ENOUGH_S, blocks_once=True, hint=hint
        )
        check(problem, "upfront", found)


@pytest.mark.parametrize(
    ("changes", "uplink"),
    [
        ({"sharing": "crossing"}, "upfront"),
        ({"deadlines": "own"}, "upfront"),
        ({}, "dynamic"),
    ],
)
def test_blocks_once_is_refused_where_it_does_not_hold(changes, uplink):
    """Crossing sharing, deadlines of their own, another discipline."""
    problem = family(8, 4, **{"sharing": "laminar", **changes})
    with pytest.raises(RefusalError, match="loaded once only"):
        solve_cp_sat(problem, uplink, time_limit_s=1.0, blocks_once=True)


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


def test_rounding_of_many_uploads_adds_up_to_no_user():
    """Sums are rounded, not each upload: else 200 would fit, in countless ways."""
    each_s, latency_s, count, models = 0.0024 + 0.9e-9, 1e-4, 200, 4
    fast = Model(blocks=("b",), latency_s=(latency_s,))
    problem = Problem(
        name="many",
        bandwidth_hz=1.0,
        blocks={"b": Block(bytes=1, load_s=1e-4)},
        models={f"m{m}": fast for m in range(models)},
        users=tuple(
            User(
                id=f"u{k}",
                model=f"m{k % models}",
                input_bits=each_s,
                spectral_efficiency=1.0,
                deadline_s=1e-4 + count * (each_s + latency_s) - 1e-7,
            )
            for k in range(240)
        ),
    )
    assert solve(problem, "dp", uplink="upfront").served == count - 1
    found = solve_cp_sat(problem, "upfront", time_limit_s=ENOUGH_S)
    assert (found.served, found.bound, found.proven) == (count - 1, count - 1, True)


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
