"""Label setting along a depth-first order, for ``dynamic`` and ``static`` uplinks.

A label is a partial schedule that visits some of the order's models so far: how many
users it serves, how much of the path to the next model is resident, a time and an
amount of spectrum. Labels dominated in both time and spectrum by another label with the
same users and residency are pruned, and so are labels that, by the prices of
:mod:`solvers.bounds.prices`, cannot be completed to a schedule that serves the target
number of users. A visit is a run of batches of one model; its users are those of least
demand, in ascending order: with one deadline, any exchange towards that order needs no
more spectrum and no more time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from solvers.bounds.prices import Prices
from solvers.core.forest import Forest
from solvers.core.tables import Floats, Ints, Tables

NOTHING_SERVED = -1

# Potentials are sums of prices; rounding must not prune a label that just reaches the
# target.
POTENTIAL_TOLERANCE = 1e-6


class Labels(NamedTuple):
    """Partial schedules, each field of shape (n,).

    ``depth`` counts the resident nodes on the path to the current model, or is
    ``NOTHING_SERVED``. Lower ``time_s`` and ``spectrum`` are better: a time counted
    backwards is negated. ``entry`` indexes the log of visits.
    """

    users: Ints
    depth: Ints
    time_s: Floats
    spectrum: Floats
    entry: Ints

    def take(self, which: Ints | slice) -> Labels:
        """Select some of the labels."""
        return Labels(
            self.users[which],
            self.depth[which],
            self.time_s[which],
            self.spectrum[which],
            self.entry[which],
        )


def start(time_s: float) -> Labels:
    """Return the label that serves no users."""
    zero = np.zeros(1, dtype=np.int64)
    return Labels(
        zero, zero + NOTHING_SERVED, np.array([time_s]), np.zeros(1), zero.copy()
    )


def join(parts: Sequence[Labels]) -> Labels:
    """Concatenate labels."""
    if len(parts) == 1:
        return parts[0]
    return Labels(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class Log:
    """The visits of all labels, as predecessor links from which paths are traced."""

    def __init__(self) -> None:
        self._columns: list[tuple[Ints, int, Ints]] = []
        self._starts: list[int] = []
        self._count = 1

    def copy(self, columns: int) -> Log:
        """Return a log of the first ``columns`` columns."""
        log = Log()
        log._columns = self._columns[:columns]
        log._starts = self._starts[:columns]
        if columns:
            log._count = self._starts[columns - 1] + len(self._columns[columns - 1][0])
        return log

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def count(self) -> int:
        """Entry of the next visit that is recorded."""
        return self._count

    def add(self, parents: Ints, model: int, users: Ints) -> Ints:
        """Record visits (or parts of one) and return their entries; 0 is the start."""
        self._starts.append(self._count)
        self._columns.append((parents, model, users))
        numbers = np.arange(self._count, self._count + len(parents))
        self._count += len(parents)
        return numbers

    def trace(self, entry: int) -> list[tuple[int, int]]:
        """Trace (model, users) of each step from an entry back to the start."""
        steps = []
        while entry:
            column = bisect_right(self._starts, entry) - 1
            parents, model, users = self._columns[column]
            row = entry - self._starts[column]
            steps.append((model, int(users[row])))
            entry = int(parents[row])
        return steps


@dataclass(frozen=True)
class Stop:
    """A model in an order: its place in the forest, and what later stops can add.

    Parameters
    ----------
    model
        The model.
    depth
        Number of nodes on its path.
    shared
        Number of those nodes that the previous stop shares.
    load_s
        Load that remains if d nodes are resident, by d, shape (depth+1,).
    left_load_s
        Load of the nodes up to depth d that the previous stop holds and this one does
        not, by d.
    still
        Maximum that later stops can add, in users less cost, by d + 1; index 0 for
        ``NOTHING_SERVED``. With ``owing``, less the load of the nodes that later stops
        share with this one, which the first of them pays.
    leaving_s
        Load of the nodes that the next stop does not share, by d + 1.
    """

    model: int
    depth: int
    shared: int
    load_s: Floats
    left_load_s: Floats
    value_to_go: Floats
    leaving_s: Floats


def model_values(prices: Prices) -> dict[int, float]:
    """Maximum of users less cost for each model."""
    return {
        m: float((np.arange(len(cost)) - cost).max())
        for m, cost in prices.model_cost.items()
    }


def stops(
    tables: Tables,
    forest: Forest,
    prices: Prices,
    order: Sequence[int],
    *,
    owing: bool,
) -> list[Stop]:
    """Prepare the stops of an order, in the direction in which it is walked.

    Parameters
    ----------
    tables, forest, prices
        The problem, its sharing forest, and the prices of its resources.
    order
        An order of active models. If it is not depth first, resident nodes count only
        if every stop in between shares them, even one that is not visited.
    owing
        Whether resident nodes have yet to be loaded, as in a walk backwards in time.
    """
    loads = [tables.loads_s(atoms) for atoms in forest.atoms]
    value = model_values(prices)
    node_cost = prices.node_cost.tolist()
    paths = [forest.path(m) for m in order]
    done: list[Stop] = []
    # Gain below each node over the stops to come, accumulated backwards from the last;
    # and the part of it that a node the walk has left passes on to its parent.
    gain = [0.0] * len(forest.parent)
    handed = [0.0] * len(forest.parent)
    after = np.zeros(1)
    after_path: tuple[int, ...] = ()
    for i in range(len(order) - 1, -1, -1):
        model, path = order[i], paths[i]
        before = paths[i - 1] if i else ()
        shared = _common(path, before)
        up = _common(path, after_path)
        capped = np.minimum(np.arange(len(path) + 1), up)
        value_to_go = after[capped]
        value_to_go = np.concatenate((after[:1], value_to_go))
        reached = np.concatenate(([0.0], np.cumsum([loads[node] for node in path])))
        leaving = np.concatenate(([0.0], np.maximum(reached - reached[capped], 0.0)))
        above = np.concatenate(([0.0], np.cumsum([loads[node] for node in before])))
        done.append(
            Stop(
                model,
                len(path),
                shared,
                reached[-1] - reached,
                np.maximum(above - above[shared], 0.0),
                value_to_go,
                leaving,
            )
        )
        for node in reversed(after_path[up:]):
            handed[node] = max(0.0, gain[node] - node_cost[node])
            gain[forest.parent[node]] += handed[node]
        for node in path[up:]:
            gain[forest.parent[node]] -= handed[node]
            handed[node] = 0.0
        gain[forest.node_of[model]] += value[model]
        after = _by_depth(path, gain, node_cost, owing=owing)
        after_path = path
    return done[::-1]


def _by_depth(
    path: tuple[int, ...],
    gain: Sequence[float],
    node_cost: Sequence[float],
    *,
    owing: bool,
) -> Floats:
    """Maximum that the remaining stops add if d nodes of the path are resident."""
    chain = 0.0
    chains = [0.0] * (len(path) + 1)
    for d in range(len(path), 0, -1):
        chain = max(0.0, gain[path[d - 1]] + chain - node_cost[path[d - 1]])
        chains[d - 1] = chain
    found = []
    free = gain[0]
    for d in range(len(path) + 1):
        found.append(free + chains[d])
        if d < len(path):
            free += gain[path[d]]
            if owing:
                free -= node_cost[path[d]]
    return np.array(found)


def _common(path: tuple[int, ...], other: tuple[int, ...]) -> int:
    shared = 0
    while shared < min(len(path), len(other)) and path[shared] == other[shared]:
        shared += 1
    return shared


def prune(labels: Labels, potential: Floats, target: float, width: int) -> Labels:
    """Keep the best of the labels that can reach the target and are not dominated.

    Parameters
    ----------
    labels
        The labels.
    potential
        Upper bound on the users that each label can still reach, shape (n,).
    target
        Required number of users.
    width
        Maximum number of labels kept, those of highest potential. Schedules stay
        feasible; only the search is narrowed.
    """
    hopeful = np.flatnonzero(potential >= target - POTENTIAL_TOLERANCE)
    if len(hopeful) < len(potential):
        labels = labels.take(hopeful)
        potential = potential[hopeful]
    if len(hopeful) < 2:
        return labels
    group = labels.users * (int(labels.depth.max()) + 2) + labels.depth + 1
    order = np.lexsort((labels.spectrum, labels.time_s, group))
    # Decreasing offsets restart the running minimum in every group: of ranks, for a
    # small spectrum less a large offset would be rounded.
    values, rank = np.unique(labels.spectrum[order], return_inverse=True)
    level = rank - np.unique(group[order], return_inverse=True)[1] * len(values)
    best_before = np.concatenate(([len(values)], np.minimum.accumulate(level)[:-1]))
    kept = order[level < best_before]
    if len(kept) > width:
        kept = kept[_spread(labels.users[kept], potential[kept], width)]
    return labels.take(kept)


def _spread(users: Ints, potential: Floats, width: int) -> Ints:
    """Choose the best label for each number of users, then each second best, …."""
    order = np.lexsort((-potential, users))
    users, positions = users[order], np.arange(len(order))
    first = np.concatenate(([True], users[1:] != users[:-1]))
    rank = positions - np.maximum.accumulate(np.where(first, positions, 0))
    return order[np.lexsort((-potential[order], rank))[:width]]
