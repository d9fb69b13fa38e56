"""``dynamic`` with one deadline as a flow shop of two machines, the uplink and the GPU.

How many users of each model there is time for on either machine is looked at first
(:mod:`solvers.bounds.counts`). Given that, the best depth-first order is known:
Johnson's rule, for jobs that overlap. ``docs/mathematics.md``, section 5, has the
proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from solvers.bounds.counts import (
    MOST_BUDGETS,
    Budgets,
    budgets,
    counts_within,
    weighted,
)
from solvers.bounds.prices import Charges, Prices, make_charges
from solvers.bounds.upper_bound import CONVEX_USERS
from solvers.core.forest import Forest
from solvers.core.knapsack import visit_rounds
from solvers.core.limit import UNLIMITED, Limit, PassedError
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import time_rounds

# Ways to divide a visit into batches that are looked at: those of least GPU time.
MOST_WAYS = 8

# Numbers of users that are tried, from the bound down, and how many nodes and
# visits are put in order in all.
MOST_TARGETS = 8
MOST_NODES = 3_000_000


class Job(NamedTuple):
    """What is done in one go, on both machines.

    ``upload_s`` and ``gpu_s`` are the time on each, ``span_s`` that from the beginning
    of the first upload to the end of the last batch if the GPU is free, in s. Loads
    need no upload: a job of loads alone has the span −inf.
    """

    upload_s: float
    gpu_s: float
    span_s: float

    def then(self, other: Job) -> Job:
        """Do another job after this one."""
        return Job(
            self.upload_s + other.upload_s,
            self.gpu_s + other.gpu_s,
            max(self.span_s + other.gpu_s, self.upload_s + other.span_s),
        )

    @property
    def end_s(self) -> float:
        """When it ends if it begins at 0."""
        return max(self.gpu_s, self.span_s)


class Way(NamedTuple):
    """A visit: the job, and the sizes of its batches."""

    job: Job
    sizes: tuple[int, ...]


class Stay(NamedTuple):
    """All that is done with the blocks of a node on the GPU, or a visit of a model."""

    job: Job
    visits: tuple[tuple[int, tuple[int, ...]], ...]
    first: bool = False


def in_turn(stays: Iterable[Stay]) -> list[Stay]:
    """Put stays in the order in which the last batch of them all ends first.

    After S. M. Johnson (1954) and L. G. Mitten (1959): those whose uploads are shorter
    than their GPU time come first, by what they upload before the GPU is needed, the
    others after, by what the GPU does when all is uploaded, the most first. O(n log n).
    """

    def key(stay: Stay) -> tuple[bool, bool, float]:
        upload_s, gpu_s, span_s = stay.job
        late = upload_s > gpu_s
        return not stay.first, late, upload_s - span_s if late else span_s - gpu_s

    return sorted(stays, key=key)


class Ways:
    """Ways to divide the first users of one model into batches, by how many they are.

    None needs as much GPU time and as long a span as another one. Of each number of
    users ``MOST_WAYS`` are kept, those of least GPU time. O(users · n log n), n the
    batch limit times ``MOST_WAYS``.

    Parameters
    ----------
    tables, model
        The problem, and the model.
    limit
        Ends the computation with :class:`solvers.core.limit.PassedError`.
    """

    def __init__(self, tables: Tables, model: int, limit: Limit = UNLIMITED) -> None:
        users = tables.users_of[model]
        self._sent_s = np.concatenate(([0.0], np.cumsum(tables.demand_s[users])))
        self._latency_s = tables.latency_s[model]
        self._limit = limit
        shape = len(users) + 1, MOST_WAYS
        self._gpu_s, self._span_s = np.full((2, *shape), np.inf)
        self._size, self._before = np.zeros((2, *shape), dtype=np.int64)
        self._gpu_s[0, 0], self._span_s[0, 0] = 0.0, -np.inf
        self._known = 0

    def of(self, users: int) -> list[Way]:
        """List the ways of so many users, least GPU time first; none may add up."""
        while self._known < users:
            self._limit.check()
            self._extend(self._known + 1)
        there_are = np.flatnonzero(np.isfinite(self._gpu_s[users]))
        return [self._way(users, place) for place in there_are.tolist()]

    def _extend(self, users: int) -> None:
        """Add every last batch to the ways of fewer users."""
        size = np.arange(1, min(len(self._latency_s) - 1, users) + 1)
        latency_s = self._latency_s[size][:, None]
        gpu_s = (self._gpu_s[users - size] + latency_s).ravel()
        span_s = np.maximum(self._span_s[users - size], self._sent_s[users]) + latency_s
        span_s = span_s.ravel()
        order = np.lexsort((span_s, gpu_s))
        order = order[np.isfinite(gpu_s[order])]
        shorter = np.ones(len(order), dtype=bool)
        shorter[1:] = span_s[order[1:]] < np.minimum.accumulate(span_s[order])[:-1]
        kept = order[shorter][:MOST_WAYS]
        place = slice(len(kept))
        self._gpu_s[users, place], self._span_s[users, place] = (
            gpu_s[kept],
            span_s[kept],
        )
        self._size[users, place] = size[kept // MOST_WAYS]
        self._before[users, place] = kept % MOST_WAYS
        self._known = users

    def _way(self, users: int, place: int) -> Way:
        times = self._sent_s[users], self._gpu_s[users, place]
        job = Job(*map(float, (*times, self._span_s[users, place])))
        sizes = []
        while users:
            sizes.append(int(self._size[users, place]))
            place = int(self._before[users, place])
            users -= sizes[-1]
        return Way(job, tuple(sizes[::-1]))


def best_order(forest: Forest, limits: Budgets, chosen: Mapping[int, Way]) -> Stay:
    """Order visits depth first such that the last batch ends as early as can be.

    Parameters
    ----------
    forest, limits
        The sharing forest, the loads of its nodes and the atoms that are resident at
        the start: visits with some of them come first.
    chosen
        The visit of each model that is served.

    Notes
    -----
    What is done below a node is one job for all that is around it, and the shorter its
    span the better, whatever is around it. O(nodes + M · (log M + depth)).
    """
    stays: list[list[Stay]] = [[] for _ in forest.parent]
    for node in range(len(forest.parent) - 1, -1, -1):
        below = stays[node]
        for m in forest.models[node]:
            if m in chosen:
                below.append(Stay(chosen[m].job, ((m, chosen[m].sizes),)))
        if node and not below:
            continue
        job = Job(0.0, float(limits.node_load_s[node]) if node else 0.0, -np.inf)
        visits: list[tuple[int, tuple[int, ...]]] = []
        for stay in in_turn(below):
            job = job.then(stay.job)
            visits += stay.visits
        there = not limits.resident.isdisjoint(forest.atoms[node])
        first = there or any(stay.first for stay in below)
        whole = Stay(job, tuple(visits), first)
        if node:
            stays[forest.parent[node]].append(whole)
    return whole


@dataclass
class FlowShop:
    """The search for plans of one problem, and how many orders it may still look at.

    ``limit`` ends it with :class:`solvers.core.limit.PassedError`.
    """

    tables: Tables
    forest: Forest
    limit: Limit
    orders_left: int = field(init=False)
    _ways: dict[int, Ways] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        size = len(self.forest.parent) + len(self.tables.active)
        self.orders_left = max(1, MOST_NODES // size)

    def plan(
        self, limits: Budgets, counts: Mapping[int, int]
    ) -> list[PlannedRound] | None:
        """Serve so many users of each model, if some depth-first order does so in time.

        Visits are divided into batches for the least GPU time first; then one after the
        other otherwise, where that lets the last batch end earlier.
        """
        tables = self.tables
        deadline_s = float(tables.deadline_s[tables.users].max())
        options = {m: self._ways_of(m).of(users) for m, users in counts.items()}
        if not all(options.values()):
            return None
        chosen = {m: found[0] for m, found in options.items()}
        best = self._order(limits, chosen)
        for m, found in options.items():
            for way in found[1:]:
                if best.job.end_s <= deadline_s or self.orders_left <= 0:
                    break
                other = {**chosen, m: way}
                order = self._order(limits, other)
                if order.job.end_s < best.job.end_s:
                    best, chosen = order, other
        rounds = [
            planned
            for m, sizes in best.visits
            for planned in visit_rounds(tables, m, sizes)
        ]
        return None if time_rounds(tables, rounds, "dynamic") is None else rounds

    def _ways_of(self, model: int) -> Ways:
        if model not in self._ways:
            self._ways[model] = Ways(self.tables, model, self.limit)
        return self._ways[model]

    def _order(self, limits: Budgets, chosen: Mapping[int, Way]) -> Stay:
        self.limit.check()
        self.orders_left -= 1
        return best_order(self.forest, limits, chosen)


def flow_shop(
    tables: Tables, forest: Forest, prices: Prices, served: int, limit: Limit
) -> tuple[list[PlannedRound], int]:
    """Serve as many users as the bound says, or nearly, or lower the bound.

    Parameters
    ----------
    tables, forest
        A problem of one deadline and releases 0, and its sharing forest.
    prices
        Those of the λ-bound, with the bound.
    served
        Users that a known plan serves: only more are looked for.
    limit
        Ends the search.

    Returns
    -------
    list of PlannedRound, int
        The plan, empty if none was found, and the bound or a lower one. Above
        ``CONVEX_USERS`` users nothing is tried: weighted sums take O(K²).

    Notes
    -----
    At most ``MOST_TARGETS`` numbers of users are tried, from the bound down, and orders
    of ``MOST_NODES`` nodes and visits in all; nothing where a first model may find more
    than ``MOST_BUDGETS`` sets of resident atoms.
    """
    charges, found = make_charges(tables), _Found([], prices.bound)
    each = budgets(tables, charges)
    if len(tables.users) > CONVEX_USERS or len(each) > MOST_BUDGETS:
        return found.rounds, found.bound
    with suppress(PassedError):
        shop = FlowShop(tables, forest, limit)
        _search(shop, charges, each, prices.upload_weight, served, found)
    return found.rounds, found.bound


@dataclass
class _Found:
    """What a search has found, whatever ends it."""

    rounds: list[PlannedRound]
    bound: int


def _search(
    shop: FlowShop,
    charges: Charges,
    each: list[Budgets],
    around: float,
    served: int,
    found: _Found,
) -> None:
    """Try numbers of users from the bound down until a plan is found."""
    limit = shop.limit
    cases = []
    for limits in each:
        limit.check()
        cases.append((limits, weighted(charges, limits, around, limit)))
    for target in range(found.bound, max(served, found.bound - MOST_TARGETS), -1):
        refuted = True
        for limits, rows in cases:
            labels, complete = counts_within(charges, limits, rows, target, limit)
            refuted &= complete and not len(labels.users)
            for label in range(len(labels.users)):
                if shop.orders_left <= 0:
                    return
                rounds = shop.plan(limits, labels.counts(label))
                if rounds is not None:
                    found.rounds = rounds
                    return
        if refuted and target == found.bound:
            found.bound -= 1
