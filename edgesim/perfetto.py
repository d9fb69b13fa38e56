"""A run as a Chrome trace: open it in Perfetto (ui.perfetto.dev) or chrome://tracing.

The trace event format: complete events (``ph`` X) with ``ts`` and ``dur`` in µs, and
metadata events (M) that name processes and threads.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from edgesim.engine.plan import RoundRecord, Run
from edgesim.files import write_json

JsonObject: TypeAlias = dict[str, Any]

UPLINK_PID = 1
GPU_PID = 2
LOAD_TID = 1
COMPUTE_TID = 2


def trace_events(run: Run) -> JsonObject:
    """Turn a run into a trace document.

    The uplink has as many lanes as uploads go on at once; the GPU has one for loading
    and one for computing. Times are rounded to a nanosecond.

    Returns
    -------
    dict
        The JSON document: ``traceEvents`` and ``displayTimeUnit``.
    """
    uploads = sorted(run.uploads, key=lambda upload: to_ns(upload.start_s))
    lanes = lanes_of((to_ns(u.start_s), to_ns(u.end_s)) for u in uploads)
    events = [name_event("process_name", UPLINK_PID, 0, "uplink")]
    events += [
        name_event("thread_name", UPLINK_PID, lane, f"uploads {lane}")
        for lane in range(1, max(lanes, default=0) + 1)
    ]
    events.append(name_event("process_name", GPU_PID, 0, "GPU"))
    events.append(name_event("thread_name", GPU_PID, LOAD_TID, "load"))
    events.append(name_event("thread_name", GPU_PID, COMPUTE_TID, "compute"))
    requests = {record.id: record for record in run.requests}
    for upload, lane in zip(uploads, lanes, strict=True):
        request = requests[upload.user]
        args: JsonObject = {
            "model": request.model,
            "round": request.round,
            "hz": upload.hz,
            "deadline_s": request.deadline_s,
            "outcome": request.outcome,
        }
        if request.reason is not None:
            args["reason"] = request.reason
        events.append(
            slice_event(
                upload.user, UPLINK_PID, lane, upload.start_s, upload.end_s, args
            )
        )
    for record in run.rounds:
        outcomes = {user: requests[user].outcome for user in record.planned_users}
        events += _round_slices(record, outcomes)
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def write_trace(path: Path, run: Run) -> None:
    """Write a run's trace document as JSON, whole or not at all."""
    write_json(path, trace_events(run))


def _round_slices(record: RoundRecord, outcomes: JsonObject) -> list[JsonObject]:
    slices = []
    if record.load_s > 0:
        args: JsonObject = {
            "round": record.index,
            "blocks": list(record.loaded_blocks),
            "loaded_bytes": record.loaded_bytes,
            "reused_bytes": record.reused_bytes,
            "planned_start_s": record.planned_load_start_s,
        }
        start_s, end_s = record.load_start_s, record.load_end_s
        slices.append(
            slice_event(record.model, GPU_PID, LOAD_TID, start_s, end_s, args)
        )
    if record.users:
        args = {
            "round": record.index,
            "batch": len(record.users),
            "users": list(record.users),
            "outcome": outcomes,
            "wait_s": record.wait_s,
            "reused_bytes": record.reused_bytes,
            "planned_start_s": record.planned_compute_start_s,
        }
        start_s, end_s = record.compute_start_s, record.end_s
        slices.append(
            slice_event(record.model, GPU_PID, COMPUTE_TID, start_s, end_s, args)
        )
    return slices


def lanes_of(spans_ns: Iterable[tuple[int, int]]) -> list[int]:
    """Give each span a lane, from 1, in which nothing overlaps; as few as can be.

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
    """Make a complete event: something that goes on from start to end."""
    # Both ends are rounded, not the length, so that neighbours touch exactly.
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
