"""The search in compiled loops does what the one in numpy does, to the last bit."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvers import UPLINKS, Block, Problem, Uplink, solve
from solvers.core import insertion, loops, moves, quick
from solvers.core.arrays import Rows, Rules
from solvers.core.compiling import COMPILED
from solvers.core.insertion import Criterion
from solvers.core.loops import LoopSearch
from solvers.core.memory_kernels import exact_sum, loads
from solvers.core.move_kernels import repair
from solvers.core.moves import Moves
from solvers.core.plan import Clock, Plan, Times, served
from solvers.core.plan_kernels import Timed, in_time, timed
from solvers.core.search import Chains, Search
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import time_rounds
from tests.instances import CASES, make
from tests.solvers.strategies import planned, seeded_problem

FEW = settings(
    max_examples=150, derandomize=True, suppress_health_check=list(HealthCheck)
)

CRITERIA = st.builds(
    Criterion,
    uplink_weight=st.floats(0, 1),
    urgent=st.booleans(),
    noise=st.sampled_from([0.0, 0.2, 1.0]),
    batch=st.sampled_from([1, 2, 4, 8]),
)


PLANNED = planned(deadlines="any", releases=True, extensions=True)


def clocks(tables: Tables) -> list[Clock]:
    """Return a clock for every discipline that the problem allows."""
    uplinks: tuple[Uplink, ...] = UPLINKS if tables.releases_zero else ("dynamic",)
    return [Clock(tables, uplink) for uplink in uplinks]


def rows_and_rules(clock: Clock, plan: Plan) -> tuple[Rules, Rows]:
    """Return a problem and a plan as arrays, whatever the size of batches."""
    rules = loops.rules_of(clock)
    widest = max((len(batch.users) for batch in plan), default=0)
    width = max(rules.latency_s.shape[1], widest)
    return rules, loops.rows_of(plan, width, len(plan))


def assert_same(one: Times, other: Timed) -> None:
    """All times, to the last bit."""
    same = np.array_equal
    for name in ("load_s", "loaded_s", "ready_s", "latest_end_s"):
        assert same(getattr(one, name), getattr(other, name)), name
    assert same(one.end_s, other.before_s[1:])
    assert (one.band, one.broken) == (other.band, other.broken)
    if one.arrivals_s is not None:
        assert same(one.arrivals_s, other.ends_s)


@FEW
@given(PLANNED)
def test_loops_tell_the_same_time(
    drawn: tuple[Tables, list[PlannedRound]],
) -> None:
    """Of plans that are feasible, late, and too large for memory."""
    assert COMPILED
    tables, rounds = drawn
    for clock in clocks(tables):
        plan = clock.plan(rounds)
        model, users = rounds[0] if rounds else PlannedRound(0, ())
        crowd = clock.plan([PlannedRound(model, users * 9)]) if users else ()
        for some in (plan, plan[::-1], plan[1:], (), crowd):
            rules, rows = rows_and_rules(clock, some)
            assert in_time(rules, rows, len(some)) == clock.feasible(some)
            if all(math.isfinite(batch.compute_s) for batch in some):
                assert_same(clock.time(some), timed(rules, rows, len(some)))


@FEW
@given(PLANNED, st.integers(0, 9))
def test_both_repair_plans_alike(
    drawn: tuple[Tables, list[PlannedRound]], seed: int
) -> None:
    """Late plans, and batches that do not fit."""
    tables, rounds = drawn
    there = [tuple(users.tolist()) for users in tables.users_of]
    crowds = [PlannedRound(m, users) for m, users in enumerate(there) if users]
    for clock in clocks(tables):
        queues = [PlannedRound(m, (k,)) for m, users in crowds for k in users]
        for some in map(clock.plan, (rounds[::-1], crowds, queues)):
            rngs = [np.random.default_rng(seed) for _ in range(2)]
            one = Moves(clock, rngs[0]).repair(some)
            rules, rows = rows_and_rules(clock, some)
            left = repair(rules, rows, len(some), rngs[1])
            assert loops.plan_of(rows, left) == one
            assert sorted(rows.at[:left]) == list(range(left))
            assert rngs[0].random() == rngs[1].random()


def searches(clock: Clock, seed: int = 1, **options: Any) -> list[Search]:
    """Return the same search in numpy and in loops."""
    bound = len(clock.tables.users)
    return [search(clock, seed, bound, **options) for search in (Search, LoopSearch)]


@pytest.mark.parametrize("uplink", UPLINKS)
def test_both_fill_plans_alike(uplink: Uplink) -> None:
    """Same plan, same users left, same random numbers drawn, same times."""
    added = 0

    @FEW
    @given(PLANNED, CRITERIA, st.integers(0, 9), st.sampled_from([8e3, 3e4, math.inf]))
    def run(
        drawn: tuple[Tables, list[PlannedRound]],
        criterion: Criterion,
        first: int,
        effort: float,
    ) -> None:
        nonlocal added
        tables, rounds = drawn
        if uplink != "dynamic" and not tables.releases_zero:
            return
        clock = Clock(tables, uplink)
        plan = clock.plan(rounds[first:])
        while not clock.feasible(plan):
            plan = plan[1:]
        found = []
        for search in searches(clock, effort=effort):
            waiting = np.zeros(len(tables.user_ids), dtype=bool)
            waiting[tables.users] = True
            waiting[[k for batch in plan for k in batch.users]] = False
            filled, times = search._fill(plan, waiting, criterion)
            left = (waiting.tolist(), search.effort, search._rng.random())
            found.append((filled, left))
            assert_same(times, timed(*rows_and_rules(clock, filled), len(filled)))
        assert found[0] == found[1]
        added += served(found[0][0]) - served(plan)

    run()
    assert added > 5


@pytest.mark.parametrize("move", range(len(moves.MOVE_SHARES)))
def test_both_make_each_move_alike(move: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step by step, wherever the moves lead."""
    only = tuple(float(i == move) for i in range(len(moves.MOVE_SHARES)))
    monkeypatch.setattr(moves, "MOVE_SHARES", only)

    @settings(FEW, max_examples=25)
    @given(PLANNED, st.integers(0, 99))
    def run(drawn: tuple[Tables, list[PlannedRound]], seed: int) -> None:
        if not drawn[0].active:
            return
        for clock in clocks(drawn[0]):
            assert_both_search_alike(clock, seed, 12)

    run()


def assert_both_search_alike(clock: Clock, seed: int, steps: int, **how: Any) -> Plan:
    """They find the same plan with the same random numbers and the same effort."""
    found = [
        (search.run((), steps), search._rng.random(), search.effort)
        for search in searches(clock, seed, chains=Chains(7, 1.5, 1.0), **how)
    ]
    assert found[0] == found[1]
    return found[0][0]


@pytest.mark.parametrize(
    "name",
    [
        *("own-laminar-08-upfront", "own-laminar-10-dynamic", "own-crossing-08-static"),
        *("releases-08-dynamic", "mixed-07-static", "bottom-gpu-08-static"),
        *("overlap-04-upfront", "overlap-05-static", "overlap-09-dynamic"),
        *("overlap-07-upfront", "overlap-10-upfront", "overlap-11-static"),
        *("cache-08-upfront", "cache-09-static", "cache-10-dynamic"),
    ],
)
@pytest.mark.parametrize(
    ("most_pairs", "budget", "effort"),
    [
        (insertion.MAX_PAIRS, loops.BUDGET, math.inf),
        (500, loops.BUDGET, 2e6),
        (insertion.MAX_PAIRS, 1.0, math.inf),
    ],
)
def test_both_search_alike(
    name: str,
    most_pairs: int,
    budget: float,
    effort: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Larger plans, where only some models can be looked at, and with interruptions."""
    monkeypatch.setattr(insertion, "MAX_PAIRS", most_pairs)
    monkeypatch.setattr(loops, "BUDGET", budget)
    case = next(case for case in CASES if case.name == name)
    clock = Clock(Tables(make(case)), case.uplink)
    assert served(assert_both_search_alike(clock, 1, 40, effort=effort)) > 10


def test_both_start_from_a_plan_that_only_the_timing_accepts() -> None:
    """Its round starts at 0 and uploads within the tolerance; shares are infinite."""
    user = {"input_bits": 1e6, "spectral_efficiency": 1.0}
    others = [
        {"id": f"u{k}", "model": "mo"[k % 2], "deadline_s": 0.3 + 0.3 * k, **user}
        for k in range(1, 20)
    ]
    first = {"id": "u0", "model": "m", "deadline_s": 0.3, **user, "input_bits": 1e-3}
    tables = Tables(
        Problem.model_validate(
            {
                "name": "from 0 on",
                "bandwidth_hz": 1e9,
                "blocks": {name: {"bytes": 1, "load_s": 0.0} for name in "ab"},
                "models": {
                    "m": {"blocks": ["a"], "latency_s": [0.3]},
                    "o": {"blocks": ["b"], "latency_s": [0.3]},
                },
                "users": [first, *others],
            }
        )
    )
    rounds = [PlannedRound(0, (0,))]
    assert time_rounds(tables, rounds, "static") is not None
    clock = Clock(tables, "static")
    plan = clock.plan(rounds)
    assert not clock.feasible(plan)
    one, other = (search.run(plan, 20) for search in searches(clock))
    assert one == other
    assert served(one) > 10


def test_arrays_hold_what_a_plan_holds() -> None:
    """A plan survives the way into arrays and back."""
    tables = Tables(
        seeded_problem(np.random.default_rng(1), sharing="crossing", users=8, models=3)
    )
    clock = Clock(tables, "upfront")
    plan = clock.plan(
        [
            PlannedRound(m, tuple(users.tolist()))
            for m, users in enumerate(tables.users_of)
            if len(users)
        ]
    )
    assert loops.plan_of(loops.rows_of(plan, 9, len(plan) + 2), len(plan)) == plan


@pytest.mark.parametrize(
    "change",
    [
        {"blocks": {"bytes": 2**62, "load_s": 1.0}, "overlap": True},
        {"blocks": {"bytes": 1, "load_s": 1e5}, "residency": "cache"},
    ],
)
def test_numpy_searches_what_loops_cannot_hold(change: dict[str, Any]) -> None:
    """Bytes that do not add up in 64 bits, or loads that do not add up exactly."""
    problem = seeded_problem(
        np.random.default_rng(1), sharing="crossing", users=4, models=2
    )
    block = Block.model_validate(change["blocks"])
    change = {**change, "blocks": dict.fromkeys(problem.blocks, block)}
    tables = Tables(problem.model_copy(update=change))
    with pytest.raises(ValueError, match="than loops hold"):
        LoopSearch(Clock(tables, "dynamic"), seed=0, bound=4)
    assert quick.choose(tables) == (Search, None)


@given(st.lists(st.floats(0, 1e6) | st.sampled_from([1.0, 2.0**-53, 2.0**-54, 1e-16])))
def test_loads_are_exact_sums(values: list[float]) -> None:
    """Rounded once, also where the sum is halfway between two floats."""
    assert exact_sum(np.array(values)) == math.fsum(values)


@FEW
@given(PLANNED)
def test_loops_track_memory_alike(drawn: tuple[Tables, list[PlannedRound]]) -> None:
    """What each round loads, whether ahead, and what stays."""
    tables, rounds = drawn
    if tables.problem.residency == "previous":
        return
    clock = clocks(tables)[0]
    for plan in (clock.plan(rounds), clock.plan((rounds[::-1] + rounds) * 3)):
        rules, rows = rows_and_rules(clock, plan)
        found = loads(rules, rows, len(plan))
        taken = clock.steps(plan)
        assert found.ahead.tolist() == [step.ahead for step in taken]
        assert found.load_s.tolist() == [tables.loads_s(s.loaded) for s in taken]
        there = [np.flatnonzero(row).tolist() for row in found.there]
        assert there == [
            sorted(tables.initial_atoms),
            *(sorted(step.memory.atoms) for step in taken),
        ]


def test_memory_may_be_larger_than_any_integer_of_64_bits() -> None:
    """Then it holds everything."""
    problem = seeded_problem(
        np.random.default_rng(1), sharing="crossing", users=4, models=2
    )
    change = {"gpu_memory_bytes": 10**30, "overlap": True}
    tables = Tables(problem.model_copy(update=change))
    clock = Clock(tables, "dynamic")
    plan = clock.plan(
        [PlannedRound(m, tuple(k.tolist())) for m, k in enumerate(tables.users_of)]
    )
    rules, rows = rows_and_rules(clock, plan)
    assert_same(clock.time(plan), timed(rules, rows, len(plan)))


@pytest.mark.parametrize(
    ("left_s", "work", "compiles", "pays"),
    [
        (None, 1e6, True, False),
        (None, 1e7, True, True),
        (None, 1e6, False, True),
        (None, 4e4, False, True),
        (None, 1e4, False, False),
        (5.0, 1e6, False, True),
        (5.0, 1e6, True, False),
        (60.0, 1e6, True, False),
        (200.0, 1e6, True, False),
        (200.0, math.inf, True, True),
        (0.5, 1e6, False, False),
    ],
)
def test_loops_are_loaded_where_they_pay(
    left_s: float | None, work: float, compiles: bool, pays: bool
) -> None:
    """Not for what ends before they are there."""
    assert quick.pays(left_s, work, compiles=compiles) == pays


@pytest.mark.parametrize(("left_s", "kept"), list(product((5.0, 300.0), (True, False))))
def test_a_short_limit_does_not_wait_for_the_compiler(
    left_s: float, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loops that were compiled before are taken, and others only with time enough."""
    tables = Tables(
        seeded_problem(np.random.default_rng(1), sharing="crossing", users=4, models=2)
    )
    monkeypatch.setattr(loops, "kept", lambda: kept)
    loads = kept or left_s > 200
    expected = (LoopSearch, None) if loads else (Search, quick.NOT_COMPILED)
    assert quick.choose(tables, left_s) == expected
    monkeypatch.setattr(loops, "missing", lambda: True)
    assert quick.choose(tables, left_s) == (Search, None)


def test_what_searches_without_loops_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where numba could make them, and the limit is too short to wait for that."""
    problem = seeded_problem(
        np.random.default_rng(4), sharing="crossing", users=9, models=4, deadlines="own"
    )
    monkeypatch.setattr(quick, "LEAST_S", 0.0)
    for kept in (False, True):
        monkeypatch.setattr(loops, "kept", lambda kept=kept: kept)
        found = solve(problem, "local-search", time_limit_s=0.5)
        assert found.served < found.bound  # else there is nothing to search for
        assert found.note == (None if kept else quick.NOT_COMPILED)
