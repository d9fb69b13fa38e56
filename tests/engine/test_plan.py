"""A nominal run lands on the plan; with noise order stays, starts slip."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesim.engine.channel import Channel
from edgesim.engine.noise import Realisation, nominal
from solvers import UPLINKS, Problem, Schedule, Uplink, solve, verify
from solvers.core import residency, timing
from solvers.core.tables import PlannedRound, Tables
from tests.engine.plan_records import Records, run_plan
from tests.solvers.strategies import seeded_plan

W_HZ = 1e6
RoundPlan = tuple[str, tuple[str, ...]]
Plan = Callable[[], tuple[Problem, Schedule]]


def make_problem(
    users: Sequence[tuple[str, str, float, float]],
    deadline_s: float = 10.0,
    no_link: Sequence[str] = (),
) -> Problem:
    """Make a problem: users as (id, model, upload time at the whole band, release)."""
    return Problem.model_validate(
        {
            "name": "hand",
            "bandwidth_hz": W_HZ,
            "blocks": {
                "stem": {"bytes": 80, "load_s": 0.5},
                "a": {"bytes": 20, "load_s": 0.125},
                "b": {"bytes": 20, "load_s": 0.25},
            },
            "models": {
                "A": {"blocks": ["stem", "a"], "latency_s": [0.25, 0.375, 0.5]},
                "B": {"blocks": ["stem", "b"], "latency_s": [0.5, 0.75, 1.0]},
            },
            "users": [
                {
                    "id": user,
                    "model": model,
                    "input_bits": 2 * W_HZ * upload_s,
                    "spectral_efficiency": 0.0 if user in no_link else 2.0,
                    "release_s": release_s,
                    "deadline_s": deadline_s,
                }
                for user, model, upload_s, release_s in users
            ],
        }
    )


def make_schedule(
    problem: Problem,
    rounds: Sequence[RoundPlan],
    times_s: Sequence[tuple[float, float]],
    uplink: Uplink,
    bands: Mapping[str, Sequence[tuple[float, float, float]]],
) -> Schedule:
    """Write down a schedule worked out by hand and let the judge accept it.

    ``times_s`` holds load and compute starts, ``bands`` (start, end, Hz) by user.
    """
    entries = []
    resident: set[str] = set()
    for (model, users), (load_start_s, compute_start_s) in zip(
        rounds, times_s, strict=True
    ):
        blocks = problem.models[model].blocks
        loaded = [block for block in blocks if block not in resident]
        compute_s = problem.models[model].latency_s[len(users) - 1]
        entries.append(
            {
                "model": model,
                "users": users,
                "loaded_blocks": loaded,
                "loaded_bytes": sum(problem.blocks[b].bytes for b in loaded),
                "load_start_s": load_start_s,
                "load_s": sum(problem.blocks[b].load_s for b in loaded),
                "compute_start_s": compute_start_s,
                "compute_s": compute_s,
                "end_s": compute_start_s + compute_s,
            }
        )
        resident = set(blocks)
    served = sum(len(users) for _, users in rounds)
    schedule = Schedule.model_validate(
        {
            "instance": problem.name,
            "solver": "hand",
            "uplink": uplink,
            "status": "optimal",
            "served": served,
            "bound": served,
            "gap": 0.0,
            "rounds": entries,
            "bandwidth": [
                {
                    "user": user,
                    "segments": [
                        {"start_s": start_s, "end_s": end_s, "hz": hz}
                        for start_s, end_s, hz in segments
                    ],
                }
                for user, segments in bands.items()
            ],
        }
    )
    verify(problem, schedule)
    return schedule


TWO_ROUNDS: list[RoundPlan] = [("A", ("u0",)), ("B", ("u1", "u2"))]
THREE_USERS = [("u0", "A", 1.0, 0.0), ("u1", "B", 0.5, 0.0), ("u2", "B", 0.5, 0.0)]


def dynamic_plan() -> tuple[Problem, Schedule]:
    """Time two rounds by hand; u2 has its upload behind u1's."""
    problem = make_problem(THREE_USERS)
    schedule = make_schedule(
        problem,
        TWO_ROUNDS,
        [(0.0, 1.0), (1.25, 2.0)],
        "dynamic",
        {"u0": [(0, 1, W_HZ)], "u1": [(1, 1.5, W_HZ)], "u2": [(1.5, 2, W_HZ)]},
    )
    return problem, schedule


def upfront_plan() -> tuple[Problem, Schedule]:
    """Time the same rounds; all uploads end at 2, then the GPU never waits."""
    problem = make_problem(THREE_USERS)
    schedule = make_schedule(
        problem,
        TWO_ROUNDS,
        [(2.0, 2.625), (2.875, 3.125)],
        "upfront",
        {
            "u0": [(0, 2, W_HZ / 2)],
            "u1": [(0, 2, W_HZ / 4)],
            "u2": [(0, 2, W_HZ / 4)],
        },
    )
    return problem, schedule


def static_plan() -> tuple[Problem, Schedule]:
    """Time the same rounds; each user holds one band until its batch is computed."""
    problem = make_problem(THREE_USERS)
    schedule = make_schedule(
        problem,
        TWO_ROUNDS,
        [(0.0, 2.0), (2.25, 4.0)],
        "static",
        {
            "u0": [(0, 2, W_HZ / 2)],
            "u1": [(0, 4, W_HZ / 8)],
            "u2": [(0, 4, W_HZ / 8)],
        },
    )
    return problem, schedule


def assert_lands(problem: Problem, schedule: Schedule, run: Records) -> None:
    """Check every time of a run against the plan."""
    near = {"abs": 1e-9, "rel": 0}
    assert len(run.rounds) == len(schedule.rounds)
    for record, planned in zip(run.rounds, schedule.rounds, strict=True):
        assert record.users == planned.users
        assert record.loaded_bytes == planned.loaded_bytes
        assert record.load_start_s == pytest.approx(planned.load_start_s, **near)
        assert record.load_s == pytest.approx(planned.load_s, **near)
        assert record.compute_start_s == pytest.approx(planned.compute_start_s, **near)
        assert record.compute_s == pytest.approx(planned.compute_s, **near)
        assert record.end_s == pytest.approx(planned.end_s, **near)
    bands = {entry.user: entry.segments for entry in schedule.bandwidth}
    assert [request.id for request in run.requests] == [u.id for u in problem.users]
    for request in run.requests:
        if request.id not in bands:
            assert (request.outcome, request.end_s) == ("dropped", None)
            continue
        planned_s = (bands[request.id][0].start_s, bands[request.id][-1].end_s)
        actual_s = (request.upload_start_s, request.upload_end_s)
        assert actual_s == pytest.approx(planned_s, **near)
        assert request.outcome == "in time"
        assert request.end_s == pytest.approx(request.planned_end_s, **near)


@pytest.mark.parametrize("plan", [dynamic_plan, upfront_plan, static_plan])
def test_a_nominal_run_lands_on_a_plan_made_by_hand(plan: Plan) -> None:
    """Every load, batch and upload is where pencil and paper put it."""
    problem, schedule = plan()
    assert_lands(problem, schedule, run_plan(problem, schedule))


def random_problem(seed: int, releases: bool) -> Problem:
    """Make a small library with sharing and up to 14 users, some without a link."""
    rng = random.Random(seed)
    frozen = {f"m{m}": rng.randint(0, 3) for m in range(rng.randint(1, 4))}
    models = {
        name: {
            "blocks": [f"base{d}" if d < depth else f"{name}{d}" for d in range(3)],
            "latency_s": [0.01 * (b + 1) ** 0.7 for b in range(rng.randint(1, 5))],
        }
        for name, depth in frozen.items()
    }
    return Problem.model_validate(
        {
            "name": "random",
            "bandwidth_hz": 1e7,
            "resident_model": rng.choice([None, *models]),
            "blocks": {
                block: {"bytes": rng.randint(1, 99), "load_s": rng.uniform(0, 0.03)}
                for model in models.values()
                for block in model["blocks"]
            },
            "models": models,
            "users": [
                {
                    "id": f"u{k}",
                    "model": rng.choice(list(models)),
                    "input_bits": rng.uniform(1e5, 2e6),
                    "spectral_efficiency": rng.choice([0.0, *[rng.uniform(1, 6)] * 6]),
                    "release_s": rng.choice([0.0, rng.uniform(0, 0.3)])
                    if releases
                    else 0.0,
                    "deadline_s": rng.uniform(0.31, 0.8) if releases else 0.4,
                }
                for k in range(rng.randint(0, 14))
            ],
        }
    )


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    uplink=st.sampled_from(UPLINKS),
    solver=st.sampled_from(["greedy", "greedy-noshare", "fcfs", "random"]),
    releases=st.booleans(),
)
def test_a_nominal_run_lands_on_a_solved_plan(
    seed: int, uplink: Uplink, solver: str, releases: bool
) -> None:
    """The executor and the solvers' timing, written apart, agree to 1e-9 s."""
    problem = random_problem(seed, releases and uplink == "dynamic")
    schedule = solve(problem, solver, uplink=uplink).schedule
    assert_lands(problem, schedule, run_plan(problem, schedule))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    uplink=st.sampled_from(UPLINKS),
    sharing=st.booleans(),
)
def test_a_nominal_run_lands_on_a_plan_with_cache_and_overlap(
    seed: int, uplink: Uplink, sharing: bool
) -> None:
    """Loads beside batches and blocks found in a cache, to 1e-9 s as well."""
    problem, schedule = extended_plan(seed, uplink, sharing)
    assert_lands(problem, schedule, run_plan(problem, schedule))


def extended_plan(seed: int, uplink: Uplink, sharing: bool) -> tuple[Problem, Schedule]:
    """Time random rounds of a problem with a cache, overlap, both or neither."""
    drawn, rounds = seeded_plan(seed)
    tables = Tables(drawn.problem, sharing=sharing)
    schedule = timing.make_schedule(tables, rounds, uplink, solver="any", bound=None)
    assert schedule is not None
    verify(tables.problem, schedule, sharing=sharing)
    return tables.problem, schedule


def test_an_earlier_round_preempts_the_uplink() -> None:
    """u1 of round 2 uploads first, gives way to u0 of round 1, and then goes on."""
    problem = make_problem([("u0", "A", 0.5, 0.25), ("u1", "B", 1.0, 0.0)])
    schedule = make_schedule(
        problem,
        [("A", ("u0",)), ("B", ("u1",))],
        [(0.0, 0.75), (1.0, 1.5)],
        "dynamic",
        {"u0": [(0.25, 0.75, W_HZ)], "u1": [(0, 0.25, W_HZ), (0.75, 1.5, W_HZ)]},
    )
    run = run_plan(problem, schedule)
    assert_lands(problem, schedule, run)
    assert [(u.user, u.start_s, u.end_s, u.hz) for u in run.uploads] == [
        ("u1", 0, 0.25, W_HZ),
        ("u0", 0.25, 0.75, W_HZ),
        ("u1", 0.75, 1.5, W_HZ),
    ]


def test_inside_a_round_uploads_go_by_release_then_by_place() -> None:
    """Of three users of one batch the first released has the band to its end."""
    problem = make_problem(
        [("u0", "A", 0.5, 0.25), ("u1", "A", 0.5, 0.0), ("u2", "A", 0.5, 0.25)]
    )
    schedule = make_schedule(
        problem,
        [("A", ("u2", "u0", "u1"))],
        [(0.0, 1.5)],
        "dynamic",
        {"u2": [(0.5, 1, W_HZ)], "u0": [(1, 1.5, W_HZ)], "u1": [(0, 0.5, W_HZ)]},
    )
    run = run_plan(problem, schedule)
    assert [upload.user for upload in run.uploads] == ["u1", "u2", "u0"]


def noisy(problem: Problem, **changes: object) -> Realisation:
    """Change a few things of the nominal realisation."""
    return dataclasses.replace(nominal(problem), **changes)


def test_a_slow_load_moves_everything_behind_it() -> None:
    """Twice the load time of round 1: it starts at 1.25 s, not 1, and so on."""
    problem, schedule = dynamic_plan()
    noise = noisy(problem, load_factor=np.array([2.0, 1.0, 1.0]))
    first, second = run_plan(problem, schedule, noise).rounds
    assert (first.load_s, first.compute_start_s, first.end_s) == (1.25, 1.25, 1.5)
    assert (second.load_start_s, second.compute_start_s) == (1.5, 2.0)
    assert (second.planned_load_start_s, second.planned_compute_start_s) == (1.25, 2.0)
    assert first.wait_s == 0
    assert second.wait_s == 0.25


def test_a_slow_batch_makes_its_users_late() -> None:
    """Deadline 3 s; round 2 takes 2 instead of 1 factor, so its users end at 3.5."""
    problem, schedule = dynamic_plan()
    users = [u.model_copy(update={"deadline_s": 3.0}) for u in problem.users]
    problem = problem.model_copy(update={"users": tuple(users)})
    noise = noisy(problem, compute_factor=np.array([1.0, 2.0, 1.0]))
    run = run_plan(problem, schedule, noise)
    assert [r.outcome for r in run.requests] == ["in time", "late", "late"]
    assert [r.end_s for r in run.requests] == [1.25, 3.5, 3.5]
    assert [r.planned_end_s for r in run.requests] == [1.25, 2.75, 2.75]
    assert [r.reason for r in run.requests] == [None, None, None]


@pytest.mark.parametrize(("excess_s", "outcome"), [(5e-10, "in time"), (5e-9, "late")])
def test_the_deadline_has_the_tolerance_of_the_judge(
    excess_s: float, outcome: str
) -> None:
    """1e-9 s after the deadline is in time, more is late."""
    problem, schedule = dynamic_plan()
    users = [u.model_copy(update={"deadline_s": 2.75}) for u in problem.users]
    problem = problem.model_copy(update={"users": tuple(users)})
    noise = noisy(problem, compute_factor=np.array([1, 1 + excess_s / 0.75, 1]))
    run = run_plan(problem, schedule, noise)
    assert [r.outcome for r in run.requests] == ["in time", outcome, outcome]


def overlapped_plan() -> tuple[Problem, Schedule]:
    """Time A, B, A with overlap: B's block is loaded beside A's batch, all fit."""
    users = [("u0", "A", 0.5, 0.0), ("u1", "B", 0.125, 0.0), ("u2", "A", 0.125, 0.0)]
    problem = make_problem(users).model_copy(update={"overlap": True})
    rounds = [PlannedRound(0, (0,)), PlannedRound(1, (1,)), PlannedRound(0, (2,))]
    tables = Tables(problem)
    schedule = timing.make_schedule(tables, rounds, "dynamic", solver="any", bound=None)
    assert schedule is not None
    loads = [(r.load_start_s, r.load_s) for r in schedule.rounds]
    # The third load waits for the first round's end, not for the second's.
    assert loads == [(0.0, 0.625), (0.625, 0.25), (0.875, 0.125)]
    assert [r.compute_start_s for r in schedule.rounds] == [0.625, 0.875, 1.375]
    return problem, schedule


def test_a_load_beside_a_slow_batch_waits_for_the_round_two_before() -> None:
    """The first batch takes 1 s, not 0.25: load 2 stays, load 3 waits for 1.625 s."""
    problem, schedule = overlapped_plan()
    noise = noisy(problem, compute_factor=np.array([4.0, 1.0, 1.0]))
    run = run_plan(problem, schedule, noise)
    assert [r.load_start_s for r in run.rounds] == [0.0, 0.625, 1.625]
    assert [r.compute_start_s for r in run.rounds] == [0.625, 1.625, 2.125]
    assert [r.before_end_s for r in run.rounds] == [0.0, 1.625, 2.125]
    assert [r.wait_s for r in run.rounds] == [0.0, 0.0, 0.0]


def test_a_slow_load_delays_the_load_behind_it() -> None:
    """B's load takes four times as long: its batch and the next load follow it."""
    problem, schedule = overlapped_plan()
    noise = noisy(problem, load_factor=np.array([1.0, 4.0, 1.0]))
    run = run_plan(problem, schedule, noise)
    assert [r.load_start_s for r in run.rounds] == [0.0, 0.625, 1.625]
    assert [r.compute_start_s for r in run.rounds] == [0.625, 1.625, 2.125]


def channel(*efficiencies: float, coherence_s: float) -> Channel:
    """Make a channel of given blocks; the last one lasts for ever."""
    return Channel(
        lambda block: efficiencies[min(block, len(efficiencies) - 1)], coherence_s
    )


def test_fading_delays_an_upload_and_all_behind_it() -> None:
    """u0 has a dead block from 0.5 to 1 s: its upload ends at 1.5, u2's at 2.5."""
    problem, schedule = dynamic_plan()
    channels = list(nominal(problem).channels)
    channels[0] = channel(2, 0, 2, coherence_s=0.5)
    run = run_plan(problem, schedule, noisy(problem, channels=channels))
    assert [r.upload_end_s for r in run.requests] == [1.5, 2.0, 2.5]
    assert [r.compute_start_s for r in run.rounds] == [1.5, 2.5]
    assert [r.load_start_s for r in run.rounds] == [0.0, 1.75]


def test_fading_leaves_other_static_bands_alone() -> None:
    """A fixed band that fades delays its own user only; u1 and u2 arrive as planned."""
    problem, schedule = static_plan()
    channels = list(nominal(problem).channels)
    channels[0] = channel(2, 1, coherence_s=1.0)
    run = run_plan(problem, schedule, noisy(problem, channels=channels))
    assert [r.upload_end_s for r in run.requests] == [3.0, 4.0, 4.0]
    assert [r.compute_start_s for r in run.rounds] == [3.0, 4.0]


def test_an_upload_that_never_ends_is_dropped_and_its_round_goes_on() -> None:
    """The batch shrinks to the input that is there and takes the smaller batch's time.

    The horizon is at 100 s, ten times the deadline.
    """
    problem, schedule = static_plan()
    channels = list(nominal(problem).channels)
    channels[1] = channel(2, 0, coherence_s=0.5)
    run = run_plan(problem, schedule, noisy(problem, channels=channels))
    first, second = run.rounds
    assert first.end_s == 2.25
    assert second.compute_start_s == 100.0
    assert (second.users, second.planned_users) == (("u2",), ("u1", "u2"))
    assert second.compute_s == 0.5
    outcomes = [(r.outcome, r.reason, r.upload_end_s) for r in run.requests]
    assert outcomes == [
        ("in time", None, 2.0),
        ("dropped", "upload never ended", None),
        ("late", None, 4.0),
    ]


@pytest.mark.parametrize("plan", [dynamic_plan, upfront_plan, static_plan])
def test_dead_channels_do_not_hang_a_run(plan: Plan) -> None:
    """With no channel at all every round is passed through and computes nothing."""
    problem, schedule = plan()
    channels = [Channel.constant(0.0)] * 3
    run = run_plan(problem, schedule, noisy(problem, channels=channels))
    assert [r.outcome for r in run.requests] == ["dropped"] * 3
    assert [r.reason for r in run.requests] == ["upload never ended"] * 3
    assert [r.users for r in run.rounds] == [(), ()]
    assert [r.compute_s for r in run.rounds] == [0.0, 0.0]
    assert run.rounds[-1].end_s >= 100.0


def test_users_outside_the_plan_are_dropped_with_the_reason() -> None:
    """Without a link it says so; with one, nobody scheduled the user."""
    problem = make_problem(
        [("u0", "A", 1.0, 0.0), ("u1", "B", 0.5, 0.0), ("u2", "B", 0.5, 0.0)],
        no_link=["u2"],
    )
    schedule = make_schedule(
        problem, [("A", ("u0",))], [(0.0, 1.0)], "dynamic", {"u0": [(0, 1, W_HZ)]}
    )
    run = run_plan(problem, schedule)
    told = [(r.outcome, r.reason, r.round, r.latency_s) for r in run.requests]
    assert told == [
        ("in time", None, 0, 1.25),
        ("dropped", "not scheduled", None, None),
        ("dropped", "no link", None, None),
    ]


def test_latency_counts_from_the_release() -> None:
    """A request released at 0.25 s and ended at 1 s took 0.75 s."""
    problem = make_problem([("u0", "A", 0.5, 0.25)])
    schedule = make_schedule(
        problem, [("A", ("u0",))], [(0.0, 0.75)], "dynamic", {"u0": [(0.25, 0.75, 1e6)]}
    )
    (request,) = run_plan(problem, schedule).requests
    assert (request.end_s, request.latency_s) == (1.0, 0.75)


@pytest.mark.parametrize("uplink", UPLINKS)
def test_nobody_to_serve_is_a_valid_run(uplink: Uplink) -> None:
    """No users, no rounds, no records, no wait."""
    problem = make_problem([])
    run = run_plan(problem, make_schedule(problem, [], [], uplink, {}))
    assert run == Records((), (), ())


def test_a_run_says_what_was_loaded_and_reused() -> None:
    """Round 2 finds the stem of 80 bytes in memory and loads 20."""
    problem, schedule = dynamic_plan()
    first, second = run_plan(problem, schedule).rounds
    assert (first.loaded_blocks, first.loaded_bytes) == (("stem", "a"), 100)
    assert (second.loaded_blocks, second.loaded_bytes) == (("b",), 20)
    assert (first.reused_bytes, second.reused_bytes) == (0, 80)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    uplink=st.sampled_from(UPLINKS),
    factors=st.lists(st.floats(0.2, 5), min_size=14, max_size=14),
    efficiencies=st.lists(st.floats(0, 6), min_size=1, max_size=20),
)
def test_whatever_happens_the_rules_hold(
    seed: int, uplink: Uplink, factors: list[float], efficiencies: list[float]
) -> None:
    """Under any noise: one outcome each, order kept, no overlap, band never exceeded.

    And the same inputs give the same run.
    """
    problem = random_problem(seed, releases=uplink == "dynamic")
    schedule = solve(problem, "greedy", uplink=uplink).schedule
    noise = noisy(
        problem,
        load_factor=np.array(factors),
        compute_factor=np.array(factors[::-1]),
        channels=[channel(*efficiencies, coherence_s=0.03)] * len(problem.users),
    )
    run = run_plan(problem, schedule, noise)
    assert run_plan(problem, schedule, noise) == run
    assert [r.model for r in run.rounds] == [r.model for r in schedule.rounds]
    free_s = 0.0
    for record in run.rounds:
        assert record.load_start_s >= free_s
        assert record.compute_start_s >= record.load_end_s - 1e-12
        for user in record.users:
            request = next(r for r in run.requests if r.id == user)
            assert request.upload_end_s is not None
            assert request.upload_end_s <= record.compute_start_s + 1e-12
            assert request.end_s == record.end_s
        free_s = record.end_s
    computed = [user for record in run.rounds for user in record.users]
    ended = [r.id for r in run.requests if r.outcome != "dropped"]
    assert sorted(computed) == sorted(ended)
    assert all((r.reason is None) == (r.outcome != "dropped") for r in run.requests)
    for upload in run.uploads:
        at_once = sum(
            u.hz for u in run.uploads if u.start_s <= upload.start_s < u.end_s
        )
        assert at_once <= problem.bandwidth_hz * (1 + 1e-9)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    uplink=st.sampled_from(UPLINKS),
    factors=st.lists(st.floats(0.2, 5), min_size=20, max_size=20),
)
def test_with_overlap_the_rules_of_memory_hold_under_noise(
    seed: int, uplink: Uplink, factors: list[float]
) -> None:
    """Loads and batches keep their order; at most two rounds are in memory at once.

    A load runs beside the batch before only where the plan, judged by the same rule
    of memory, says that it may.
    """
    problem, schedule = extended_plan(seed, uplink, sharing=True)
    noise = noisy(
        problem,
        load_factor=np.array(factors),
        compute_factor=np.array(factors[::-1]),
    )
    run = run_plan(problem, schedule, noise)
    assert [r.loaded_blocks for r in run.rounds] == [
        r.loaded_blocks for r in schedule.rounds
    ]
    may = [step.ahead for step in residency.steps(*planned(problem, schedule))]
    before_end_s = two_before_end_s = loaded_s = 0.0
    for record, ahead in zip(run.rounds, may, strict=True):
        assert record.load_start_s >= (two_before_end_s if ahead else before_end_s)
        assert record.load_start_s >= loaded_s
        assert record.compute_start_s >= max(record.load_end_s, before_end_s) - 1e-12
        assert record.before_end_s == before_end_s
        two_before_end_s, before_end_s = before_end_s, record.end_s
        loaded_s = record.load_end_s - 1e-12


def planned(problem: Problem, schedule: Schedule) -> tuple[Tables, list[PlannedRound]]:
    """Turn the rounds of a schedule into numbers."""
    tables = Tables(problem)
    return tables, [
        PlannedRound(
            tables.model_names.index(r.model),
            tuple(tables.user_ids.index(user) for user in r.users),
        )
        for r in schedule.rounds
    ]
