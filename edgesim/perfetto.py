"""A run as a Chrome trace: open it in Perfetto (ui.perfetto.dev) or chrome://tracing.

The trace event format: complete events (``ph`` X) with ``ts`` and ``dur`` in µs, and
metadata events (M) that name processes and threads.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from edgesim.files import write_json
from edgesim.simulation import RoundRecord, Run
from edgesim.uplink import UploadRecord

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
    uploads, lanes = _packed(run.uploads)
    events = [_name("process_name", UPLINK_PID, 0, "uplink")]
    events += [
        _name("thread_name", UPLINK_PID, lane, f"uploads {lane}")
        for lane in range(1, lanes + 1)
    ]
    events.append(_name("process_name", GPU_PID, 0, "GPU"))
    events.append(_name("thread_name", GPU_PID, LOAD_TID, "load"))
    events.append(_name("thread_name", GPU_PID, COMPUTE_TID, "compute"))
    requests = {record.id: record for record in run.requests}
    for upload, lane in uploads:
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
            _slice(upload.user, UPLINK_PID, lane, upload.start_s, upload.end_s, args)
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
        slices.append(_slice(record.model, GPU_PID, LOAD_TID, start_s, end_s, args))
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
        slices.append(_slice(record.model, GPU_PID, COMPUTE_TID, start_s, end_s, args))
    return slices


def _packed(
    uploads: Iterable[UploadRecord],
) -> tuple[list[tuple[UploadRecord, int]], int]:
    """Give each band held a lane, from 1, in which nothing overlaps; fewest lanes."""
    placed: list[tuple[UploadRecord, int]] = []
    busy: list[tuple[int, int]] = []
    free: list[int] = []
    lanes = 0
    for upload in sorted(uploads, key=lambda u: _ns(u.start_s)):
        while busy and busy[0][0] <= _ns(upload.start_s):
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane = lanes = lanes + 1
        heapq.heappush(busy, (_ns(upload.end_s), lane))
        placed.append((upload, lane))
    return placed, lanes


def _ns(time_s: float) -> int:
    return round(time_s * 1e9)


def _slice(
    name: str, pid: int, tid: int, start_s: float, end_s: float, args: JsonObject
) -> JsonObject:
    # Both ends are rounded, not the length, so that neighbours touch exactly.
    start_ns, end_ns = _ns(start_s), _ns(end_s)
    return {
        "name": name,
        "ph": "X",
        "pid": pid,
        "tid": tid,
        "ts": start_ns / 1000,
        "dur": (end_ns - start_ns) / 1000,
        "args": args,
    }


def _name(kind: str, pid: int, tid: int, name: str) -> JsonObject:
    return {"name": kind, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}
