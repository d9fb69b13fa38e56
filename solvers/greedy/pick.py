"""Select the users to serve before any ordering: users at a common price."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from solvers.core.knapsack import batch_costs
from solvers.core.tables import Floats, Ints
from solvers.greedy.waiting import Bools, Loads

# Bisection steps on the price; below a millionth of the initial one nothing changes.
HALVINGS = 24


# Selected users of each model.
Selection = tuple[Ints, ...]


class _Level(NamedTuple):
    """Shared atoms held by the same number of models with users."""

    atoms: Ints
    holds: Floats


class Selector:
    """Cost of serving the first n users of each model, independent of the order.

    The users of a model are those of least demand. With uplink weight μ, n users of a
    model cost μ · (their upload) + (1 − μ) · (least compute time of n), and each block
    held by a selected model costs (1 − μ) · (its load), once.
    """

    def __init__(self, loads: Loads, queues: Selection, limit_s: float) -> None:
        self._loads = loads
        self._queues = queues
        tables = loads.tables
        active = [m for m, users in enumerate(queues) if len(users)]
        self._models = np.array(active, dtype=np.int64)
        counts = [len(queues[m]) for m in self._models]
        self._starts = np.cumsum([0, *counts])[:-1]
        self._model = np.repeat(np.arange(len(counts)), counts)
        self._size = np.concatenate([np.arange(1, n + 1) for n in counts])
        self._upload_s = np.concatenate(
            [np.cumsum(tables.demand_s[queues[m]]) for m in self._models]
        )
        compute = [
            batch_costs(tables.latency_s[m], n)[0][1:]
            for m, n in zip(self._models, counts, strict=True)
        ]
        self._compute_s = np.concatenate(compute)
        missing = loads.missing_s(sorted(tables.initial_atoms))
        self._own_s = missing[loads.own[self._models]]
        self._shared_s = missing[loads.shared]
        self._holds = loads.holds[self._models]
        self._limit_s = limit_s

    @cached_property
    def _levels(self) -> list[_Level]:
        holders = self._holds.sum(axis=0).astype(np.int64)
        found = []
        for count in np.unique(holders[holders > 0]):
            atoms = np.flatnonzero(holders == count)
            found.append(_Level(atoms, self._holds[:, atoms]))
        return found

    def select(self, uplink_weight: float, share: float) -> tuple[Selection, Selection]:
        """Select users of each model that together cost a share of the latest deadline.

        Every user is worth the same number of seconds. At each worth, every model
        offers the n users of maximum gain, and stays if that gain pays its part of the
        loads. A slightly higher worth can open many models at once, so two selections
        are made: the models at the largest affordable worth, and those at the smallest
        unaffordable one. For each, the loads they share count as spent, and the worth
        is searched again at which the users of just these models are affordable.

        Parameters
        ----------
        uplink_weight
            μ, below 1.
        share
            Share of T, the latest deadline. A schedule that ends by T spends at most T
            on the GPU and, before its last batch, on the band, but never all of both.

        Returns
        -------
        tuple
            Two selections: users by model, least demand first, as ``Tables.users_of``.

        Notes
        -----
        O(K + models · shared atoms) for each of 96 worths, and a few times that where
        models withdraw.
        """
        gpu = 1 - uplink_weight
        cost = uplink_weight * self._upload_s + gpu * self._compute_s
        budget = share * self._limit_s
        low, high = self._largest(budget, cost, gpu, None)
        found = []
        for worth in (low, high):
            chosen = self._counts_at(worth, cost, gpu, None)
            opened = (chosen > 0).astype(float) @ self._holds > 0
            least, _ = self._largest(budget, cost, gpu, opened)
            found.append(self._users(self._counts_at(least, cost, gpu, opened)))
        return found[0], found[1]

    def _largest(
        self, budget_s: float, cost_s: Floats, gpu: float, opened: Bools | None
    ) -> tuple[float, float]:
        """Bracket the largest worth at which the selection is affordable."""
        low, high = 0.0, 2 * budget_s
        for _ in range(HALVINGS):
            worth = (low + high) / 2
            chosen = self._counts_at(worth, cost_s, gpu, opened)
            if self._total_s(chosen, cost_s, gpu) <= budget_s:
                low = worth
            else:
                high = worth
        return low, high

    def _users(self, counts: Ints) -> Selection:
        tables = self._loads.tables
        selected = [np.empty(0, dtype=np.int64) for _ in tables.model_names]
        for m, n in zip(self._models.tolist(), counts.tolist(), strict=True):
            selected[m] = self._queues[m][:n]
        return tuple(selected)

    def _counts_at(
        self, worth_s: float, cost_s: Floats, gpu: float, opened: Bools | None
    ) -> Ints:
        """Count the users of each model that pay at a worth, (models with users,).

        If ``opened`` is given, only models that need no other shared atoms may stay.
        """
        gain = worth_s * self._size - cost_s
        most = np.maximum.reduceat(gain, self._starts)
        is_best = gain >= most[self._model]
        users = np.maximum.reduceat(np.where(is_best, self._size, 0), self._starts)
        rest = most - gpu * self._own_s
        if opened is None:
            stay = self._paying(rest, gpu * self._shared_s)
        else:
            stay = (rest > 0) & ~(self._holds @ ~opened > 0)
        return np.where(stay, users, 0)

    def _paying(self, gain_s: Floats, load_s: Floats) -> Bools:
        """Keep models whose gain pays for their part of the shared loads.

        From the atoms with few holders to those with many, each holder pays in
        proportion to its remaining gain. In a forest this is exact; if sharing is
        crossing it is a heuristic, because a model that withdraws may have paid for
        others.
        """
        stay = gain_s > 0
        while True:
            left = np.where(stay, gain_s, 0.0)
            for atoms, holds in self._levels:
                there = left @ holds
                with np.errstate(divide="ignore", invalid="ignore"):
                    part = np.where(there > 0, load_s[atoms] / there, 0.0)
                left *= np.maximum(1 - holds @ part, 0.0)
            paying = stay & (left > 0)
            if (paying == stay).all():
                return stay
            stay = paying

    def _total_s(self, chosen: Ints, cost_s: Floats, gpu: float) -> float:
        there = chosen > 0
        total = float(cost_s[(self._starts + chosen - 1)[there]].sum())
        total += gpu * float(self._own_s[there].sum())
        needed = there.astype(float) @ self._holds > 0
        return total + gpu * float(self._shared_s[needed].sum())
