"""Simulated beside measured times, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from edgesim.profile.values import Timing
from edgesim.replay import comparison as pairs
from edgesim.replay.comparison import InTime, RoundTime
from edgesim.replay.plan import ReplayPlan, make_plan
from solvers import Uplink
from tests.replay import cases


def _plan(uplink: Uplink = "dynamic", **changes: Any) -> ReplayPlan:
    """Three rounds that load 6, 2 and 2 ms and compute 10 ms: ends 16, 28, 40 ms."""
    problem = cases.problem(**changes)
    schedule = cases.schedule(problem, uplink=uplink)
    return make_plan(problem, schedule, cases.profile())


TIMES = (
    RoundTime(0.007, 0.009, 0.017),
    RoundTime(0.002, 0.011, 0.031),
    RoundTime(0.003, 0.010, 0.045),
)


def test_pairs_hold_the_plan_and_the_measurement() -> None:
    """Every number of a pair stands in the schedule or was measured."""
    found = pairs.pair_rounds(_plan(), [TIMES, TIMES], paced=True)
    assert [(p.repeat, p.round) for p in found] == [
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 0),
        (1, 1),
        (1, 2),
    ]
    first = found[0]
    assert (first.model, first.batch, first.padded_batch) == ("net-v01", 1, 1)
    assert (first.loaded_blocks, first.loaded_bytes) == (2, cases.STEM + cases.HEAD)
    assert first.simulated_load_s == pytest.approx(0.006)
    assert first.measured_load_s == 0.007
    assert first.simulated_compute_s == pytest.approx(0.010)
    assert first.measured_compute_s == 0.009
    assert [p.simulated_end_s for p in found[:3]] == pytest.approx([0.016, 0.028, 0.04])
    assert [p.measured_end_s for p in found[:3]] == [0.017, 0.031, 0.045]
    assert all(p.same_work for p in found)


def test_back_to_back_the_plan_does_not_wait_either() -> None:
    """Upfront uploads end at 3 ms: paced ends begin there, the others at 0."""
    plan = _plan("upfront")
    paced = pairs.pair_rounds(plan, [TIMES], paced=True)
    assert [p.simulated_end_s for p in paced] == pytest.approx([0.019, 0.031, 0.043])
    free = pairs.pair_rounds(plan, [TIMES], paced=False)
    assert [p.simulated_end_s for p in free] == pytest.approx([0.016, 0.028, 0.04])


def test_rows_hold_signed_errors() -> None:
    """Errors are measured − simulated, ratios over the simulated; load of 0: none."""
    plan = _plan()
    row = next(iter(pairs.rows(pairs.pair_rounds(plan, [TIMES], paced=True))))
    assert tuple(row) == pairs.COLUMNS
    assert row["load_error_s"] == pytest.approx(0.001)
    assert row["load_error_ratio"] == pytest.approx(1 / 6)
    assert row["compute_error_s"] == pytest.approx(-0.001)
    assert row["compute_error_ratio"] == pytest.approx(-0.1)
    assert row["end_error_s"] == pytest.approx(0.001)
    assert row["end_error_ratio"] == pytest.approx(1 / 16)
    resident = _plan(models=("net-v01",), resident_model="net-v01")
    times = (RoundTime(0.0, 0.010, 0.010),)
    (row,) = pairs.rows(pairs.pair_rounds(resident, [times], paced=True))
    assert (row["load_error_s"], row["load_error_ratio"]) == (0.0, None)


def test_after_a_batch_that_was_left_out_ends_are_not_compared() -> None:
    """The plan's ends hold a batch that nobody computed: no error of that."""
    problem = cases.problem()
    plan = make_plan(problem, cases.schedule(problem), cases.profile(architecture=None))
    times = [RoundTime(0.006, None, end) for end in (0.006, 0.012, 0.018)]
    found = pairs.pair_rounds(plan, [times], paced=True)
    assert not any(p.same_work for p in found)
    for row in pairs.rows(found):
        assert row["compute_error_s"] is row["compute_error_ratio"] is None
        assert row["end_error_s"] is row["end_error_ratio"] is None
        assert row["measured_end_s"] is not None
    assert pairs.users_in_time(plan, [times], paced=True) is None


def _deadlines(*deadlines_s: float) -> ReplayPlan:
    plan = _plan()
    users = [
        user.model_copy(update={"deadline_s": deadline_s})
        for user, deadline_s in zip(plan.problem.users, deadlines_s, strict=True)
    ]
    problem = plan.problem.model_copy(update={"users": tuple(users)})
    return make_plan(problem, plan.schedule, cases.profile())


def test_users_are_in_time_by_the_measured_ends() -> None:
    """Deadlines 17, 30 and 50 ms against ends 17, 31 and 45 ms: one is 1 ms late."""
    plan = _deadlines(0.017, 0.030, 0.050)
    fast = tuple(RoundTime(t.load_s, t.compute_s, t.end_s - 0.002) for t in TIMES)
    found = pairs.users_in_time(plan, [TIMES, fast], paced=True)
    assert found == InTime(3, (2, 3), pytest.approx(0.001))


def test_users_that_the_plan_does_not_serve_in_time_are_not_counted() -> None:
    """A deadline of 10 ms is missed by the plan itself: two are planned."""
    found = pairs.users_in_time(_deadlines(0.010, 0.030, 0.050), [TIMES], paced=True)
    assert found is not None
    assert (found.planned, found.kept) == (2, (1,))


def test_back_to_back_ends_follow_from_the_plans_rules() -> None:
    """Uploads end at 3 ms, then loads, batches and 1 ms a round: 20, 34, 48 ms.

    Rounds that take nothing beside end at 19, 32 and 45 ms.
    """
    plan = _plan("upfront")
    assert pairs.retimed(plan, TIMES) == pytest.approx([0.020, 0.034, 0.048])
    free = [
        RoundTime(t.load_s, t.compute_s, end_s)
        for t, end_s in zip(TIMES, (0.016, 0.029, 0.042), strict=True)
    ]
    assert pairs.retimed(plan, free) == pytest.approx([0.019, 0.032, 0.045])
    late = [0.019, 0.031, 0.045]
    users = [
        user.model_copy(update={"deadline_s": deadline_s})
        for user, deadline_s in zip(plan.problem.users, late, strict=True)
    ]
    problem = plan.problem.model_copy(update={"users": tuple(users)})
    plan = make_plan(problem, plan.schedule, cases.profile())
    found = pairs.users_in_time(plan, [free], paced=False)
    assert found == InTime(3, (2,), pytest.approx(0.001))


def test_overheads_are_what_load_and_batch_leave_of_a_round() -> None:
    """Ends at 17, 31, 45 ms less loads and batches: 1 ms a round; a batch left out."""
    assert pairs.round_overheads_s(TIMES) == pytest.approx([0.001] * 3)
    left_out = [RoundTime(0.007, None, 0.010)]
    assert pairs.round_overheads_s(left_out) == pytest.approx([0.003])


def test_the_plans_overhead_is_no_part_of_its_compute() -> None:
    """A profile with 2 ms a round: batches of 12 ms are planned, of 10 ms compared.

    Where rounds waited for inputs the measured one cannot be told.
    """
    profile = cases.profile().model_copy(update={"round_s": Timing(median_s=0.002)})
    problem = cases.problem()
    models = {
        name: model.model_copy(update={"latency_s": profile.round_table("net")})
        for name, model in problem.models.items()
    }
    problem = problem.model_copy(update={"models": models})
    plan = make_plan(problem, cases.schedule(problem), profile)
    assert plan.overhead_s == 0.002
    (first, *_) = pairs.pair_rounds(plan, [TIMES], paced=False)
    assert plan.schedule.rounds[0].compute_s == pytest.approx(0.012)
    assert first.simulated_compute_s == pytest.approx(0.010)
    assert first.simulated_overhead_s == 0.002
    assert first.measured_overhead_s == pytest.approx(0.001)
    (row, *_) = pairs.rows([first])
    assert row["overhead_error_s"] == pytest.approx(-0.001)
    assert row["simulated_end_s"] == pytest.approx(0.018)
    (first, *_) = pairs.pair_rounds(plan, [TIMES], paced=True)
    assert first.measured_overhead_s is None
    other = make_plan(cases.problem(), cases.schedule(cases.problem()), profile)
    assert other.overhead_s == 0  # its latencies are not the profile's


def test_a_batch_waits_for_its_input_when_retimed() -> None:
    """Loaded at 1 ms, input at 10 ms, 1 ms of compute: 11 ms."""
    problem = cases.problem(("net-v01",))
    user = problem.users[0].model_copy(update={"input_bits": 1e4})
    problem = problem.model_copy(update={"users": (user,)})
    plan = make_plan(problem, cases.schedule(problem), cases.profile())
    times = [RoundTime(0.001, 0.001, 0.002)]
    assert pairs.retimed(plan, times) == pytest.approx([0.011])
