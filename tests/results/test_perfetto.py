"""Windows of online runs as Chrome traces: valid, complete, and of the window alone."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesim.measures.account import Account
from edgesim.results.perfetto import window_events, write_window
from solvers.core.tables import Tables
from tests.engine.handmade import (
    USERS,
    hand_run,
    make_problem,
    seeded_run,
    seeded_tables,
)

Events = list[dict[str, Any]]


def hand_events(window_s: tuple[float, float]) -> Events:
    """List the events of the run worked out by hand."""
    account = Account(hand_run(), Tables(make_problem()))
    return list(window_events(account, USERS, window_s))


def spans(events: Events, pid: int, tid: int | None = None) -> Events:
    """Keep the spans of a process, or of one of its lanes."""
    return [
        event
        for event in events
        if event["ph"] == "X" and event["pid"] == pid and tid in (None, event["tid"])
    ]


def test_the_whole_run_is_in_a_window_of_its_length() -> None:
    """Five uploads, two loads that take time, three batches, with what became of it."""
    events = hand_events((0.0, 6.0))
    uploads = spans(events, 1)
    assert [(e["name"], e["ts"], e["dur"]) for e in uploads] == [
        ("ann", 0.0, 5e5),
        ("ben", 5e5, 7.5e5),
        ("ann", 1.25e6, 2.5e5),
        ("ben", 3e6, 1e6),
        ("ann", 4e6, 2.5e5),
    ]
    assert uploads[1]["args"] == {
        "request": 1,
        "model": "A",
        "arrival_s": 0.5,
        "deadline_s": 1.5,
        "outcome": "late",
        "round": 0,
    }
    assert uploads[4]["args"]["reason"] == "too late"
    loads = spans(events, 2, 1)
    assert [(e["name"], e["ts"], e["dur"]) for e in loads] == [
        ("A", 5e5, 5e5),
        ("B", 3.25e6, 2.5e5),
    ]
    assert loads[1]["args"]["loaded_bytes"] == 30
    batches = spans(events, 2, 2)
    assert [(e["name"], e["ts"], e["dur"]) for e in batches] == [
        ("A", 1.25e6, 7.5e5),
        ("A", 2e6, 1e6),
        ("B", 4e6, 1e6),
    ]
    assert [e["args"]["requests"] for e in batches] == [[0, 1], [2], [3]]
    assert [e["args"]["late"] for e in batches] == [1, 0, 0]
    assert [e["args"]["wait_s"] for e in batches] == [0.25, 0.0, 0.5]


def test_the_queue_is_a_counter() -> None:
    """Who waits, at the window's start and whenever that changes."""
    counts = [
        (event["ts"] / 1e6, event["args"]["requests"])
        for event in hand_events((0.25, 3.5))
        if event["name"] == "waiting"
    ]
    assert counts == [(0.25, 0), (0.5, 1), (1.25, 0), (1.5, 1), (2.0, 0)]


def test_a_window_holds_what_goes_on_in_it() -> None:
    """Between 2.25 and 3.1 s: one upload and one batch, with their real times."""
    events = hand_events((2.25, 3.1))
    assert [event["ts"] for event in spans(events, 1)] == [3e6]
    assert [event["name"] for event in spans(events, 2)] == ["A"]
    assert spans(events, 2)[0]["args"]["requests"] == [2]
    assert spans(hand_events((20.0, 30.0)), 2) == []


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), start_s=st.floats(0.0, 4.0))
def test_lanes_do_not_overlap_and_are_named(seed: int, start_s: float) -> None:
    """In every lane one thing after the other; lanes of uploads have names."""
    tables = seeded_tables(seed)
    account = Account(seeded_run(seed, tables), tables)
    events = list(window_events(account, USERS, (start_s, start_s + 3.0)))
    lanes = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            begin_ns, length_ns = round(event["ts"] * 1e3), round(event["dur"] * 1e3)
            lanes[event["pid"], event["tid"]].append((begin_ns, begin_ns + length_ns))
    for lane in lanes.values():
        for (_, end_ns), (begin_ns, _) in pairwise(sorted(lane)):
            assert end_ns <= begin_ns
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    assert set(lanes) <= named


@pytest.mark.parametrize("window_s", [(0.0, 2.0), (90.0, 91.0)])
def test_the_file_is_strict_json_and_the_same_each_time(
    tmp_path: Path, window_s: tuple[float, float]
) -> None:
    """It reads back as the events; without any it is a document all the same."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    tables = seeded_tables(11)
    for name in ("one", "two"):
        account = Account(seeded_run(11, tables), tables)
        write_window(tmp_path / name, account, USERS, window_s)
    text = (tmp_path / "one").read_text()
    assert text == (tmp_path / "two").read_text()
    document = json.loads(text, parse_constant=refuse)
    assert document["traceEvents"] == list(window_events(account, USERS, window_s))
    assert document["displayTimeUnit"] == "ms"
