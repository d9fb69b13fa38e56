"""A bound for ``static`` in which the price of GPU time varies over time.

A user in a round that starts at s holds w/s of the band, so late GPU time is expensive,
and a model's private load right before its visit takes up some of it.
``docs/mathematics.md``, section 6, has the proof.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvers.bounds.prices import (
    MANY_USERS,
    Charges,
    Prices,
    best_counts,
    holder_counts,
    tightest_row,
    users_within,
)
from solvers.core.forest import Forest
from solvers.core.knapsack import tree_costs
from solvers.core.limit import UNLIMITED, Limit
from solvers.core.tables import Floats, Ints, Tables
from solvers.tolerance import granted

# Number of cells into which the time until the deadline is divided.
CELLS = 32

# Number of times the prices are revised to follow the demand per second of what they
# buy; fewer above MANY_USERS. Any prices give a valid bound.
REVISIONS = 8
FEW_REVISIONS = 3

# Price of GPU time at 0, as shares of the price at the deadline suggested by the demand
# so far; later revisions search around the best share.
FIRST_SHARES = (0.0, 0.1, 0.3, 1.0)
NEXT_SHARES = (0.0, 0.5, 1.0, 1.6)
MIN_SHARE = 0.02

# A revision that gains less than this, in users, is the last.
MIN_GAIN = 0.05

# Step size with which each revision updates the prices.
STEP = 0.7

# Costs are computed up to this multiple of the budget, to price one more user.
REACH = 1.25


@dataclass(frozen=True)
class _Visits:
    """M models, most users first, as arrays padded to N users and B batch sizes.

    ``users`` has shape (M,), ``demand_s`` (demand of the first n users) (M, N+1),
    ``latency_s`` (B, M), ``own_s`` (load of atoms that no other model holds) and
    ``most_s`` (maximum duration of a visit) (M,), and ``shared_s`` (load of each node
    that is not charged to a single model) (nodes,).
    """

    models: tuple[int, ...]
    users: Ints
    demand_s: Floats
    latency_s: Floats
    own_s: Floats
    most_s: Floats
    charge_s: Floats
    shared_s: Floats


class _VisitCosts(NamedTuple):
    """Least cost of n users of each model, and the choices that attain it.

    ``cost`` has shape (R, M, N+1). For k ≥ 1 users and the models that have that many,
    ``end[k]`` is the cell in which their last visit ends in the optimum, (R, M);
    ``size[k]`` is the size of the last batch given that cell, and ``fresh[k]`` whether
    the visit starts with that batch, (R, M, CELLS).
    """

    cost: Floats
    end: list[Ints]
    size: list[NDArray[np.uint16]]
    fresh: list[NDArray[np.bool_]]


def visit_prices(tables: Tables, charges: Charges, limit: Limit = UNLIMITED) -> Prices:
    """Bound the users of ``static`` schedules by time-dependent prices.

    Let π(s) be the nondecreasing price of GPU time at s, Π its integral from 0 and μ
    the price of the band; then no schedule costs more than Π(T) + μ. A visit of a model
    that ends at e, including the load of the atoms that no other model holds, costs at
    least its duration times the mean price over the longest such visit ending at e,
    plus μ·w/(e − latency) for each user. The minimum over e and over all ways to
    divide n users into visits and batches enters the tree knapsack; other loads cost
    π(0).

    Any π and μ give a valid bound; these follow π'(s) = μ ρ(s) / s², where ρ is the
    demand per second of the visits that the previous prices would buy, least first.

    Parameters
    ----------
    tables
        A problem with users, without overlap, residency ``"previous"``.
    charges
        Its :func:`solvers.bounds.prices.make_charges`.
    limit
        Prices are not revised after it; those found by then are valid.

    Returns
    -------
    Prices
        With the bound, in users.

    Notes
    -----
    O(REVISIONS · (K · batch limit · CELLS + K²)).
    """
    visits = _visits(tables, charges)
    latest_s = granted(float(tables.deadline_s[tables.users].max()))
    edges = np.linspace(0.0, latest_s, CELLS + 1)
    density = np.linspace(0.0, 0.5, CELLS)
    shares = np.array(FIRST_SHARES)
    best: Prices | None = None
    best_users = np.inf
    many = len(tables.users) > MANY_USERS
    for revision in range(FEW_REVISIONS if many else REVISIONS):
        shape = _cell_prices(edges, density)
        price = shape + shares[:, None] * shape[-1]
        worth = np.concatenate(
            (np.zeros((len(shares), 1)), np.cumsum(price * np.diff(edges), axis=1)),
            axis=1,
        )
        budget = worth[:, -1] + 1.0
        visit_costs = _cost_of_visits(visits, edges, price, worth, REACH * budget.max())
        by_model = {
            m: visit_costs.cost[:, i, : n + 1]
            for i, (m, n) in enumerate(zip(visits.models, visits.users, strict=True))
        }
        loads = np.multiply.outer(price[:, 0], visits.shared_s)
        costs = tree_costs(charges.forest, loads, by_model, REACH * budget)
        row, y = tightest_row(costs, budget)
        found = Prices(
            bound=int(users_within(costs, budget).min()),
            gpu_time_s=edges,
            gpu_worth=y * worth[row],
            band_worth=y,
            band_limit=1.0,
            node_cost=y * loads[row],
            model_cost={m: _in_users(y, c[row]) for m, c in by_model.items()},
        )
        users = _hull_value(costs[row], y, float(budget[row]))
        gain = best_users - users
        if gain > 0:
            best_users = users
            bound = found.bound if best is None else min(found.bound, best.bound)
            best = replace(found, bound=bound)
        elif best is not None and found.bound < best.bound:
            best = replace(best, bound=found.bound)
        if (revision > 2 and gain < MIN_GAIN) or limit.passed():
            break
        now = _density(charges.forest, visits, found, visit_costs, row, edges)
        density = now if revision == 0 else density + STEP * (now - density)
        shares = shares[row] * np.array(NEXT_SHARES)
        shares[-1] = max(shares[-1], MIN_SHARE)
    assert best is not None
    return best


def _visits(tables: Tables, charges: Charges) -> _Visits:
    holders = holder_counts(tables)
    free = tables.initial_atoms
    alone = {atom for atom, count in holders.items() if count == 1} - free
    models = sorted(tables.active, key=lambda m: (-len(tables.users_of[m]), m))
    users = np.array([len(tables.users_of[m]) for m in models])
    batch = max(len(tables.latency_s[m]) for m in models) - 1
    demand = np.zeros((len(models), users[0] + 1))
    latency = np.full((batch, len(models)), np.inf)
    own = np.zeros(len(models))
    charge = np.zeros(len(models))
    shared = charges.node_load_s.copy()
    for i, m in enumerate(models):
        demand[i] = charges.upload_s[m][-1]
        demand[i, : users[i] + 1] = charges.upload_s[m]
        latency[: len(tables.latency_s[m]) - 1, i] = tables.latency_s[m][1:]
        mine = sorted(tables.atoms_of[m] & alone)
        own[i] = tables.loads_s(mine)
        # A node held by this model alone, or its own part of a charge.
        node = charges.forest.node_of[m]
        if mine and shared[node]:
            shared[node] = 0.0
        charge[i] = (
            max(charges.charge_s[m] - own[i], 0.0) if charges.charge_s[m] else 0.0
        )
    sizes = np.arange(1, batch + 1)[:, None]
    each = np.where(np.isfinite(latency), latency / sizes, 0.0).max(axis=0)
    return _Visits(
        tuple(models), users, demand, latency, own, own + users * each, charge, shared
    )


def _cell_prices(edges: Floats, density: Floats) -> Floats:
    """Price of each cell for a band worth 1: the integral of ρ/s² from 0."""
    # Nothing starts at 0; half a cell keeps the first price finite.
    at = np.maximum(edges, edges[1] / 2)
    steps = density * (1 / at[:-1] - 1 / at[1:])
    reached = np.cumsum(steps)
    return np.asarray(reached - steps / 2)


def _in_users(y: float, cost: Floats) -> Floats:
    """Cost in users; an infinite cost stays infinite even at a price of 0."""
    reachable = np.isfinite(cost)
    return np.where(reachable, y * np.where(reachable, cost, 0.0), np.inf)


def _hull_value(cost: Floats, y: float, budget: float) -> float:
    if not y:
        return float(len(cost) - 1)
    return float((np.arange(len(cost)) - y * cost).max()) + y * budget


def _cost_of_visits(
    visits: _Visits, edges: Floats, price: Floats, worth: Floats, limit: float
) -> _VisitCosts:
    """Compute the least cost of n users of each model over all visits and batches.

    Parameters
    ----------
    visits
        The models.
    edges
        Cell edges, shape (CELLS+1,).
    price, worth
        Price of GPU time in each cell and its integral, (R, CELLS) and (R, CELLS+1).
    limit
        Costs beyond this are not required.
    """
    rows, models, cells = len(price), len(visits.models), len(edges) - 1
    width = edges[1]
    # Mean price over the longest visit before each cell; π(0) before 0.
    back = (edges[None, :-1] - visits.most_s[:, None]) / width
    at = np.clip(back.astype(np.int64), 0, cells - 1)
    before = worth[:, at] + (back - at) * width * price[:, at]
    mean = (worth[:, None, :-1] - before) / visits.most_s[:, None]
    latency = visits.latency_s
    start = edges[None, None, 1:] - latency[:, :, None]
    band = np.where(start > 0, 1 / np.where(start > 0, start, 1.0), np.inf)
    finite = np.isfinite(latency)
    per_batch = mean[None] * np.where(finite, latency, 0.0)[:, None, :, None]
    own = mean * visits.own_s[:, None]
    most, sizes, wanted = int(visits.users[0]), len(latency), 0
    hub = np.full((rows, models, most + 1), np.inf)
    hub[:, :, 0] = 0.0
    # Costs of the last counts if the visit continues at the same end. When the buffer
    # is full, as many as the largest batch looks back at are moved to the front.
    going = np.full((max(4 * sizes, 64), rows, models, cells), np.inf)
    now = 1
    end: list[Ints] = [np.zeros(0, dtype=np.int64)]
    size: list[NDArray[np.uint16]] = [np.zeros(0, dtype=np.uint16)]
    fresh: list[NDArray[np.bool_]] = [np.zeros(0, dtype=bool)]
    for k in range(1, most + 1):
        if now == len(going):
            going[:sizes] = going[now - sizes :]
            now = sizes
        there = int(np.searchsorted(-visits.users, -k, side="right"))
        back_to = min(sizes, k)
        on = going[now - back_to : now, :, :there][::-1]
        entered = hub[:, :there, k - back_to : k][:, :, ::-1].transpose(2, 0, 1)
        enter = entered[..., None] + own[:, :there]
        sent = visits.demand_s[:there]
        more = sent[:, k, None] - sent[:, k - back_to : k]
        total = np.minimum(on, enter)
        total += per_batch[:back_to, :, :there]
        total += band[:back_to, None, :there] * more[:, ::-1].T[:, None, :, None]
        best = total.argmin(axis=0)
        least = np.take_along_axis(total, best[None], axis=0)[0]
        going[now, :, :there] = least
        hub[:, :there, k] = least.min(axis=2)
        now += 1
        end.append(least.argmin(axis=2))
        size.append((best + 1).astype(np.uint16))
        fresh.append(np.take_along_axis(enter <= on, best[None], axis=0)[0])
        wanted = k if least.min() <= limit else wanted
        if k - wanted >= sizes:
            break
    hub[:, :, 1:] += visits.charge_s[:, None] * price[:, 0, None, None]
    return _VisitCosts(hub, end, size, fresh)


def _density(
    forest: Forest,
    visits: _Visits,
    found: Prices,
    trace: _VisitCosts,
    row: int,
    edges: Floats,
) -> Floats:
    """Demand per second over time of the visits that the prices buy, least first.

    Idle time and loads come first; if the visits need more time than available, all
    times are scaled down.
    """
    counts = best_counts(forest, found)
    demand_s: list[float] = []
    time_s: list[float] = []
    for i, m in enumerate(visits.models):
        k = counts.get(m, 0)
        while k:
            end = int(trace.end[k][row, i])
            until, latency_s, fresh = k, 0.0, False
            while not fresh:
                fresh = bool(trace.fresh[k][row, i, end])
                size = int(trace.size[k][row, i, end])
                latency_s += float(visits.latency_s[size - 1, i])
                k -= size
            demand_s.append(float(visits.demand_s[i, until] - visits.demand_s[i, k]))
            time_s.append(latency_s + float(visits.own_s[i]))
    if not demand_s:
        return np.zeros(len(edges) - 1)
    nodes = {node for m in counts for node in forest.path(m)}
    shared_s = float(sum(visits.shared_s[node] for node in sorted(nodes)))
    latest_s = float(edges[-1])
    order = np.argsort(np.array(demand_s) / np.array(time_s), kind="stable")
    end_s = np.cumsum(np.array(time_s)[order]) + shared_s
    first_s = shared_s + max(latest_s - float(end_s[-1]), 0.0)
    end_s = (end_s - shared_s + first_s) * min(1.0, latest_s / float(end_s[-1]))
    sent = np.concatenate(([0.0, 0.0], np.cumsum(np.array(demand_s)[order])))
    at = np.concatenate(([0.0, end_s[0] - time_s[order[0]]], end_s))
    return np.diff(np.interp(edges, at, sent)) / np.diff(edges)
