"""The one engine by another clock and with another device."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from edgesim.engine.clock import ClockEnvironment, Stopwatch
from edgesim.engine.policies.greedy import Greedy
from edgesim.engine.policies.in_order import Clockwork, Edf, Fcfs
from edgesim.engine.policies.rolling import Rolling
from edgesim.engine.policy import Policy
from edgesim.engine.request import Arrival
from edgesim.engine.server import Parts, serve_by_clock, simulate
from edgesim.engine.settings import Settings
from solvers.core.tables import Tables
from tests.engine.handmade import AnyPolicy, make_problem, seeded_tables
from tests.engine.nominal import NominalClock, NominalDevice, assert_same

POLICIES = {
    "fcfs": Fcfs,
    "edf": Edf,
    "clockwork": Clockwork,
    "greedy": Greedy,
    "rolling": Rolling,
}


def _stream(seed: int, requests: int) -> list[Arrival]:
    """Draw requests, some of whose times are multiples of 10 ms and tie."""
    rng = random.Random(seed)
    arrival_s = 0.0
    arrivals = []
    for _ in range(requests):
        arrival_s += rng.choice([0.0, 0.01, 0.05, rng.expovariate(8.0)])
        demand_s = rng.choice([0.0, 0.02, rng.expovariate(12.0), float("inf")])
        slo_s = rng.uniform(0.1, 2.0)
        arrivals.append(
            Arrival(arrival_s, rng.randrange(2), rng.randrange(5), demand_s, slo_s)
        )
    return arrivals


def _settings(seed: int) -> Settings:
    rng = random.Random(seed)
    return Settings(
        uplink=rng.choice(["fifo", "edf", "equal-share"]),  # type: ignore[arg-type]
        late=rng.choice(["drop", "serve"]),  # type: ignore[arg-type]
        queue_limit=rng.choice([None, 8]),
    )


def _check(
    tables: Tables, arrivals: Sequence[Arrival], policies: list[Policy], seed: int
) -> ClockEnvironment:
    simulated = simulate(tables, arrivals, policies[0], _settings(seed))
    clock = NominalClock()
    env = ClockEnvironment(clock)
    parts = Parts(device=lambda _: NominalDevice(env, clock), stopwatch=Stopwatch(env))
    live = serve_by_clock(env, tables, arrivals, policies[1], _settings(seed), parts)
    assert_same(live, simulated)
    assert parts.stopwatch is not None
    assert parts.stopwatch.total_s == 0.0
    assert set(env.lateness_s) <= {0.0}
    return env


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("seed", range(6))
def test_nominal_live_equals_simulated(name: str, seed: int) -> None:
    """Ends come from a device, moments from a clock: the same records, to the bit."""
    make = POLICIES[name]
    tables = seeded_tables(seed)
    env = _check(tables, _stream(seed, 80), [make(), make()], seed)
    assert len(env.handover_s) > 10


@pytest.mark.parametrize("seed", range(20))
def test_nominal_live_equals_simulated_whatever_a_policy_does(seed: int) -> None:
    """Choices ahead of inputs, joins, overlap and short memories."""
    _check(
        seeded_tables(seed), _stream(seed, 60), [AnyPolicy(seed), AnyPolicy(seed)], seed
    )


def test_an_end_that_is_heard_of_late_does_not_turn_time_back() -> None:
    """The engine was past the device's stamp: the work ends now, not before."""
    clock = NominalClock()
    env = ClockEnvironment(clock)
    seen: list[float] = []

    class Behind(NominalDevice):
        """Stamps ends a second before they can be heard of."""

        def _begin(self, nominal_s: float):  # type: ignore[no-untyped-def]
            work = super()._begin(nominal_s)
            end_s, order, work, took_s = clock.ends.pop()
            clock.ends.append((end_s - 2 * nominal_s, order, work, took_s))
            work.callbacks.append(lambda _: seen.append(self.env.now))
            return work

    arrivals = [Arrival(1.0, 0, 0, 0.25, 10.0)]
    run = serve_by_clock(
        env,
        Tables(make_problem()),
        arrivals,
        Fcfs(),
        Settings(),
        Parts(device=lambda _: Behind(env, clock)),
    )
    assert seen == sorted(seen)
    assert run.rounds.end_s.tolist() == [1.25]
    assert run.rounds.compute_s.tolist() == [0.5]


def test_a_stopped_clock_leaves_every_request_with_an_outcome() -> None:
    """What is done is kept; what is in flight ends without a batch."""
    clock = NominalClock()
    env = ClockEnvironment(clock)

    class Stops(NominalDevice):
        """Stops the run while its second batch is computed."""

        batches = 0

        def compute(self, number: int, model: int, batch: int, nominal_s: float):  # type: ignore[no-untyped-def]
            self.batches += 1
            if self.batches == 2:
                clock.stopped = True
            return super().compute(number, model, batch, nominal_s)

    arrivals = [Arrival(n / 2, 0, n % 2, 0.75, 100.0) for n in range(5)]
    run = serve_by_clock(
        env,
        Tables(make_problem()),
        arrivals,
        Fcfs(),
        Settings(),
        Parts(device=lambda _: Stops(env, clock)),
    )
    outcomes = run.requests.outcome.tolist()
    assert outcomes[0] == 0
    assert 1 < len(outcomes) < 5
    assert run.rounds.batch.tolist() == [1, 0]
    assert run.busy_s.tolist() == [[0.0, run.rounds.end_s[-1]]]
