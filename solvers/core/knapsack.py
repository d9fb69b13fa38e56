"""The (min,+) tree knapsack: least cost of serving exactly n users, for every n."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided

from solvers.core.forest import Forest
from solvers.core.kept_loops import kept_loops
from solvers.core.tables import Floats, Ints, PlannedRound, Tables

# Sums that a merge computes at once: few enough to stay in a processor's cache.
SUMS_AT_ONCE = 2**15

# Above so many sums at most, it pays to load a loop.
LOOP_WORK = 3e8

Sums: TypeAlias = Callable[[Floats, Floats], Floats]


def batch_costs(latency_s: Floats, users: int) -> tuple[Floats, Ints]:
    """Compute the least compute time of n users of one model, for n = 0 … users.

    c(n) = min over b of c(n − b) + latency[b]. Filling the largest batches first is not
    optimal, because measured tables are not affine. O(users · batch limit).

    Parameters
    ----------
    latency_s
        Compute time by batch size, shape (B+1,), index 0 unused, inf where not allowed.
    users
        The largest n required.

    Returns
    -------
    cost_s, batch
        Least time, and the size of the first batch to take; shape (users+1,) each.
    """
    cost = np.full(users + 1, np.inf)
    cost[0] = 0.0
    batch = np.zeros(users + 1, dtype=np.int64)
    limit = len(latency_s) - 1
    for n in range(1, users + 1):
        most = min(limit, n)
        options = cost[n - most : n][::-1] + latency_s[1 : most + 1]
        best = int(options.argmin())
        cost[n] = options[best]
        batch[n] = best + 1
    return cost, batch


def batch_costs_by_model(tables: Tables) -> dict[int, tuple[Floats, Ints]]:
    """Compute :func:`batch_costs` for all users of each active model.

    Models with the same latencies share one computation: few users cost the same
    whether or not there are more.
    """
    alike: dict[bytes, list[int]] = {}
    for m in tables.active:
        alike.setdefault(tables.latency_s[m].tobytes(), []).append(m)
    found = {}
    for models in alike.values():
        users = {m: len(tables.users_of[m]) for m in models}
        cost, batch = batch_costs(tables.latency_s[models[0]], max(users.values()))
        for m, count in users.items():
            found[m] = (cost[: count + 1], batch[: count + 1])
    return {m: found[m] for m in tables.active}


def batches(batch: Ints, users: int) -> list[int]:
    """Return the batch sizes that :func:`batch_costs` chose for n users."""
    sizes = []
    while users:
        size = int(batch[users])
        sizes.append(size)
        users -= size
    return sizes


def visit_rounds(
    tables: Tables, model: int, sizes: Iterable[int]
) -> list[PlannedRound]:
    """Serve a model's users of least demand in batches of the given sizes."""
    rounds = []
    done = 0
    for size in sizes:
        users = tables.users_of[model][done : done + size]
        rounds.append(PlannedRound(model, tuple(users.tolist())))
        done += size
    return rounds


@dataclass(frozen=True)
class Part:
    """Costs of serving n users of some models, with the choices that attain them.

    Parameters
    ----------
    cost
        Least cost of serving exactly n users, n from 0, inf where impossible.
    model
        The model, if the part consists of a single one.
    merged
        Otherwise the two parts it was merged from.
    """

    cost: Floats
    model: int | None = None
    merged: tuple[Part, Part] | None = None

    def choose(self, users: int) -> dict[int, int]:
        """Return how many users of each model the least cost of n users serves."""
        chosen: dict[int, int] = {}
        stack = [(self, users)]
        while stack:
            part, count = stack.pop()
            if count == 0:
                continue
            if part.model is not None:
                chosen[part.model] = count
            elif part.merged is not None:
                left, right = part.merged
                by_right = _best_split(left.cost, right.cost, count)
                stack.append((right, by_right))
                stack.append((left, count - by_right))
        return chosen


def _best_split(left: Floats, right: Floats, users: int) -> int:
    """Choose how many users the right-hand part serves: least in the shorter part."""
    shorter, longer = (left, right) if len(right) > len(left) else (right, left)
    least = max(0, users - len(longer) + 1)
    most = min(users, len(shorter) - 1)
    sums = shorter[least : most + 1] + longer[users - most : users - least + 1][::-1]
    by_shorter = least + int(sums.argmin())
    return by_shorter if shorter is right else users - by_shorter


def tree_knapsack(
    forest: Forest,
    node_cost: Floats,
    model_cost: Mapping[int, Floats],
    limit: float = np.inf,
) -> Part:
    """Compute the least cost of serving exactly n users, for every n.

    The cost of n users below a node is the node's own cost, charged once if n > 0, plus
    the best split of n among the models and nodes below it.

    Parameters
    ----------
    forest
        The sharing forest, with M models.
    node_cost
        Cost of each node, shape (nodes,), at least 0.
    model_cost
        For each active model, cost of serving exactly n of its users, n from 0, at
        least 0.
    limit
        Only costs up to this limit are required. Every part of a sum is at most the
        sum, so a count whose own cost exceeds the limit is in no sum within it:
        trailing counts above it are trimmed from each part, and interior ones remain
        infeasible wherever they exceed it. No cost within the limit changes.

    Returns
    -------
    Part
        Costs for n = 0, 1, … up to the limit, and the choices behind them.

    Notes
    -----
    Merging arrays of lengths p and q costs O(p·q), in few vector operations. Over
    the tree this is O(K²) in total, because every pair of users meets in one merge
    only.
    """
    parts = [Part(np.zeros(1)) for _ in forest.parent]
    # Children have larger numbers than their parents.
    for node in range(len(forest.parent) - 1, -1, -1):
        for model in forest.models[node]:
            single = Part(_trimmed(model_cost[model], limit), model)
            parts[node] = _merge(parts[node], single, limit)
        parts[node].cost[1:] += node_cost[node]
        above = forest.parent[node]
        if above >= 0:
            parts[above] = _merge(parts[above], parts[node], limit)
    return parts[0]


def _trimmed(cost: Floats, limit: float) -> Floats:
    """Trim trailing counts that cost more than the limit."""
    return cost[: int(np.flatnonzero(cost <= limit)[-1]) + 1]


def _merge(left: Part, right: Part, limit: float) -> Part:
    """Add two parts: the (min,+) convolution of their costs."""
    if len(left.cost) == 1:
        return Part(_trimmed(right.cost, limit).copy(), right.model, right.merged)
    total = least_sums(left.cost[None], right.cost[None])[0]
    return Part(_trimmed(total, limit).copy(), merged=(left, right))


def least_sums(left: Floats, right: Floats) -> Floats:
    """Compute the (min,+) convolution of each row of two arrays of costs.

    Parameters
    ----------
    left, right
        Costs of n users, shapes (R, p) and (R, q).

    Returns
    -------
    ndarray
        Least left[i] + right[n − i] over i, shape (R, p + q − 1).
    """
    short, long = (left, right) if left.shape[1] < right.shape[1] else (right, left)
    rows, length = long.shape
    count = short.shape[1]
    at_once = min(count, max(1, SUMS_AT_ONCE // (rows * length)))
    padded = np.full((rows, length + 2 * (at_once - 1)), np.inf)
    padded[:, at_once - 1 : at_once - 1 + length] = long
    over_rows, step = padded.strides
    total = np.full((rows, length + count - 1), np.inf)
    for first in range(0, count, at_once):
        costs = short[:, first : first + at_once]
        width = length + costs.shape[1] - 1
        # shifted[:, i, n] is long[:, n − i].
        shifted = as_strided(
            padded[:, at_once - 1 :],
            shape=(rows, costs.shape[1], width),
            strides=(over_rows, -step, step),
        )
        window = total[:, first : first + width]
        np.minimum(window, (shifted + costs[:, :, None]).min(axis=1), out=window)
    return total


def tree_costs(
    forest: Forest,
    node_cost: Floats,
    model_cost: Mapping[int, Floats],
    limit: Floats,
) -> Floats:
    """Solve :func:`tree_knapsack` for several prices at once, without the choices.

    Parameters
    ----------
    forest
        The sharing forest.
    node_cost
        Cost of each node under each price, shape (R, nodes).
    model_cost
        For each active model, cost of n of its users, shape (R, n+1).
    limit
        Cost limit under each price, shape (R,).

    Returns
    -------
    ndarray
        Least cost of exactly n users, shape (R, N+1), N the largest within any limit.
    """
    rows = len(limit)
    users = sum(cost.shape[1] - 1 for cost in model_cost.values())
    sums = _sums(rows * users * users)
    parts = [np.zeros((rows, 1)) for _ in forest.parent]
    for node in range(len(forest.parent) - 1, -1, -1):
        for model in forest.models[node]:
            parts[node] = _merge_costs(sums, parts[node], model_cost[model], limit)
        above = forest.parent[node]
        if above >= 0:
            parts[node][:, 1:] += node_cost[:, node, None]
            parts[above] = _merge_costs(sums, parts[above], parts[node], limit)
    return parts[0]


def _sums(work: float) -> Sums:
    """Choose what adds costs up; loops find the same, where it pays to load them."""
    if work < LOOP_WORK:
        return least_sums
    loops = kept_loops("solvers.core.sum_loops")
    return least_sums if loops is None else cast("Sums", loops.least_sums)


def _merge_costs(sums: Sums, left: Floats, right: Floats, limit: Floats) -> Floats:
    total = sums(left, right)
    wanted = (total <= limit[:, None]).any(axis=0)
    return total[:, : int(np.flatnonzero(wanted)[-1]) + 1]
