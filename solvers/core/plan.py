"""A plan that can be modified, and the times that decide what a change would cost.

Times are computed in both directions: *earliest* ends forwards from the first round,
*latest* ends backwards from the deadlines. Both follow chains of difference
constraints, so a change to a round is feasible if the resulting times do not exceed the
latest times of its successors: nearly every change is evaluated by a few comparisons,
without retiming later rounds.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from solvers.core.residency import Memory, Step, enter, start, steps
from solvers.core.tables import Floats, Ints, PlannedRound, Tables
from solvers.tolerance import TIME_TOLERANCE_S
from solvers.uplink import Uplink

SLACK_S = TIME_TOLERANCE_S / 2

# Under cache or overlap: number of plans whose loads are cached, and of rounds whose
# effect on GPU memory is.
MAX_CACHED_PLANS = 256
MAX_CACHED_STEPS = 20_000


def total(values: Iterable[float]) -> float:
    """Add up one after another, as loops and running sums do.

    ``sum`` does so up to Python 3.11 only, and numpy adds in pairs.
    """
    return reduce(operator.add, values, 0.0)


class Batch(NamedTuple):
    """A round and its totals: Σw, earliest deadline and compute time, in s."""

    model: int
    users: tuple[int, ...]
    demand_s: float
    deadline_s: float
    compute_s: float


Plan = tuple[Batch, ...]


class Times(NamedTuple):
    """The rounds of a plan as arrays of shape (R,), and when they run, in s.

    ``load_s`` is the duration of each load and ``loaded_s`` its earliest end, ``end_s``
    the earliest end of the round and ``latest_end_s`` the latest that its users and all
    later rounds allow. ``ready_s`` is when the inputs have arrived (``static``: 0).
    ``band`` is the share of the band that ``static`` needs, 0 otherwise. ``broken`` is
    the first late round, or −1. ``arrivals_s`` is what :meth:`Clock.arrivals` returns
    where releases differ.
    """

    models: Ints
    sizes: Ints
    demand_s: Floats
    deadline_s: Floats
    compute_s: Floats
    load_s: Floats
    loaded_s: Floats
    ready_s: Floats
    end_s: Floats
    latest_end_s: Floats
    band: float
    broken: int
    arrivals_s: Floats | None = None

    @property
    def feasible(self) -> bool:
        """Whether every user is in time and the spectrum suffices."""
        return self.broken < 0 and self.band <= 1 + SLACK_S


@dataclass(frozen=True, eq=False)
class Clock:
    """Computes the times of plans for one problem under one discipline.

    Parameters
    ----------
    tables, uplink
        The problem and the discipline; releases other than 0 under ``dynamic`` only.
    """

    tables: Tables
    uplink: Uplink

    @cached_property
    def demand_s(self) -> list[float]:
        """Upload time of each user at the whole band."""
        found: list[float] = self.tables.demand_s.tolist()
        return found

    @cached_property
    def deadline_s(self) -> list[float]:
        """Deadline of each user."""
        found: list[float] = self.tables.deadline_s.tolist()
        return found

    @cached_property
    def latency_s(self) -> list[list[float]]:
        """Compute time by model and batch size, inf if the batch does not fit."""
        return [table.tolist() for table in self.tables.latency_s]

    @cached_property
    def padded_s(self) -> Floats:
        """Compute time by model and batch size, inf-padded, shape (M, B+2)."""
        tables = self.tables.latency_s
        padded = np.full((len(tables), max(map(len, tables), default=1) + 1), np.inf)
        for m, table in enumerate(tables):
            padded[m, : len(table)] = table
        return padded

    @cached_property
    def plain(self) -> bool:
        """Whether loads depend only on the previous model and never overlap."""
        problem = self.tables.problem
        return problem.residency == "previous" and not problem.overlap

    @cached_property
    def deadlines_s(self) -> Floats:
        """All deadlines, ascending, and inf at the end, shape (K+1,)."""
        return np.append(np.sort(self.tables.deadline_s), np.inf)

    @cached_property
    def deadline_rank(self) -> Ints:
        """Index of each user's deadline in ``deadlines_s``, shape (K,)."""
        rank = np.empty(len(self.tables.deadline_s), dtype=np.int64)
        order = np.argsort(self.tables.deadline_s, kind="stable")
        rank[order] = np.arange(len(rank))
        return rank

    @cached_property
    def horizon_s(self) -> float:
        """The latest deadline; 1 without users."""
        return float(self.tables.deadline_s.max(initial=0.0)) or 1.0

    @cached_property
    def release_grid_s(self) -> Floats:
        """Distinct releases, ascending."""
        return np.unique(self.tables.release_s)

    @cached_property
    def release_index(self) -> Ints:
        """Index of each user's release in the grid, shape (K,)."""
        return np.searchsorted(self.release_grid_s, self.tables.release_s)

    @cached_property
    def _sizes_matter(self) -> bool:
        """Whether batch sizes can affect eviction."""
        problem = self.tables.problem
        return problem.gpu_memory_bytes is not None and any(
            model.activation_bytes for model in problem.models.values()
        )

    @cached_property
    def _recalls(self) -> bool:
        """Whether what a round evicts depends on the rounds before it alone."""
        problem = self.tables.problem
        return problem.residency == "previous" or problem.eviction == "lru"

    @cached_property
    def _step_cache(self) -> dict[tuple[Memory, int, int], Step]:
        return {}

    @cached_property
    def _steps_cache(self) -> dict[tuple[int, ...], tuple[list[Step], list[float]]]:
        return {}

    @cached_property
    def _load_cache(self) -> dict[frozenset[int], float]:
        return {}

    def batch(self, model: int, users: Sequence[int]) -> Batch:
        """Make a round with its totals; compute time is inf if it does not fit."""
        table = self.latency_s[model]
        return Batch(
            model,
            tuple(users),
            total(self.demand_s[k] for k in users),
            min(self.deadline_s[k] for k in users),
            table[len(users)] if len(users) < len(table) else np.inf,
        )

    def plan(self, rounds: Sequence[PlannedRound]) -> Plan:
        """Make a plan from given rounds."""
        return tuple(self.batch(model, users) for model, users in rounds)

    @cached_property
    def loads_between_s(self) -> Floats:
        """Load of each model after each other model, residency ``"previous"``.

        Shape (M+1, M+1). The last row is for the first round; the last column stands
        for the end and loads nothing.
        """
        tables = self.tables
        models = len(tables.model_names)
        loads = np.zeros((models + 1, models + 1))
        for m in range(models):
            loads[m, :-1] = tables.loads_after(m)
        loads[-1, :-1] = tables.loads_after(None)
        return loads

    @cached_property
    def _between(self) -> list[list[float]]:
        """``loads_between_s`` as lists."""
        found: list[list[float]] = self.loads_between_s.tolist()
        return found

    @cached_property
    def releases_zero(self) -> bool:
        """Whether every user is released at time 0."""
        return self.tables.releases_zero

    @cached_property
    def rounded_s(self) -> Floats:
        """Load of each atom to 2⁻³⁶ s, so that sums are exact in any order, (A,).

        Their sums are below 2¹⁷ s then. Loads at the places of a plan are added in
        libraries that do not say in which order.
        """
        found: Floats = np.ldexp(np.rint(np.ldexp(self.tables.atom_load_s, 36)), -36)
        return found

    def steps(self, plan: Plan) -> list[Step]:
        """Track GPU memory through a plan.

        Where batch sizes cannot affect eviction, ``memory.batch`` is that of any plan
        with the same models.
        """
        return self._steps_and_loads(plan)[0]

    def _steps_and_loads(self, plan: Plan) -> tuple[list[Step], list[float]]:
        """Track GPU memory through a plan, with the duration of each load."""
        key = tuple(batch.model for batch in plan)
        if self._sizes_matter:
            key += tuple(len(batch.users) for batch in plan)
        found = self._steps_cache.get(key)
        if found is None:
            if len(self._steps_cache) >= MAX_CACHED_PLANS:
                self._steps_cache.clear()
            if self._recalls:
                taken = self._enter_all(plan)
            else:
                taken = steps(self.tables, rounds_of(plan))
            found = (taken, [self._loads_s(step.loaded) for step in taken])
            self._steps_cache[key] = found
        return found

    def _enter_all(self, plan: Plan) -> list[Step]:
        """Track GPU memory through a plan, recalling rounds that were met before."""
        memory = start(self.tables)
        found = []
        for batch in plan:
            key = (memory, batch.model, len(batch.users))
            step = self._step_cache.get(key)
            if step is None:
                if len(self._step_cache) >= MAX_CACHED_STEPS:
                    self._step_cache.clear()
                step = self._step_cache[key] = enter(self.tables, *key)
            memory = step.memory
            found.append(step)
        return found

    def _loads_s(self, atoms: frozenset[int]) -> float:
        """Time to load a set of atoms."""
        found = self._load_cache.get(atoms)
        if found is None:
            found = self._load_cache[atoms] = self.tables.loads_s(atoms)
        return found

    def arrivals(self, plan: Plan) -> Floats:
        """Compute when the uploads released from each time on end, shape (R+1, A).

        Row r covers the users of the first r rounds, column i those of them released at
        ``release_grid_s[i]`` or later; −inf where there are none.
        """
        releases = len(self.release_grid_s)
        users = [k for batch in plan for k in batch.users]
        rounds = np.arange(1, len(plan) + 1).repeat([len(b.users) for b in plan])
        sent = np.bincount(
            rounds * releases + self.release_index[users],
            weights=self.tables.demand_s[users],
            minlength=(len(plan) + 1) * releases,
        ).reshape(len(plan) + 1, releases)
        # A column that adds no uploads is never the maximum, unless it is empty.
        sent = sent.cumsum(axis=0)[:, ::-1].cumsum(axis=1)[:, ::-1]
        return np.where(sent > 0, self.release_grid_s + sent, -np.inf)

    def time(self, plan: Plan) -> Times:
        """Time a plan, feasible or not. O(R), or O(R·A) with A distinct releases."""
        models = np.array([batch.model for batch in plan], dtype=np.int64)
        sizes = np.array([len(batch.users) for batch in plan], dtype=np.int64)
        demand = np.array([batch.demand_s for batch in plan])
        deadline = np.array([batch.deadline_s for batch in plan])
        compute = np.array([batch.compute_s for batch in plan])
        if not np.isfinite(compute).all():
            # A batch that does not fit has no times; ``broken`` names its round.
            too_large = int(np.isinf(compute).argmax())
            never = np.full(len(plan), np.nan)
            return Times(
                *(models, sizes, demand, deadline, compute),
                *(never, never, never, never, never),
                band=0.0,
                broken=too_large,
            )
        idle = self._idle_s(plan)
        arrivals = None
        ready = np.zeros(len(plan))
        if self.uplink == "dynamic" and self.releases_zero:
            ready = demand.cumsum()
        elif self.uplink == "dynamic":
            arrivals = self.arrivals(plan)
            ready = arrivals[1:].max(axis=1)
        if self.plain:
            load = self.loads_between_s[np.concatenate(([-1], models[:-1])), models]
            loaded, end, latest = _sequential_times(
                load, compute, deadline, ready, idle
            )
        else:
            taken, load_s = self._steps_and_loads(plan)
            ahead = [step.ahead for step in taken]
            earliest = _earliest(plan, load_s, ahead, ready.tolist(), idle)
            load, loaded, end, latest = map(
                np.array, (load_s, *earliest, _latest(plan, load_s, ahead))
            )
        late = end > deadline + SLACK_S
        band = 0.0
        if self.uplink == "static" and len(plan):
            start = latest - compute
            band = total((demand / start).tolist()) if start.min() > 0 else np.inf
        return Times(
            models=models,
            sizes=sizes,
            demand_s=demand,
            deadline_s=deadline,
            compute_s=compute,
            load_s=load,
            loaded_s=loaded,
            ready_s=ready,
            end_s=end,
            latest_end_s=latest,
            band=band,
            broken=int(late.argmax()) if late.any() else -1,
            arrivals_s=arrivals,
        )

    def _idle_s(self, plan: Plan) -> float:
        """When the GPU may start."""
        if self.uplink != "upfront":
            return 0.0
        return total(batch.demand_s for batch in plan)

    def feasible(self, plan: Plan) -> bool:
        """Whether a plan is feasible: the verdict of :meth:`time`, without arrays."""
        if math.inf in [batch.compute_s for batch in plan]:
            return False
        if self.uplink != "dynamic":
            ready = [0.0] * len(plan)
        elif self.releases_zero:
            ready = list(accumulate(batch.demand_s for batch in plan))
        else:
            ready = self.arrivals(plan)[1:].max(axis=1).tolist()
        idle = self._idle_s(plan)
        if self.plain:
            before = [-1, *(batch.model for batch in plan)]
            load = [
                self._between[m][batch.model]
                for m, batch in zip(before, plan, strict=False)
            ]
            return _sequential_fits(plan, load, ready, idle, self.uplink == "static")
        taken, load = self._steps_and_loads(plan)
        ahead = [step.ahead for step in taken]
        ends = _earliest(plan, load, ahead, ready, idle)[1]
        if any(
            end > batch.deadline_s + SLACK_S
            for end, batch in zip(ends, plan, strict=True)
        ):
            return False
        if self.uplink != "static":
            return True
        return _band_fits(plan, _latest(plan, load, ahead))


def _sequential_fits(
    plan: Plan, load: list[float], ready: list[float], idle_s: float, band: bool
) -> bool:
    """Whether rounds that do not overlap are in time, and with ``band`` share it."""
    work, free = 0.0, idle_s
    works = []
    for batch, load_s, ready_s in zip(plan, load, ready, strict=True):
        compute_s = batch.compute_s
        work += load_s + compute_s
        waits = ready_s - work + compute_s
        if waits > free:
            free = waits
        if work + free > batch.deadline_s + SLACK_S:
            return False
        works.append(work)
    if not band:
        return True
    latest = []
    least = math.inf
    for batch, work in zip(reversed(plan), reversed(works), strict=True):
        least = min(least, batch.deadline_s - work)
        latest.append(work + least)
    latest.reverse()
    return _band_fits(plan, latest)


def _band_fits(plan: Plan, latest_s: list[float]) -> bool:
    """Whether rounds that end as late as possible share the band."""
    starts = [
        end_s - batch.compute_s for end_s, batch in zip(latest_s, plan, strict=True)
    ]
    if min(starts, default=1.0) <= 0:
        return False
    shares = [
        batch.demand_s / start_s for batch, start_s in zip(plan, starts, strict=True)
    ]
    return total(shares) <= 1 + SLACK_S


def _sequential_times(
    load: Floats, compute: Floats, deadline: Floats, ready: Floats, idle_s: float
) -> tuple[Floats, Floats, Floats]:
    """Earliest loads and ends, and latest ends, of rounds that do not overlap.

    A round's end is the maximum, over the rounds up to it, of the time when that
    round's inputs are ready plus all work from there on: running sums and a running
    maximum.
    """
    work = (load + compute).cumsum()
    ready_work = np.maximum.accumulate(np.maximum(ready - work + compute, idle_s))
    end = work + ready_work
    loaded = np.concatenate(([idle_s], end[:-1])) + load
    latest = work + np.minimum.accumulate((deadline - work)[::-1])[::-1]
    return loaded, end, latest


def _earliest(
    plan: Plan, load: list[float], ahead: list[bool], ready: list[float], idle_s: float
) -> tuple[list[float], list[float]]:
    """Earliest end of every load and every round."""
    loaded, ends = [], []
    load_end = end_before = end = idle_s
    for r, batch in enumerate(plan):
        load_end = (max(load_end, end_before) if ahead[r] else end) + load[r]
        loaded.append(load_end)
        end_before, end = end, max(load_end, end, ready[r]) + batch.compute_s
        ends.append(end)
    return loaded, ends


def _latest(plan: Plan, load: list[float], ahead: list[bool]) -> list[float]:
    """Latest end of every round."""
    latest = [0.0] * len(plan)
    next_load = next_start = later_load = np.inf
    next_ahead = False
    for r in range(len(plan) - 1, -1, -1):
        batch = plan[r]
        end = min(batch.deadline_s, next_start, later_load)
        if not next_ahead:
            end = min(end, next_load)
        latest[r] = end
        start = end - batch.compute_s
        load_end = min(start, next_load) if next_ahead else start
        later_load = next_load if next_ahead else np.inf
        next_load, next_start, next_ahead = load_end - load[r], start, ahead[r]
    return latest


def served(plan: Plan) -> int:
    """Count the users that a plan serves."""
    return sum(len(batch.users) for batch in plan)


def rounds_of(plan: Plan) -> list[PlannedRound]:
    """Convert a plan to rounds."""
    return [PlannedRound(batch.model, batch.users) for batch in plan]
