"""Events of the Chrome trace format, and the lanes that they lie in.

Of the trace event format: complete events (``ph`` X) with ``ts`` and ``dur`` in µs,
instants (i), counters (C), flows from one slice to another (s, f), and metadata (M)
that names processes and threads.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]

UPLINK_PID = 1
GPU_PID = 2
DEADLINES_PID = 3
DROPS_PID = 4


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


def instant_event(
    name: str, pid: int, tid: int, at_ns: int, args: JsonObject
) -> JsonObject:
    """Make an instant event in a lane."""
    return {
        "name": name,
        "ph": "i",
        "s": "t",
        "pid": pid,
        "tid": tid,
        "ts": at_ns / 1000,
        "args": args,
    }


def counter_event(
    name: str, pid: int, at_ns: int, values: Mapping[str, int]
) -> JsonObject:
    """Make a counter event: values that hold until the counter's next event."""
    return {
        "name": name,
        "ph": "C",
        "pid": pid,
        "tid": 0,
        "ts": at_ns / 1000,
        "args": dict(values),
    }


def flow_start(name: str, number: int, slice_: JsonObject) -> JsonObject:
    """Make the event that begins a flow at the end of a slice.

    A viewer binds a flow to the slice around its time, which ends before its end.

    Parameters
    ----------
    name, number
        Name of the flow, the same at both ends, and its number, unique by name.
    slice_
        The complete event; that of the flow follows it.
    """
    return _flow_event("s", name, number, slice_, slice_["dur"])


def flow_finish(name: str, number: int, slice_: JsonObject) -> JsonObject:
    """Make the event that ends a flow at the start of a slice, like :func:`flow_start`.

    ``bp`` e binds it to this slice and not to the next one.
    """
    return _flow_event("f", name, number, slice_, 0.001) | {"bp": "e"}


def _flow_event(
    phase: str, name: str, number: int, slice_: JsonObject, after_us: float
) -> JsonObject:
    """Make an event of a flow in a slice, strictly inside if it is longer than 1 ns."""
    start_ns, length_ns = round(slice_["ts"] * 1000), round(slice_["dur"] * 1000)
    after_ns = max(0, min(round(after_us * 1000), length_ns - 1))
    return {
        "name": name,
        "cat": name,
        "ph": phase,
        "id": number,
        "pid": slice_["pid"],
        "tid": slice_["tid"],
        "ts": (start_ns + after_ns) / 1000,
    }


def lane_names(pid: int, what: str, lanes: Sequence[int]) -> Iterator[JsonObject]:
    """Name the lanes that are in use, numbered from 1."""
    for lane in range(1, max(lanes, default=0) + 1):
        yield name_event("thread_name", pid, lane, f"{what} {lane}")
