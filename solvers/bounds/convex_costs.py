"""Costs of very many users from below: every further user costs no less than the last.

The greatest convex function below a cost is never more than the cost, so it bounds the
users as the cost does, a few of them looser. Convex costs of two sets of models add up
by sorting what each further user costs, where the tree knapsack compares every pair of
numbers of users.
"""

from __future__ import annotations

import numpy as np

from solvers.bounds.prices import Charges, Weightings, fill_gaps
from solvers.core.tables import Floats

# Relative error of a running sum, for each of its terms.
ROUNDING_PER_TERM = 4e-16


def convex_tree_costs(charges: Charges, weightings: Weightings) -> Floats:
    """Bound the cost of n users under each weighting from below.

    Parameters
    ----------
    charges, weightings
        What is charged, and R weightings of it.

    Returns
    -------
    ndarray
        Convex in n, and nowhere above the costs of the tree knapsack, shape (R, K+1).

    Notes
    -----
    O(R · K log K) for each level of the forest.
    """
    forest = charges.forest
    rows = len(weightings.limit_s)
    below: list[list[Floats]] = [[] for _ in forest.parent]
    for m, compute_s in charges.compute_s.items():
        gpu = np.multiply.outer(weightings.compute, _convex_steps(fill_gaps(compute_s)))
        upload = np.multiply.outer(weightings.upload, np.diff(charges.upload_s[m]))
        steps = _with_entry(upload + gpu, weightings.load * charges.charge_s[m])
        below[forest.node_of[m]].append(steps)
    # Children have larger numbers than their parents.
    for node in range(len(forest.parent) - 1, -1, -1):
        steps = np.sort(np.concatenate([np.zeros((rows, 0)), *below[node]], axis=1))
        below[node] = [_with_entry(steps, weightings.load * charges.node_load_s[node])]
        if node:
            below[forest.parent[node]] += below[node]
    (steps,) = below[0]
    cost = np.concatenate((np.zeros((rows, 1)), np.cumsum(steps, axis=1)), axis=1)
    return np.asarray(cost * (1 - ROUNDING_PER_TERM * cost.shape[1]))


def _convex_steps(cost: Floats) -> Floats:
    """Return the increments of the greatest convex function below a cost of n users."""
    values = cost.tolist()
    corners = [0]
    for n in range(1, len(values)):
        while len(corners) > 1:
            before, last = corners[-2], corners[-1]
            rise = (values[last] - values[before]) * (n - last)
            if rise < (values[n] - values[last]) * (last - before):
                break
            corners.pop()
        corners.append(n)
    return np.diff(np.interp(np.arange(len(values)), corners, cost[corners]))


def _with_entry(steps: Floats, entry: Floats) -> Floats:
    """Add a cost of the first user, and spread it as far as the function is not convex.

    Parameters
    ----------
    steps
        What each further user costs, ascending, shape (R, n).
    entry
        What the first costs on top, at least 0, shape (R,).
    """
    if not steps.shape[1]:
        return steps
    numbers = np.arange(1, steps.shape[1] + 1)
    each = (np.cumsum(steps, axis=1) + entry[:, None]) / numbers
    until = each.argmin(axis=1)[:, None]
    return np.where(numbers <= until + 1, np.take_along_axis(each, until, 1), steps)
