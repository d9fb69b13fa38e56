"""What a second of the GPU and of the band are worth: bounds from scalar costs.

A relaxation prices GPU time and spectrum so that every schedule's total is within a
known budget; the tree knapsack then tells how many users the budget buys. The prices
that bound best also tell what a partial schedule can still become.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from solvers.core.forest import Crossing, Forest, build_forest, star
from solvers.core.knapsack import batch_costs, tree_costs
from solvers.core.tables import Floats, Ints, Tables
from solvers.tolerance import TIME_TOLERANCE_S

# Upload weights λ that are tried. Above MANY_USERS only every fourth, and then the
# three on either side of the best of those.
WEIGHTS = np.linspace(0.0, 1.0, 21)
MANY_USERS = 1000
COARSE = 4


@dataclass(frozen=True)
class Library:
    """What a relaxation charges for, in s.

    Parameters
    ----------
    forest
        The sharing forest, or a star where sharing crosses.
    node_load_s
        Load of each node's atoms that are not resident at the start, shape (nodes,).
    charge_s
        Load charged to a model once it is visited (its shares where sharing crosses).
    compute_s, upload_s
        For each active model, least compute time and upload time of n of its users.
    """

    forest: Forest
    node_load_s: Floats
    charge_s: Mapping[int, float]
    compute_s: Mapping[int, Floats]
    upload_s: Mapping[int, Floats]


@dataclass(frozen=True)
class Prices:
    """Prices in users, under which no schedule's total exceeds ``budget``.

    For any schedule, and any way to complete a partial one: users served are at most
    the budget left plus, over what is still to come, users less their cost.

    Parameters
    ----------
    bound
        Users that any schedule can serve at most.
    gpu_time_s, gpu_worth
        Worth of all GPU time up to some points, linear between; the last is the
        deadline.
    band_worth
        Worth of a second of the whole band (``dynamic``), or of the band held for good
        (``static``).
    band_limit
        How much there is of it: seconds, or 1.
    node_cost
        Least cost of loading each node, shape (nodes,).
    model_cost
        For each active model, least cost of n of its users.
    """

    bound: int
    gpu_time_s: Floats
    gpu_worth: Floats
    band_worth: float
    band_limit: float
    node_cost: Floats
    model_cost: Mapping[int, Floats]

    def worth(self, time_s: Floats) -> Floats:
        """Worth of all GPU time from 0 up to given times."""
        return np.interp(time_s, self.gpu_time_s, self.gpu_worth)


def library(tables: Tables) -> Library:
    """Charge loads to the nodes of the forest; where sharing crosses, to the models."""
    found = build_forest(tables)
    free = tables.initial_atoms
    if isinstance(found, Crossing):
        forest = star(tables)
        node_load = np.zeros(len(forest.parent))
        holders = holder_counts(tables)
        charge = {
            m: sum(
                float(tables.atom_load_s[atom]) / holders[atom]
                for atom in sorted(tables.atoms_of[m] - free)
            )
            for m in tables.active
        }
    else:
        forest = found
        loads = [tables.loads_s(set(atoms) - free) for atoms in forest.atoms]
        node_load = np.array(loads)
        charge = dict.fromkeys(tables.active, 0.0)
    compute = {}
    upload = {}
    for m in tables.active:
        users = tables.users_of[m]
        compute[m] = batch_costs(tables.latency_s[m], len(users))[0]
        upload[m] = np.concatenate(([0.0], np.cumsum(tables.demand_s[users])))
    return Library(forest, node_load, charge, compute, upload)


def holder_counts(tables: Tables) -> dict[int, int]:
    """Count the active models that hold each atom."""
    holders: dict[int, int] = {}
    for m in tables.active:
        for atom in tables.atoms_of[m]:
            holders[atom] = holders.get(atom, 0) + 1
    return holders


def finite(cost_s: Floats) -> Floats:
    """Price counts that no batches make up like the next larger count.

    That only loosens the bound, and keeps a weight of 0 from meeting an infinite cost;
    counts beyond the last possible one cost as much as it does.
    """
    if np.isfinite(cost_s).all():
        return cost_s
    at_most = np.minimum.accumulate(cost_s[::-1])[::-1]
    last = np.flatnonzero(np.isfinite(cost_s))[-1]
    return np.where(np.isfinite(at_most), at_most, cost_s[last])


@dataclass(frozen=True)
class Weighted:
    """Several weightings of one problem's costs, R of them, and what each can buy.

    ``upload``, ``compute``, ``load`` are the weights, ``limit_s`` the budgets, shape
    (R,) each.
    """

    upload: Floats
    compute: Floats
    load: Floats
    limit_s: Floats

    def take(self, rows: Ints) -> Weighted:
        """Pick some weightings."""
        return Weighted(
            self.upload[rows], self.compute[rows], self.load[rows], self.limit_s[rows]
        )


def model_costs(held: Library, weighted: Weighted) -> dict[int, Floats]:
    """Weighted cost of n users of each active model, shape (R, n+1)."""
    costs = {}
    for m, compute in held.compute_s.items():
        gpu = np.multiply.outer(weighted.compute, finite(compute))
        cost = np.multiply.outer(weighted.upload, held.upload_s[m]) + gpu
        if held.charge_s[m]:
            cost[:, 1:] += (weighted.load * held.charge_s[m])[:, None]
        costs[m] = cost
    return costs


def tree_rows(held: Library, weighted: Weighted, reach: float = 1.0) -> Floats:
    """Costs of n users under each weighting, up to ``reach`` times its limit."""
    return tree_costs(
        held.forest,
        np.multiply.outer(weighted.load, held.node_load_s),
        model_costs(held, weighted),
        np.maximum(reach * (weighted.limit_s + TIME_TOLERANCE_S), 0.0),
    )


def bought(costs: Floats, limit_s: Floats) -> Ints:
    """How many users each limit buys, shape (R,); 0 when a limit is negative."""
    within = costs <= (limit_s + TIME_TOLERANCE_S)[:, None]
    last = within.shape[1] - 1 - within[:, ::-1].argmax(axis=1)
    return np.where(within.any(axis=1), last, 0)


def slope(cost: Floats, budget: float) -> float:
    """Users per unit of cost at a budget: the slope of the hull of (cost, users).

    Any slope y gives a valid bound max over n of (n − y·cost[n]) + y·budget; this is
    the one where it is least. 0 when nothing beyond the budget is known.

    Parameters
    ----------
    cost
        Least cost of n users, shape (n+1,), inf where impossible; cost[0] = 0.
    budget
        At least 0.
    """
    left = int(np.flatnonzero(cost <= budget)[-1])
    beyond = np.flatnonzero(np.isfinite(cost[left + 1 :]))
    if not len(beyond):
        return 0.0
    right = left + 1 + int(beyond[0])
    users = np.arange(len(cost))
    while True:
        y = float((right - left) / (cost[right] - cost[left]))
        value = users - y * cost
        most = int(value.argmax())
        if value[most] <= value[left] + 1e-9:
            return y
        left, right = (most, right) if cost[most] <= budget else (left, most)


def least_slope(costs: Floats, limit_s: Floats) -> tuple[int, float]:
    """Choose the row whose hull bounds the users best, and its slope.

    Only rows that buy the fewest whole users are looked at.
    """
    counts = bought(costs, limit_s)
    users = np.arange(costs.shape[1])
    best = (np.inf, 0, 0.0)
    for row in np.flatnonzero(counts == counts.min()).tolist():
        limit = float(limit_s[row])
        y = slope(costs[row], max(limit, 0.0))
        value = y * limit + float((users - y * costs[row]).max() if y else users[-1])
        best = min(best, (value, row, y))
    return best[1], best[2]


def worth_serving(forest: Forest, prices: Prices) -> dict[int, int]:
    """Choose positive counts of users, by model, that most exceed their cost.

    A maximum over the forest: what hangs below a node counts if it pays for the node.
    """
    counts: dict[int, int] = {}
    value = np.zeros(len(forest.parent))
    for node in range(len(forest.parent) - 1, -1, -1):
        for m in forest.models[node]:
            gain = np.arange(len(prices.model_cost[m])) - prices.model_cost[m]
            counts[m] = int(gain.argmax())
            value[node] += float(gain[counts[m]])
        value[node] -= float(prices.node_cost[node])
        if node and value[node] > 0:
            value[forest.parent[node]] += value[node]
    for m, count in list(counts.items()):
        if not count or any(value[node] <= 0 for node in forest.path(m)):
            del counts[m]
    return counts
