"""Faults: nothing is lost, nothing counted twice, nothing hangs."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from edgesim.engine.faults import Faults, Outage, Span
from edgesim.engine.records import NEVER_FITS, Run
from edgesim.engine.request import Arrival
from edgesim.engine.server import simulate
from edgesim.engine.settings import Settings
from edgesim.experiment.policies import make_policy
from edgesim.measures.account import Account
from edgesim.measures.measure import measure_span
from edgesim.names import UplinkRule
from solvers.core.tables import Tables
from tests.engine.invariants import RandomPolicy, check_run, reason_of
from tests.engine.test_server import A, B, First, crowded, make_tables

POLICIES = ("fcfs", "edf", "clockwork", "greedy", "rolling", "random")
RULES: tuple[UplinkRule, ...] = ("fifo", "edf", "equal-share")


def test_a_stall_stops_what_runs_and_what_would_start() -> None:
    """Work of 2 s from 1 s on, stalls at 2-3 s and 3.5-4 s: it takes 3.5 s."""
    faults = Faults(stalls=(Span(2.0, 3.0), Span(3.5, 4.0), Span(9.0, 10.0)))
    assert faults.gpu_s(1.0, 2.0) == 3.5
    assert faults.gpu_s(0.0, 2.0) == 2.0
    assert faults.gpu_s(2.5, 0.5) == 1.0
    assert faults.gpu_s(9.75, 1.0) == 1.25
    assert faults.gpu_s(10.0, 1.0) == 1.0


def test_a_load_is_slow_if_it_starts_within_the_span() -> None:
    """From the start of a span until just before its end."""
    faults = Faults(slow_loads=(Span(1.0, 2.0, 10.0), Span(5.0, 6.0, 3.0)))
    times_s = (0.5, 1.0, 1.5, 2.0, 5.5, 7.0)
    assert [faults.load_factor(s) for s in times_s] == [1, 10, 10, 1, 3, 1]


def test_a_stalled_gpu_by_hand() -> None:
    """A stall from 0.5 to 1.5 s falls into the load: everything is 1 s later."""
    arrivals = [Arrival(0.0, 0, A, 0.25, 9.0), Arrival(0.0, 1, B, 0.25, 9.0)]
    stalled = Faults(stalls=(Span(0.5, 1.5),))
    usual = simulate(make_tables(), arrivals, First(), Settings())
    run = simulate(make_tables(), arrivals, First(), Settings(faults=stalled))
    assert usual.rounds.load_s.tolist() == [0.625, 0.25]
    assert run.rounds.load_s.tolist() == [1.625, 0.25]
    assert np.all(run.rounds.end_s == usual.rounds.end_s + 1.0)


def test_a_stalled_gpu_is_idle() -> None:
    """A loads from 0.25 s and computes from 1 to 1.5 s; stalls in both are idle."""
    stalls = (Span(0.5, 0.625), Span(1.125, 1.375), Span(1.75, 1.875))
    arrivals = [Arrival(0.0, 0, A, 0.25, 9.0)]
    settings = Settings(faults=Faults(stalls=stalls))
    run = simulate(make_tables(), arrivals, First(), settings)
    assert run.rounds.compute_start_s.tolist() == [1.0]
    assert run.rounds.end_s.tolist() == [1.5]
    found = measure_span(Account(run, make_tables()), 0.0, 2.0)
    assert (found.load_s, found.compute_s) == (0.625, 0.25)
    assert (found.wait_s, found.idle_s) == (0.0, 1.125)
    part = measure_span(Account(run, make_tables()), 1.0, 1.25)
    assert (part.compute_s, part.idle_s) == (0.125, 0.125)


def test_a_stall_beside_two_rounds() -> None:
    """B loads from 1 s while A computes; both stand still from 1.0625 to 1.1875 s."""
    arrivals = [Arrival(0.0, 0, A, 0.375, 9.0), Arrival(0.0, 1, B, 0.125, 9.0)]
    stalled = Settings(faults=Faults(stalls=(Span(1.0625, 1.1875),)))
    tables = make_tables(overlap=True)
    parts = []
    for settings in (Settings(), stalled):
        run = simulate(tables, arrivals, First(), settings)
        found = measure_span(Account(run, tables), 0.0, 4.0)
        parts.append((found.load_s, found.compute_s, found.wait_s, found.idle_s))
    assert parts[0] == parts[1]  # the same work is done, 0.125 s later
    assert sum(parts[0]) == 4.0


def test_a_slow_load_by_hand() -> None:
    """Ten times 0.25 s for B's block, whose load starts within the span."""
    arrivals = [Arrival(0.0, 0, A, 0.25, 9.0), Arrival(0.0, 1, B, 0.25, 9.0)]
    slow = Faults(slow_loads=(Span(1.0, 2.0, 10.0),))
    run = simulate(make_tables(), arrivals, First(), Settings(faults=slow))
    assert run.rounds.load_s.tolist() == [0.625, 2.5]


def test_a_link_that_is_down_by_hand() -> None:
    """User 0 has sent 0.5 s of 1 s at 0.5 s; user 1 goes on alone, 0 after 2 s."""
    faults = Faults(outages=(Outage(0, 0.5, 2.0),))
    arrivals = [Arrival(0.0, 0, A, 1.0, 9.0), Arrival(0.25, 1, A, 1.0, 9.0)]
    run = simulate(make_tables(), arrivals, First(), Settings(faults=faults))
    assert run.requests.upload_end_s.tolist() == [2.5, 1.5]
    assert run.busy_s.tolist() == [[0.0, 1.5], [2.0, 2.5]]


def stream(rate: float, seconds: float, seed: int = 0) -> list[Arrival]:
    """Draw requests of six models and nine users at a Poisson rate."""
    rng = random.Random(seed)
    now_s, found = 0.0, []
    while (now_s := now_s + rng.expovariate(rate)) < seconds:
        demand_s, slo_s = rng.expovariate(10.0), rng.uniform(0.5, 4.0)
        model = rng.randrange(6)
        found.append(Arrival(now_s, rng.randrange(9), model, demand_s, slo_s))
    return found


def serve(
    name: str, tables: Tables, arrivals: list[Arrival], settings: Settings
) -> Run:
    """Run a policy and check all that holds of every run."""
    policy = RandomPolicy(7) if name == "random" else make_policy(name, {})
    run = simulate(tables, arrivals, policy, settings)
    check_run(tables, arrivals, settings, run)
    return run


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize(
    "faults",
    [
        Faults(stalls=(Span(10.0, 11.0), Span(30.0, 31.0))),
        Faults(slow_loads=(Span(10.0, 30.0, 10.0),)),
        Faults(outages=(Outage(3, 10.0, 20.0), Outage(3, 15.0, 25.0))),
        Faults(outages=tuple(Outage(user, 10.0, 20.0) for user in range(9))),
    ],
    ids=["gpu-stall", "slow-load", "link-down", "links-down"],
)
def test_no_request_is_lost_to_a_fault(
    name: str, overlap: bool, faults: Faults
) -> None:
    """Every policy and rule of the band, with drops and without."""
    arrivals = stream(6.0, 50.0)
    for uplink in RULES:
        for late in ("drop", "serve"):
            settings = Settings(uplink=uplink, late=late, faults=faults)  # type: ignore[arg-type]
            run = serve(name, crowded("cache", overlap), arrivals, settings)
            if name == "fcfs" and late == "serve":
                assert np.all(run.requests.round >= 0)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("uplink", RULES)
def test_a_burst_of_a_hundred_times_the_rate(name: str, uplink: UplinkRule) -> None:
    """Two seconds at 400 requests/s in between 4/s: all have one outcome, most drop."""
    burst = [r._replace(arrival_s=r.arrival_s + 10.0) for r in stream(400.0, 2.0, 1)]
    arrivals = sorted([*stream(4.0, 40.0), *burst])
    run = serve(name, crowded("previous", False), arrivals, Settings(uplink=uplink))
    dropped = np.count_nonzero(run.requests.round < 0)
    assert dropped > len(burst) / 2
    # The queue is gone again: whoever comes late is served as before the burst.
    calm = run.requests.arrival_s > 25.0
    if name in ("fcfs", "edf", "greedy", "rolling"):
        assert np.mean(run.requests.outcome[calm] == 0) > 0.5


@pytest.mark.parametrize("name", POLICIES)
def test_a_model_that_never_fits_is_turned_away_at_once(name: str) -> None:
    """B takes 130 of 120 bytes with one input: nobody waits for it, A is served."""
    problem = make_tables().problem.model_dump()
    problem["gpu_memory_bytes"] = 120
    problem["models"]["A"]["activation_bytes"] = (5, 10, 15)
    problem["models"]["B"]["activation_bytes"] = (30, 40)
    tables = Tables(type(make_tables().problem).model_validate(problem))
    arrivals = [Arrival(k / 2, k, (A, B)[k % 2], 0.1, 5.0) for k in range(20)]
    run = serve(name, tables, arrivals, Settings())
    never = [reason_of(run, k) == NEVER_FITS for k in range(20)]
    assert never == [k % 2 == 1 for k in range(20)]
    assert np.array_equal(run.requests.end_s[1::2], run.requests.arrival_s[1::2])


def test_a_link_that_never_comes_back_ends_the_run() -> None:
    """Uploads that never end are dropped with that reason, all others are served."""
    faults = Faults(outages=(Outage(3, 10.0, math.inf),))
    arrivals = stream(5.0, 30.0)
    settings = Settings(faults=faults, late="serve")
    run = serve("fcfs", crowded("previous", False), arrivals, settings)
    gone = [k for k in range(len(arrivals)) if reason_of(run, k) is not None]
    assert gone
    assert {reason_of(run, k) for k in gone} == {"upload never ended"}
    assert {int(run.requests.user[k]) for k in gone} == {3}
