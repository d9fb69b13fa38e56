"""What a trace shows beside activities: deadlines and drops, and two counters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from edgesim.engine.records import DROPPED, IN_TIME, Floats, Ints
from edgesim.measures.account import Account
from edgesim.measures.gpu_memory import memory_use
from edgesim.results.tables import OUTCOMES, Mask, Window
from edgesim.results.trace_events import (
    GPU_PID,
    JsonObject,
    counter_event,
    instant_event,
    lane_names,
    lanes_of,
    name_event,
    to_ns,
)


class Instant(NamedTuple):
    """Something that happens at once, and its arguments in the trace."""

    name: str
    at_ns: int
    args: JsonObject


def described_outcome(account: Account, number: int) -> JsonObject:
    """Describe the outcome of a request."""
    outcome = int(account.run.requests.outcome[number])
    described: JsonObject = {"outcome": OUTCOMES[min(outcome, DROPPED)]}
    if outcome >= DROPPED:
        described["reason"] = account.run.reasons[outcome - DROPPED]
    return described


def _instant_lanes(instants: Sequence[Instant]) -> list[int]:
    """Assign lanes so that no two instants in one coincide."""
    return lanes_of((instant.at_ns, instant.at_ns + 1) for instant in instants)


def instant_names(
    pid: int, what: str, instants: Sequence[Instant]
) -> Iterator[JsonObject]:
    """Name the process and the lanes of instants, if there are any."""
    if instants:
        yield name_event("process_name", pid, 0, what)
        yield from lane_names(pid, what, _instant_lanes(instants))


def instant_events(pid: int, instants: Sequence[Instant]) -> Iterator[JsonObject]:
    """Yield instants in their lanes, in order of time."""
    lanes = _instant_lanes(instants)
    for (name, at_ns, args), lane in zip(instants, lanes, strict=True):
        yield instant_event(name, pid, lane, at_ns, args)


def deadlines_in(
    account: Account, users: Sequence[str], window_s: Window
) -> list[Instant]:
    """List the deadlines of a window, in order: whether each was met or missed."""
    requests = account.run.requests
    deadline_s = requests.deadline_s
    if account.schedule is not None:
        # Those of the problem: what the run made of them may differ in the last bit.
        deadline_s = account.tables.deadline_s
    instants = []
    for number in _in_order(deadline_s, deadline_s < np.inf, window_s):
        met = requests.outcome[number] == IN_TIME
        args = {
            **_request(account, users, number),
            **described_outcome(account, number),
        }
        name = "deadline met" if met else "deadline missed"
        instants.append(Instant(name, to_ns(deadline_s[number]), args))
    return instants


def drops_in(account: Account, users: Sequence[str], window_s: Window) -> list[Instant]:
    """List the drops of a window, in order, with their reasons."""
    requests = account.run.requests
    instants = []
    for number in _in_order(requests.end_s, requests.outcome >= DROPPED, window_s):
        reason = described_outcome(account, number)["reason"]
        args = {**_request(account, users, number), "reason": reason}
        at_ns = to_ns(requests.end_s[number])
        instants.append(Instant(f"dropped: {reason}", at_ns, args))
    return instants


def _in_order(at_s: Floats, chosen: Mask, window_s: Window) -> list[int]:
    """List the chosen requests with a time in the window, by that time."""
    chosen = chosen & (at_s >= window_s[0]) & (at_s < window_s[1])
    numbers: Ints = np.flatnonzero(chosen)
    order: list[int] = numbers[np.argsort(at_s[numbers], kind="stable")].tolist()
    return order


def _request(account: Account, users: Sequence[str], number: int) -> JsonObject:
    """Describe a request by its number, user and model."""
    requests, names = account.run.requests, account.tables.model_names
    return {
        "request": number,
        "user": users[requests.user[number]],
        "model": names[requests.model[number]],
    }


def queue_events(account: Account, window_s: Window) -> Iterator[JsonObject]:
    """Count waiting requests at each change in the window, and at its start."""
    came_s, left_s = (np.sort(times_s) for times_s in account.waiting_s)
    changes_s = np.concatenate([came_s, left_s, window_s[:1]])
    changes_s = changes_s[(changes_s >= window_s[0]) & (changes_s < window_s[1])]
    at_s = np.unique(changes_s)
    waiting = np.searchsorted(came_s, at_s, side="right") - np.searchsorted(
        left_s, at_s, side="right"
    )
    for time_s, count in zip(at_s.tolist(), waiting.tolist(), strict=True):
        yield counter_event("waiting", GPU_PID, to_ns(time_s), {"requests": count})


def memory_events(account: Account, window_s: Window) -> Iterator[JsonObject]:
    """Count the bytes in GPU memory at each change in the window, and at its start."""
    begin_s, end_s = max(0.0, window_s[0]), window_s[1]
    weights, activations = memory_use(account, end_s, begin_s)
    changes_s = np.concatenate([weights.at_s, activations.at_s, [begin_s]])
    at_s = np.unique(changes_s[(changes_s >= begin_s) & (changes_s < end_s)])
    held = {
        to_ns(time_s): {"weights": loaded, "activations": computing}
        for time_s, loaded, computing in zip(
            at_s.tolist(),
            weights.at(at_s).tolist(),
            activations.at(at_s).tolist(),
            strict=True,
        )
    }
    before: dict[str, int] = {}
    for at_ns, values in held.items():
        if values != before:
            yield counter_event("GPU memory (bytes)", GPU_PID, at_ns, values)
        before = values
