"""Prices of GPU time and of the band: bounds from scalar costs.

A relaxation prices GPU time and spectrum such that every schedule's total cost is
within a known budget; the tree knapsack then gives the number of users that the budget
buys. The prices with the tightest bound also bound what a partial schedule can still
achieve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from solvers.core.forest import Crossing, Forest, build_forest, star
from solvers.core.knapsack import batch_costs_by_model, tree_costs
from solvers.core.tables import Floats, Ints, Tables
from solvers.tolerance import granted

# Upload weights λ that are tried. Above MANY_USERS only every fourth, then the three on
# either side of the best of those.
WEIGHTS = np.linspace(0.0, 1.0, 21)
MANY_USERS = 1000
COARSE = 4


@dataclass(frozen=True)
class Charges:
    """The times that a relaxation charges for, in s.

    Parameters
    ----------
    forest
        The sharing forest, or a star if sharing is crossing.
    node_load_s
        Load time of each node's atoms that are not resident at the start, shape
        (nodes,).
    charge_s
        Load charged to each model if it is visited (its share if sharing is crossing).
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
    """Prices in units of users, under which no schedule's total exceeds ``budget``.

    For any schedule, and any completion of a partial one, the number of users served is
    at most the remaining budget plus the sum, over what is still to come, of users less
    their cost.

    Parameters
    ----------
    bound
        Upper bound on the users that any schedule can serve.
    gpu_time_s, gpu_worth
        Worth of all GPU time up to given points, linear in between; the last point is
        the deadline.
    band_worth
        Worth of a second of the whole band (``dynamic``), or of holding the band
        throughout (``static``).
    band_limit
        Amount of band available: in seconds, or 1.
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

    @property
    def upload_weight(self) -> float:
        """Worth of a second of the band, as a share of one of it and one of the GPU."""
        gpu = float(self.gpu_worth[-1]) / float(self.gpu_time_s[-1])
        both = self.band_worth + gpu
        return self.band_worth / both if both > 0 else 0.5

    def worth(self, time_s: Floats) -> Floats:
        """Worth of all GPU time from 0 to given times."""
        return np.interp(time_s, self.gpu_time_s, self.gpu_worth)


def make_charges(tables: Tables) -> Charges:
    """Charge loads to the forest's nodes, or to the models if sharing is crossing."""
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
    compute = {m: cost for m, (cost, _) in batch_costs_by_model(tables).items()}
    upload = {}
    for m in tables.active:
        users = tables.users_of[m]
        upload[m] = np.concatenate(([0.0], np.cumsum(tables.demand_s[users])))
    return Charges(forest, node_load, charge, compute, upload)


def holder_counts(tables: Tables) -> dict[int, int]:
    """Count the active models that hold each atom."""
    holders: dict[int, int] = {}
    for m in tables.active:
        for atom in tables.atoms_of[m]:
            holders[atom] = holders.get(atom, 0) + 1
    return holders


def fill_gaps(cost_s: Floats) -> Floats:
    """Price counts that no set of batches attains like the next larger feasible count.

    This only loosens the bound, and it keeps a weight of 0 from multiplying an infinite
    cost; counts beyond the last feasible one cost as much as that one.
    """
    if np.isfinite(cost_s).all():
        return cost_s
    at_most = np.minimum.accumulate(cost_s[::-1])[::-1]
    last = np.flatnonzero(np.isfinite(cost_s))[-1]
    return np.where(np.isfinite(at_most), at_most, cost_s[last])


@dataclass(frozen=True)
class Weightings:
    """R weightings of one problem's costs, each with its budget.

    ``upload``, ``compute`` and ``load`` are the weights and ``limit_s`` the budgets,
    shape (R,) each.
    """

    upload: Floats
    compute: Floats
    load: Floats
    limit_s: Floats

    def take(self, rows: Ints) -> Weightings:
        """Select some of the weightings."""
        return Weightings(
            self.upload[rows], self.compute[rows], self.load[rows], self.limit_s[rows]
        )


def model_costs(charges: Charges, weightings: Weightings) -> dict[int, Floats]:
    """Weighted cost of n users of each active model, shape (R, n+1)."""
    costs = {}
    for m, compute in charges.compute_s.items():
        gpu = np.multiply.outer(weightings.compute, fill_gaps(compute))
        cost = np.multiply.outer(weightings.upload, charges.upload_s[m]) + gpu
        if charges.charge_s[m]:
            cost[:, 1:] += (weightings.load * charges.charge_s[m])[:, None]
        costs[m] = cost
    return costs


def weighted_tree_costs(
    charges: Charges, weightings: Weightings, reach: float
) -> Floats:
    """Cost of n users under each weighting, up to ``reach`` times its limit."""
    return tree_costs(
        charges.forest,
        np.multiply.outer(weightings.load, charges.node_load_s),
        model_costs(charges, weightings),
        np.maximum(reach * granted(weightings.limit_s), 0.0),
    )


def users_within(costs: Floats, limit_s: Floats) -> Ints:
    """Count the users that each limit buys, shape (R,); 0 if a limit is negative."""
    within = costs <= granted(limit_s)[:, None]
    last = within.shape[1] - 1 - within[:, ::-1].argmax(axis=1)
    return np.where(within.any(axis=1), last, 0)


def slope(cost: Floats, budget: float) -> float:
    """Users per unit of cost at a budget: the slope of the hull of (cost, users).

    Any slope y gives a valid bound, max over n of (n − y·cost[n]) + y·budget; this is
    the slope that minimises it. 0 if no cost beyond the budget is known.

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


def tightest_row(costs: Floats, limit_s: Floats) -> tuple[int, float]:
    """Choose the row whose hull gives the tightest bound, and its slope.

    Only rows that buy the fewest whole users are considered.
    """
    counts = users_within(costs, limit_s)
    users = np.arange(costs.shape[1])
    found = []
    for row in np.flatnonzero(counts == counts.min()).tolist():
        limit = float(limit_s[row])
        y = slope(costs[row], max(limit, 0.0))
        value = y * limit + float((users - y * costs[row]).max() if y else users[-1])
        found.append((value, row, y))
    _, row, y = min(found)
    return row, y


def best_counts(forest: Forest, prices: Prices) -> dict[int, int]:
    """Choose the user counts by model that maximise users less their cost.

    Only positive counts are returned. The maximum is taken over the forest: the subtree
    below a node counts if it pays for the node.
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
