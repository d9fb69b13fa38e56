"""Deadlines, drops, flows and memory in Chrome traces, of plans and of windows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgesim.engine.channel import Channel
from edgesim.engine.noise import nominal
from edgesim.engine.records import DROPPED, IN_TIME
from edgesim.measures.account import Account
from edgesim.results.perfetto import plan_events, window_events
from solvers import UPLINKS, Uplink, solve
from solvers.core.tables import Tables
from solvers.core.timing import make_schedule
from tests.engine.handmade import (
    USERS,
    hand_run,
    make_problem,
    seeded_run,
    seeded_tables,
)
from tests.engine.plan_records import account_of
from tests.results.test_perfetto_plan import make_problem as planned_problem
from tests.solvers.strategies import seeded_plan

Events = list[dict[str, Any]]
DEADLINES, DROPS = 3, 4


def of(events: Events, phase: str) -> Events:
    """Keep the events of a phase."""
    return [event for event in events if event["ph"] == phase]


def ns(event: dict[str, Any]) -> int:
    """Time of an event in ns."""
    return round(event["ts"] * 1000)


def around(events: Events, flow: dict[str, Any]) -> Events:
    """Find the slices of a flow event's lane that hold its time, their end excluded.

    A slice without length holds its start.
    """
    return [
        event
        for event in of(events, "X")
        if (event["pid"], event["tid"]) == (flow["pid"], flow["tid"])
        and ns(event) <= ns(flow) < ns(event) + max(1, round((event["dur"]) * 1000))
    ]


def check_flows(events: Events) -> int:
    """Check that flows have two ends, each in the slice it is of; return how many."""
    starts = {event["id"]: event for event in of(events, "s")}
    finishes = {event["id"]: event for event in of(events, "f")}
    assert len(starts) == len(of(events, "s"))
    assert len(finishes) == len(of(events, "f"))
    assert set(starts) == set(finishes)
    for number, start in starts.items():
        finish = finishes[number]
        assert (start["name"], start["cat"]) == (finish["name"], finish["cat"])
        assert start["ts"] <= finish["ts"]
        assert finish["bp"] == "e"
        upload, *others = around(events, start)
        assert not others
        assert upload["args"].get("request", number) == number
        length_ns = round(upload["dur"] * 1000)
        assert ns(upload) + length_ns - ns(start) <= 1
        batch, *others = around(events, finish)
        assert not others
        assert (batch["pid"], batch["tid"]) == (2, 2)
        assert ns(finish) - ns(batch) <= 1
        if "requests" in batch["args"]:
            assert number in batch["args"]["requests"]
        else:
            assert upload["name"] in batch["args"]["users"]
        # A viewer that reads in order of time and file binds to the slice last begun.
        assert events.index(upload) < events.index(start)
        assert events.index(batch) < events.index(finish)
    return len(starts)


def check_instants(events: Events) -> None:
    """Check that instants are in order, and no two of one lane coincide."""
    for pid in (DEADLINES, DROPS):
        times = [ns(event) for event in of(events, "i") if event["pid"] == pid]
        assert times == sorted(times)
    places = [(e["pid"], e["tid"], e["ts"]) for e in of(events, "i")]
    assert len(places) == len(set(places))
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    assert {(e["pid"], e["tid"]) for e in of(events, "i")} <= named
    assert {event["s"] for event in of(events, "i")} <= {"t"}


def check_memory(events: Events, limit: int | None) -> int:
    """Check that the counter is in order and within the limit; return the most held."""
    found = [e for e in of(events, "C") if e["name"] == "GPU memory (bytes)"]
    times = [ns(event) for event in found]
    assert times == sorted(set(times))
    held = [sum(event["args"].values()) for event in found]
    assert min(held) >= 0
    if limit is not None:
        assert max(held) <= limit
    return max(held)


def test_the_window_by_hand() -> None:
    """Deadlines met and missed, both drops with reasons, flows, and memory."""
    account = Account(hand_run(), Tables(make_problem()))
    events = list(window_events(account, USERS, (0.0, 20.0)))
    marks = of(events, "i")
    deadlines = [
        (e["name"], e["ts"] / 1e6, e["args"]["request"], e["args"]["user"])
        for e in marks
        if e["pid"] == DEADLINES
    ]
    assert deadlines == [
        ("deadline missed", 1.5, 1, "ben"),
        ("deadline met", 4.0, 0, "ann"),
        ("deadline met", 4.0, 2, "ann"),
        ("deadline missed", 4.5, 4, "ann"),
        ("deadline met", 6.0, 3, "ben"),
        ("deadline missed", 9.0, 5, "ben"),
    ]
    drops = [(e["name"], e["ts"] / 1e6, e["args"]) for e in marks if e["pid"] == DROPS]
    assert drops == [
        (
            "dropped: no link",
            4.0,
            {"request": 5, "user": "ben", "model": "B", "reason": "no link"},
        ),
        (
            "dropped: too late",
            4.25,
            {"request": 4, "user": "ann", "model": "B", "reason": "too late"},
        ),
    ]
    flows = [(e["ph"], e["id"], e["ts"]) for e in events if e["ph"] in "sf"]
    assert flows == [
        *(("s", 0, 5e5 - 0.001), ("s", 1, 1.25e6 - 0.001)),
        *(("s", 2, 1.5e6 - 0.001), ("s", 3, 4e6 - 0.001)),
        *(("f", 0, 1.25e6 + 0.001), ("f", 1, 1.25e6 + 0.001)),
        *(("f", 2, 2e6 + 0.001), ("f", 3, 4e6 + 0.001)),
    ]
    memory = [e for e in of(events, "C") if e["name"] == "GPU memory (bytes)"]
    assert [(e["ts"] / 1e6, e["args"]["weights"]) for e in memory] == [
        *((0.0, 0), (0.5, 100), (3.25, 110))
    ]


def test_a_window_holds_its_own_marks() -> None:
    """From 2.25 s to 4.25 s: what is there at its start, nothing at its end."""
    account = Account(hand_run(), Tables(make_problem()))
    events = list(window_events(account, USERS, (2.25, 4.25)))
    assert [e["args"]["request"] for e in of(events, "i")] == [0, 2, 5]
    assert [e["id"] for e in of(events, "s")] == [3], "not if one end is elsewhere"
    assert check_flows(events) == 1
    memory = [e for e in of(events, "C") if e["name"] == "GPU memory (bytes)"]
    assert [e["ts"] / 1e6 for e in memory] == [2.25, 3.25]


def test_windows_of_all_kinds_hold_together() -> None:
    """Flows, instants and memory of random runs; whole runs account for all."""
    flows = 0
    for seed in range(40):
        short = {"gpu_memory_bytes": 80, "resident_model": None}
        tables = seeded_tables(seed, **(short if seed % 2 else {}))
        account = Account(seeded_run(seed, tables), tables)
        requests = account.run.requests
        for window_s in ((0.0, 1e6), (1.0, 2.5)):
            events = list(window_events(account, USERS, window_s))
            flows += check_flows(events)
            check_instants(events)
            check_memory(events, tables.problem.gpu_memory_bytes)
        events = list(window_events(account, USERS, (0.0, 1e6)))
        names = Counter(e["name"] for e in of(events, "i") if e["pid"] == DEADLINES)
        missed = int((requests.outcome != IN_TIME).sum())
        assert names["deadline missed"] == missed
        assert names["deadline met"] == len(requests.outcome) - missed
        dropped = [e for e in of(events, "i") if e["pid"] == DROPS]
        assert len(dropped) == int((requests.outcome >= DROPPED).sum())
        assert len(of(events, "s")) == int((requests.round >= 0).sum())
    assert flows > 500


def test_a_request_without_a_deadline_has_none() -> None:
    """Only requests with a deadline can meet or miss it."""
    run = hand_run()
    requests = replace(run.requests, deadline_s=np.full(6, np.inf))
    account = Account(replace(run, requests=requests), Tables(make_problem()))
    events = list(window_events(account, USERS, (0.0, 20.0)))
    assert [e for e in of(events, "i") if e["pid"] == DEADLINES] == []
    assert "deadlines" not in [e["args"]["name"] for e in of(events, "M")]


@pytest.mark.parametrize("uplink", UPLINKS)
def test_plans_hold_together(uplink: Uplink) -> None:
    """A flow for every request computed, a lane for every deadline of the same time."""
    problem = planned_problem()
    account = account_of(problem, solve(problem, "greedy", uplink=uplink).schedule)
    events = plan_events(account)["traceEvents"]
    requests = account.run.requests
    assert check_flows(events) == int((requests.round >= 0).sum()) > 0
    check_instants(events)
    deadlines = [e for e in of(events, "i") if e["pid"] == DEADLINES]
    assert [e["ts"] for e in deadlines] == [9e6] * 9
    assert {e["tid"] for e in deadlines} == set(range(1, 10))
    assert {e["name"] for e in deadlines} == {"deadline met"}


def test_memory_of_plans_is_within_limits() -> None:
    """Whatever the residency, the eviction and what overlaps."""
    most = []
    for seed in range(20):
        tables, rounds = seeded_plan(seed)
        schedule = make_schedule(tables, rounds, "dynamic", solver="any", bound=None)
        assert schedule is not None
        events = plan_events(account_of(tables.problem, schedule))["traceEvents"]
        limit = tables.problem.gpu_memory_bytes
        assert limit is not None
        most.append(check_memory(events, limit) / limit)
        assert check_flows(events) > 0
    assert max(most) > 0.9


def test_a_plan_that_drops_says_when_and_why() -> None:
    """On dead channels every deadline is missed, and every request dropped."""
    problem = planned_problem()
    dead = replace(nominal(problem), channels=[Channel.constant(0.0)] * 9)
    schedule = solve(problem, "greedy", uplink="static").schedule
    events = plan_events(account_of(problem, schedule, dead))["traceEvents"]
    names = Counter(event["name"] for event in of(events, "i"))
    assert names == {"deadline missed": 9, "dropped: upload never ended": 9}
    assert check_flows(events) == 0
    reasons = [e["args"] for e in of(events, "i") if e["pid"] == DEADLINES]
    assert {args["reason"] for args in reasons} == {"upload never ended"}
