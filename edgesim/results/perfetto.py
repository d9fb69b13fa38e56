"""A run as a Chrome trace: open it in Perfetto (ui.perfetto.dev) or chrome://tracing.

The trace event format: complete events (``ph`` X) with ``ts`` and ``dur`` in µs,
counters (C), and metadata events (M) that name processes and threads. Times are those
of the run, rounded to a nanosecond. A window of a long run is written event by event:
the file may be large, but takes no memory.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from edgesim.engine.records import DROPPED, IN_TIME, Ints
from edgesim.files import write_json, write_whole
from edgesim.measures.account import Account
from edgesim.measures.gpu_time import wait_s
from edgesim.results.tables import (
    OUTCOMES,
    Window,
    planned_round_of,
    requests_in,
    rounds_in,
)

JsonObject: TypeAlias = dict[str, Any]

UPLINK_PID = 1
GPU_PID = 2
LOAD_TID = 1
COMPUTE_TID = 2


class _Slice(NamedTuple):
    """An activity with start and end, and its arguments in the trace."""

    name: str
    start_s: float
    end_s: float
    args: JsonObject


def plan_events(account: Account) -> JsonObject:
    """Convert a run that followed a plan to a trace document.

    The uplink has as many lanes as there are concurrent uploads, with a slice for every
    band held; the GPU has one lane for loading and one for computing.

    Returns
    -------
    dict
        The JSON document: ``traceEvents`` and ``displayTimeUnit``.
    """
    bands = _bands(account)
    lanes = _lanes(bands)
    events = [
        name_event("process_name", UPLINK_PID, 0, "uplink"),
        *_lane_names(lanes),
        name_event("process_name", GPU_PID, 0, "GPU"),
        *_gpu_lane_names(),
        *_in_lanes(bands, lanes),
        *_planned_rounds(account),
    ]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def write_plan(path: Path, account: Account) -> None:
    """Write the trace document of a plan's run as JSON, whole or not at all."""
    write_json(path, plan_events(account))


def window_events(
    account: Account, users: Sequence[str], window_s: Window
) -> Iterator[JsonObject]:
    """Yield the events of a window of an online run.

    Every activity that overlaps the window is included, from its start to its end. An
    upload lasts from when it first got spectrum until its input arrived or it was
    abandoned, pauses included. The number of waiting requests is a counter.

    Parameters
    ----------
    account
        The run.
    users
        Names of users, by number.
    window_s
        Start and end of the window, the end excluded.
    """
    yield name_event("process_name", UPLINK_PID, 0, "uplink")
    yield name_event("process_name", GPU_PID, 0, "GPU")
    yield from _gpu_lane_names()
    uploads = _uploads(account, users, window_s)
    lanes = _lanes(uploads)
    yield from _lane_names(lanes)
    yield from _in_lanes(uploads, lanes)
    yield from _rounds(account, window_s)
    yield from _queue(account, window_s)


def write_window(
    path: Path, account: Account, users: Sequence[str], window_s: Window
) -> None:
    """Write the trace document of a window as JSON, whole or not at all.

    Parameters
    ----------
    path
        The file.
    account, users, window_s
        As for :func:`window_events`.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with write_whole(path) as file:
        file.write('{"displayTimeUnit": "ms",\n"traceEvents": [')
        sign = "\n"
        for event in window_events(account, users, window_s):
            file.write(sign + json.dumps(event, ensure_ascii=False, allow_nan=False))
            sign = ",\n"
        file.write("\n]}\n")


def _gpu_lane_names() -> list[JsonObject]:
    return [
        name_event("thread_name", GPU_PID, LOAD_TID, "load"),
        name_event("thread_name", GPU_PID, COMPUTE_TID, "compute"),
    ]


def _lanes(slices: Sequence[_Slice]) -> list[int]:
    return lanes_of((to_ns(s.start_s), to_ns(s.end_s)) for s in slices)


def _lane_names(lanes: Sequence[int]) -> Iterator[JsonObject]:
    for lane in range(1, max(lanes, default=0) + 1):
        yield name_event("thread_name", UPLINK_PID, lane, f"uploads {lane}")


def _in_lanes(slices: Sequence[_Slice], lanes: Sequence[int]) -> Iterator[JsonObject]:
    for (name, start_s, end_s, args), lane in zip(slices, lanes, strict=True):
        yield slice_event(name, UPLINK_PID, lane, start_s, end_s, args)


def _outcome(account: Account, number: int) -> JsonObject:
    """Describe the outcome of a request."""
    outcome = int(account.run.requests.outcome[number])
    described: JsonObject = {"outcome": OUTCOMES[min(outcome, DROPPED)]}
    if outcome >= DROPPED:
        described["reason"] = account.run.reasons[outcome - DROPPED]
    return described


def _bands(account: Account) -> list[_Slice]:
    """List the bands held, in order of start."""
    bands, users = account.run.bands, account.tables.problem.users
    round_ = planned_round_of(account)
    columns = (bands.request, bands.start_s, bands.end_s, bands.hz)
    slices = []
    for k, start_s, end_s, hz in zip(*(c.tolist() for c in columns), strict=True):
        args = {
            "model": users[k].model,
            "round": int(round_[k]),
            "hz": hz,
            "deadline_s": users[k].deadline_s,
            **_outcome(account, k),
        }
        slices.append(_Slice(users[k].id, start_s, end_s, args))
    return sorted(slices, key=lambda s: to_ns(s.start_s))


def _uploads(account: Account, users: Sequence[str], window_s: Window) -> list[_Slice]:
    """List the uploads of a window, in order of start."""
    requests, names = account.run.requests, account.tables.model_names
    stop_s = np.where(
        np.isnan(requests.upload_end_s), requests.end_s, requests.upload_end_s
    )
    overlaps = requests_in(account.run, window_s)
    # False for uploads that never got spectrum: their start is NaN.
    overlaps &= (requests.upload_start_s < window_s[1]) & (stop_s >= window_s[0])
    numbers = np.flatnonzero(overlaps)
    numbers = numbers[np.argsort(requests.upload_start_s[numbers], kind="stable")]
    slices = []
    for number in numbers.tolist():
        outcome = _outcome(account, number)
        args: JsonObject = {
            "request": number,
            "model": names[requests.model[number]],
            "arrival_s": float(requests.arrival_s[number]),
            "outcome": outcome["outcome"],
        }
        deadline_s = float(requests.deadline_s[number])
        if deadline_s < np.inf:
            args["deadline_s"] = deadline_s
        if "reason" in outcome:
            args["reason"] = outcome["reason"]
        else:
            args["round"] = int(requests.round[number])
        name = users[requests.user[number]]
        start_s, end_s = requests.upload_start_s[number], stop_s[number]
        slices.append(_Slice(name, float(start_s), float(end_s), args))
    return slices


def _round(
    account: Account, r: int, load: JsonObject, batch: JsonObject
) -> Iterator[JsonObject]:
    """Yield a round's load and batch, if present, with the arguments of each."""
    rounds = account.run.rounds
    model = account.tables.model_names[rounds.model[r]]
    start_s, load_s = float(rounds.load_start_s[r]), float(rounds.load_s[r])
    if load_s > 0:
        args = {"round": r, **load}
        yield slice_event(model, GPU_PID, LOAD_TID, start_s, start_s + load_s, args)
    if rounds.batch[r]:
        args = {"round": r, "batch": int(rounds.batch[r]), **batch}
        begin_s, end_s = float(rounds.compute_start_s[r]), float(rounds.end_s[r])
        yield slice_event(model, GPU_PID, COMPUTE_TID, begin_s, end_s, args)


def _planned_rounds(account: Account) -> Iterator[JsonObject]:
    assert account.schedule is not None
    rounds, requests = account.run.rounds, account.run.requests
    number = {user.id: k for k, user in enumerate(account.tables.problem.users)}
    waited_s = wait_s(rounds).tolist()
    for r, planned in enumerate(account.schedule.rounds):
        reused = int(rounds.reused_bytes[r])
        load = {
            "blocks": list(planned.loaded_blocks),
            "loaded_bytes": int(rounds.loaded_bytes[r]),
            "reused_bytes": reused,
            "planned_start_s": planned.load_start_s,
        }
        computed = [u for u in planned.users if requests.round[number[u]] == r]
        outcomes = {u: _outcome(account, number[u])["outcome"] for u in planned.users}
        batch = {
            "users": computed,
            "outcome": outcomes,
            "wait_s": waited_s[r],
            "reused_bytes": reused,
            "planned_start_s": planned.compute_start_s,
        }
        yield from _round(account, r, load, batch)


def _rounds(account: Account, window_s: Window) -> Iterator[JsonObject]:
    rounds, requests = account.run.rounds, account.run.requests
    numbers = np.flatnonzero(rounds_in(account.run, window_s))
    first = int(numbers[0]) if len(numbers) else 0
    # Requests of the window's rounds, sorted by round: rounds are numbered in order.
    members = np.flatnonzero((requests.round >= first) & (requests.round >= 0))
    members = members[np.argsort(requests.round[members], kind="stable")]
    edges = np.searchsorted(requests.round[members], numbers, side="left")
    stops = np.searchsorted(requests.round[members], numbers, side="right")
    waited_s = wait_s(rounds)
    for r, begin, stop in zip(
        numbers.tolist(), edges.tolist(), stops.tolist(), strict=True
    ):
        batch: Ints = members[begin:stop]
        reused = int(rounds.reused_bytes[r])
        yield from _round(
            account,
            r,
            {
                "chosen": int(rounds.chosen[r]),
                "loaded_bytes": int(rounds.loaded_bytes[r]),
                "reused_bytes": reused,
            },
            {
                "requests": batch.tolist(),
                "late": int((requests.outcome[batch] != IN_TIME).sum()),
                "wait_s": float(waited_s[r]),
                "reused_bytes": reused,
            },
        )


def _queue(account: Account, window_s: Window) -> Iterator[JsonObject]:
    """Count waiting requests at each change in the window, and at its start."""
    came_s, left_s = (np.sort(times_s) for times_s in account.waiting_s)
    changes_s = np.concatenate([came_s, left_s, window_s[:1]])
    changes_s = changes_s[(changes_s >= window_s[0]) & (changes_s < window_s[1])]
    at_s = np.unique(changes_s)
    waiting = np.searchsorted(came_s, at_s, side="right") - np.searchsorted(
        left_s, at_s, side="right"
    )
    for time_s, count in zip(at_s.tolist(), waiting.tolist(), strict=True):
        yield {
            "name": "waiting",
            "ph": "C",
            "pid": GPU_PID,
            "tid": 0,
            "ts": to_ns(time_s) / 1000,
            "args": {"requests": count},
        }


def lanes_of(spans_ns: Iterable[tuple[int, int]]) -> list[int]:
    """Assign each span a lane, from 1, without overlaps, using as few as possible.

    Parameters
    ----------
    spans_ns
        Start and end of each, in ns, in order of start.

    Notes
    -----
    The free lane with the lowest number is taken: O(n log n).
    """
    lanes: list[int] = []
    busy: list[tuple[int, int]] = []
    free: list[int] = []
    for start_ns, end_ns in spans_ns:
        while busy and busy[0][0] <= start_ns:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy) + 1
        heapq.heappush(busy, (end_ns, lane))
        lanes.append(lane)
    return lanes


def to_ns(time_s: float) -> int:
    """Round a time to a nanosecond."""
    return round(time_s * 1e9)


def slice_event(
    name: str, pid: int, tid: int, start_s: float, end_s: float, args: JsonObject
) -> JsonObject:
    """Make a complete event: an activity from start to end."""
    # Both ends are rounded, not the length, so that adjacent slices touch exactly.
    start_ns, end_ns = to_ns(start_s), to_ns(end_s)
    return {
        "name": name,
        "ph": "X",
        "pid": pid,
        "tid": tid,
        "ts": start_ns / 1000,
        "dur": (end_ns - start_ns) / 1000,
        "args": args,
    }


def name_event(kind: str, pid: int, tid: int, name: str) -> JsonObject:
    """Make a metadata event that names a process or a thread."""
    return {"name": kind, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}
