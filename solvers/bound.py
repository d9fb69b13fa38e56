"""The λ-bound: how many users any schedule at all can serve."""

from __future__ import annotations

import numpy as np

from solvers.forest import Crossing, Forest, build_forest, star
from solvers.knapsack import batch_costs, tree_knapsack
from solvers.schedule import Uplink
from solvers.tables import Floats, Tables
from solvers.timing import TIME_TOLERANCE_S

WEIGHTS = tuple(np.linspace(0.0, 1.0, 21).tolist())


def upper_bound(tables: Tables, uplink: Uplink) -> int:
    """Bound the users that any schedule can serve, whatever the sharing.

    Let T be the latest deadline. The GPU loads and computes one thing at a time, so
    ΣL + ΣC ≤ T; the last upload ends before the last batch starts, so
    Σw/W ≤ T − min C. Every convex combination of the two holds as well; for each, the
    tree knapsack with that scalar cost bounds the users, and the least bound is taken.
    ``upfront`` schedules obey Σw/W + ΣL + ΣC ≤ T, one knapsack.

    Each block used must be loaded once at least, unless it is resident at the start.
    Where sharing crosses, a block used by some of its h holders costs each of them
    load / h, which never adds up to more than the load.

    Parameters
    ----------
    tables, uplink
        The problem, with or without sharing, and the discipline.

    Returns
    -------
    int
        At most the number of users that can be scheduled at all.

    Notes
    -----
    O(len(WEIGHTS) · K²) for K users.
    """
    if not tables.active:
        return 0
    latest_s = float(tables.deadline_s[tables.users].max())
    least_compute_s = min(float(tables.latency_s[m][1:].min()) for m in tables.active)
    compute = {
        m: _finite(batch_costs(tables.latency_s[m], len(tables.users_of[m]))[0])
        for m in tables.active
    }
    upload = {
        m: np.concatenate(([0.0], np.cumsum(tables.demand_s[tables.users_of[m]])))
        for m in tables.active
    }
    shared = _shared_loads(tables)

    def most_users(upload_weight: float, gpu_weight: float, limit_s: float) -> int:
        forest, node_load, model_load = shared
        cost = {
            m: upload_weight * upload[m] + gpu_weight * _with_load(compute[m], load)
            for m, load in model_load.items()
        }
        part = tree_knapsack(forest, gpu_weight * node_load, cost)
        in_time = np.flatnonzero(part.cost <= limit_s + TIME_TOLERANCE_S)
        # The limit is negative when no batch is as short as the latest deadline.
        return int(in_time.max(initial=0))

    if uplink == "upfront":
        return most_users(1.0, 1.0, latest_s)
    return min(
        most_users(weight, 1 - weight, latest_s - weight * least_compute_s)
        for weight in WEIGHTS
    )


def _finite(cost_s: Floats) -> Floats:
    """Price counts that no batches make up like the next larger count.

    That only loosens the bound, and keeps a weight of 0 from meeting an infinite cost;
    counts beyond the last possible one cost as much as it does.
    """
    at_most = np.minimum.accumulate(cost_s[::-1])[::-1]
    last = np.flatnonzero(np.isfinite(cost_s))[-1]
    return np.where(np.isfinite(at_most), at_most, cost_s[last])


def _with_load(compute_s: Floats, load_s: float) -> Floats:
    cost = compute_s + load_s
    cost[0] = 0.0
    return cost


def _shared_loads(tables: Tables) -> tuple[Forest, Floats, dict[int, float]]:
    """Charge loads to the nodes of the forest; where sharing crosses, to the models."""
    forest = build_forest(tables)
    free = tables.initial_atoms
    if not isinstance(forest, Crossing):
        loads = [tables.loads_s(set(atoms) - free) for atoms in forest.atoms]
        return forest, np.array(loads), dict.fromkeys(tables.active, 0.0)
    holders: dict[int, int] = {}
    for m in tables.active:
        for atom in tables.atoms_of[m]:
            holders[atom] = holders.get(atom, 0) + 1
    charge = {
        m: sum(
            float(tables.atom_load_s[atom]) / holders[atom]
            for atom in tables.atoms_of[m] - free
        )
        for m in tables.active
    }
    return star(tables), np.zeros(len(tables.active) + 1), charge
