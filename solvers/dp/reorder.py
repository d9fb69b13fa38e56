"""Neighbourhood search for better depth-first orders of given visits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np

from solvers.bounds.prices import Prices
from solvers.core.forest import Forest
from solvers.core.limit import UNLIMITED, Limit
from solvers.core.tables import Floats, Ints, Rounds, Tables
from solvers.dp.walks import Search
from solvers.uplink import Uplink

# Gains below this, in users, are treated as rounding.
MIN_GAIN = 1e-9

# Random moves per perturbation.
RANDOM_MOVES = 3

# Maximum number of positions by which a single visit moves.
REACH = 12

# Starts of batches that are computed at once: few enough to stay in a cache.
STARTS_AT_ONCE = 2**17

# A climb that has computed so many starts of batches takes its last move.
CLIMB_STARTS = 2**26


class Visits(NamedTuple):
    """Visits of V models in order, of at most B batches each, N batches in all.

    ``load_s[i, j]`` is the load of visit j after visit i, ``first_s`` the load of each
    visit if it comes first. ``compute_s`` and ``demand_s`` of the batches are padded to
    (V, B). ``takes_s`` is the time that the batches of each visit take; ``batch`` are
    the places of all batches in (V, B), row by row, ``lead_s`` the time from the start
    of each to the end of its visit.
    """

    models: tuple[int, ...]
    load_s: Floats
    first_s: Floats
    compute_s: Floats
    demand_s: Floats
    takes_s: Floats
    batch: tuple[Ints, Ints]
    lead_s: Floats


def visits_of(tables: Tables, rounds: Rounds) -> Visits:
    """Group rounds into visits; no model may be visited twice."""
    groups = [(m, list(run)) for m, run in groupby(rounds, key=lambda r: r.model)]
    models = tuple(m for m, _ in groups)
    batches = max(len(run) for _, run in groups)
    compute = np.zeros((len(groups), batches))
    demand = np.zeros((len(groups), batches))
    for v, (model, run) in enumerate(groups):
        for b, planned in enumerate(run):
            compute[v, b] = tables.latency_s[model][len(planned.users)]
            demand[v, b] = tables.demand_s[list(planned.users)].sum()
    lead = np.cumsum(compute[:, ::-1], axis=1)[:, ::-1]
    visit, place = np.nonzero(compute)
    return Visits(
        models,
        np.array([tables.loads_after(m)[list(models)] for m in models]),
        tables.loads_after(None)[list(models)],
        compute,
        demand,
        lead[:, 0],
        (visit, place),
        lead[visit, place],
    )


def worth(
    visits: Visits, orders: Ints, prices: Prices, uplink: Uplink, deadline_s: float
) -> Floats:
    """Worth of the GPU time and band that remain after each order of visits.

    Parameters
    ----------
    visits
        The visits.
    orders
        Permutations of the visits, shape (P, V).
    prices, uplink, deadline_s
        The prices of what remains, the discipline, and the common deadline.

    Returns
    -------
    ndarray
        Worth in users, −inf if infeasible (negative if only the band falls short).
    """
    load = visits.load_s[orders[:, :-1], orders[:, 1:]]
    load = np.concatenate((visits.first_s[orders[:, :1]], load), axis=1)
    if uplink == "dynamic":
        time = np.zeros(len(orders))
        sent = np.zeros(len(orders))
        for i in range(orders.shape[1]):
            time += load[:, i]
            for b in range(visits.compute_s.shape[1]):
                sent += visits.demand_s[orders[:, i], b]
                time = np.maximum(time, sent) + visits.compute_s[orders[:, i], b]
        return np.asarray(prices.gpu_worth[-1] * (1 - time / deadline_s))
    takes = visits.takes_s[orders] + load
    begins = deadline_s - np.cumsum(takes[:, ::-1], axis=1)[:, ::-1]
    ends = np.empty_like(begins)
    np.put_along_axis(ends, orders, begins + takes, axis=1)
    demand = visits.demand_s[visits.batch]
    used = np.empty(len(orders))
    feasible = begins[:, 0] >= 0
    at_once = max(1, STARTS_AT_ONCE // len(demand))
    for first in range(0, len(orders), at_once):
        some = slice(first, first + at_once)
        start = ends[some, visits.batch[0]] - visits.lead_s
        feasible[some] &= (start > 0).all(axis=1)
        used[some] = (demand / np.where(start > 0, start, 1.0)).sum(axis=1)
    left = prices.worth(begins[:, 0]) + prices.band_worth * (prices.band_limit - used)
    return np.where(feasible, left, -np.inf)


def moves(forest: Forest, models: Sequence[int]) -> Ints:
    """List the orders that result from moving one visit or a subtree among siblings.

    Parameters
    ----------
    forest
        The sharing forest.
    models
        Models in a depth-first order.

    Returns
    -------
    ndarray
        Permutations of the positions, shape (P, V).
    """
    below: dict[int, list[tuple[int, int]]] = {}
    paths = [(0, *forest.path(m)) for m in models]
    for i, path in enumerate(paths):
        for depth, node in enumerate(path):
            child = path[depth + 1] if depth + 1 < len(path) else None
            blocks = below.setdefault(node, [])
            before = paths[i - 1] if i else ()
            same = (
                child is not None
                and len(before) > depth + 1
                and before[depth + 1] == child
            )
            if same:
                blocks[-1] = (blocks[-1][0], i + 1)
            else:
                blocks.append((i, i + 1))
    found = [_single_moves(len(models))]
    everything = np.arange(len(models))
    for blocks in below.values():
        for i, (begin, end) in enumerate(blocks):
            if end - begin < 2:
                continue
            block = everything[begin:end]
            rest = np.concatenate((everything[:begin], everything[end:]))
            places = {other for other, _ in blocks[:i]}
            places |= {other - len(block) for _, other in blocks[i + 1 :]}
            found += [
                np.concatenate((rest[:at], block, rest[at:]))[None]
                for at in sorted(places)
            ]
    return np.concatenate(found)


@lru_cache(maxsize=64)
def _single_moves(count: int) -> Ints:
    """List the permutations that move one position by at most ``REACH``."""
    everything = np.arange(count)
    found = []
    for i in range(count):
        rest = np.delete(everything, i)
        last = min(i + REACH, count - 1)
        found += [
            np.insert(rest, at, i)
            for at in range(max(i - REACH, 0), last + 1)
            if at != i
        ]
    return np.array(found, dtype=np.int64).reshape(-1, count)


def neighbouring_orders(
    search: Search,
    rounds: Rounds,
    order: Sequence[int],
    rng: np.random.Generator,
    limit: Limit = UNLIMITED,
) -> Iterator[tuple[int, ...]]:
    """Yield orders near a given one, endlessly.

    First the best order that moves can reach with counts and batches fixed; then its
    neighbours, or those of the order before it if the climb was ended, in decreasing
    order of the time and spectrum they leave; then random ones.

    Parameters
    ----------
    search
        The problem and the prices of its resources.
    rounds
        Rounds that visit each model at most once.
    order
        The order of all active models that the rounds follow.
    rng
        Draws the random orders.
    limit
        Ends the climb, as ``CLIMB_STARTS`` do.
    """
    visits = visits_of(search.tables, rounds)
    now = np.arange(len(visits.models))
    value = float(_worth(search, visits, now[None])[0])
    moved = False
    starts = 0
    while True:
        candidates = now[moves(search.forest, [visits.models[v] for v in now])]
        values = _worth(search, visits, candidates)
        starts += len(values) * len(visits.lead_s)
        if not len(values) or values.max() <= value + MIN_GAIN:
            break
        best = int(values.argmax())
        now, value = candidates[best], float(values[best])
        moved = True
        if starts > CLIMB_STARTS or limit.passed():
            values[best] = -np.inf  # it comes first, as the one reached
            break
    if moved:
        yield _whole_order(search, [visits.models[v] for v in now], order)
    for i in np.argsort(-values, kind="stable").tolist():
        yield _whole_order(search, [visits.models[v] for v in candidates[i]], order)
    while True:
        perturbed = now
        for _ in range(RANDOM_MOVES):
            steps = moves(search.forest, [visits.models[v] for v in perturbed])
            if len(steps):
                perturbed = perturbed[steps[rng.integers(len(steps))]]
        yield _whole_order(search, [visits.models[v] for v in perturbed], order)


def _worth(search: Search, visits: Visits, orders: Ints) -> Floats:
    return worth(visits, orders, search.prices, search.uplink, search.deadline_s)


def _whole_order(
    search: Search, visited: Sequence[int], order: Sequence[int]
) -> tuple[int, ...]:
    """Insert each model without visits where passing through it adds least load."""
    load_s = search.tables.load_s
    whole: list[int] = list(visited)
    for m in order:
        if m not in whole:
            detours = [
                load_s(a, m) + load_s(m, b) - load_s(a, b) for a, b in pairwise(whole)
            ]
            detours.append(load_s(whole[-1], m))
            whole.insert(detours.index(min(detours)) + 1, m)
    return tuple(whole)
