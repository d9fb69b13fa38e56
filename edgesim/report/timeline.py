"""The timeline of one trial, for plotly: a row per request, and the GPU below."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from plotly.offline import get_plotlyjs

from edgesim.plotting.colours import INK, lighter
from edgesim.report.hover import Turns, batch_text, load_text, request_text
from edgesim.report.page import label
from edgesim.report.trials import Asked, Shown, Turn
from edgesim.text import counted

LOAD, BATCH, REUSED = 2, 1, 0
"""Lanes of the GPU, by their height."""

_LATE, _DROPPED, _QUIET = "#b35c00", "#c62828", "#9a9a9a"
_FIRST_TURNS = 40

Trace = dict[str, Any]


class _Bar(NamedTuple):
    """A bar in a row; ``tell`` is the number of its text."""

    start_s: float
    end_s: float
    row: int
    tell: int


class _Point(NamedTuple):
    """A mark in a row; ``tell`` is the number of its text."""

    time_s: float
    row: int
    tell: int


def library_script() -> str:
    """Return plotly's JavaScript."""
    code: str = get_plotlyjs()
    return code


def timeline(shown: Shown, own: str) -> dict[str, Any]:
    """Make the timeline of one trial.

    Parameters
    ----------
    shown
        The trial.
    own
        Colour of its solver or policy, as in the pictures of the run.

    Returns
    -------
    dict
        ``name``, ``repeat``; ``data`` and ``layout`` as plotly wants them; ``texts``,
        which ``customdata`` of ``data`` number; ``span`` and ``view``, the whole time
        and what is shown of it at first; ``note``, a sentence.
    """
    rows = _rows(shown.requests)
    turns: Turns = {turn.round: turn for turn in shown.turns}
    members: dict[int | None, list[Asked]] = {}
    for request in shown.requests:
        members.setdefault(request.round, []).append(request)
    of = [members.get(turn.round, []) for turn in shown.turns]
    span_s = _span(shown)
    return {
        "name": label(shown.name),
        "repeat": shown.repeat,
        "span": span_s,
        "view": _view(shown, span_s),
        "note": _note(shown, span_s),
        "texts": [
            *(request_text(one, turns) for one in shown.requests),
            *(load_text(t, shown, m) for t, m in zip(shown.turns, of, strict=True)),
            *(batch_text(t, m) for t, m in zip(shown.turns, of, strict=True)),
        ],
        "data": [*_request_traces(shown, own, rows, turns), *_gpu_traces(shown, own)],
        "layout": _layout(shown, rows),
    }


def _rows(requests: Sequence[Asked]) -> list[int]:
    """Give each request a row that is free while it is there."""
    free: list[int] = []
    taken: list[tuple[float, int]] = []
    order = sorted(range(len(requests)), key=lambda k: requests[k].arrival_s)
    rows = [0] * len(requests)
    for k in order:
        request = requests[k]
        while taken and taken[0][0] <= request.arrival_s:
            heapq.heappush(free, heapq.heappop(taken)[1])
        row = heapq.heappop(free) if free else len(taken)
        heapq.heappush(taken, (_last(request), row))
        rows[k] = row
    return rows


def _last(request: Asked) -> float:
    known = (request.deadline_s, request.end_s, request.upload_end_s)
    return max(time_s for time_s in known if time_s is not None)


def _span(shown: Shown) -> list[float]:
    starts = [r.arrival_s for r in shown.requests]
    starts += [t.load_start_s for t in shown.turns]
    ends = [_last(r) for r in shown.requests] + [t.end_s for t in shown.turns]
    first, last = min(starts, default=0.0), max(ends, default=1.0)
    room = 0.02 * (last - first) or 0.1
    return [_tidy(first - room), _tidy(last + room)]


def _view(shown: Shown, span_s: Sequence[float]) -> list[float]:
    """Begin a long run with its first rounds."""
    if len(shown.turns) <= 2 * _FIRST_TURNS:
        return list(span_s)
    start_s = min(one.load_start_s for one in shown.turns[:_FIRST_TURNS])
    start_s = min([start_s, *(one.arrival_s for one in shown.requests[:1])])
    end_s = shown.turns[_FIRST_TURNS].load_start_s
    return [_tidy(start_s - 0.02 * (end_s - start_s)), _tidy(end_s)]


def _note(shown: Shown, span_s: Sequence[float]) -> str:
    """Say how the trial went, and how much of it is shown."""
    counts = shown.counts
    note = (
        f"{label(shown.name)}, repeat {shown.repeat}: "
        f"{counts.get('in time', 0):,} of {counted(shown.request_count, 'request')} in "
        f"time, {counts.get('late', 0):,} late, {counts.get('dropped', 0):,} dropped; "
        f"{counted(shown.round_count, 'round')}."
    )
    requests, rounds = len(shown.requests), len(shown.turns)
    if (requests, rounds) == (shown.request_count, shown.round_count):
        return note
    return (
        f"{note} The timeline shows the beginning, to {span_s[1]:,.1f} s: "
        f"{requests:,} of {shown.request_count:,} requests and {rounds:,} of "
        f"{shown.round_count:,} rounds; requests.csv and rounds.csv have all of them."
    )


def _request_traces(
    shown: Shown, own: str, rows: Sequence[int], turns: Turns
) -> list[Trace]:
    placed = list(zip(shown.requests, rows, range(len(rows)), strict=True))
    faces = {"in time": _pale(own, 0.45), "late": _LATE, "dropped": _QUIET}
    uploads: dict[str, list[_Bar]] = {outcome: [] for outcome in faces}
    computed, deadlines, late, dropped = [], [], [], []
    for request, row, tell in placed:
        if request.upload_start_s is not None and request.outcome in uploads:
            bar = _Bar(request.upload_start_s, _upload_end(request), row, tell)
            uploads[request.outcome].append(bar)
        deadlines.append(_Point(request.deadline_s, row, tell))
        if request.outcome == "dropped":
            dropped.append(_Point(_left_at(request), row, tell))
            continue
        if request.outcome == "late":
            late.append(_Point(_left_at(request), row, tell))
        if request.round in turns:
            turn = turns[request.round]
            computed.append(_Bar(turn.compute_start_s, turn.end_s, row, tell))
    tick = {"symbol": "line-ns", "size": 9, "line": {"color": INK, "width": 1.5}}
    traces = [
        _waits(shown.requests, rows),
        *(_bars(f"upload ({o})", bars, faces[o], "y2") for o, bars in uploads.items()),
        _bars("in a batch", computed, own, "y2"),
        _points("deadline", deadlines, tick),
        _points("late", late, {"symbol": "diamond", "size": 9, "color": _LATE}),
        _points("dropped", dropped, {"symbol": "x", "size": 8, "color": _DROPPED}),
    ]
    return [trace for trace in traces if trace["x"]]


def _waits(requests: Sequence[Asked], rows: Sequence[int]) -> Trace:
    """Draw a line while a request is there; what else it does is drawn over it."""
    bars = [
        _Bar(request.arrival_s, _left_at(request), row, tell)
        for tell, (request, row) in enumerate(zip(requests, rows, strict=True))
    ]
    return _bars("request waits", bars, "#c4c4c4", "y2") | {"width": 0.14}


def _left_at(request: Asked) -> float:
    """Time when a request ended, computed or dropped, where a table tells it."""
    if request.end_s is not None:
        return request.end_s
    if request.upload_start_s is not None:  # planned, and its input never came
        return request.deadline_s
    return request.arrival_s


def _upload_end(request: Asked) -> float:
    known = request.upload_end_s
    return _left_at(request) if known is None else known


def _gpu_traces(shown: Shown, own: str) -> list[Trace]:
    loads, batches, waits, reused = [], [], [], []
    models, sizes, heights = [], [], []
    for place, turn in enumerate(shown.turns):
        tell_load = len(shown.requests) + place
        tell_batch = tell_load + len(shown.turns)
        start_s, compute_s = turn.load_start_s, turn.compute_start_s
        if turn.load_s > 0:
            loads.append(_Bar(start_s, start_s + turn.load_s, LOAD, tell_load))
            models.append(label(turn.model))
        if turn.batch:
            batches.append(_Bar(compute_s, turn.end_s, BATCH, tell_batch))
            sizes.append(f"×{turn.batch}")
        if turn.wait_s > 0:
            waits.append(_Bar(compute_s - turn.wait_s, compute_s, BATCH, tell_batch))
        if turn.reused_bytes:
            reused.append(_Bar(start_s, turn.end_s, REUSED, tell_load))
            heights.append(_tidy(0.8 * _reused_share(turn)))
    load = _bars(
        "load", loads, _pale(own, 0.8), hatch=("/", _pale(own, 0.4))
    ) | _labels(models)
    wait = _bars("GPU waits for inputs", waits, "#ffffff", hatch=(".", "#6b6b6b"))
    batch = _bars("batch", batches, own) | _labels(sizes)
    # Its height is the share that needs no load.
    share = _bars("in memory already (share of bytes)", reused, "#7d8a99")
    share |= {"width": heights, "offset": -0.4}
    return [trace for trace in (load, wait, batch, share) if trace["x"]]


def _reused_share(turn: Turn) -> float:
    return turn.reused_bytes / (turn.reused_bytes + turn.loaded_bytes)


def _bars(
    name: str,
    bars: Sequence[_Bar],
    face: str,
    axis: str = "y",
    hatch: tuple[str, str] | None = None,
) -> Trace:
    marker: dict[str, Any] = {"color": face, "line": {"width": 0}}
    if hatch is not None:
        shape, ink = hatch
        marker["pattern"] = {"shape": shape, "fgcolor": ink, "size": 6, "solidity": 0.2}
        marker["line"] = {"color": ink, "width": 0.8}
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "base": [_tidy(bar.start_s) for bar in bars],
        "x": [_tidy(max(bar.end_s - bar.start_s, 0.0)) for bar in bars],
        "y": [bar.row for bar in bars],
        "yaxis": axis,
        "width": 0.8 if axis == "y" else 0.72,
        "customdata": [bar.tell for bar in bars],
        "hoverinfo": "text",
        "marker": marker,
    }


def _labels(labels: Sequence[str]) -> Trace:
    """Write labels into bars where they fit."""
    return {
        "text": list(labels),
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
    }


def _points(name: str, points: Sequence[_Point], marker: Mapping[str, Any]) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [_tidy(point.time_s) for point in points],
        "y": [point.row for point in points],
        "yaxis": "y2",
        "customdata": [point.tell for point in points],
        "hoverinfo": "text",
        "marker": dict(marker),
    }


def _layout(shown: Shown, row_numbers: Sequence[int]) -> dict[str, Any]:
    rows = max(row_numbers, default=0) + 1
    alone = rows == len(row_numbers) <= 40
    requests: dict[str, Any] = {
        "domain": [0.4, 1.0],
        "range": [rows - 0.4, -0.6],
        "title": {"text": "uplink: a row per request", "font": {"size": 12}},
        "zeroline": False,
        "showgrid": False,
        "showticklabels": alone,
    }
    if alone:
        requests["tickvals"] = list(row_numbers)
        requests["ticktext"] = [label(one.id) for one in shown.requests]
        requests["tickfont"] = {"size": 9}
    return {
        "barmode": "overlay",
        "hovermode": "closest",
        "dragmode": "zoom",
        "margin": {"l": 76, "r": 12, "t": 34, "b": 40},
        "legend": {"orientation": "h", "y": -0.1, "yanchor": "top", "x": 0},
        "hoverlabel": {"bgcolor": "#fff", "align": "left", "font": {"size": 12}},
        "font": {"color": INK},
        "plot_bgcolor": "#fff",
        "xaxis": {
            "title": {"text": "time (s)"},
            "anchor": "y",
            "gridcolor": "#e8e8e8",
            "zeroline": False,
        },
        "yaxis": {
            "domain": [0.0, 0.34],
            "range": [-0.6, 2.6],
            "tickvals": [LOAD, BATCH, REUSED],
            "ticktext": ["GPU load", "GPU batch", "in memory"],
            "fixedrange": True,
            "zeroline": False,
            "showgrid": False,
        },
        "yaxis2": requests,
    }


def _tidy(time_s: float) -> float:
    """Round a time to a nanosecond."""
    return round(time_s, 9)


def _pale(face: str, share: float) -> str:
    parts = (round(255 * part) for part in lighter(face, share))
    return "#" + "".join(f"{part:02x}" for part in parts)
