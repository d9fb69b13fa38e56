"""Lay a problem's time out as a grid, and its batches and loads as arcs on it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.bounds.path_network import Network
from solvers.core.tables import Floats, Ints, Tables
from solvers.tolerance import TIME_TOLERANCE_S

# More than verification grants, so that rounding never decides.
GRANTED_S = 2 * TIME_TOLERANCE_S

# Durations are taken this much shorter before they are rounded down to steps.
SHORTER, BELOW = 1 - 1e-12, 1e-9

# Steps are chosen such that steps · arcs is about one of the first two numbers; where
# it must be above the third there is no path bound.
COARSE_WORK = 500_000
GOOD_WORK = 3_000_000
MAX_WORK = 60_000_000
MIN_STEPS, MAX_STEPS = 300, 2000


class _Columns(NamedTuple):
    """First column of each model, model and place of each column."""

    first: Ints
    model_of: Ints
    place: Ints


def make_network(tables: Tables, work: int = GOOD_WORK) -> Network | None:
    """Lay out a problem on a grid as fine as a given amount of work allows.

    Parameters
    ----------
    tables
        A problem with users.
    work
        Product of steps and arcs that is aimed at. The grid is never coarser than the
        shortest batch, whatever that takes.

    Returns
    -------
    Network or None
        None if the product would exceed ``MAX_WORK``, or no batch ends in time.
    """
    models = tables.active
    users = np.concatenate([tables.users_of[m] for m in models])
    counts = np.array([len(tables.users_of[m]) for m in models])
    latency = _latencies(tables, counts)
    latest_s = float(tables.deadline_s[users].max())
    least_s = float(latency.min())
    if least_s > latest_s + GRANTED_S:
        return None
    first = np.concatenate(([0], np.cumsum(counts)))
    ordered = tables.common_deadline_s is not None and tables.releases_zero
    columns = _columns(counts, ordered)
    arcs = latency.shape[0] * len(columns.model_of) + len(models) ** 2
    if not ordered:
        # Each pricing sorts the users once a batch size.
        arcs += int((counts * np.minimum(counts, latency.shape[0])).sum())
    fewest = int(latest_s / least_s) + 2
    steps = max(min(max(work // arcs, MIN_STEPS), MAX_STEPS), fewest)
    if steps * arcs > MAX_WORK:
        return None
    return _network(tables, steps, users, first, columns, latency, ordered)


def _latencies(tables: Tables, counts: Ints) -> Floats:
    """Compute time by batch size and active model, inf where it cannot be used."""
    sizes = [len(tables.latency_s[m]) - 1 for m in tables.active]
    most = int(np.minimum(sizes, counts).max())
    latency = np.full((most, len(counts)), np.inf)
    for i, m in enumerate(tables.active):
        size = min(sizes[i], int(counts[i]), most)
        latency[:size, i] = tables.latency_s[m][1 : size + 1]
    return latency


def _columns(counts: Ints, ordered: bool) -> _Columns:
    width = counts + 1 if ordered else np.ones(len(counts), dtype=np.int64)
    first = np.concatenate(([0], np.cumsum(width)))
    model_of = np.repeat(np.arange(len(counts)), width)
    return _Columns(first, model_of, np.arange(first[-1]) - first[model_of])


def _network(
    tables: Tables,
    steps: int,
    users: Ints,
    first: Ints,
    columns: _Columns,
    latency: Floats,
    ordered: bool,
) -> Network:
    sizes, models = latency.shape
    step_s = float(tables.deadline_s[users].max()) / steps
    until = np.floor((tables.deadline_s[users] + GRANTED_S) / step_s + BELOW)
    until = until.astype(np.int64)
    last = int(until.max())
    usable = np.isfinite(latency)
    batch_steps = _steps(np.where(usable, latency, 0.0), step_s)
    load_s = _loads_s(tables)
    load_steps = _steps(load_s, step_s)
    if tables.problem.overlap:
        # Only the first load hides behind no batch.
        load_steps[:-1] = 0
    size = np.arange(1, sizes + 1)[:, None]
    possible = usable[:, columns.model_of]
    source = np.broadcast_to(np.arange(len(columns.model_of)), possible.shape)
    if ordered:
        possible = possible & (columns.place >= size)
        source = np.where(possible, source - size, 0)
    pad = int(max(batch_steps.max(), load_steps.max())) + 1
    back = pad - batch_steps[:, columns.model_of]
    offset = np.where(possible, back * len(columns.model_of) + source, 0)
    load_offset = (pad - load_steps[:-1]) * models + np.arange(models)[:, None]
    sigma_s = (np.arange(1, last + 2) * step_s)[:, None, None] - np.where(
        usable, latency, 0.0
    )
    return Network(
        tables=tables,
        ordered=ordered,
        step_s=step_s,
        last=last,
        models=tables.active,
        users=users,
        first=first,
        column=columns.first,
        model_of=columns.model_of,
        user_model=np.repeat(np.arange(models), np.diff(first)),
        demand_s=tables.demand_s[users],
        until=until,
        arrival_s=tables.release_s[users] + tables.demand_s[users],
        latency_s=latency,
        batch_steps=batch_steps,
        load_s=load_s,
        load_steps=load_steps,
        # A batch that ends before it could have started is never worth its price.
        sigma_s=np.maximum(sigma_s, 1e-6 * step_s),
        source=source,
        possible=possible,
        batch_offset=offset,
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
