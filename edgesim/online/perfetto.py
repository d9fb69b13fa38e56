"""A window of an online run as a Chrome trace, for Perfetto or chrome://tracing.

Uploads, loads and batches are spans, the queue is a counter. The document is written
event by event: a long window makes a large file, but needs no memory for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgesim.engine.records import DROPPED, IN_TIME, Ints
from edgesim.files import write_whole
from edgesim.online.gpu_time import loaded_until_s
from edgesim.online.measures import Account
from edgesim.online.tables import OUTCOMES, Window, requests_in, rounds_in
from edgesim.perfetto import (
    COMPUTE_TID,
    GPU_PID,
    LOAD_TID,
    UPLINK_PID,
    JsonObject,
    lanes_of,
    name_event,
    slice_event,
    to_ns,
)


def window_events(
    account: Account, users: Sequence[str], window_s: Window
) -> Iterator[JsonObject]:
    """Yield the events of a window.

    Whatever goes on at some time in the window is there, from its start to its end. An
    upload lasts from when it first got spectrum until its input was there or it was
    given up; what it had to pause is part of it. Times are those of the run, rounded to
    a nanosecond.

    Parameters
    ----------
    account
        The run.
    users
        Names of users, by number.
    window_s
        From when to when, the end excluded.
    """
    yield name_event("process_name", UPLINK_PID, 0, "uplink")
    yield name_event("process_name", GPU_PID, 0, "GPU")
    yield name_event("thread_name", GPU_PID, LOAD_TID, "load")
    yield name_event("thread_name", GPU_PID, COMPUTE_TID, "compute")
    yield from _uploads(account, users, window_s)
    yield from _rounds(account, window_s)
    yield from _queue(account, window_s)


def write_window(
    path: Path, account: Account, users: Sequence[str], window_s: Window
) -> None:
    """Write the trace document of a window as JSON, whole or not at all.

    Parameters
    ----------
    path
        Where to.
    account, users, window_s
        As for :func:`window_events`.

    Raises
    ------
    InputError
        When the file cannot be written.
    """
    with write_whole(path) as file:
        file.write('{"displayTimeUnit": "ms",\n"traceEvents": [')
        sign = "\n"
        for event in window_events(account, users, window_s):
            file.write(sign + json.dumps(event, ensure_ascii=False, allow_nan=False))
            sign = ",\n"
        file.write("\n]}\n")


def _uploads(
    account: Account, users: Sequence[str], window_s: Window
) -> Iterator[JsonObject]:
    run, names = account.run, account.tables.model_names
    requests = run.requests
    stop_s = np.where(
        np.isnan(requests.upload_end_s), requests.end_s, requests.upload_end_s
    )
    there = requests_in(run, window_s)
    # False for those that never got spectrum: their start is NaN.
    there &= (requests.upload_start_s < window_s[1]) & (stop_s >= window_s[0])
    numbers = np.flatnonzero(there)
    numbers = numbers[np.argsort(requests.upload_start_s[numbers], kind="stable")]
    starts_s = requests.upload_start_s[numbers].tolist()
    stops_s = stop_s[numbers].tolist()
    spans = zip(map(to_ns, starts_s), map(to_ns, stops_s), strict=True)
    lanes = lanes_of(spans)
    for lane in range(1, max(lanes, default=0) + 1):
        yield name_event("thread_name", UPLINK_PID, lane, f"uploads {lane}")
    for number, start_s, end_s, lane in zip(
        numbers.tolist(), starts_s, stops_s, lanes, strict=True
    ):
        outcome = int(requests.outcome[number])
        args: JsonObject = {
            "request": number,
            "model": names[requests.model[number]],
            "arrival_s": float(requests.arrival_s[number]),
            "outcome": OUTCOMES[min(outcome, DROPPED)],
        }
        deadline_s = float(requests.deadline_s[number])
        if deadline_s < np.inf:
            args["deadline_s"] = deadline_s
        if outcome >= DROPPED:
            args["reason"] = run.reasons[outcome - DROPPED]
        else:
            args["round"] = int(requests.round[number])
        name = users[requests.user[number]]
        yield slice_event(name, UPLINK_PID, lane, start_s, end_s, args)


def _rounds(account: Account, window_s: Window) -> Iterator[JsonObject]:
    rounds, names = account.run.rounds, account.tables.model_names
    requests = account.run.requests
    numbers = np.flatnonzero(rounds_in(account.run, window_s))
    first = int(numbers[0]) if len(numbers) else 0
    # Requests of the window's rounds, round after round: rounds are numbered in order.
    mine = np.flatnonzero((requests.round >= first) & (requests.round >= 0))
    mine = mine[np.argsort(requests.round[mine], kind="stable")]
    edges = np.searchsorted(requests.round[mine], numbers, side="left")
    stops = np.searchsorted(requests.round[mine], numbers, side="right")
    ready_s = loaded_until_s(rounds)
    for r, begin, stop in zip(
        numbers.tolist(), edges.tolist(), stops.tolist(), strict=True
    ):
        model = names[rounds.model[r]]
        start_s, load_s = float(rounds.load_start_s[r]), float(rounds.load_s[r])
        if load_s > 0:
            args: JsonObject = {
                "round": r,
                "chosen": int(rounds.chosen[r]),
                "loaded_bytes": int(rounds.loaded_bytes[r]),
                "reused_bytes": int(rounds.reused_bytes[r]),
            }
            yield slice_event(model, GPU_PID, LOAD_TID, start_s, start_s + load_s, args)
        if rounds.batch[r]:
            batch: Ints = mine[begin:stop]
            args = {
                "round": r,
                "batch": len(batch),
                "requests": batch.tolist(),
                "late": int((requests.outcome[batch] != IN_TIME).sum()),
                "wait_s": float(rounds.compute_start_s[r] - ready_s[r]),
                "reused_bytes": int(rounds.reused_bytes[r]),
            }
            begin_s, end_s = float(rounds.compute_start_s[r]), float(rounds.end_s[r])
            yield slice_event(model, GPU_PID, COMPUTE_TID, begin_s, end_s, args)


def _queue(account: Account, window_s: Window) -> Iterator[JsonObject]:
    """Count who waits, whenever that changes in the window, and at its start."""
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
