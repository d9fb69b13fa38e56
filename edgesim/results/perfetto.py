"""A run as a Chrome trace: open it in Perfetto (ui.perfetto.dev) or chrome://tracing.

Times are those of the run, rounded to a nanosecond. First come the names of all lanes,
then uploads, loads and batches, deadlines, drops and counters, each in order of time;
the event that begins or ends a flow follows its slice. A window of a long run is
written event by event: the file may be large, but takes no memory.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgesim.engine.records import IN_TIME, Ints
from edgesim.measures.account import Account
from edgesim.measures.gpu_time import wait_s
from edgesim.results.tables import Window, planned_round_of, requests_in, rounds_in
from edgesim.results.trace_events import (
    DEADLINES_PID,
    DROPS_PID,
    GPU_PID,
    UPLINK_PID,
    JsonObject,
    flow_finish,
    flow_start,
    lane_names,
    lanes_of,
    name_event,
    slice_event,
    to_ns,
)
from edgesim.results.trace_marks import (
    deadlines_in,
    described_outcome,
    drops_in,
    instant_events,
    instant_names,
    memory_events,
    queue_events,
)
from edgesim.storage.files import write_json, write_whole

LOAD_TID = 1
COMPUTE_TID = 2
INPUT = "input"
"""Name of the flows from the end of a request's upload to the batch that computes it;
their numbers are those of the requests."""

_WHOLE: Window = (-np.inf, np.inf)


class _Slice(NamedTuple):
    """An activity with start and end, and its arguments in the trace."""

    request: int
    name: str
    start_s: float
    end_s: float
    args: JsonObject


def plan_events(account: Account) -> JsonObject:
    """Convert a run that followed a plan to a trace document.

    The uplink has as many lanes as there are concurrent uploads, with a slice for every
    band held; the GPU has one lane for loading and one for computing. A flow leads from
    each upload that ended to its batch. Deadlines and drops have lanes of their own,
    and what GPU memory holds is a counter.

    Returns
    -------
    dict
        The JSON document: ``traceEvents`` and ``displayTimeUnit``.
    """
    account = replace(account, run=account.run.at_hand())
    users = [user.id for user in account.tables.problem.users]
    bands = _bands(account)
    lanes = _lanes(bands)
    flows = _flows(account, bands, _WHOLE)
    deadlines = deadlines_in(account, users, _WHOLE)
    drops = drops_in(account, users, _WHOLE)
    events = [
        name_event("process_name", UPLINK_PID, 0, "uplink"),
        *lane_names(UPLINK_PID, "uploads", lanes),
        name_event("process_name", GPU_PID, 0, "GPU"),
        *_gpu_lane_names(),
        *instant_names(DEADLINES_PID, "deadlines", deadlines),
        *instant_names(DROPS_PID, "drops", drops),
        *_in_lanes(bands, lanes, flows),
        *_planned_rounds(account, flows),
        *instant_events(DEADLINES_PID, deadlines),
        *instant_events(DROPS_PID, drops),
        *memory_events(account, _WHOLE),
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
    abandoned, pauses included. A flow leads from an upload to its batch if both are
    included. Deadlines and drops are those of the window; the number of waiting
    requests and what GPU memory holds are counters.

    Parameters
    ----------
    account
        The run.
    users
        Names of users, by number.
    window_s
        Start and end of the window, the end excluded.
    """
    account = replace(account, run=account.run.at_hand())
    yield name_event("process_name", UPLINK_PID, 0, "uplink")
    yield name_event("process_name", GPU_PID, 0, "GPU")
    yield from _gpu_lane_names()
    uploads = _uploads(account, users, window_s)
    lanes = _lanes(uploads)
    flows = _flows(account, uploads, window_s)
    deadlines = deadlines_in(account, users, window_s)
    drops = drops_in(account, users, window_s)
    yield from lane_names(UPLINK_PID, "uploads", lanes)
    yield from instant_names(DEADLINES_PID, "deadlines", deadlines)
    yield from instant_names(DROPS_PID, "drops", drops)
    yield from _in_lanes(uploads, lanes, flows)
    yield from _rounds(account, window_s, flows)
    yield from instant_events(DEADLINES_PID, deadlines)
    yield from instant_events(DROPS_PID, drops)
    yield from queue_events(account, window_s)
    yield from memory_events(account, window_s)


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
    """Assign lanes; a slice without length keeps its ns, so that a flow finds it."""
    starts_ns = [to_ns(slice_.start_s) for slice_ in slices]
    ends_ns = [to_ns(slice_.end_s) for slice_ in slices]
    return lanes_of(
        (start_ns, max(end_ns, start_ns + 1))
        for start_ns, end_ns in zip(starts_ns, ends_ns, strict=True)
    )


def _in_lanes(
    slices: Sequence[_Slice], lanes: Sequence[int], flows: Container[int]
) -> Iterator[JsonObject]:
    """Yield slices in their lanes, and flows from the last slice of each request."""
    last = {slice_.request: index for index, slice_ in enumerate(slices)}
    for index, (slice_, lane) in enumerate(zip(slices, lanes, strict=True)):
        number, name, start_s, end_s, args = slice_
        event = slice_event(name, UPLINK_PID, lane, start_s, end_s, args)
        yield event
        if last[number] == index and number in flows:
            yield flow_start(INPUT, number, event)


def _flows(account: Account, slices: Sequence[_Slice], window_s: Window) -> set[int]:
    """Find the requests with a slice whose batch is in the window, too."""
    numbers = np.unique(np.array([s.request for s in slices], dtype=np.int64))
    round_ = account.run.requests.round[numbers]
    computed = round_ >= 0
    numbers, round_ = numbers[computed], round_[computed]
    return set(numbers[rounds_in(account.run, window_s)[round_]].tolist())


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
            **described_outcome(account, k),
        }
        slices.append(_Slice(k, users[k].id, start_s, end_s, args))
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
        outcome = described_outcome(account, number)
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
        slices.append(_Slice(number, name, float(start_s), float(end_s), args))
    return slices


def _round(
    account: Account,
    r: int,
    load: JsonObject,
    batch: JsonObject,
    inputs: Sequence[int],
) -> Iterator[JsonObject]:
    """Yield a round's load and batch, if present, with the arguments of each.

    Flows from the uploads of ``inputs`` end at the batch.
    """
    rounds = account.run.rounds
    model = account.tables.model_names[rounds.model[r]]
    start_s, load_s = float(rounds.load_start_s[r]), float(rounds.load_s[r])
    if load_s > 0:
        args = {"round": r, **load}
        yield slice_event(model, GPU_PID, LOAD_TID, start_s, start_s + load_s, args)
    if rounds.batch[r]:
        args = {"round": r, "batch": int(rounds.batch[r]), **batch}
        begin_s, end_s = float(rounds.compute_start_s[r]), float(rounds.end_s[r])
        event = slice_event(model, GPU_PID, COMPUTE_TID, begin_s, end_s, args)
        yield event
        for number in inputs:
            yield flow_finish(INPUT, number, event)


def _planned_rounds(account: Account, flows: Container[int]) -> Iterator[JsonObject]:
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
        outcomes = {
            u: described_outcome(account, number[u])["outcome"] for u in planned.users
        }
        batch = {
            "users": computed,
            "outcome": outcomes,
            "wait_s": waited_s[r],
            "reused_bytes": reused,
            "planned_start_s": planned.compute_start_s,
        }
        inputs = [number[u] for u in computed if number[u] in flows]
        yield from _round(account, r, load, batch, inputs)


def _rounds(
    account: Account, window_s: Window, flows: Container[int]
) -> Iterator[JsonObject]:
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
            [number for number in batch.tolist() if number in flows],
        )
