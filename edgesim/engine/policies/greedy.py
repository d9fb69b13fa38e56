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
    """``size`` requests of a model's queue, by deadline, from position ``first``."""

    rate_per_s: float
    size: int
    first: int


class Greedy(Policy):
    """Serve the most requests in time per additional second of GPU time.

    A model's best batch is the one with the most requests per second of load and
    compute, all of them in time; the best batch over all models is next. The load
    counts only the blocks that the model is missing now, so models that share resident
    blocks come first. A batch of n requests is never better than n requests at the
    least compute time per request; only models whose bound by this beats the best batch
    found are examined.

    If no request can be in time, those subject to drops for lateness are dropped;
    others are served, late, at the best rate. O(models) per round, and O(batch limit ·
    log queue) for each model examined, mostly one or two.
    """

    def start(self, server: View) -> None:
        """Compute the bounds."""
        self._tables = [
            batch_s[: most + 1]
            for batch_s, most in zip(server.batch_s, server.most, strict=True)
        ]
        self._busy = BusyModels()
        self._refused = Refused()
        self._bound_s = [least_total_s(batch_s) for batch_s in self._tables]

    def ready(self, server: View, request: ActiveRequest) -> None:
        """Note that a request waits for its model."""
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
                # Requests lost after the current batch are dropped when it has ended.
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
        """Let requests join that the batch still serves in time."""
        del room  # how much of it is usable depends on the deadlines
        return join_in_time(server, batch, server.waiting[batch[0].model])

    def _best(
        self, server: View, start_s: float, loads_s: Sequence[float]
    ) -> tuple[int, Batch]:
        """Find the best model's best batch; examines only models whose bound allows."""
        waiting, tables, bounds_s = server.waiting, self._tables, self._bound_s
        models = self._busy.models(server)
        rates = []
        for model in models:
            bound_s = bounds_s[model]
            size = len(waiting[model])
            if size >= len(bound_s):
                size = len(bound_s) - 1
            rates.append(size / (loads_s[model] + bound_s[size]))
        best_batches: dict[int, Batch] = {}
        while True:
            rate_per_s = max(rates)
            index = rates.index(rate_per_s)
            if rates.count(rate_per_s) > 1:
                tied = [i for i, rate in enumerate(rates) if rate == rate_per_s]
                index = min(tied, key=lambda i: waiting[models[i]][0].number)
            model = models[index]
            batch = best_batches.get(model)
            if batch is not None:
                return model, batch
            batch = best_batches[model] = best_batch(
                waiting[model], tables[model], bounds_s[model], start_s, loads_s[model]
            )
            rates[index] = batch.rate_per_s

    def _late(self, server: View, loads_s: Sequence[float]) -> tuple[int, Batch]:
        """Find the best rate when every request is late."""
        candidates = []
        for model in self._busy.models(server):
            queue, table = server.waiting[model], self._tables[model]
            size = min(len(queue), len(table) - 1)
            rate_per_s = size / (loads_s[model] + table[size])
            candidates.append((-rate_per_s, queue[0].number, model, size))
        rate_per_s, _, model, size = min(candidates)
        return model, Batch(-rate_per_s, size, 0)


def least_total_s(table: Sequence[float]) -> list[float]:
    """Bound the compute time of n requests from below: n times the least per request.

    Parameters
    ----------
    table
        Compute time by batch size, from 0, in s.

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
    """Find a model's batch with the most requests per second, all of them in time.

    Parameters
    ----------
    queue
        Requests of the model, by deadline.
    table
        Compute time by batch size, from 0, in s, up to the largest batch that fits.
    bound_s
        Result of :func:`least_total_s` for this table.
    start_s, load_s
        Start and duration of the load, in s.

    Returns
    -------
    Batch
        The largest of the best; size 0 if no batch serves any request in time.
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
