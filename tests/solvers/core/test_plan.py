"""A plan's own clock agrees with the timing module; insertions are judged right."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvers import UPLINKS, Uplink
from solvers.core.filling import fill
from solvers.core.insertion import Criterion, Insertions
from solvers.core.plan import Clock, Plan, rounds_of, served
from solvers.core.residency import Step, steps
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import time_rounds
from tests.solvers.strategies import planned

FEW = settings(
    max_examples=100,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def clocks(tables: Tables) -> list[Clock]:
    """One clock for every discipline that the problem allows."""
    uplinks: tuple[Uplink, ...] = UPLINKS if tables.releases_zero else ("dynamic",)
    return [Clock(tables, uplink) for uplink in uplinks]


@FEW
@given(planned(deadlines="any", releases=True, extensions=True))
def test_the_clock_agrees_with_the_timing_module(
    drawn: tuple[Tables, list[PlannedRound]],
) -> None:
    """Same verdict on every plan, and the same ends where starts are earliest."""
    tables, rounds = drawn
    for clock in clocks(tables):
        times = clock.time(clock.plan(rounds))
        timing = time_rounds(tables, rounds, clock.uplink)
        assert times.feasible == (timing is not None)
        assert clock.feasible(clock.plan(rounds)) == times.feasible
        if timing is not None and clock.uplink != "static":
            assert times.end_s == pytest.approx(timing.end_s, abs=1e-9)


@FEW
@given(planned(deadlines="any", releases=True, extensions=True))
def test_a_clock_recalls_what_memory_did(
    drawn: tuple[Tables, list[PlannedRound]],
) -> None:
    """Plan after plan, the steps are those that ``steps`` works out anew.

    But for the batch that memory names, where no size of one can evict anything.
    """
    tables, rounds = drawn
    problem = tables.problem
    sizes_matter = problem.gpu_memory_bytes is not None and any(
        model.activation_bytes for model in problem.models.values()
    )

    def told(taken: list[Step]) -> list[Step]:
        if sizes_matter:
            return taken
        return [step._replace(memory=step.memory._replace(batch=0)) for step in taken]

    clock = clocks(tables)[0]
    for kept in (rounds, rounds[1:], rounds[::-1], rounds):
        plan = clock.plan(kept)
        if clock.feasible(plan):
            assert told(clock.steps(plan)) == told(steps(tables, kept))


def neighbours(clock: Clock, plan: Plan, waiting: list[int]) -> set[Plan]:
    """Every plan with one more user, in a round of its model or in a new one."""
    found = set()
    for k in waiting:
        model = int(clock.tables.user_model[k])
        for r, batch in enumerate(plan):
            if batch.model == model:
                joined = clock.batch(model, (*batch.users, k))
                found.add((*plan[:r], joined, *plan[r + 1 :]))
        for p in range(len(plan) + 1):
            found.add((*plan[:p], clock.batch(model, [k]), *plan[p:]))
    return found


@FEW
@given(
    planned(deadlines="any", releases=True, extensions=True),
    st.floats(0, 1),
    st.booleans(),
    st.sampled_from([1, 2, 4]),
)
def test_no_feasible_insertion_of_one_user_is_missed(
    drawn: tuple[Tables, list[PlannedRound]], weight: float, urgent: bool, batch: int
) -> None:
    """All feasible plans with one user more are offered, whoever waits before them.

    So it is but for a cache. Where loads depend on the round before only, what is
    offered under ``upfront`` and ``dynamic`` without releases is feasible, too.
    """
    tables, rounds = drawn
    criterion = Criterion(uplink_weight=weight, urgent=urgent, noise=0.0, batch=batch)
    for clock in clocks(tables):
        plan = clock.plan(rounds)
        times = clock.time(plan)
        if not times.feasible:
            continue
        there = {k for batch in plan for k in batch.users}
        waiting = [k for k in tables.users.tolist() if k not in there]
        mask = np.zeros(len(tables.user_ids), dtype=bool)
        mask[waiting] = True
        insertions = Insertions(clock)
        around = insertions.around(
            plan, times, mask, criterion, np.random.default_rng(0)
        )
        offered = {
            insertion.into(plan, clock)
            for found in (around.candidates(), around.alone())
            for insertion in found
        }
        for found in offered:
            assert served(found) > served(plan)
            if clock.plain and clock.uplink != "static" and tables.releases_zero:
                assert clock.time(found).feasible
        if tables.problem.residency == "cache":
            continue
        feasible = {
            p for p in neighbours(clock, plan, waiting) if clock.time(p).feasible
        }
        assert feasible <= offered


@FEW
@given(
    planned(deadlines="any", releases=True, extensions=True),
    st.sampled_from([1, 2, 4]),
)
def test_filling_keeps_who_is_there_and_ends_when_nobody_fits(
    drawn: tuple[Tables, list[PlannedRound]], batch: int
) -> None:
    """Served users stay, each once; then no user fits alone or into a round."""
    tables, rounds = drawn
    for clock in clocks(tables):
        plan = clock.plan(rounds)
        if not clock.time(plan).feasible:
            continue
        there = {k for b in plan for k in b.users}
        waiting = np.zeros(len(tables.user_ids), dtype=bool)
        waiting[tables.users] = True
        waiting[list(there)] = False
        found, times = fill(
            *(Insertions(clock), plan, waiting),
            *(Criterion(0.5, False, 0.0, batch), np.random.default_rng(0)),
            tries=10**6,
            goes_on=lambda _: True,
        )
        users = [k for b in found for k in b.users]
        assert there <= set(users)
        assert len(users) == len(set(users)) == served(found)
        assert times.feasible
        assert clock.time(found).feasible
        left = [k for k in tables.users.tolist() if k not in users]
        assert waiting[left].all()
        assert waiting.sum() == len(left)
        if tables.problem.residency != "cache":
            assert not any(
                clock.time(p).feasible for p in neighbours(clock, found, left)
            )


def test_rounds_survive_the_way_into_a_plan_and_back() -> None:
    """A plan holds the rounds it was made of."""
    for seed, uplink in product(range(3), UPLINKS):
        tables, rounds = planned_example(seed)
        clock = Clock(tables, uplink)
        assert rounds_of(clock.plan(rounds)) == rounds


def planned_example(seed: int) -> tuple[Tables, list[PlannedRound]]:
    """Cut a seeded problem's users into rounds of two."""
    from tests.solvers.strategies import seeded_problem

    rng = np.random.default_rng(seed)
    tables = Tables(seeded_problem(rng, sharing="crossing", users=8, models=3))
    rounds = [
        PlannedRound(m, tuple(users[i : i + 2].tolist()))
        for m, users in enumerate(tables.users_of)
        for i in range(0, len(users), 2)
    ]
    return tables, rounds
