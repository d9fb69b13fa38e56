"""``dynamic`` with one deadline as a flow shop of two machines, the uplink and the GPU.

How many users of each model there is time for on either machine is looked at first
(:mod:`solvers.bounds.counts`). Given that, the best depth-first order is known:
Johnson's rule, for jobs that overlap. ``docs/mathematics.md``, section 5, has the
proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from solvers.bounds.counts import Budgets, budgets, counts_within, weighted
from solvers.bounds.prices import Prices, make_charges
from solvers.bounds.upper_bound import CONVEX_USERS
from solvers.core.forest import Forest
from solvers.core.knapsack import visit_rounds
from solvers.core.limit import Limit
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


def ways(tables: Tables, model: int, users: int) -> list[Way]:
    """List ways to divide a model's first users into batches.

    None needs as much GPU time and as long a span as another one; least GPU time first.
    Empty if no sizes add up. O(users · batch limit · MOST_WAYS).
    """
    demand_s = tables.demand_s[tables.users_of[model][:users]]
    sent_s = np.concatenate(([0.0], np.cumsum(demand_s))).tolist()
    latency_s = tables.latency_s[model].tolist()
    found: list[list[Way]] = [[Way(Job(0.0, 0.0, -np.inf), ())]]
    for count in range(1, users + 1):
        new = []
        for size in range(1, min(len(latency_s) - 1, count) + 1):
            if latency_s[size] == np.inf:
                continue
            upload_s = sent_s[count] - sent_s[count - size]
            batch = Job(upload_s, latency_s[size], upload_s + latency_s[size])
            new += [
                Way(way.job.then(batch), (*way.sizes, size))
                for way in found[count - size]
            ]
        new.sort(key=lambda way: (way.job.gpu_s, way.job.span_s))
        kept: list[Way] = []
        for way in new:
            if not kept or way.job.span_s < kept[-1].job.span_s:
                kept.append(way)
        found.append(kept[:MOST_WAYS])
    return found[users]


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
    span the better, whatever is around it. O(nodes + M log M).
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
        whole = Stay(job, tuple(visits), first=there)
        if node:
            stays[forest.parent[node]].append(whole)
    return whole


@dataclass
class FlowShop:
    """The search for plans of one problem, and how many orders it may still look at."""

    tables: Tables
    forest: Forest
    orders: int
    known: dict[tuple[int, int], list[Way]] = field(default_factory=dict)

    def plan(
        self, limits: Budgets, counts: Mapping[int, int]
    ) -> list[PlannedRound] | None:
        """Serve so many users of each model, if some depth-first order does so in time.

        Visits are divided into batches for the least GPU time first; then one after the
        other otherwise, where that lets the last batch end earlier.
        """
        tables = self.tables
        deadline_s = float(tables.deadline_s[tables.users].max())
        options = {m: self._ways(m, users) for m, users in counts.items()}
        if not all(options.values()):
            return None
        chosen = {m: found[0] for m, found in options.items()}
        best = self._order(limits, chosen)
        for m, found in options.items():
            for way in found[1:]:
                if best.job.end_s <= deadline_s or self.orders <= 0:
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

    def _ways(self, model: int, users: int) -> list[Way]:
        key = model, users
        if key not in self.known:
            self.known[key] = ways(self.tables, model, users)
        return self.known[key]

    def _order(self, limits: Budgets, chosen: Mapping[int, Way]) -> Stay:
        self.orders -= 1
        return best_order(self.forest, limits, chosen)


def flow_shop(
    tables: Tables, forest: Forest, prices: Prices, limit: Limit
) -> tuple[list[PlannedRound], int]:
    """Serve as many users as the bound says, or nearly, or lower the bound.

    Parameters
    ----------
    tables, forest
        A problem of one deadline and releases 0, and its sharing forest.
    prices
        Those of the λ-bound, with the bound.
    limit
        Ends the search.

    Returns
    -------
    list of PlannedRound, int
        The plan, empty if there is none in time, and the bound or a lower one. Above
        ``CONVEX_USERS`` users nothing is tried: weighted sums take O(K²).

    Notes
    -----
    At most ``MOST_TARGETS`` numbers of users are tried, from the bound down, and orders
    of ``MOST_NODES`` nodes and visits in all.
    """
    bound, charges = prices.bound, make_charges(tables)
    if len(tables.users) > CONVEX_USERS:
        return [], bound
    size = len(forest.parent) + len(tables.active)
    search = FlowShop(tables, forest, max(1, MOST_NODES // size))
    cases = []
    for limits in budgets(tables, charges):
        if limit.passed():
            return [], bound
        cases.append((limits, weighted(charges, limits, prices.upload_weight, limit)))
    for target in range(bound, max(0, bound - MOST_TARGETS), -1):
        refuted = True
        for limits, rows in cases:
            labels, complete = counts_within(charges, limits, rows, target, limit)
            refuted &= complete and not len(labels.users)
            for label in range(len(labels.users)):
                if limit.passed() or search.orders <= 0:
                    return [], bound
                found = search.plan(limits, labels.counts(label))
                if found is not None:
                    return found, bound
        if refuted and target == bound:
            bound -= 1
    return [], bound
