"""Timings worked out by hand: at deadlines, at a full band, and where there is none."""

from __future__ import annotations

import pytest

from solvers import UPLINKS, Problem, verify
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import (
    make_schedule,
    rank,
    time_rounds,
)
from tests.solvers.core.rounds import ONE, tiny


def test_static_has_slack_when_spectrum_is_ample():
    """The one round moves from 0.9 to 0.1 s, where it holds all the band."""
    timing = time_rounds(tiny(), ONE, "static")
    assert timing.compute_start_s == pytest.approx([0.1])
    assert timing.slack_s == pytest.approx(0.8)


def test_static_moves_no_further_than_the_load():
    """With a load of 0.5 s it moves to 0.5 s and holds a fifth of the band."""
    timing = time_rounds(tiny(load_s=0.5), ONE, "static")
    assert timing.compute_start_s == pytest.approx([0.5])
    assert timing.slack_s == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("deadline_s", "fits"), [(0.2, True), (0.2 - 2e-9, False), (0.1, False)]
)
@pytest.mark.parametrize("uplink", UPLINKS)
def test_deadline_exactly_met(uplink, deadline_s, fits):
    """Upload 0.1 s and compute 0.1 s just fit 0.2 s, under every discipline."""
    timing = time_rounds(tiny(deadline_s=deadline_s), ONE, uplink)
    assert (timing is not None) == fits


def test_static_with_no_time_to_spare():
    """A load and a batch that fill the time until the deadline, exactly."""
    tables = tiny(load_s=0.5, latency_s=0.5)
    assert time_rounds(tables, ONE, "static").compute_start_s.tolist() == [0.5]


@pytest.mark.parametrize("uplink", ["dynamic", "upfront"])
def test_deadline_met_by_the_tolerance_exactly(uplink):
    """What ends at the deadline plus the tolerance, by floats too, is in time."""
    deadline_s = 0.2 - 1e-9
    assert deadline_s + 1e-9 == 0.2
    assert time_rounds(tiny(deadline_s=deadline_s), ONE, uplink) is not None
    tables = tiny(deadline_s=deadline_s - 1e-15)
    assert time_rounds(tables, ONE, uplink) is None


def test_static_takes_the_tolerance_on_the_band():
    """A band exceeded by all of the tolerance is held until the latest start."""
    wide = tiny(latency_s=1.0, deadline_s=2.0, input_bits=1 + 1e-9)
    assert time_rounds(wide, ONE, "static").compute_start_s.tolist() == [1.0]
    # A hair more, and the tolerance on times is used too.
    wide = tiny(latency_s=1.0, deadline_s=2.0, input_bits=1 + 1.5e-9)
    assert time_rounds(wide, ONE, "static").compute_start_s[0] > 1.0
    wide = tiny(latency_s=1.0, deadline_s=2.0, input_bits=1 + 3e-9)
    assert time_rounds(wide, ONE, "static") is None


def test_static_moves_until_the_band_is_full():
    """From 2 s to 1 s, the end of the load, where the band is full exactly."""
    tables = tiny(latency_s=1.0, load_s=1.0, deadline_s=3.0, input_bits=1.0)
    assert time_rounds(tables, ONE, "static").slack_s == 1.0


def test_static_cannot_start_at_time_zero():
    """No load and a deadline equal to the latency: nothing can be sent before 0."""
    assert time_rounds(tiny(latency_s=1.0), ONE, "static") is None


@pytest.mark.parametrize("uplink", UPLINKS)
def test_no_rounds_are_feasible(uplink):
    """The empty plan has a schedule that serves nobody and verifies."""
    tables = tiny()
    schedule = make_schedule(tables, [], uplink, solver="test", bound=None)
    assert schedule.served == 0
    assert schedule.gap == 0
    verify(tables.problem, schedule)


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize(
    ("change", "rounds"),
    [
        ({}, [PlannedRound(0, (0, 0, 0))]),
        ({"spectral_efficiency": 0.0}, ONE),
        ({"deadline_s": 0.15}, ONE),
    ],
    ids=["batch beyond the table", "no link", "late"],
)
def test_infeasible_rounds_have_no_timing(change, rounds, uplink):
    """There is neither a timing nor a schedule, and such rounds rank last."""
    tables = tiny(**change)
    assert time_rounds(tables, rounds, uplink) is None
    assert make_schedule(tables, rounds, uplink, solver="test", bound=None) is None
    assert rank(tables, rounds, uplink) > rank(tables, [], uplink)


def test_batches_beyond_memory_have_no_timing():
    """A batch whose activations do not fit is as infeasible as a late one."""
    tables = tiny()
    problem = tables.problem.model_copy(update={"gpu_memory_bytes": 1})
    assert time_rounds(Tables(problem), ONE, "dynamic") is not None
    model = problem.models["m"].model_copy(update={"activation_bytes": (1, 1)})
    problem = problem.model_copy(update={"models": {"m": model}})
    assert time_rounds(Tables(problem), ONE, "dynamic") is None


def test_rank_prefers_served_then_end_then_demand_then_ids():
    """The tie rule, one step after the other."""
    bits = [{"input_bits": bits} for bits in (0.1, 0.1, 0.2, 0.2)]
    tables = tiny(*bits, load_s=1.0, deadline_s=9.0)
    best_first = [
        [PlannedRound(0, (0, 1))],
        [PlannedRound(0, (0, 2))],
        [PlannedRound(0, (0, 3))],
        # Served at the same end, but with a longer way there.
        [PlannedRound(0, (0,)), PlannedRound(0, (1,))],
        [PlannedRound(0, (0,))],
        [PlannedRound(0, (1,))],
        [],
    ]
    ranks = [rank(tables, rounds, "dynamic") for rounds in best_first]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)
    assert ranks[-1] == (0.0, 0.0, 0.0, ())


def test_static_leaves_time_for_a_long_load_beside_a_batch():
    """What loads beside the second batch takes so long that the first must be early.

    The last load takes from 4 to 9 s, beside a batch from 8 to 9 s, whose own load of
    1 s comes before it: memory does not hold it beside the first batch, which ends at
    3 s. The uploads leave no spectrum for anything earlier.
    """
    load_s = {"first": 1.0, "second": 1.0, "last": 5.0}
    start_s = {"first": 2.0, "second": 8.0, "last": 9.0}
    problem = {
        "name": "long load",
        "bandwidth_hz": 1.0,
        "overlap": True,
        "gpu_memory_bytes": 2,
        "blocks": {
            name: {"bytes": 2 if name == "first" else 1, "load_s": seconds}
            for name, seconds in load_s.items()
        },
        "models": {name: {"latency_s": [1.0], "blocks": [name]} for name in load_s},
        "users": [
            {
                "id": name,
                "model": name,
                "input_bits": seconds / 3,
                "spectral_efficiency": 1.0,
                "deadline_s": 10.0 if name == "last" else 20.0,
            }
            for name, seconds in start_s.items()
        ],
    }
    tables = Tables(Problem.model_validate(problem))
    rounds = [
        PlannedRound(tables.model_names.index(name), (k,))
        for k, name in enumerate(start_s)
    ]
    timing = time_rounds(tables, rounds, "static")
    assert timing.compute_start_s == pytest.approx(list(start_s.values()))
    assert timing.load_start_s[2] == pytest.approx(4.0)
