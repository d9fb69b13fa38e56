"""Clocks and fillings in compiled loops do what those in numpy do, to the last bit."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvers import UPLINKS, Block, Problem, Uplink
from solvers.core import (
    filling,
    insertion,
    loops,
    quick,
)
from solvers.core.compiling import COMPILED
from solvers.core.insertion import Criterion, Insertions
from solvers.core.plan import Clock, Plan, Times, served
from solvers.core.search import Search
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


PLANNED = planned(deadlines="any", releases=True, extensions=True).filter(
    lambda drawn: drawn[0].problem.residency == "previous"
)


def pairs(tables: Tables) -> list[tuple[Clock, loops.LoopClock]]:
    """Both clocks for every discipline that the problem allows."""
    uplinks: tuple[Uplink, ...] = UPLINKS if tables.releases_zero else ("dynamic",)
    return [(Clock(tables, u), loops.LoopClock(tables, u)) for u in uplinks]


def assert_same(one: Times, other: Times) -> None:
    """All fields, to the last bit."""
    for name in Times._fields:
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None), name
        if a is not None:
            assert np.array_equal(a, b, equal_nan=True), name


@FEW
@given(PLANNED)
def test_both_clocks_tell_the_same_time(
    drawn: tuple[Tables, list[PlannedRound]],
) -> None:
    """Of plans that are feasible, late, and too large for memory."""
    assert COMPILED
    tables, rounds = drawn
    for clock, in_loops in pairs(tables):
        plan = clock.plan(rounds)
        model, users = rounds[0] if rounds else PlannedRound(0, ())
        crowd = clock.plan([PlannedRound(model, users * 9)]) if users else ()
        for kept in (plan, plan[::-1], plan[1:], (), crowd):
            assert in_loops.feasible(kept) == clock.feasible(kept)
            assert_same(in_loops.time(kept), clock.time(kept))


def fillings(
    clock: Clock,
    in_loops: Clock,
    plan: Plan,
    criterion: Criterion,
    most: int,
    at_once: int,
) -> int:
    """Fill a plan in both ways, compare what comes of it, and count users added."""
    found = []
    for some, fill in ((clock, filling.fill), (in_loops, loops.fill)):
        waiting = np.zeros(len(some.tables.user_ids), dtype=bool)
        waiting[some.tables.users] = True
        waiting[[k for batch in plan for k in batch.users]] = False
        rng = np.random.default_rng(3)
        asked: list[int] = []

        def goes_on(rounds: int, asked: list[int] = asked) -> bool:
            asked.append(rounds)
            return len(asked) <= most

        insertions = Insertions(some)
        filled, times = fill(
            *(insertions, plan, waiting, criterion, rng),
            tries=6,
            goes_on=goes_on,
            at_once=at_once,
        )
        found.append((filled, waiting.tolist(), asked, rng.random(), times))
    (*one, before), (*other, after) = found
    assert one == other
    assert_same(before, after)
    assert isinstance(one[0], tuple)
    return served(one[0]) - served(plan)


@pytest.mark.parametrize("uplink", UPLINKS)
def test_both_fill_plans_alike(uplink: Uplink) -> None:
    """Same plan, same users left, same random numbers drawn, same times."""
    added = 0

    @FEW
    @given(PLANNED, CRITERIA, st.integers(0, 9))
    def run(
        drawn: tuple[Tables, list[PlannedRound]], criterion: Criterion, most: int
    ) -> None:
        nonlocal added
        tables, rounds = drawn
        if uplink != "dynamic" and not tables.releases_zero:
            return
        clock, in_loops = Clock(tables, uplink), loops.LoopClock(tables, uplink)
        plan = clock.plan(rounds[most % 4 :] if most > 4 else ())
        while not clock.feasible(plan):
            plan = plan[1:]
        added += fillings(clock, in_loops, plan, criterion, most, 1 + most % 3)

    run()
    assert added > 5


@pytest.mark.parametrize(
    "name",
    [
        *("own-laminar-08-upfront", "own-laminar-10-dynamic", "own-crossing-08-static"),
        *("releases-08-dynamic", "mixed-07-static", "bottom-gpu-08-static"),
        *("overlap-04-upfront", "overlap-05-static", "overlap-09-dynamic"),
    ],
)
@pytest.mark.parametrize("most_pairs", [insertion.MAX_PAIRS, 500])
def test_both_search_alike(
    name: str, most_pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Larger plans, step by step, and where only some models can be looked at."""
    for module in (insertion, loops):
        monkeypatch.setattr(module, "MAX_PAIRS", most_pairs)
    case = next(case for case in CASES if case.name == name)
    tables = Tables(make(case))
    plans = []
    for in_loops in (False, True):
        clock, fill = quick.clock_and_fill(
            tables, case.uplink, work=math.inf if in_loops else 0
        )
        assert isinstance(clock, loops.LoopClock) == in_loops
        search = Search(clock, 1, len(tables.users), filling=fill)
        plans.append((search.run((), 40), search._rng.random()))
    assert plans[0] == plans[1]
    assert served(plans[0][0]) > 10


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
    plans = []
    for clock, fill in (
        (Clock(tables, "static"), filling.fill),
        (loops.LoopClock(tables, "static"), loops.fill),
    ):
        plan = clock.plan(rounds)
        assert not clock.feasible(plan)
        plans.append(Search(clock, 0, 40, filling=fill).run(plan, 20))
    assert plans[0] == plans[1]
    assert served(plans[0]) > 10


def test_arrays_hold_what_a_plan_holds() -> None:
    """A plan survives the way into arrays and back; only the last one is kept."""
    tables = Tables(
        seeded_problem(np.random.default_rng(1), sharing="crossing", users=8, models=3)
    )
    clock = loops.LoopClock(tables, "upfront")
    plan = clock.plan(
        [
            PlannedRound(m, tuple(users.tolist()))
            for m, users in enumerate(tables.users_of)
            if len(users)
        ]
    )
    rows = loops.rows_of(plan, clock.rules.latency_s.shape[1], 2)
    assert loops.plan_of(rows, len(plan), ()) == plan
    rows = clock.rows(plan)
    assert clock.rows(plan) is rows
    assert clock.rows(plan[:1]) is not rows


def test_loops_are_for_loads_after_the_round_before() -> None:
    """With a cache, or bytes that do not add up in 64 bits, there are none."""
    problem = seeded_problem(
        np.random.default_rng(1), sharing="crossing", users=4, models=2
    )
    huge = {name: Block(bytes=2**62, load_s=1.0) for name in problem.blocks}
    for change in ({"residency": "cache"}, {"blocks": huge, "overlap": True}):
        tables = Tables(problem.model_copy(update=change))
        with pytest.raises(ValueError, match="round before"):
            loops.LoopClock(tables, "dynamic")
        clock, fill = quick.clock_and_fill(tables, "dynamic")
        assert type(clock) is Clock
        assert fill is filling.fill


def test_memory_may_be_larger_than_any_integer_of_64_bits() -> None:
    """Then it holds everything."""
    problem = seeded_problem(
        np.random.default_rng(1), sharing="crossing", users=4, models=2
    )
    change = {"gpu_memory_bytes": 10**30, "overlap": True}
    tables = Tables(problem.model_copy(update=change))
    clock, in_loops = Clock(tables, "dynamic"), loops.LoopClock(tables, "dynamic")
    plan = clock.plan(
        [PlannedRound(m, tuple(k.tolist())) for m, k in enumerate(tables.users_of)]
    )
    assert_same(in_loops.time(plan), clock.time(plan))


@pytest.mark.parametrize(
    ("left_s", "work", "compiles", "pays"),
    [
        (None, 1e6, True, True),
        (None, 1e4, False, False),
        (5.0, 1e6, False, True),
        (5.0, 1e6, True, False),
        (60.0, 1e6, True, True),
        (0.5, 1e6, False, False),
    ],
)
def test_loops_are_loaded_where_they_pay(
    left_s: float | None, work: float, compiles: bool, pays: bool
) -> None:
    """Not for what ends before they are there."""
    assert quick.pays(left_s, work, compiles=compiles) == pays


@pytest.mark.parametrize(("left_s", "kept"), list(product((5.0, 90.0), (True, False))))
def test_a_short_limit_does_not_wait_for_the_compiler(
    left_s: float, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loops that were compiled before are taken, and others only with time enough."""
    tables = Tables(
        seeded_problem(np.random.default_rng(1), sharing="crossing", users=4, models=2)
    )
    monkeypatch.setattr(loops, "kept", lambda: kept)
    clock, _ = quick.clock_and_fill(tables, "dynamic", left_s)
    assert isinstance(clock, loops.LoopClock) == (kept or left_s > 60)
    monkeypatch.setattr(loops, "missing", lambda: True)
    clock, _ = quick.clock_and_fill(tables, "dynamic", left_s)
    assert type(clock) is Clock
