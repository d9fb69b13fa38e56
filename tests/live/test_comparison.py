"""A live run beside its simulations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgesim.engine.policies.greedy import Greedy
from edgesim.engine.policies.in_order import Fcfs
from edgesim.engine.records import IN_TIME, Run
from edgesim.engine.server import simulate
from edgesim.engine.settings import Settings
from edgesim.live.comparison import (
    Measured,
    TimeSplit,
    compare,
    signed_errors,
    total_ratio,
)
from solvers.core.tables import Tables
from tests.engine.handmade import seeded_tables
from tests.engine.test_clock import _stream

SEED = 4


def _tables() -> Tables:
    return seeded_tables(SEED, overlap=False, residency="previous")


def _measured(run: Run, wall_s: float = 100.0, *, ended: bool = False) -> Measured:
    split = TimeSplit(wall_s, 1.0, 2.0, 0.5, 96.0, 0.25)
    return Measured(
        "fcfs", run, _tables(), 80, split, [0.1], 0.5, [0.0], [0.0], ended=ended
    )


def _run(load: float = 1.0, compute: float = 1.0, policy: type = Fcfs) -> Run:
    settings = Settings(
        late="serve",
        load_factor=iter([load] * 1000),
        compute_factor=iter([compute] * 1000),
    )
    return simulate(_tables(), _stream(SEED, 80), policy(), settings)


def test_a_run_that_is_its_simulation_differs_in_nothing() -> None:
    """Shares, latencies, rounds and times."""
    run = _run()
    found = compare(_measured(run), run, 0.0, {"again": run})
    assert found.live == found.closed == found.others["again"]
    assert found.live.requests == 80
    assert found.live.on_time == (run.requests.outcome == IN_TIME).mean()
    assert found.open.on_time == found.live.on_time
    assert found.open.latency_s == pytest.approx(found.live.latency_s)
    assert found.same_rounds == 1.0
    assert found.left_over == 0
    for pairs in (found.loads, found.batches):
        assert len(pairs) > 10
        assert np.allclose(pairs[:, 0], pairs[:, 1], rtol=1e-9)
        assert (pairs[:, 2] > 0).all()


def test_open_differs_by_the_errors_of_times_alone() -> None:
    """Loads 30 % and batches 10 % longer, told apart and with their sign."""
    found = compare(_measured(_run(1.3, 1.1)), _run(), 0.0)
    assert total_ratio(found.loads) == pytest.approx(0.3)
    assert total_ratio(found.batches) == pytest.approx(0.1)
    errors = signed_errors(found.batches)
    assert errors is not None
    assert errors.mean > 0
    assert found.open.on_time is not None
    assert found.live.on_time is not None
    assert found.open.on_time >= found.live.on_time


def test_pairs_leave_out_what_the_profile_adds_for_dispatch() -> None:
    """A batch as the device measures it has none of it."""
    found = compare(_measured(_run()), _run(), 0.0, overhead_s=0.001)
    assert np.allclose(found.batches[:, 1] - found.batches[:, 0], 0.001)
    assert np.allclose(found.loads[:, 1], found.loads[:, 0])


def test_deliveries_are_those_of_the_simulation_where_late_requests_are_served() -> (
    None
):
    """Uploads depend on the device only by requests that are dropped."""
    assert compare(_measured(_run(1.3)), _run(), 0.0).other_deliveries == 0
    run = _run()
    run.requests.upload_end_s[3] += 0.5
    assert compare(_measured(run), _run(), 0.0).other_deliveries == 1


def test_rounds_are_the_same_until_the_first_that_differs() -> None:
    """Another policy chooses differently after a while, or at once."""
    found = compare(_measured(_run(policy=Greedy)), _run(), 0.0)
    assert found.same_rounds is not None
    assert 0 <= found.first_difference < found.live_rounds
    assert found.same_rounds == found.first_difference / found.live_rounds


def test_a_run_that_was_ended_is_compared_by_what_had_arrived() -> None:
    """And requests of the warm-up are left out of all."""
    run = _run()
    arrival_s = run.requests.arrival_s
    until_s = float(arrival_s[50])
    found = compare(_measured(run, until_s, ended=True), run, float(arrival_s[10]))
    assert found.live.requests == int(
        ((arrival_s >= arrival_s[10]) & (arrival_s <= until_s)).sum()
    )
    empty = compare(_measured(run), run, 1e9)
    assert empty.live.on_time is None


def test_the_parts_of_the_wall_time_make_it() -> None:
    """Handling is what is left."""
    split = _measured(_run()).split
    assert split.handling_s == pytest.approx(0.25)
    assert replace(split, idle_s=96.25).handling_s == pytest.approx(0.0)
