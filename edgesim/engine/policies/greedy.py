"""Greedy online: the batch with the most requests in time per second of GPU time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edgesim.engine.policies.helpers import (
    BusyModels,
    Refused,
    drop_unmeetable,
    first_in_time,
    join_in_time,
    load_ahead,
    may_begin,
    outlook,
)
from edgesim.engine.policy import Policy, View
from edgesim.engine.request import ActiveRequest

# A product is rounded differently from a sum; a bound must not come out above it.
ROUNDING = 1 - 1e-12


class Batch(NamedTuple):
    """A batch out of a model's queue, by deadline: from ``first``, so many."""

    rate_per_s: float
    size: int
    first: int


class Greedy(Policy):
    """Serve most requests in time per extra second of GPU time.

    For every model, its best batch is the one with the most requests per second of
    load and compute, all of them in time; the best of these is next. The load counts
    as what the model is missing now, so relatives of what is resident come first.
    A batch of n requests is never better than n requests at the least compute time a
    request; only models whose bound by that beats the best batch found are looked at.

    If nobody can be in time, those who are dropped for being late are dropped; others
    are served, late, at the best rate. O(models) a round, and O(batch limit · log
    queue) for each model looked at, mostly one or two.
    """

    def start(self, server: View) -> None:
        """Make the bounds."""
        self._tables = [
            table[: most + 1]
            for table, most in zip(server.batch_s, server.most, strict=True)
        ]
        self._busy = BusyModels()
        self._refused = Refused()
        self._bound_s = [least_total_s(table) for table in self._tables]

    def ready(self, server: View, request: ActiveRequest) -> None:
        """Note that its model is asked for."""
        del server
        self._busy.add(request.model)
        self._refused.forget()

    def choose(self, server: View) -> Sequence[ActiveRequest] | None:
        """Choose the batch of the best rate."""
        if not server.waiting_count:
            return load_ahead(server)
        if self._refused.holds(server):
            return None
        start_s, loads_s = outlook(server)
        model, batch = self._best(server, start_s, loads_s)
        if not batch.size:
            if server.ahead:
                # Who is lost after the batch in hand is told when it has ended.
                self._refused.note(server)
                return None
            for lost in range(len(loads_s)):
                drop_unmeetable(server, lost, start_s + loads_s[lost])
            if not server.waiting_count:
                return load_ahead(server)
            model, batch = self._late(server, loads_s)
        if not may_begin(server, model):
            self._refused.note(server)
            return None
        return server.waiting[model][batch.first : batch.first + batch.size]

    def join(
        self, server: View, batch: Sequence[ActiveRequest], room: int
    ) -> Sequence[ActiveRequest]:
        """Let join whom the batch still serves in time."""
        del room  # what of it can be used hangs on the deadlines
        return join_in_time(server, batch, server.waiting[batch[0].model])

    def _best(
        self, server: View, start_s: float, loads_s: Sequence[float]
    ) -> tuple[int, Batch]:
        """Find the best model's best batch; looks only where the bound allows."""
        waiting, tables, bounds_s = server.waiting, self._tables, self._bound_s
        models = self._busy.models(server)
        rates = []
        for model in models:
            bound_s = bounds_s[model]
            size = len(waiting[model])
            if size >= len(bound_s):
                size = len(bound_s) - 1
            rates.append(size / (loads_s[model] + bound_s[size]))
        known: dict[int, Batch] = {}
        while True:
            rate_per_s = max(rates)
            at = rates.index(rate_per_s)
            if rates.count(rate_per_s) > 1:
                even = [i for i, rate in enumerate(rates) if rate == rate_per_s]
                at = min(even, key=lambda i: waiting[models[i]][0].number)
            model = models[at]
            found = known.get(model)
            if found is not None:
                return model, found
            found = known[model] = best_batch(
                waiting[model], tables[model], bounds_s[model], start_s, loads_s[model]
            )
            rates[at] = found.rate_per_s

    def _late(self, server: View, loads_s: Sequence[float]) -> tuple[int, Batch]:
        """Find the best rate when everybody is late."""
        found = []
        for model in self._busy.models(server):
            queue, table = server.waiting[model], self._tables[model]
            size = min(len(queue), len(table) - 1)
            rate_per_s = size / (loads_s[model] + table[size])
            found.append((-rate_per_s, queue[0].number, model, size))
        rate_per_s, _, model, size = min(found)
        return model, Batch(-rate_per_s, size, 0)


def least_total_s(table: Sequence[float]) -> list[float]:
    """Bound the compute time of n requests from below: n times the least of each.

    Parameters
    ----------
    table
        Compute time by batch, from 0, in s.

    Returns
    -------
    list of float
        For each n, n · min over b ≤ n of table[b] / b, in s; 0 for n = 0.
    """
    each_s = float("inf")
    bounds_s = [0.0]
    for size in range(1, len(table)):
        if table[size] / size <= each_s:
            each_s = table[size] / size
            bounds_s.append(table[size])
        else:
            bounds_s.append(size * each_s * ROUNDING)
    return bounds_s


def best_batch(
    queue: Sequence[ActiveRequest],
    table: Sequence[float],
    bound_s: Sequence[float],
    start_s: float,
    load_s: float,
) -> Batch:
    """Find a model's batch of the most requests per second, all of them in time.

    Parameters
    ----------
    queue
        Requests of the model, by deadline.
    table
        Compute time by batch, from 0, in s, as far as batches fit.
    bound_s
        What :func:`least_total_s` makes of it.
    start_s, load_s
        When the load starts and what it takes, in s.

    Returns
    -------
    Batch
        The largest of the best; size 0 if no batch serves anybody in time.
    """
    best = Batch(0.0, 0, 0)
    waiting = len(queue)
    for size in range(min(waiting, len(table) - 1), 0, -1):
        if best.size and best.rate_per_s >= size / (load_s + bound_s[size]):
            break  # no smaller batch is better either: the bound grows with the size
        compute_s = table[size]
        first = first_in_time(queue, start_s + load_s + compute_s)
        if waiting - first >= size:
            rate_per_s = size / (load_s + compute_s)
            if rate_per_s > best.rate_per_s:
                best = Batch(rate_per_s, size, first)
    return best
