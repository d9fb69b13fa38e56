"""Components of the time-bucket relaxation: edges, costs, atoms."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from solvers.core.knapsack import batch_costs
from solvers.core.tables import Floats, Tables
from solvers.tolerance import TIME_TOLERANCE_S
from solvers.uplink import Uplink

# The first bucket ends at this share of the latest start, or when a round can first
# start if that is later.
FIRST_EDGE = 0.02


def bucket_edges(tables: Tables, uplink: Uplink, buckets: int) -> Floats:
    """Divide the time in which batches can start, in s, shape (buckets + 1,).

    ``static`` needs bands of w/s: a bucket's error is its relative width, so the edges
    grow geometrically; otherwise they are evenly spaced.
    """
    last_s = latest_start_s(tables)
    first_s = min(tables.load_s(None, m) for m in tables.active)
    if first_s >= last_s:
        return np.array([0.0, last_s])
    if uplink == "static":
        first_s = max(first_s, FIRST_EDGE * last_s)
        return np.array([0.0, *np.geomspace(first_s, last_s, buckets + 1)[1:]])
    return np.array([0.0, *np.linspace(first_s, last_s, buckets + 1)[1:]])


def latest_start_s(tables: Tables) -> float:
    """Return the latest start of any batch; negative if none is short enough."""
    starts = tables.deadline_s - tables.least_latency_s[tables.user_model]
    return float(starts[tables.users].max())


def cost_lines(cost_s: Floats) -> list[tuple[float, float]]:
    """Bound the costs of 1, 2, … users from below by lines a·n + b: the lower hull.

    Parameters
    ----------
    cost_s
        Cost of n users, n from 0, inf where impossible; shape (n+1,). O(n).
    """
    hull: list[tuple[int, float]] = []
    for n, cost in enumerate(cost_s.tolist()):
        if n == 0 or not np.isfinite(cost):
            continue
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (n - hull[-2][0]) >= (
            cost - hull[-2][1]
        ) * (hull[-1][0] - hull[-2][0]):
            hull.pop()
        hull.append((n, cost))
    if len(hull) == 1:
        n, cost = hull[0]
        return [(cost / n, 0.0)]
    slopes = [
        ((high - low) / (q - p), p, low) for (p, low), (q, high) in pairwise(hull)
    ]
    return [(slope, low - slope * p) for slope, p, low in slopes]


def count_costs(tables: Tables, model: int) -> Floats:
    """Least compute time of batches with room for n users of a model, n from 0.

    Not for exactly n: a batch may hold users that are not counted. inf if no batches
    have enough room.
    """
    users = len(tables.users_of[model])
    cost = batch_costs(tables.latency_s[model], users)[0]
    result: Floats = np.minimum.accumulate(cost[::-1])[::-1]
    return result


def most_users(cost_s: Floats, room_s: float) -> int:
    """Return the largest n whose cost fits into a given time."""
    return int(np.flatnonzero(cost_s <= room_s + TIME_TOLERANCE_S).max(initial=0))


def evenly_spaced(values: Floats, most: int) -> list[float]:
    """Choose at most ``most`` of sorted values, evenly spaced, the last one included.

    The first one is included, too, if there is more than one.
    """
    if most == 1:
        values = values[-1:]
    if len(values) > most:
        values = values[np.linspace(0, len(values) - 1, most).round().astype(int)]
    return [float(v) for v in values]


def merged_atoms(tables: Tables) -> list[tuple[tuple[int, ...], float, bool]]:
    """Merge atoms held by the same active models: holders, load in s, resident."""
    groups: dict[tuple[tuple[int, ...], bool], float] = {}
    for atom, load_s in enumerate(tables.atom_load_s.tolist()):
        holders = tuple(m for m in tables.active if atom in tables.atoms_of[m])
        if holders and load_s > 0:
            key = (holders, atom in tables.initial_atoms)
            groups[key] = groups.get(key, 0.0) + load_s
    return [(held_by, load_s, there) for (held_by, there), load_s in groups.items()]
