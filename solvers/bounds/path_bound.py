"""The path bound: price the users, route the GPU.

A schedule is a path through a grid of time (:mod:`solvers.bounds.path_grid`). That each
user is served once at most, that each block is loaded if it is used, and what the
uplink allows are relaxed with multipliers; whatever they are, the longest path bounds
the users served. ``docs/mathematics.md``, section 6, has the proof.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from solvers.bounds.path_band import Band, make_band
from solvers.bounds.path_gains import FreeGains, OrderedGains
from solvers.bounds.path_grid import (
    COARSE_WORK,
    GOOD_WORK,
    GRANTED_S,
    make_network,
)
from solvers.bounds.path_memory import Flags
from solvers.bounds.path_network import Gains, Network, Part, Path
from solvers.core.compiling import COMPILED
from solvers.core.tables import Floats, Ints, Tables
from solvers.uplink import Uplink

# A bound in users is rounded down from this much more: sums of doubles are rounded.
ROUNDING = 1e-6

# Subgradient steps: the target, in users above the number to be proven, the share of
# the way to it at first and at last, its decrease, and after how many steps without
# improvement; the weight of the last direction.
TARGET = 0.5
FIRST_SHARE, NEXT_SHARE, LAST_SHARE, DECREASE = 1.0, 0.3, 0.02, 0.7
PATIENCE = 10
INERTIA = 0.5
MIN_GAIN = 1e-4

# Weight of the last path in means over paths.
RECENT = 0.1

# Maximum number of longest paths on a grid.
ITERATIONS = 300


class Evaluated(NamedTuple):
    """The bound of one setting of the multipliers, in users, and a subgradient.

    ``served`` counts how often the longest path serves each user, ``steps`` and
    ``squares`` add up the steps, and their squares, in which it does, shape (K,).
    """

    bound: float
    gradient: Floats
    served: Floats
    steps: Floats
    squares: Floats


class Tuned(NamedTuple):
    """The least bound found, the multipliers that give it, and where they lead.

    ``mean`` and ``variance`` are those of the number of times that late paths serve
    each user, and then of the users of each model that they serve, shape (K+M,).
    ``step`` and ``spread`` are the mean and the standard deviation of the steps in
    which they serve each user, shape (K,).
    """

    bound: float
    multipliers: Floats
    mean: Floats
    variance: Floats
    step: Floats
    spread: Floats


class Priced(NamedTuple):
    """The values of all that a path may do, under some multipliers.

    Parameters
    ----------
    part
        The schedules that are looked at.
    value
        Worth of each user, less all but the price of its demand, shape (K,).
    prices
        Price of demand by kind of user and batch, shape (kinds, last+1, B, M).
    cost
        Price of each batch itself, shape (B, M).
    between, first
        Value of each change of model, (M, M), and of each model as the first, (M,).
    start
        Value of the first load starting at each step, shape (last+1,).
    constant
        What is added to the longest path for the bound.
    visited
        Whether each model counts as visited, shape (M,).
    chosen
        Whether loading each atom that refunds are paid for is worth it, if there is a
        cache.
    """

    part: Part
    value: Floats
    prices: Floats
    cost: Floats
    between: Floats
    first: Floats
    start: Floats
    constant: float
    visited: Flags
    chosen: Flags


@dataclass(frozen=True, eq=False)
class Relaxation:
    """The relaxation of one problem under one discipline.

    Multipliers are one vector: a price α of each user (K), a refund γ for each pair of
    a model and an atom that it holds, the price of each row of the band, and the price
    of GPU time κ if there is a cache or overlap.
    """

    network: Network
    band: Band

    @cached_property
    def _atoms(self) -> list[int]:
        """Atoms that refunds are paid for."""
        tables = self.network.tables
        holders = tables.holds[list(self.network.models)].sum(axis=0)
        # With ordered users no path serves a user twice in one visit.
        least = 2 if self.network.ordered and not self._cache else 1
        return [
            atom
            for atom, load_s in enumerate(tables.atom_load_s.tolist())
            if load_s > 0
            and holders[atom] >= least
            and atom not in tables.initial_atoms
        ]

    @cached_property
    def _holds(self) -> Floats:
        """1 where a model holds an atom, shape (M, atoms)."""
        return self.network.tables.holds[list(self.network.models)][:, self._atoms]

    @cached_property
    def _pairs(self) -> tuple[Ints, Ints]:
        models, atoms = np.nonzero(self._holds)
        return models, atoms

    @cached_property
    def _atom_load_s(self) -> Floats:
        return self.network.tables.atom_load_s[self._atoms]

    @property
    def _cache(self) -> bool:
        return self.network.tables.problem.residency == "cache"

    @property
    def _overlap(self) -> bool:
        return self.network.tables.problem.overlap

    @cached_property
    def _budget_s(self) -> float:
        """GPU time for all loads (overlap), or all loads and batches."""
        latest_s = float(self.network.tables.deadline_s[self.network.users].max())
        least_s = float(self.network.latency_s.min()) if self._overlap else 0.0
        return max(latest_s - least_s, 0.0) + GRANTED_S

    @cached_property
    def _sizes(self) -> tuple[int, int, int, int]:
        """Lengths of the parts of the vector of multipliers."""
        priced = int(self._cache or self._overlap)
        users, pairs = len(self.network.users), len(self._pairs[0])
        return users, pairs, len(self.band.capacity), priced

    def scale(self, served: int) -> Floats:
        """Size that each multiplier is likely to have."""
        users, pairs, _, priced = self._sizes
        worth = max(served, 1)
        gpu = np.full(priced, worth / self._budget_s)
        return np.concatenate((np.ones(users + pairs), worth * self.band.scale, gpu))

    def start(self, served: int) -> Floats:
        """Multipliers to start from: users are free, the band is not."""
        users, pairs, rows, _ = self._sizes
        found = np.zeros(len(self.scale(served)))
        found[users + pairs : users + pairs + rows] = max(served, 1) * self.band.first
        return found

    @cached_property
    def yields(self) -> Flags:
        """Whether each user yields to each other one, or is the same, shape (K, K).

        A user yields to another one of its model that asks for no more, may wait no
        less and is there no later: whatever serves the first can serve the second.
        """
        model = self.network.user_model
        demand_s = self.network.demand_s
        deadline_s = self.network.tables.deadline_s[self.network.users]
        release_s = self.network.tables.release_s[self.network.users]
        no_worse = (
            (model[:, None] == model)
            & (demand_s[:, None] >= demand_s)
            & (deadline_s[:, None] <= deadline_s)
            & (release_s[:, None] >= release_s)
        )
        # Of two that are the same, the second yields.
        place = np.arange(len(model))
        found: Flags = no_worse & (~no_worse.T | (place[:, None] >= place))
        return found

    def everything(self) -> Part:
        """All schedules."""
        users = len(self.network.users)
        nobody = np.zeros(users, dtype=bool)
        return Part(
            nobody, nobody, np.zeros(users, np.int64), self.network.until.copy()
        )

    def priced(self, multipliers: Floats, part: Part) -> Priced:
        """Value all that a path may do under some multipliers.

        Parameters
        ----------
        multipliers
            Any, at least 0 except for the prices of users that must be served.
        part
            The schedules that are looked at.
        """
        network, band = self.network, self.band
        users, pairs, rows, _ = self._sizes
        price, refund, rho, kappa_ = np.split(
            multipliers, np.cumsum([users, pairs, rows])
        )
        kappa = float(kappa_.sum())
        refunds = np.zeros(self._holds.shape)
        refunds[self._pairs] = refund
        # A model with a user that must be served is visited.
        left = np.add.reduceat(price, network.first[:-1]) - refunds.sum(axis=1)
        visited = np.maximum.reduceat(part.forced, network.first[:-1]) | (left > 0)
        by_atom = refunds.sum(axis=0)
        constant = float(left[visited].sum()) + float(rho @ band.capacity)
        if self._cache:
            worth = by_atom - kappa * self._atom_load_s
            constant += float(np.maximum(worth, 0.0).sum())
        constant += kappa * self._budget_s
        prices = band.prices(rho)
        computed = np.where(np.isfinite(network.latency_s), network.latency_s, 0.0)
        cost = (0.0 if self._overlap else kappa) * computed
        models = len(network.models)
        between = np.zeros((models, models))
        first = np.zeros(models)
        if not self._cache:
            first = self._holds @ by_atom
            between = first - (self._holds * by_atom) @ self._holds.T
            if self._overlap:
                between = between - kappa * network.load_s[:-1]
                first = first - kappa * network.load_s[-1]
        start = band.start_worth(rho)
        if band.waits:
            # The GPU does nothing before its first load.
            start = start - kappa * np.arange(network.last + 1) * network.step_s
        return Priced(
            part=part,
            value=1.0 - price,
            prices=prices,
            cost=cost,
            between=between,
            first=first,
            start=start,
            constant=constant,
            visited=visited,
            chosen=by_atom > kappa * self._atom_load_s,
        )

    def gains(self, priced: Priced) -> Gains:
        """Value every batch."""
        network, (value, prices, cost) = self.network, priced[1:4]
        if network.ordered:
            return OrderedGains(network, value, prices[0], cost, priced.part)
        return FreeGains(network, value, prices, self.band.kind, cost, priced.part)

    def evaluate(self, multipliers: Floats, part: Part) -> Evaluated:
        """Bound the users served by some of the schedules.

        Parameters are those of :meth:`priced`.
        """
        network, band = self.network, self.band
        priced = self.priced(multipliers, part)
        path = network.longest(
            self.gains(priced), priced.between, priced.first, priced.start
        )
        loaded = self._loaded(path, priced.chosen)
        served, steps, squares = np.zeros((3, len(network.users)))
        for stop in path.stops:
            served[stop.users] += 1
            steps[stop.users] += stop.step
            squares[stop.users] += stop.step**2
        gpu = [self._budget_s - self._gpu_used_s(path, loaded)] * self._sizes[3]
        visited = priced.visited
        gradient = np.concatenate(
            (
                visited[network.user_model] - served,
                loaded[self._pairs[1]] - visited[self._pairs[0]],
                band.capacity - band.used(path),
                gpu,
            )
        )
        bound = path.value + priced.constant
        return Evaluated(bound, gradient, served, steps, squares)

    def _loaded(self, path: Path, chosen: Flags) -> Floats:
        """How often each atom is loaded, by the path or by choice."""
        if self._cache:
            return chosen.astype(np.float64)
        loaded = np.zeros(len(self._atoms))
        for a, m in path.visits:
            loaded += self._holds[m] * (1 - self._holds[a] if a >= 0 else 1.0)
        return loaded

    def _gpu_used_s(self, path: Path, loaded: Floats) -> float:
        used_s = path.start * self.network.step_s if self.band.waits else 0.0
        if self._overlap and not self._cache:
            loads = (float(self.network.load_s[a, m]) for a, m in path.visits)
            return used_s + sum(loads)
        used_s += float(loaded @ self._atom_load_s)
        if not self._overlap:
            for stop in path.stops:
                used_s += float(self.network.latency_s[stop.size, stop.model])
        return used_s

    def tune(
        self,
        multipliers: Floats,
        served: int,
        part: Part,
        *,
        iterations: int,
        out_of_time: Callable[[], bool],
        share: float = FIRST_SHARE,
    ) -> Tuned:
        """Improve multipliers by subgradient steps until more than served is refuted.

        Steps are those of Polyak along a mixture of the last directions; after
        ``PATIENCE`` steps without gain they go on from the best, shorter.
        """
        scale = self.scale(served)
        least = np.zeros(len(scale))
        least[: len(part.forced)][part.forced] = -np.inf
        now, best = multipliers, multipliers
        direction = np.zeros(len(scale))
        mean: Floats | None = None
        times = np.zeros((3, len(part.forced)))
        variance = np.zeros(1)
        bound, patience = math.inf, PATIENCE
        for _ in range(iterations):
            found = self.evaluate(now, part)
            by_model = np.add.reduceat(found.served, self.network.first[:-1])
            counts = np.concatenate((found.served, by_model))
            if mean is None:
                mean = counts
            variance = (1 - RECENT) * (variance + RECENT * (counts - mean) ** 2)
            mean = mean + RECENT * (counts - mean)
            times += RECENT * (np.array(found[2:]) - times)
            patience -= 1
            if found.bound < bound - MIN_GAIN * max(1.0, abs(found.bound)):
                best, patience = now, PATIENCE
            bound = min(bound, found.bound)
            if whole(bound) <= served or out_of_time():
                break
            if patience <= 0:
                share, patience = DECREASE * share, PATIENCE
                if share < LAST_SHARE:
                    break
                now, direction = best, np.zeros(len(scale))
                continue
            steepest = scale * found.gradient
            mixed = INERTIA * direction + (1 - INERTIA) * steepest
            direction = mixed if direction.any() else steepest
            length = float(direction @ direction)
            if length < 1e-18:
                break
            step = share * (found.bound - served - TARGET) / length
            now = np.maximum(now - step * scale * direction, least)
        assert mean is not None
        often = np.maximum(times[0], 1e-12)
        step = times[1] / often
        spread = np.sqrt(np.maximum(times[2] / often - step**2, 0.0))
        return Tuned(bound, best, mean, variance, step, spread)


def whole(bound: float) -> int:
    """Round a bound down to whole users."""
    return math.floor(bound + ROUNDING)


def relaxation(
    tables: Tables, uplink: Uplink, work: int = GOOD_WORK, *, loops: bool = COMPILED
) -> Relaxation | None:
    """Make the relaxation of a problem with users; None if it is too large.

    Compiled ``loops`` only save time.
    """
    network = make_network(tables, uplink, work)
    if network is None:
        return None
    network = replace(network, loops=loops)
    return Relaxation(network, make_band(network, uplink))


def path_bound(
    tables: Tables,
    uplink: Uplink,
    served: int,
    *,
    iterations: int = ITERATIONS,
    out_of_time: Callable[[], bool] = lambda: False,
) -> int | None:
    """Bound the users that any schedule can serve by the longest priced path.

    Parameters
    ----------
    tables, uplink
        The problem and the discipline.
    served
        Users that a known schedule serves: the multipliers are chosen to refute that
        more can be, and the search for them ends when they do.
    iterations
        Maximum number of longest paths on each of two grids.
    out_of_time
        Ends the search early.

    Returns
    -------
    int or None
        The bound; None if the problem is too large for it.

    Notes
    -----
    O(iterations · steps · (K · batch limit + M²)); there is no bound where the last two
    factors exceed ``MAX_WORK``.
    """
    if not tables.active:
        return 0
    found = tuned(tables, uplink, served, iterations, out_of_time)
    return None if found is None else max(whole(found[1].bound), 0)


def tuned(
    tables: Tables,
    uplink: Uplink,
    served: int,
    iterations: int,
    out_of_time: Callable[[], bool],
    *,
    loops: bool = COMPILED,
) -> tuple[Relaxation, Tuned] | None:
    """Tune multipliers on a coarse grid, then on a fine one if that did not suffice."""
    found: tuple[Relaxation, Tuned] | None = None
    for work in (COARSE_WORK, GOOD_WORK):
        relaxed = relaxation(tables, uplink, work, loops=loops)
        if relaxed is None:
            break
        now = relaxed.tune(
            relaxed.start(served) if found is None else found[1].multipliers,
            served,
            relaxed.everything(),
            iterations=iterations,
            out_of_time=out_of_time,
            share=FIRST_SHARE if found is None else NEXT_SHARE,
        )
        if found is None or now.bound <= found[1].bound:
            found = relaxed, now
        if whole(now.bound) <= served or out_of_time():
            break
    return found
