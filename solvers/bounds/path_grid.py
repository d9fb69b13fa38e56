"""Lay a problem's time out as a grid, and its batches and loads as arcs on it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.bounds.path_memory import Memory, memories
from solvers.bounds.path_network import NEVER, Network
from solvers.core.tables import Floats, Ints, Tables
from solvers.tolerance import TIME_TOLERANCE_S, granted
from solvers.uplink import Uplink

# More than verification grants, so that rounding never decides.
GRANTED_S = 2 * TIME_TOLERANCE_S

# Durations are taken this much shorter before they are rounded down to steps.
SHORTER, BELOW = 1 - 1e-12, 1e-9

# Steps are chosen such that steps · arcs is about one of the first two numbers; where
# it must be above the third there is no path bound. Above the fourth on the coarsest
# grid, models with many users remember nothing of a visit.
COARSE_WORK = 500_000
GOOD_WORK = 2_000_000
MAX_WORK = 60_000_000
MEMORY_WORK = 20_000_000
MIN_STEPS, MAX_STEPS = 300, 1000


def make_network(
    tables: Tables, uplink: Uplink, work: int = GOOD_WORK
) -> Network | None:
    """Lay out a problem on a grid as fine as a given amount of work allows.

    Parameters
    ----------
    tables, uplink
        A problem with users, and the discipline.
    work
        Product of steps and arcs that is aimed at. The grid is never coarser than the
        shortest batch, whatever that takes.

    Returns
    -------
    Network or None
        None if the product would exceed ``MAX_WORK``, or no batch ends in time.
    """
    models = tables.active
    counts = np.array([len(tables.users_of[m]) for m in models])
    latency = _latencies(tables, counts)
    by_model, remembered = memories(tables, uplink, MEMORY_WORK / MIN_STEPS)
    users = np.concatenate(by_model)
    latest_s = float(tables.deadline_s[users].max())
    least_s = float(latency.min())
    if least_s > latest_s + GRANTED_S:
        return None
    arcs = _arcs(remembered, latency)
    count = len(arcs.size) + len(models) ** 2
    fewest = int(latest_s / least_s) + 2
    steps = max(min(max(work // count, MIN_STEPS), MAX_STEPS), fewest)
    if steps * count > MAX_WORK:
        return None
    return _network(tables, uplink, steps, users, counts, remembered, arcs, latency)


class _Arcs(NamedTuple):
    """Arcs by the column they lead to, and the columns of the models."""

    size: Ints
    source: Ints
    column: Ints
    last: Ints
    first: Ints


def _arcs(remembered: tuple[Memory, ...], latency: Floats) -> _Arcs:
    """List the batches of every model; its columns begin at ``first``."""
    places = [memory.places for memory in remembered]
    first = np.concatenate(([0], np.cumsum(places)))
    users = 0
    rows: list[tuple[int, int, int, int]] = []
    for m, memory in enumerate(remembered):
        start = int(first[m])
        rows += [
            (size, start + source, start + place, users + last - 1 if last else -1)
            for size, source, place, last in memory.arcs(
                np.flatnonzero(np.isfinite(latency[:, m]))
            )
        ]
        users += len(memory.bars)
    size, source, column, last = np.array(rows, dtype=np.int64).reshape(-1, 4).T.copy()
    return _Arcs(size, source, column, last, first)


def _latencies(tables: Tables, counts: Ints) -> Floats:
    """Compute time by batch size and active model, inf where it cannot be used."""
    sizes = [len(tables.latency_s[m]) - 1 for m in tables.active]
    most = int(np.minimum(sizes, counts).max())
    latency = np.full((most, len(counts)), np.inf)
    for i, m in enumerate(tables.active):
        size = min(sizes[i], int(counts[i]), most)
        latency[:size, i] = tables.latency_s[m][1 : size + 1]
    return latency


def _network(
    tables: Tables,
    uplink: Uplink,
    steps: int,
    users: Ints,
    counts: Ints,
    remembered: tuple[Memory, ...],
    arcs: _Arcs,
    latency: Floats,
) -> Network:
    models = latency.shape[1]
    step_s = float(tables.deadline_s[users].max()) / steps
    # Labels may end by all that a proof grants.
    latest_s = granted(tables.deadline_s[users]) + GRANTED_S
    until = np.floor(latest_s / step_s + BELOW)
    until = until.astype(np.int64)
    last = int(until.max())
    usable = np.isfinite(latency)
    batch_steps = _steps(np.where(usable, latency, 0.0), step_s)
    load_s = _loads_s(tables)
    load_steps = _steps(load_s, step_s)
    if tables.problem.overlap:
        # Only the first load hides behind no batch.
        load_steps[:-1] = 0
    pad = int(max(batch_steps.max(), load_steps.max())) + 1
    places = np.diff(arcs.first)
    model_of = np.repeat(np.arange(models), places)
    back = pad - batch_steps[arcs.size, model_of[arcs.column]]
    offset = back * len(model_of) + arcs.source
    # A user bars others only from rounds that it could surely have waited for.
    barring = _steps(tables.deadline_s[users], step_s) - 1
    if uplink == "upfront":
        barring[:] = NEVER
    load_offset = (pad - load_steps[:-1]) * models + np.arange(models)[:, None]
    sigma_s = (np.arange(1, last + 2) * step_s)[:, None, None] - np.where(
        usable, latency, 0.0
    )
    return Network(
        tables=tables,
        memories=remembered,
        step_s=step_s,
        last=last,
        models=tables.active,
        users=users,
        first=np.concatenate(([0], np.cumsum(counts))),
        column=arcs.first,
        model_of=model_of,
        user_model=np.repeat(np.arange(models), counts),
        demand_s=tables.demand_s[users],
        until=until,
        barring=barring,
        arrival_s=tables.release_s[users] + tables.demand_s[users],
        latency_s=latency,
        batch_steps=batch_steps,
        load_s=load_s,
        load_steps=load_steps,
        # A batch that ends before it could have started is never worth its price.
        sigma_s=np.maximum(sigma_s, 1e-6 * step_s),
        arc_size=arcs.size,
        arc_source=arcs.source,
        arc_column=arcs.column,
        arc_last=arcs.last,
        arc_offset=offset,
        load_offset=load_offset,
        pad=pad,
        block=int(batch_steps[usable].min()),
    )


def _steps(seconds: Floats, step_s: float) -> Ints:
    """Round durations down to steps."""
    steps = np.floor(seconds / step_s * SHORTER - BELOW)
    return np.maximum(steps, 0).astype(np.int64)


def _loads_s(tables: Tables) -> Floats:
    """Least load of each active model after each other one, and in the first round.

    Under residency ``"cache"``, atoms of m that a does not hold may still be there, as
    many as fit beside a: what they save is a knapsack, bounded by its fractions.
    """
    models = list(tables.active)
    loads = [tables.loads_after(m)[models] for m in models]
    load_s = np.array([*loads, tables.loads_after(None)[models]])
    if tables.problem.residency == "previous":
        return load_s
    memory = tables.problem.gpu_memory_bytes
    size = np.array(tables.atom_bytes, dtype=np.float64)
    worth = tables.atom_load_s
    densest = np.argsort(-worth / size, kind="stable")
    holds = tables.holds[models][:, densest] > 0
    size, worth = size[densest], worth[densest]
    for a in range(len(models)):
        missing = holds & ~holds[a]
        saved = (missing * worth).sum(axis=1)
        if memory is not None:
            room = float(memory) - float(size[holds[a]].sum())
            before = np.cumsum(missing * size, axis=1) - missing * size
            part = np.clip((room - before) / size, 0.0, 1.0) * missing
            saved = (part * worth).sum(axis=1)
        load_s[a] = np.maximum(load_s[a] - saved * (1 + 1e-12), 0.0)
    return load_s
