"""Uplink, queues and GPU together: hand-made runs, and what holds of all runs."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edgesim.engine.faults import Faults, Outage, Span
from edgesim.engine.policy import Policy, PolicyError
from edgesim.engine.records import (
    NEVER_CHOSEN,
    NEVER_STARTED,
    QUEUE_FULL,
    TOO_LATE,
    UPLOAD_NEVER_ENDED,
)
from edgesim.engine.request import ActiveRequest, Arrival
from edgesim.engine.server import Server, simulate
from edgesim.engine.settings import Settings
from edgesim.measures.account import Account
from edgesim.names import UplinkRule
from solvers import Problem
from solvers.core.tables import Tables
from tests.engine.invariants import RandomPolicy, check_run, for_online, reason_of
from tests.engine.policy_cases import library
from tests.solvers.strategies import problems


def make_tables(**rules: object) -> Tables:
    """Two models with a stem of 0.5 s in common; A batches three, B two."""
    return Tables(
        Problem.model_validate(
            {
                "name": "hand",
                "bandwidth_hz": 1.0,
                "blocks": {
                    "stem": {"bytes": 80, "load_s": 0.5},
                    "a": {"bytes": 20, "load_s": 0.125},
                    "b": {"bytes": 20, "load_s": 0.25},
                },
                "models": {
                    "A": {"blocks": ["stem", "a"], "latency_s": [0.25, 0.375, 0.5]},
                    "B": {"blocks": ["stem", "b"], "latency_s": [0.5, 0.75]},
                },
                "users": [],
                **rules,
            }
        )
    )


class First(Policy):
    """Takes the first input that waits, and alone; ``early`` before it is there."""

    def __init__(self, *, early: bool = False, joins: bool = False) -> None:
        self._early = early
        self._joins = joins

    def choose(self, server: Server) -> Sequence[ActiveRequest] | None:
        """Choose one request, by arrival."""
        there = [r for queue in server.waiting for r in queue]
        if self._early:
            there += [r for _, r in server.uploads()]
        if not there or (server.ahead and not server.computing):
            return None
        return [min(there, key=lambda r: r.number)]

    def join(
        self, server: Server, batch: Sequence[ActiveRequest], room: int
    ) -> Sequence[ActiveRequest]:
        """Let everybody join who waits, if so wanted."""
        return server.waiting[batch[0].model][:room] if self._joins else ()


A, B = 0, 1
ENDLESS = math.inf


def test_a_run_by_hand() -> None:
    """Uploads of 1 s each: loads wait for inputs, B's load is only its own block."""
    arrivals = [Arrival(0.0, 0, A, 1.0, 3.0), Arrival(0.5, 1, B, 1.0, 2.5)]
    run = simulate(make_tables(), arrivals, First(), Settings())
    assert run.requests.upload_start_s.tolist() == [0.0, 1.0]
    assert run.requests.upload_end_s.tolist() == [1.0, 2.0]
    assert run.rounds.load_start_s.tolist() == [1.0, 2.0]
    assert run.rounds.load_s.tolist() == [0.625, 0.25]
    assert run.rounds.compute_start_s.tolist() == [1.625, 2.25]
    assert run.rounds.end_s.tolist() == [1.875, 2.75]
    assert run.rounds.loaded_bytes.tolist() == [100, 20]
    assert run.rounds.reused_bytes.tolist() == [0, 80]
    assert run.requests.outcome.tolist() == [0, 0]
    assert run.busy_s.tolist() == [[0.0, 2.0]]


def test_a_load_may_start_before_its_input_is_there() -> None:
    """Chosen while uploading: the load hides behind the upload."""
    arrivals = [Arrival(0.0, 0, A, 1.0, 3.0)]
    run = simulate(make_tables(), arrivals, First(early=True), Settings())
    assert run.rounds.load_start_s.tolist() == [0.0]
    assert run.rounds.compute_start_s.tolist() == [1.0]
    assert run.requests.end_s.tolist() == [1.25]


def test_overlap_loads_beside_the_batch_before() -> None:
    """B's block is loaded while A computes, from 1.0 s, so B starts at 1.25 s."""
    arrivals = [Arrival(0.0, 0, A, 0.375, 9.0), Arrival(0.0, 1, B, 0.125, 9.0)]
    run = simulate(make_tables(overlap=True), arrivals, First(), Settings())
    assert run.rounds.load_start_s.tolist() == [0.375, 1.0]
    assert run.rounds.compute_start_s.tolist() == [1.0, 1.25]
    without = simulate(make_tables(), arrivals, First(), Settings())
    assert without.rounds.compute_start_s.tolist() == [1.0, 1.5]


def test_overlap_waits_where_memory_holds_one_model_only() -> None:
    """100 bytes hold A or B, not both: the load follows the batch."""
    arrivals = [Arrival(0.0, 0, A, 0.375, 9.0), Arrival(0.0, 1, B, 0.125, 9.0)]
    tables = make_tables(overlap=True, gpu_memory_bytes=110)
    run = simulate(tables, arrivals, First(), Settings())
    assert run.rounds.load_start_s.tolist() == [0.375, 1.25]


def test_requests_join_a_batch_that_is_about_to_start() -> None:
    """Two inputs come during the load; both join, a third is too late for that."""
    arrivals = [Arrival(0.25 * k, k, A, 0.0625, 9.0) for k in range(4)]
    run = simulate(make_tables(), arrivals, First(joins=True), Settings())
    assert run.rounds.chosen.tolist() == [1, 1]
    assert run.rounds.batch.tolist() == [3, 1]
    assert run.requests.round.tolist() == [0, 0, 0, 1]
    assert run.rounds.compute_s.tolist() == [0.5, 0.25]


def test_a_tie_of_deadlines_goes_by_arrival() -> None:
    """The queue of a model is by deadline, then arrival, whoever uploads faster."""
    seen: list[list[int]] = []

    class Watch(First):
        def ready(self, server: Server, request: ActiveRequest) -> None:
            seen.append([r.number for r in server.waiting[request.model]])

    arrivals = [Arrival(0.0, 0, A, 0.5, 9.0), Arrival(0.0, 1, A, 0.25, 9.0)]
    policy = Watch()
    policy.choose = lambda _: None  # type: ignore[method-assign]
    simulate(make_tables(), arrivals, policy, Settings(uplink="equal-share"))
    assert seen == [[1], [0, 1]]


def test_what_is_left_at_the_end_is_dropped_with_its_reason() -> None:
    """A policy that never chooses, a link that never comes back, a batch without it."""

    class Both(Policy):
        def choose(self, server: Server) -> Sequence[ActiveRequest] | None:
            chosen = [*server.waiting[A], *(r for _, r in server.uploads())]
            return chosen if len(chosen) == 2 else None

    faults = Faults(outages=(Outage(1, 0.75, math.inf),))
    arrivals = [
        Arrival(0.0, 0, A, 0.25, ENDLESS),
        Arrival(0.0, 1, A, 1.0, ENDLESS),
        Arrival(5.0, 0, A, 0.25, ENDLESS),
    ]
    run = simulate(make_tables(), arrivals, Both(), Settings(faults=faults))
    assert [reason_of(run, k) for k in range(3)] == [
        NEVER_STARTED,
        UPLOAD_NEVER_ENDED,
        NEVER_CHOSEN,
    ]
    # Its model was loaded all the same.
    assert run.rounds.batch.tolist() == [0]
    assert run.rounds.loaded_bytes.tolist() == [100]


def test_a_full_queue_turns_requests_away() -> None:
    """Two may be on their way or waiting; a chosen one makes room."""
    arrivals = [Arrival(0.1 * k, k, A, 1.0, 99.0) for k in range(4)]
    arrivals.append(Arrival(1.5, 4, A, 1.0, 99.0))
    run = simulate(make_tables(), arrivals, First(), Settings(queue_limit=2))
    reasons = [reason_of(run, k) for k in range(5)]
    assert reasons == [None, None, QUEUE_FULL, QUEUE_FULL, None]


@pytest.mark.parametrize("rule", ["fifo", "edf", "equal-share"])
def test_who_waits_in_vain_takes_no_room_in_the_queue(rule: UplinkRule) -> None:
    """1 could start until 0.375 s, and A is in hand until 1 s: at 0.5 s, 2 has room."""
    arrivals = [
        Arrival(0.0, 0, A, 0.125, 9.0),
        Arrival(0.25, 1, B, 0.125, 0.625),
        Arrival(0.5, 2, A, 0.125, 9.0),
        Arrival(0.5, 3, A, 0.125, 9.0),
    ]
    settings = Settings(uplink=rule, queue_limit=1)
    run = simulate(make_tables(), arrivals, First(), settings)
    reasons = [reason_of(run, k) for k in range(4)]
    assert reasons == [None, TOO_LATE, None, QUEUE_FULL]
    assert run.requests.end_s[1] == 0.375


@pytest.mark.parametrize("rule", ["fifo", "edf", "equal-share"])
def test_who_uploads_in_vain_takes_no_room_in_the_queue(rule: UplinkRule) -> None:
    """Its link is down until 9 s; it could start until 1.75 s, so 2 has its room."""
    arrivals = [
        Arrival(0.0, 0, A, 1.0, 2.0),
        Arrival(1.5, 1, A, 0.125, 9.0),
        Arrival(2.0, 1, A, 0.125, 9.0),
    ]
    down = Faults(outages=(Outage(0, 0.25, 9.0),))
    settings = Settings(uplink=rule, queue_limit=1, faults=down)
    run = simulate(make_tables(), arrivals, First(), settings)
    reasons = [reason_of(run, k) for k in range(3)]
    assert reasons == [TOO_LATE, QUEUE_FULL, None]
    assert run.requests.end_s[0] == 2.0


def test_a_drop_is_dated_when_its_time_ran_out() -> None:
    """A is in hand from 0.25 s to 1.125 s, and B could start until 0.5 s.

    It is noticed at 1.125 s, but B waited from 0.375 s to 0.5 s. The second B could
    start until 3.75 s; its load, ten times as slow, ends later.
    """
    arrivals = [
        Arrival(0.0, 0, A, 0.25, 9.0),
        Arrival(0.25, 1, B, 0.125, 0.75),
        Arrival(3.0, 0, B, 0.125, 1.25),
    ]
    slow = Faults(slow_loads=(Span(3.0, 4.0, 10.0),))
    run = simulate(make_tables(), arrivals, First(), Settings(faults=slow))
    assert [reason_of(run, k) for k in range(3)] == [None, TOO_LATE, TOO_LATE]
    assert run.requests.end_s.tolist() == [1.125, 0.5, 3.75]
    # The third was chosen, and noticed once its model was loaded.
    assert run.rounds.batch.tolist() == [1, 0]
    assert run.rounds.end_s[1] > 5.0
    waited_s = Account(run, make_tables()).waiting_s
    assert (waited_s[1] - waited_s[0]).tolist()[1:] == [0.125, 0.625]


@pytest.mark.parametrize("late", ["drop", "serve"])
def test_an_input_that_comes_at_the_last_moment_is_of_use(late: str) -> None:
    """Input at 1 s, computed in 0.25 s, deadline 1.25 s: in time, chosen early."""
    arrivals = [Arrival(0.0, 0, A, 1.0, 1.25)]
    for rule in ("fifo", "edf", "equal-share"):
        settings = Settings(uplink=rule, late=late)  # type: ignore[arg-type]
        run = simulate(make_tables(), arrivals, First(early=True), settings)
        assert run.requests.outcome.tolist() == [0]


def test_a_chosen_request_whose_input_is_late_is_given_up() -> None:
    """The link is down from 0.5 s: at 1.75 s the round goes on without it."""
    faults = Faults(outages=(Outage(0, 0.5, 3.0),))
    arrivals = [Arrival(0.0, 0, A, 1.0, 2.0), Arrival(1.0, 1, B, 0.5, 9.0)]
    for rule in ("fifo", "edf", "equal-share"):
        settings = Settings(uplink=rule, faults=faults)  # type: ignore[arg-type]
        run = simulate(make_tables(), arrivals, First(early=True), settings)
        assert reason_of(run, 0) == TOO_LATE
        assert run.requests.end_s.tolist() == pytest.approx([1.75, 2.5], abs=2e-9)
        assert run.rounds.batch.tolist() == [0, 1]
        # Nothing of it is sent once the link is back: 0.5 s before, B's 0.5 s.
        assert np.diff(run.busy_s).sum() == pytest.approx(1.0)


class Wrong(Policy):
    """Chooses by a function."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def choose(self, server: Server) -> Sequence[ActiveRequest] | None:
        """Answer once five requests wait."""
        there = [r for queue in server.waiting for r in queue]
        return self._answer(there) if len(there) == 5 else None  # type: ignore[operator, no-any-return]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda there: there[:4], "chose 4 requests of 'A', at most 3 fit in a batch"),
        (lambda there: [there[0], there[0]], "chose a request twice"),
        (lambda there: [there[0], there[4]], "another model than the batch"),
    ],
)
def test_a_policy_that_chooses_what_cannot_be_run_is_stopped(
    answer: object, message: str
) -> None:
    """Too many, twice the same, two models."""
    arrivals = [Arrival(0.0, k, A if k < 4 else B, 0.1, 99.0) for k in range(5)]
    with pytest.raises(PolicyError, match=message):
        simulate(make_tables(), arrivals, Wrong(answer), Settings())


def test_furthest_next_use_is_refused() -> None:
    """Nobody knows online what is used next."""
    tables = make_tables(residency="cache", eviction="furthest-next-use")
    with pytest.raises(ValueError, match="must be 'lru' online"):
        simulate(tables, [], First(), Settings())


@st.composite
def faulty(draw: st.DrawFn) -> Faults:
    """Draw stalls, slow loads and outages, these last perhaps on top of each other."""
    edges = sorted(draw(st.lists(st.integers(0, 60), unique=True, max_size=4)))
    spans = list(zip(edges[::2], edges[1::2], strict=False))
    kind = draw(st.sampled_from(["stall", "slow", "none"]))
    outage = st.tuples(st.integers(0, 3), st.integers(0, 30), st.integers(1, 30))
    outages = draw(st.lists(outage, max_size=3))
    return Faults(
        stalls=tuple(Span(a / 10, b / 10) for a, b in spans if kind == "stall"),
        slow_loads=tuple(Span(a / 10, b / 10, 5) for a, b in spans if kind == "slow"),
        outages=tuple(Outage(u, a / 10, (a + n) / 10) for u, a, n in outages),
    )


rules = st.builds(
    Settings,
    uplink=st.sampled_from(["fifo", "edf", "equal-share"]),
    late=st.sampled_from(["drop", "serve"]),
    queue_limit=st.sampled_from([None, None, 3]),
    faults=faulty(),
)


@st.composite
def streams(draw: st.DrawFn, models: int) -> list[Arrival]:
    """Draw up to 15 requests, on a grid so that things happen at the same time."""
    now = 0
    found = []
    for _ in range(draw(st.integers(0, 15))):
        now += draw(st.sampled_from([0, 0, 1, 2, 5, 15]))
        demand = draw(st.sampled_from([1, 2, 3, 5] * 4 + [math.inf]))
        slo = draw(st.sampled_from([3, 6, 10, 20, 40, math.inf]))
        user, model = draw(st.integers(0, 3)), draw(st.integers(0, models - 1))
        found.append(Arrival(now / 10, user, model, demand / 10, slo / 10))
    return found


@hypothesis_settings(max_examples=300)
@given(st.data())
def test_the_rules_hold_whatever_a_policy_does(data: st.DataObject) -> None:
    """Any library, stream, rule, fault, and a policy that does anything it may."""
    problem = for_online(data.draw(problems(extensions=True)))
    tables = Tables(problem.model_copy(update={"users": ()}), data.draw(st.booleans()))
    arrivals = data.draw(streams(len(problem.models)))
    settings = data.draw(rules)
    policy = RandomPolicy(data.draw(st.integers(0, 999)))
    run = simulate(tables, arrivals, policy, settings)
    check_run(tables, arrivals, settings, run)


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("residency", ["previous", "cache"])
@pytest.mark.parametrize("uplink", ["fifo", "edf", "equal-share"])
@pytest.mark.parametrize("late", ["drop", "serve"])
def test_the_rules_hold_over_long_streams(
    late: str, uplink: str, residency: str, overlap: bool
) -> None:
    """Two thousand requests of six models, with faults; memory holds two or three."""
    rng = random.Random(f"{late} {uplink} {residency} {overlap}")
    tables = crowded(residency, overlap)
    now_s, arrivals = 0.0, []
    for _ in range(2000):
        now_s += rng.expovariate(4.0)
        demand_s, slo_s = rng.expovariate(5.0), rng.uniform(0.5, 6.0)
        arrivals.append(
            Arrival(now_s, rng.randrange(9), rng.randrange(6), demand_s, slo_s)
        )
    faults = Faults(
        stalls=(Span(50.0, 51.0), Span(200.0, 203.0)),
        slow_loads=(Span(100.0, 110.0, 10.0),),
        outages=tuple(Outage(k % 9, 30.0 * k, 30.0 * k + 45) for k in range(9)),
    )
    settings = Settings(uplink=uplink, late=late, faults=faults)  # type: ignore[arg-type]
    run = simulate(tables, arrivals, RandomPolicy(1, drop=0.01), settings)
    check_run(tables, arrivals, settings, run)
    assert run.rounds.batch.sum() > 500


def crowded(residency: str, overlap: bool) -> Tables:
    """Six models in two families, of which memory holds two or three."""
    return Tables(
        Problem.model_validate(
            {
                "name": "crowded",
                "bandwidth_hz": 1.0,
                "gpu_memory_bytes": 260,
                "residency": residency,
                "overlap": overlap,
                "blocks": {
                    **{f"stem{c}": {"bytes": 60, "load_s": 0.1} for c in range(2)},
                    **{f"head{m}": {"bytes": 30, "load_s": 0.05} for m in range(6)},
                },
                "models": {
                    f"m{m}": {
                        "blocks": [f"stem{m % 2}", f"head{m}"],
                        "latency_s": [0.1, 0.15, 0.2, 0.25],
                        "activation_bytes": [10, 20, 30, 40],
                    }
                    for m in range(6)
                },
                "users": [],
            }
        )
    )


def test_a_policy_may_ask_to_be_asked_again() -> None:
    """With wake_at a policy that waits for a fuller batch is asked when it said so."""

    class Timer(Policy):
        """Wait a second for company after an input has come."""

        def ready(self, server: Server, request: ActiveRequest) -> None:
            server.wake_at(server.now_s + 1.0)

        def choose(self, server: Server) -> list[ActiveRequest] | None:
            queue = server.waiting[0]
            if not queue or server.now_s < queue[0].upload_end_s + 1.0:
                return None
            return queue[: server.most[0]]

    tables = library({"A": ({"a": 0.5}, (0.1, 0.2, 0.3))})
    arrivals = [Arrival(t, 0, 0, 0.0, 100.0) for t in (0.0, 0.4, 5.0)]
    found = simulate(tables, arrivals, Timer(), Settings())
    assert found.rounds.batch.tolist() == [2, 1]
    assert found.rounds.load_start_s.tolist() == pytest.approx([1.0, 6.0])
