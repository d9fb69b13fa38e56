"""When the stops of a tour run, and with what spectrum, in CP-SAT."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from solvers.tolerance import TIME_TOLERANCE_S
from tests.benchmarks.cpsat_tour import Tour

PARTS = 10**8
"""Parts of the band."""

RATE = 10**12
"""A rate is this over a compute start in ticks."""

TANGENTS = 200
"""Tangents to 1/start for each batch: from below, by less than 3e-4 of it."""

SOONEST = 1e-4
"""Before this share of the horizon, 1/start has no tangents of its own."""


def add_times(tour: Tour) -> None:
    """Run the stops one after the other, each user in time, within the spectrum.

    O(arcs) constraints; with releases another O(K · stops).
    """
    start = [_moment(tour) for _ in tour.stops]
    end = [_moment(tour) for _ in tour.stops]
    for j, stop in enumerate(tour.stops):
        tour.program.add(end[j] == start[j] + stop.compute)
        if j and tour.stops[j - 1].model == stop.model:
            tour.program.add(start[j] >= end[j - 1]).only_enforce_if(stop.present)
        if not tour.one_deadline:
            for v, (k,) in stop.members:
                due = tour.ticks(tour.tables.deadline_s[k] + TIME_TOLERANCE_S)
                if due < tour.horizon:
                    tour.program.add(end[j] <= due).only_enforce_if(v)
    ready: Any = 0
    if tour.uplink == "upfront":
        ready = _variable(tour)
        tour.program.add(ready == sum(stop.demand for stop in tour.stops))
    for i, j, v in tour.real_arcs():
        load = tour.load_ticks(i, j)
        before = end[i - 1] if i else ready
        tour.program.add(start[j - 1] >= before + load).only_enforce_if(v)
    if tour.uplink == "static":
        _band(tour, start)
    elif tour.uplink == "dynamic" and tour.tables.releases_zero:
        _uploads(tour, start)
    elif tour.uplink == "dynamic":
        _released(tour, start)


def _moment(tour: Tour) -> Any:
    """Make a time: counted from the end under ``static``, where late is good.

    The engine tries small values first.
    """
    if tour.uplink == "static":
        return tour.horizon - _variable(tour)
    return _variable(tour)


def _variable(tour: Tour) -> Any:
    return tour.program.new_int_var(0, tour.horizon, "")


def _band(tour: Tour, start: Sequence[Any]) -> None:
    """Share the band: each member's part is its demand times 1/start of its stop.

    ``rate`` stands for RATE / start and lies above its tangents only. What is true of
    real numbers is true of those rounded down, with one more tick, rate and part.
    """
    t = tour.tables
    parts = []
    for begin, stop in zip(start, tour.stops, strict=True):
        demands = [
            min(sum(tour.ticks(t.demand_s[k]) for k in users), 2 * tour.horizon)
            for _, users in stop.members
        ]
        # With the whole band an upload takes as long as its demand.
        soonest = max(min([*demands, tour.horizon]), SOONEST * tour.horizon, 1)
        rate = tour.program.new_int_var(0, math.ceil(2 * RATE / soonest), "")
        for touch in np.geomspace(soonest, tour.horizon, TANGENTS).tolist():
            # Whole coefficients that keep six digits of the slope.
            factor = math.ceil(1e6 * touch**2 / RATE)
            tour.program.add(
                factor * (rate + 1) + math.ceil(RATE * factor / touch**2) * (begin + 1)
                >= math.floor(2 * RATE * factor / touch)
            )
        alternatives = list(zip(stop.members, demands, strict=True))
        shared = [alternatives] if tour.one_deadline else [[a] for a in alternatives]
        for group in shared:
            part = tour.program.new_int_var(0, PARTS, "")
            parts.append(part)
            for (v, _), demand in group:
                tour.program.add(
                    RATE // PARTS * (part + 1) >= demand * rate
                ).only_enforce_if(v)
    tour.program.add(sum(parts) <= PARTS)


def _uploads(tour: Tour, start: Sequence[Any]) -> None:
    """Start no batch before all uploads of the batches so far can have ended."""
    sent = [_variable(tour) for _ in tour.stops]
    for j, stop in enumerate(tour.stops):
        tour.program.add(sent[j] >= stop.demand)
        tour.program.add(start[j] >= sent[j])
    for i, j, v in tour.real_arcs():
        if i:
            tour.program.add(
                sent[j - 1] >= sent[i - 1] + tour.stops[j - 1].demand
            ).only_enforce_if(v)


def _released(tour: Tour, start: Sequence[Any]) -> None:
    """Start no batch before its uploads and all earlier ones can have ended.

    For each release a of a user in by then: a, and all uploads so far that were
    released at a or later.
    """
    t = tour.tables
    entry: dict[int, list[tuple[int, Any]]] = {}
    for j, stop in enumerate(tour.stops):
        for v, (k,) in stop.members:
            entry.setdefault(k, []).append((j, v))
    begin = {}
    for k, places in entry.items():
        begin[k] = _variable(tour)
        for j, v in places:
            tour.program.add(begin[k] == start[j]).only_enforce_if(v)
    latest_first = sorted(entry, key=lambda k: -t.release_s[k])
    for j, stop in enumerate(tour.stops):
        sent: Any = 0
        group: list[Any] = []
        for n, k in enumerate(latest_first):
            inside = tour.program.new_bool_var("")
            if t.user_model[k] == stop.model:
                tour.program.add(
                    sum(v for i, v in entry[k] if i <= j) == inside
                ).only_enforce_if(stop.present)
            else:
                for _, v in entry[k]:
                    tour.program.add(begin[k] > start[j]).only_enforce_if(
                        [~inside, v, stop.present]
                    )
            sent += tour.ticks(t.demand_s[k]) * inside
            group.append(inside)
            release_s = t.release_s[k]
            if n + 1 < len(latest_first) and (
                t.release_s[latest_first[n + 1]] == release_s
            ):
                continue
            total = tour.program.new_int_var(0, 2 * tour.horizon, "")
            tour.program.add(total == sent)
            for literal in group:
                tour.program.add(
                    start[j] >= total + tour.ticks(release_s)
                ).only_enforce_if(literal)
            sent, group = total, []
