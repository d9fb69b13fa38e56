"""What the timeline says of a request, a load or a batch that is pointed at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgesim.report.page import label
from edgesim.report.trials import Asked, Shown, Turn
from edgesim.text import counted, percent, seconds, size_text

_NAMES = 6
_LISTED = 8

Turns = Mapping[int | None, Turn]
"""Rounds by their number."""


def request_text(request: Asked, turns: Turns) -> str:
    """Tell a request's story: upload, wait, batch, deadline."""
    said = [
        f"<b>request {label(request.id)}</b> of {label(request.user)}",
        f"model {label(request.model)}",
        f"there from {_clock(request.arrival_s)}, "
        f"deadline {_clock(request.deadline_s)}",
    ]
    start_s, end_s = request.upload_start_s, request.upload_end_s
    if start_s is None:
        said.append("never uploaded")
    elif end_s is None:
        said.append(f"upload from {_clock(start_s)}, never ended")
    else:
        said.append(
            f"upload {_clock(start_s)} to {_clock(end_s)} ({seconds(end_s - start_s)})"
        )
    turn = None if request.round is None else turns.get(request.round)
    if request.outcome == "dropped":
        said.append(f"<b>dropped: {label(request.reason)}</b>")
        return "<br>".join(said)
    if turn is not None:
        if end_s is not None:
            said.append(f"waited {seconds(turn.compute_start_s - end_s)} for its batch")
        said.append(
            f"round {turn.round}: batch {_clock(turn.compute_start_s)} to "
            f"{_clock(turn.end_s)}"
        )
    if request.end_s is not None:
        spare_s = request.deadline_s - request.end_s
        said.append(
            f"<b>late by {seconds(-spare_s)}</b>"
            if request.outcome == "late"
            else f"in time, {seconds(spare_s)} before its deadline"
        )
    return "<br>".join(said)


def load_text(turn: Turn, shown: Shown, members: Sequence[Asked]) -> str:
    """Tell what a round loads, and what of its model was there already."""
    names = shown.blocks.get(turn.round)
    whole = turn.loaded_bytes + turn.reused_bytes
    blocks = f", {counted(turn.blocks, 'block')}" if turn.blocks is not None else ""
    said = [f"<b>{label(turn.model)}</b>, round {turn.round}"]
    if turn.load_s > 0:
        said.append(
            f"load {_clock(turn.load_start_s)} to "
            f"{_clock(turn.load_start_s + turn.load_s)} ({seconds(turn.load_s)})"
        )
    said.append(f"loaded {size_text(turn.loaded_bytes)}{blocks}")
    if names:
        said.append(_listed([label(name) for name in names], _NAMES, by=2))
    share = turn.reused_bytes / whole if whole else 0.0
    said.append(
        f"in memory already: {size_text(turn.reused_bytes)} of {size_text(whole)} "
        f"({percent(share)})"
    )
    if members:
        ids = [label(one.id) for one in members]
        said.append(f"for {counted(len(ids), 'request')}: {_listed(ids, _LISTED)}")
    return "<br>".join(said)


def batch_text(turn: Turn, members: Sequence[Asked]) -> str:
    """Tell who is in a batch and how long each waited, and what the GPU waited for."""
    said = [
        f"<b>{label(turn.model)}</b>, round {turn.round}: batch of {turn.batch}",
        f"{_clock(turn.compute_start_s)} to {_clock(turn.end_s)} "
        f"({seconds(turn.compute_s)})",
    ]
    planned_s = turn.planned_end_s
    if planned_s is not None and abs(planned_s - turn.end_s) > 1e-9:
        said.append(f"planned to end at {_clock(planned_s)}")
    computed = [one for one in members if one.outcome != "dropped"]
    inputs = [one for one in computed if one.upload_end_s is not None]
    if turn.wait_s > 0:
        waited = f"the GPU waited {seconds(turn.wait_s)} for inputs"
        if inputs:
            last = max(inputs, key=lambda one: one.upload_end_s or 0.0)
            waited += f", last for that of {label(last.id)}"
        said.append(waited)
    for one in computed[:_LISTED]:
        wait = (
            ""
            if one.upload_end_s is None
            else (f": waited {seconds(turn.compute_start_s - one.upload_end_s)}")
        )
        late = ", <b>late</b>" if one.outcome == "late" else ""
        said.append(f"request {label(one.id)} of {label(one.user)}{wait}{late}")
    if len(computed) > _LISTED:
        said.append(f"and {len(computed) - _LISTED} more")
    left = [one for one in members if one.outcome == "dropped"]
    said += [f"without {label(one.id)}: {label(one.reason)}" for one in left[:_LISTED]]
    return "<br>".join(said)


def _listed(names: Sequence[str], most: int, by: int = 8) -> str:
    """List the first names, a few a line."""
    first = list(names[:most])
    lines = [", ".join(first[k : k + by]) for k in range(0, len(first), by)]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ",<br>".join(lines) + more


def _clock(time_s: float) -> str:
    return f"{time_s:,.4f} s"
