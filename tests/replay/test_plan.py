"""A schedule made ready: copies, batches and waits."""

from __future__ import annotations

import pytest

from edgesim.profile.model_match import NetworkSpec
from edgesim.replay.plan import Batch, make_plan
from tests.replay import cases

NETWORK = NetworkSpec(cases.NETWORK, "3x16x16", "float32")


def test_rounds_load_what_the_schedule_says_in_its_order() -> None:
    """Loads are the schedule's blocks; the stem keeps one place while it is shared."""
    problem = cases.problem()
    plan = make_plan(problem, cases.schedule(problem), cases.profile())
    loads = [[slot.block for slot in round_.loads] for round_ in plan.rounds]
    assert loads == [
        ["net/stem", "net-v01/head"],
        ["net-v02/head"],
        ["net-v01/head"],
    ]
    assert plan.blocks == {
        "net/stem": cases.STEM,
        "net-v01/head": cases.HEAD,
        "net-v02/head": cases.HEAD,
    }
    resident = [{slot.block for slot in round_.resident} for round_ in plan.rounds]
    assert resident == [
        {"net/stem", "net-v01/head"},
        {"net/stem", "net-v02/head"},
        {"net/stem", "net-v01/head"},
    ]
    assert plan.resident_bytes == cases.STEM + cases.HEAD


def test_memory_is_not_taken_for_what_is_not_resident() -> None:
    """The two heads, never there at once, lie in one place; 4700 B in 2 × 512-B steps.

    A stem of 4000 B takes 4096, a head of 700 B takes 1024.
    """
    problem = cases.problem()
    plan = make_plan(problem, cases.schedule(problem), cases.profile())
    assert plan.buffer_bytes == 4096 + 1024
    kept = cases.problem(residency="cache")
    plan = make_plan(kept, cases.schedule(kept), cases.profile())
    assert plan.buffer_bytes == 4096 + 2 * 1024


def test_without_sharing_whole_models_are_loaded() -> None:
    """Under a -noshare name every change of model copies stem and head."""
    problem = cases.problem()
    schedule = cases.schedule(problem, solver="greedy-noshare")
    plan = make_plan(problem, schedule, cases.profile())
    assert [len(round_.loads) for round_ in plan.rounds] == [2, 2, 2]


def test_inputs_arrive_with_their_last_band() -> None:
    """Dynamic: one upload of 1 ms after the other; nothing holds the loads up."""
    problem = cases.problem()
    plan = make_plan(problem, cases.schedule(problem), cases.profile())
    assert [r.inputs_at_s for r in plan.rounds] == pytest.approx([0.001, 0.002, 0.003])
    assert [r.load_after_s for r in plan.rounds] == [0.0, 0.0, 0.0]


def test_upfront_holds_the_first_load_until_all_uploads_end() -> None:
    """All three uploads of 1 ms end together at 3 ms."""
    problem = cases.problem()
    schedule = cases.schedule(problem, uplink="upfront")
    plan = make_plan(problem, schedule, cases.profile())
    assert [r.inputs_at_s for r in plan.rounds] == pytest.approx([0.003] * 3)
    assert [r.load_after_s for r in plan.rounds] == pytest.approx([0.003] * 3)


def test_static_inputs_arrive_when_their_batch_is_to_start() -> None:
    """A static band is held until the planned compute start."""
    problem = cases.problem()
    schedule = cases.schedule(problem, uplink="static")
    plan = make_plan(problem, schedule, cases.profile())
    for round_, planned in zip(plan.rounds, schedule.rounds, strict=True):
        assert round_.inputs_at_s == planned.compute_start_s


def test_batches_are_distinct_and_padded() -> None:
    """One network, batches of 1; a batch of 2 is padded to the measured 4."""
    problem = cases.problem(("net-v01", "net-v01", "net-v02"))
    schedule = cases.schedule(problem)
    plan = make_plan(problem, schedule, cases.profile())
    assert plan.batches == (Batch(NETWORK, 1),)
    assert plan.networks == (NETWORK,)
    assert plan.computes
    first, second, third = schedule.rounds
    both = first.model_copy(update={"users": ("u0", "u1")})
    merged = schedule.model_copy(update={"rounds": (both, third)})
    plan = make_plan(problem, merged, cases.profile())
    assert plan.batches == (Batch(NETWORK, 4), Batch(NETWORK, 1))
    assert second.model == first.model


def test_a_plan_without_networks_does_not_compute() -> None:
    """No architecture, no batch, and the plan says that it is not whole."""
    problem = cases.problem()
    plan = make_plan(problem, cases.schedule(problem), cases.profile(architecture=None))
    assert [round_.batch for round_ in plan.rounds] == [None] * 3
    assert not plan.computes


def test_no_rounds_make_an_empty_plan() -> None:
    """Nothing to load, nothing to compute, no memory."""
    problem = cases.problem(())
    plan = make_plan(problem, cases.schedule(problem), cases.profile())
    assert (plan.rounds, plan.blocks, plan.buffer_bytes) == ((), {}, 0)
