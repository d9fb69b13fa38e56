"""The Chrome trace: valid events, nothing overlaps in a lane, times in µs."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edgesim.engine.channel import Channel
from edgesim.engine.noise import nominal
from edgesim.measures.account import Account
from edgesim.results.perfetto import plan_events, write_plan
from solvers import UPLINKS, Problem, Uplink, solve
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import make_schedule
from tests.engine.plan_records import account_of, records_of


def make_problem() -> Problem:
    """Make two models with a common stem and nine users."""
    return Problem.model_validate(
        {
            "name": "trace",
            "bandwidth_hz": 3e6,
            "blocks": {
                "s": {"bytes": 7, "load_s": 0.1},
                "a": {"bytes": 1, "load_s": 0.01},
                "b": {"bytes": 2, "load_s": 0.02},
            },
            "models": {
                "A": {"blocks": ["s", "a"], "latency_s": [0.1, 0.13]},
                "B": {"blocks": ["s", "b"], "latency_s": [0.1, 0.17]},
            },
            "users": [
                {
                    "id": f"u{k}",
                    "model": "AB"[k % 2],
                    "input_bits": 1e5 + k,
                    "spectral_efficiency": 0.7 + k / 10,
                    "deadline_s": 9.0,
                }
                for k in range(9)
            ],
        }
    )


def overlapped_run() -> Account:
    """Run a plan in which two loads go on beside the batches before them."""
    problem = make_problem().model_copy(update={"overlap": True})
    rounds = [PlannedRound(k % 2, (k,)) for k in range(3)]
    schedule = make_schedule(
        Tables(problem), rounds, "dynamic", solver="any", bound=None
    )
    assert schedule is not None
    return account_of(problem, schedule)


def make_run(uplink: Uplink = "dynamic", dead: bool = False) -> Account:
    """Run a plan of it, on dead channels if asked for."""
    problem = make_problem()
    noise = nominal(problem)
    if dead:
        noise = replace(noise, channels=[Channel.constant(0.0)] * 9)
    return account_of(problem, solve(problem, "greedy", uplink=uplink).schedule, noise)


def slices(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Pick the complete events."""
    return [event for event in document["traceEvents"] if event["ph"] == "X"]


@pytest.mark.parametrize("uplink", UPLINKS)
def test_events_have_the_fields_the_format_asks_for(uplink: Uplink) -> None:
    """X: name, pid, tid, ts, dur ≥ 0; M: a name in args; every lane is named.

    The others, too, have a name, a place and a time.
    """
    document = plan_events(make_run(uplink))
    named = set()
    for event in document["traceEvents"]:
        assert event["ph"] in ("X", "M", "i", "s", "f", "C")
        assert isinstance(event["name"], str)
        if event["ph"] == "M":
            assert isinstance(event["args"]["name"], str)
            named.add((event["pid"], event["tid"]))
        else:
            assert event["ts"] >= 0
            assert event.get("dur", 0.0) >= 0
            assert ("dur" in event) == (event["ph"] == "X")
            assert {"pid", "tid"} <= set(event)
    assert {(e["pid"], e["tid"]) for e in slices(document)} <= named


@pytest.mark.parametrize("uplink", [*UPLINKS, None])
def test_nothing_overlaps_in_a_lane(uplink: Uplink | None) -> None:
    """Counted in whole ns, as Perfetto does, each slice ends before the next begins.

    Loads that overlap batches (None) do so in lanes of their own.
    """
    lanes = defaultdict(list)
    run = overlapped_run() if uplink is None else make_run(uplink)
    for event in slices(plan_events(run)):
        begin, length = round(event["ts"] * 1000), round(event["dur"] * 1000)
        lanes[event["pid"], event["tid"]].append((begin, begin + length))
    for spans in lanes.values():
        spans.sort()
        for (_, end), (begin, _) in pairwise(spans):
            assert end <= begin
    if uplink is None:
        batches = lanes[2, 2]
        beside = [
            load_begin < end and begin < load_end
            for load_begin, load_end in lanes[2, 1]
            for begin, end in batches
        ]
        assert sum(beside) == 2


def test_lanes_are_as_many_as_uploads_at_once() -> None:
    """One at a time in ``dynamic``, all nine in ``upfront``."""
    for uplink, expected in (("dynamic", 1), ("upfront", 9)):
        document = plan_events(make_run(uplink))  # type: ignore[arg-type]
        assert len({e["tid"] for e in slices(document) if e["pid"] == 1}) == expected


def test_times_are_the_runs_in_microseconds() -> None:
    """Load and compute of every round, to the nanosecond."""
    account = make_run()
    run = records_of(account)
    events = slices(plan_events(account))
    loads = [event for event in events if (event["pid"], event["tid"]) == (2, 1)]
    computes = [event for event in events if (event["pid"], event["tid"]) == (2, 2)]
    loading = [record for record in run.rounds if record.load_s > 0]
    assert len(loads) == len(loading) < len(run.rounds)
    for event, record in zip(loads, loading, strict=True):
        assert event["ts"] == pytest.approx(record.load_start_s * 1e6, abs=1e-3)
        assert event["dur"] == pytest.approx(record.load_s * 1e6, abs=1e-3)
        assert event["args"]["blocks"] == list(record.loaded_blocks)
        assert event["args"]["loaded_bytes"] == record.loaded_bytes
        assert event["args"]["reused_bytes"] == record.reused_bytes
    for event, record in zip(computes, run.rounds, strict=True):
        assert event["name"] == record.model
        assert event["ts"] == pytest.approx(record.compute_start_s * 1e6, abs=1e-3)
        assert event["args"]["users"] == list(record.users)
        assert set(event["args"]["outcome"].values()) == {"in time"}


def test_a_dropped_upload_says_why() -> None:
    """On dead channels nothing is computed, and uploads carry the reason."""
    events = slices(plan_events(make_run("static", dead=True)))
    uploads = [event for event in events if event["pid"] == 1]
    assert len(uploads) == 9
    assert {event["args"]["reason"] for event in uploads} == {"upload never ended"}
    assert not [event for event in events if (event["pid"], event["tid"]) == (2, 2)]


def test_the_file_is_json_and_the_same_each_time(tmp_path: Path) -> None:
    """Strict JSON that reads back as the document; an empty run is valid, too."""
    for name in ("one", "two"):
        write_plan(tmp_path / name, make_run())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert json.loads((tmp_path / "one").read_text()) == plan_events(make_run())
    nobody = make_problem().model_copy(update={"users": ()})
    nothing = account_of(nobody, solve(nobody, "greedy").schedule)
    assert slices(plan_events(nothing)) == []
