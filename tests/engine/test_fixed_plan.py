"""Online with all arrivals at 0 and a fixed plan equals plan mode, event for event."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgesim.engine.records import IN_TIME
from solvers import Schedule, solve
from solvers.core import timing
from solvers.core.tables import PlannedRound, Rounds, Tables
from tests.engine.fixed_plan import run_plan as run_online
from tests.engine.invariants import for_online
from tests.engine.plan_records import run_plan
from tests.solvers.strategies import planned, problems, seeded_plan

Late = Literal["drop", "serve"]

ROUND_COLUMNS = ("load_start_s", "load_s", "compute_start_s", "compute_s", "end_s")


def assert_equal_events(
    tables: Tables, rounds: Rounds, schedule: Schedule, late: Late
) -> None:
    """Compare every time of every round and request, and all bytes."""
    plan = run_plan(tables.problem, schedule)
    run, order = run_online(tables, rounds, late)
    there = run.rounds
    assert there.batch.tolist() == [len(r.users) for r in plan.rounds]
    assert there.chosen.tolist() == [len(r.users) for r in plan.rounds]
    assert there.model.tolist() == [
        tables.model_names.index(r.model) for r in plan.rounds
    ]
    assert there.loaded_bytes.tolist() == [r.loaded_bytes for r in plan.rounds]
    assert there.reused_bytes.tolist() == [r.reused_bytes for r in plan.rounds]
    for column in ROUND_COLUMNS:
        wanted = [getattr(r, column) for r in plan.rounds]
        np.testing.assert_allclose(getattr(there, column), wanted, rtol=0, atol=1e-9)
    records = [plan.requests[user] for user in order]
    requests = run.requests
    assert requests.user.tolist() == order
    assert requests.round.tolist() == [r.round for r in records]
    assert [o == IN_TIME for o in requests.outcome] == [
        r.outcome == "in time" for r in records
    ]
    for column in ("upload_start_s", "upload_end_s", "end_s"):
        wanted = [getattr(r, column) for r in records]
        np.testing.assert_allclose(getattr(requests, column), wanted, rtol=0, atol=1e-9)
    uploads = [(u.start_s, u.end_s) for u in plan.uploads]
    if uploads:
        carried_s = sum(end_s - start_s for start_s, end_s in uploads)
        assert np.diff(run.busy_s).sum() == pytest.approx(carried_s, abs=1e-9)
        assert run.busy_s[-1, 1] == pytest.approx(uploads[-1][1], abs=1e-9)


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("residency", ["previous", "cache"])
@pytest.mark.parametrize("solver", ["greedy", "local-search", "greedy-noshare"])
@settings(max_examples=25)
@given(data=st.data())
def test_a_solved_plan_runs_online_as_in_plan_mode(
    solver: str, residency: str, overlap: bool, data: st.DataObject
) -> None:
    """Whatever greedy and local-search plan, online it happens at the same times."""
    drawn = data.draw(problems(extensions=True, deadlines="any", max_users=8))
    problem = for_online(drawn, residency=residency, overlap=overlap)
    sharing = not solver.endswith("-noshare")
    tables = Tables(problem, sharing=sharing)
    schedule = solve(problem, solver, iterations=20).schedule
    assert_equal_events(tables, numbered(tables, schedule), schedule, "drop")


def numbered(tables: Tables, schedule: Schedule) -> list[PlannedRound]:
    """Write a schedule's rounds as numbers."""
    model = {name: m for m, name in enumerate(tables.model_names)}
    user = {name: k for k, name in enumerate(tables.user_ids)}
    return [
        PlannedRound(model[r.model], tuple(user[u] for u in r.users))
        for r in schedule.rounds
    ]


@settings(max_examples=60)
@given(planned(extensions=True, horizon=(900, 990)), st.sampled_from(["drop", "serve"]))
def test_any_rounds_run_online_as_in_plan_mode(
    drawn: tuple[Tables, list[PlannedRound]], late: Late
) -> None:
    """Rounds that no solver would plan, models recurring, a cache that evicts."""
    tables, rounds = drawn
    tables = Tables(for_online(tables.problem))
    schedule = timing.make_schedule(tables, rounds, "dynamic", solver="any", bound=None)
    assume(schedule is not None)
    assert schedule is not None
    assert_equal_events(tables, rounds, schedule, late)


@pytest.mark.parametrize("seed", range(40))
def test_long_plans_run_online_as_in_plan_mode(seed: int) -> None:
    """Twenty users and six models of which memory holds two or three."""
    drawn, rounds = seeded_plan(seed)
    tables = Tables(for_online(drawn.problem))
    schedule = timing.make_schedule(tables, rounds, "dynamic", solver="any", bound=None)
    assert schedule is not None
    assert_equal_events(tables, rounds, schedule, "serve")
