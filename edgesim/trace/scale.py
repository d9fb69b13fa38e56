"""Scale the rate, speed and burstiness of any trace.

Published traces match no particular GPU. Here a trace's arrival times are stretched, a
window is cut out of it, and within intervals of the window arrivals are made denser or
sparser and more or less bursty. ``docs/traces.md`` documents this for users.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgesim.errors import InputError
from edgesim.trace.interarrival import gamma_shapes, redrawn, within
from edgesim.trace.requests import Trace

MOST_SCALE = 10_000.0
"""Largest factor on rate, time or coefficient of variation; more must be a typo."""

SCALE_INTERVAL_S = 60.0
"""Default length of the intervals in which rates and burstiness are measured."""

PIECE_ROWS = 1 << 16
"""Rows passed on at a time if only times are scaled."""

MOST_WINDOW_S = 4e6
"""The longest window that is scaled or run online, 46 days.

Beyond it, doubles cannot distinguish times 1e-9 s apart.
"""

Scale = Annotated[float, Field(gt=0, le=MOST_SCALE, allow_inf_nan=False)]
ScaleInterval = Annotated[float, Field(ge=1e-3, le=1e6, allow_inf_nan=False)]

Columns = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Scaling:
    """How a trace is scaled, and which window of it is used.

    Parameters
    ----------
    time
        Factor on arrival times; relative deadlines are unchanged.
    start_s, window_s
        The window in stretched time: ``start_s <= arrival < start_s + window_s``; it
        may be infinite.
    cv
        Factor on the coefficient of variation of the gaps between the arrivals of each
        model.
    rate
        Factor on the number of arrivals.
    interval_s
        Intervals, counted from ``start_s``, in which ``cv`` and ``rate`` apply.
    """

    time: float = 1.0
    start_s: float = 0.0
    window_s: float = inf
    cv: float = 1.0
    rate: float = 1.0
    interval_s: float = SCALE_INTERVAL_S

    @property
    def keeps_all(self) -> bool:
        """Whether every request of the window is kept exactly once, unchanged."""
        return self.cv == self.rate == 1


@dataclass(frozen=True)
class Burst:
    """A span in which arrivals come ``factor`` times as often, applied last."""

    start_s: float
    end_s: float
    factor: float


def window_rows(arrival_s: Floats, scaling: Scaling) -> tuple[int, int]:
    """Find the first row of the window and the first row past it. O(log n)."""
    end_s = scaling.start_s + scaling.window_s

    def place(limit_s: float) -> int:
        # Compare the products themselves: no quotient of the limit agrees with all.
        return bisect_left(
            arrival_s, limit_s, key=lambda at_s: float(at_s) * scaling.time
        )

    return place(scaling.start_s), place(end_s)


def window_length_s(where: str, arrival_s: Floats, scaling: Scaling) -> float:
    """Return the length of a window; an infinite one ends with its last arrival.

    Parameters
    ----------
    where
        Name of the setting of ``window_s``, for messages.
    arrival_s
        Arrivals of the whole trace, in order.
    scaling
        The window.

    Raises
    ------
    InputError
        If it is longer than ``MOST_WINDOW_S``.
    """
    length_s = scaling.window_s
    if length_s == inf:
        last_s = float(arrival_s[-1]) * scaling.time if len(arrival_s) else 0.0
        length_s = max(0.0, last_s - scaling.start_s)
    if length_s > MOST_WINDOW_S:
        raise InputError(
            where,
            f"must be set so that the window lasts at most {MOST_WINDOW_S:g} s, found "
            f"{length_s:g} s",
        )
    return length_s


def scaled(
    columns: Columns,
    scaling: Scaling,
    rng: np.random.Generator,
    bursts: Sequence[Burst] = (),
) -> Iterator[dict[str, NDArray[Any]]]:
    """Scale the rows of a window, piece by piece, in order of arrival.

    In each interval of the window, each request occurs floor(r) or ceil(r) times with
    r = ``rate``, r times on average; for r < 1 it is kept with probability r. The first
    occurrence keeps its time, the others are placed at times drawn uniformly from the
    interval. Each has the request's user, model, size and deadline.

    With ``cv`` other than 1 all times are redrawn, as in AlpaServe (Li et al., OSDI
    2023): the arrivals of each model in each interval are modelled as a gamma process,
    and another one is drawn whose gaps have ``cv`` times its coefficient of variation.
    Here the number of arrivals is given, so fit and draw are conditional on it. The n
    gaps lie on a circle as long as the interval (the last one runs from the last
    arrival to the end and on from the start to the first). Gamma gaps of shape k,
    divided by their sum, have the expected squared coefficient of variation
    (n − 1)/(nk + 1); so the observed v² gives k = ((n − 1)/v² − 1)/n, which is 1 for a
    Poisson process for any n, and is taken as 1 for n = 1. New gaps have shape k/cv²,
    divided by their sum, and begin at a point drawn uniformly on the circle. Requests
    keep their order within each model. The number of arrivals limits how bursty they
    can be: v² never exceeds n − 1.

    Parameters
    ----------
    columns
        ``arrival_s``, ``model`` and any others: rows of the window only (see
        :func:`window_rows`), not stretched yet.
    scaling
        The scaling; times in the result are relative to ``start_s``.
    rng
        Spawns separate generators for rates, gaps and bursts, so that no draw depends
        on the number of other draws.
    bursts
        Disjoint spans, scaled last in the same way as by ``rate``, separately in each
        interval.

    Yields
    ------
    dict
        The same columns. One interval at a time, so memory grows with the requests of
        one interval; or ``PIECE_ROWS`` rows at a time if all requests are unchanged.
    """
    rngs = rng.spawn(3)
    arrival_s = columns["arrival_s"]
    if scaling.keeps_all and not bursts:
        for first in range(0, len(arrival_s), PIECE_ROWS):
            yield _rows(columns, scaling, first, first + PIECE_ROWS)
        return
    last_s = _relative(arrival_s[-1:], scaling)
    whole_s = (
        scaling.window_s if scaling.window_s < inf else float(last_s.max(initial=0))
    )
    first, count = 0, len(arrival_s)
    while first < count:
        start_s = float(_relative(arrival_s[first : first + 1], scaling)[0])
        number = int(start_s // scaling.interval_s)
        if (number + 1) * scaling.interval_s <= start_s:  # by rounding
            number += 1
        low_s, high_s = (n * scaling.interval_s for n in (number, number + 1))
        after = bisect_left(
            arrival_s, high_s, first + 1, key=lambda s: _relative(s, scaling)
        )
        piece = _rows(columns, scaling, first, after)
        yield _scaled_interval(
            piece, (low_s, min(high_s, whole_s)), scaling, bursts, rngs
        )
        first = after


def _relative(arrival_s: Any, scaling: Scaling) -> Any:
    return arrival_s * scaling.time - scaling.start_s


def _rows(
    columns: Columns, scaling: Scaling, first: int, after: int
) -> dict[str, NDArray[Any]]:
    piece = {name: np.asarray(values[first:after]) for name, values in columns.items()}
    piece["arrival_s"] = _relative(piece["arrival_s"], scaling)
    return piece


def _scaled_interval(
    piece: Columns,
    span_s: tuple[float, float],
    scaling: Scaling,
    bursts: Sequence[Burst],
    rngs: Sequence[np.random.Generator],
) -> dict[str, NDArray[Any]]:
    """Scale the requests of one interval, then its part of each burst."""
    rate_rng, gap_rng, burst_rng = rngs
    times_s, model = piece["arrival_s"], piece["model"]
    row = np.arange(len(times_s))
    if scaling.rate != 1:
        every = np.ones(len(row), dtype=bool)
        row, times_s = _repeated(row, times_s, every, scaling.rate, span_s, rate_rng)
    if scaling.cv != 1:
        shapes = gamma_shapes(model, piece["arrival_s"], span_s)
        times_s = redrawn(model[row], shapes, scaling.cv, span_s, gap_rng)
        row, times_s = _in_order(row, times_s)
    for burst in bursts:
        part_s = max(burst.start_s, span_s[0]), min(burst.end_s, span_s[1])
        inside = (times_s >= burst.start_s) & (times_s < burst.end_s)
        if inside.any():
            row, times_s = _repeated(
                row, times_s, inside, burst.factor, part_s, burst_rng
            )
    return {name: values[row] for name, values in piece.items()} | {
        "arrival_s": times_s
    }


def _repeated(
    row: Ints,
    times_s: Floats,
    which: NDArray[np.bool_],
    factor: float,
    span_s: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[Ints, Floats]:
    """Repeat some rows ``factor`` times on average; copies get times in the span."""
    copies = np.ones(len(row), dtype=np.int64)
    whole = int(factor)
    copies[which] = whole + (rng.random(int(which.sum())) < factor - whole)
    taken = np.repeat(np.arange(len(row)), copies)
    again = np.zeros(len(taken), dtype=bool)
    again[1:] = taken[1:] == taken[:-1]
    times_s = times_s[taken]
    times_s[again] = within(rng.random(int(again.sum())), span_s)
    return _in_order(row[taken], times_s)


def _in_order(row: Ints, times_s: Floats) -> tuple[Ints, Floats]:
    order = np.argsort(times_s, kind="stable")
    return row[order], times_s[order]


def scaled_window(
    trace: Trace,
    scaling: Scaling,
    rng: np.random.Generator,
    where: str = "window_s",
) -> Trace:
    """Scale a window of a trace; times become relative to its start.

    Parameters
    ----------
    trace
        The whole trace; users and models keep their numbers.
    scaling
        The scaling.
    rng
        As for :func:`scaled`.
    where
        Name of the setting of the window's length, for messages.

    Raises
    ------
    InputError
        If the scaled window is longer than ``MOST_WINDOW_S``.
    """
    if not (scaling.keeps_all and scaling.time == 1):
        window_length_s(where, trace.arrival_s, scaling)
    first, after = window_rows(trace.arrival_s, scaling)
    columns = {name: values[first:after] for name, values in trace.columns().items()}
    pieces = list(scaled(columns, scaling, rng))
    joined: dict[str, Any] = {
        name: np.concatenate([values[:0], *(piece[name] for piece in pieces)])
        for name, values in columns.items()
    }
    return replace(trace, **joined)
