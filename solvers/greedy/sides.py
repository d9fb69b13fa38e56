"""Schedules under construction: which rounds fit next, and the time they add."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from solvers.core.knapsack import batch_costs, batches
from solvers.core.residency import enter, start
from solvers.core.tables import Floats, PlannedRound
from solvers.core.timing import upload_end_s
from solvers.greedy.waiting import Bools, Loads, Waiting
from solvers.tolerance import TIME_TOLERANCE_S
from solvers.uplink import Uplink

SLACK_S = TIME_TOLERANCE_S / 2


class Side(Protocol):
    """A schedule under construction, which grows at one of its sides."""

    @property
    def rounds(self) -> list[PlannedRound]:
        """The rounds so far, in order."""

    def missing_s(self) -> Floats:
        """Load time of each atom that the next round would need to load."""

    def offer(self, waiting: Waiting, load_s: Floats) -> tuple[Bools, Floats]:
        """Which rounds fit next, and the GPU seconds they add, (E,) each."""

    def late(self, waiting: Waiting, load_s: Floats) -> Bools:
        """Mark entries whose last user would be late even alone, shape (E,)."""

    def batches(self, waiting: Waiting, model: int, load_s: Floats) -> list[int]:
        """Divide a visit of all waiting users of a model into batches, as placed."""

    def place(self, planned: PlannedRound) -> None:
        """Add a round that fits."""


class Forward:
    """A schedule for ``dynamic`` or ``upfront`` that grows at its end.

    Memory and overlap follow ``solvers.core.residency``; a cache evicts by last use,
    because the rounds to come are not known yet.
    """

    def __init__(self, loads: Loads, uplink: Uplink) -> None:
        self._loads = loads
        self._tables = loads.tables
        self._upfront = uplink == "upfront"
        self.rounds: list[PlannedRound] = []
        self._memory = start(self._tables)
        # End of the last load, of the last round and of the round before it. Under
        # upfront these are relative to the end of the uploads.
        self._loaded_s = self._end_before_s = self._end_s = 0.0
        self._uploaded_s = 0.0
        self._slack_s = np.inf
        self._placed: list[int] = []

    def missing_s(self) -> Floats:
        """Load time of each atom that is not resident."""
        return self._loads.missing_s(self._memory.atoms)

    def _ready_s(self, load_s: Floats) -> Floats:
        """When the GPU could start a batch of each model, shape (M,)."""
        if not self._tables.problem.overlap or self._memory.model is None:
            return self._end_s + load_s
        ahead = np.ones(len(load_s), dtype=bool)
        capacity = self._tables.problem.gpu_memory_bytes
        if capacity is not None:
            before = self._memory.model
            both = self._loads.both_bytes(before)
            both += self._tables.activation_bytes(before, self._memory.batch)
            ahead = both <= capacity
        load_start = np.where(
            ahead, max(self._loaded_s, self._end_before_s), self._end_s
        )
        ready: Floats = np.maximum(load_start + load_s, self._end_s)
        return ready

    def _ends_s(
        self, load_s: Floats, waiting: Waiting, release: Floats, upload: Floats
    ) -> Floats:
        ready = self._ready_s(load_s)[waiting.model]
        if self._upfront:
            return ready + (self._uploaded_s + upload)
        # Later releases could fill gaps; serving sequentially is never earlier.
        return np.maximum(ready, np.maximum(self._uploaded_s, release) + upload)

    def offer(self, waiting: Waiting, load_s: Floats) -> tuple[Bools, Floats]:
        """Which rounds fit next, and the GPU seconds they add, (E,) each."""
        upload = waiting.upload_s
        end = self._ends_s(load_s, waiting, waiting.release_s, upload)
        end += waiting.latency_s
        fits = (end <= waiting.deadline_s + SLACK_S) & np.isfinite(end)
        if self._upfront:
            fits &= upload <= self._slack_s + SLACK_S
            with np.errstate(invalid="ignore"):
                return fits, end - upload - (self._uploaded_s + self._end_s)
        return fits, end - self._end_s

    def late(self, waiting: Waiting, load_s: Floats) -> Bools:
        """Mark entries whose last user would be late even alone, shape (E,)."""
        t = self._tables
        users = waiting.last
        demand = t.demand_s[users]
        end = self._ends_s(load_s, waiting, t.release_s[users], demand)
        end += self._tables.least_latency_s[waiting.model]
        late = end > t.deadline_s[users] + SLACK_S
        if self._upfront:
            late |= demand > self._slack_s + SLACK_S
        return late

    def batches(self, waiting: Waiting, model: int, load_s: Floats) -> list[int]:
        """Divide a visit of all waiting users of a model into batches.

        ``upfront``: those that compute least. ``dynamic``: those that end earliest,
        end(j) = min over b of max(end(j − b), upload of the first j) + latency[b].
        O(users · batch limit).
        """
        latency_s = self._tables.latency_s[model]
        users = waiting.queue[model]
        if self._upfront:
            return batches(batch_costs(latency_s, len(users))[1], len(users))
        ready = self._uploaded_s + np.cumsum(self._tables.demand_s[users])
        end = np.empty(len(users) + 1)
        end[0] = self._ready_s(load_s)[model]
        last = np.zeros(len(users) + 1, dtype=np.int64)
        limit = len(latency_s) - 1
        for n in range(1, len(users) + 1):
            most = min(limit, n)
            begin = np.maximum(end[n - most : n][::-1], ready[n - 1])
            ends = begin + latency_s[1 : most + 1]
            best = int(ends.argmin())
            end[n] = ends[best]
            last[n] = best + 1
        return batches(last, len(users))[::-1]

    def place(self, planned: PlannedRound) -> None:
        """Append a round that fits."""
        t = self._tables
        model, users = planned
        chosen = list(users)
        step = enter(t, self._memory, model, len(users))
        latency = float(t.latency_s[model][len(users)])
        deadline = float(t.deadline_s[chosen].min())
        upload = float(t.demand_s[chosen].sum())
        self._placed += chosen
        self.rounds.append(planned)
        self._memory = step.memory
        load_start = (
            max(self._loaded_s, self._end_before_s) if step.ahead else self._end_s
        )
        self._loaded_s = load_start + t.loads_s(step.loaded)
        self._end_before_s = self._end_s
        begin = max(self._loaded_s, self._end_s)
        if t.releases_zero:
            self._uploaded_s += upload
        else:
            self._uploaded_s = upload_end_s(
                t.release_s[self._placed], t.demand_s[self._placed]
            )
        if not self._upfront:
            begin = max(begin, self._uploaded_s)
        self._end_s = begin + latency
        if self._upfront:
            self._slack_s = min(
                self._slack_s - upload, deadline - self._uploaded_s - self._end_s
            )


class Backward:
    """A schedule for ``static`` that grows at its beginning.

    Later starts need less band. Only the previous round's blocks count as resident: a
    schedule that is feasible then is feasible with a cache as well.
    """

    def __init__(self, loads: Loads) -> None:
        self._loads = loads
        self._tables = loads.tables
        self._first: int | None = None
        # Start of the first round, deadline of its load, and start of the next load if
        # that runs ahead.
        self._start_s = self._loaded_s = self._later_s = np.inf
        self._band = 0.0
        self._reversed: list[PlannedRound] = []
        resident = sorted(self._tables.initial_atoms)
        self._first_missing_s = loads.missing_s(resident)
        self._first_load_s = loads.of_models(self._first_missing_s)

    @property
    def rounds(self) -> list[PlannedRound]:
        """The rounds so far, in order."""
        return self._reversed[::-1]

    def missing_s(self) -> Floats:
        """Load time of each atom that the first round's model does not hold.

        A preceding model saves the first model the load of the atoms they share, so it
        adds only the load of the atoms they do not share.
        """
        if self._first is None:
            return self._first_missing_s
        return self._loads.missing_s(sorted(self._tables.atoms_of[self._first]))

    def _ahead(self) -> Bools:
        """Whether the first round's load may overlap any batch of each model, (M,)."""
        models = len(self._tables.model_names)
        if not self._tables.problem.overlap or self._first is None:
            return np.zeros(models, dtype=bool)
        capacity = self._tables.problem.gpu_memory_bytes
        if capacity is None:
            return np.ones(models, dtype=bool)
        both = self._loads.both_bytes(self._first) + self._loads.most_activation_bytes
        fits: Bools = both <= capacity
        return fits

    def _limits_s(self, load_s: Floats) -> tuple[Floats, Floats]:
        """Latest end of each model's batch and load if placed first, (M,) each."""
        if self._first is None:
            endless = np.full(len(load_s), np.inf)
            return endless, endless
        # Load of the current first round if each model runs before it.
        total = self._loads.load_s
        after = total[self._first] - (total - load_s)
        next_load = self._loaded_s - after
        ahead = self._ahead()
        end = np.full(len(load_s), min(self._start_s, self._later_s))
        end = np.where(ahead, end, np.minimum(end, next_load))
        return end, np.where(ahead, next_load, np.inf)

    def _fits(
        self, waiting: Waiting, start_s: Floats, loaded_s: Floats, upload_s: Floats
    ) -> Bools:
        with np.errstate(divide="ignore", invalid="ignore"):
            band = self._band + upload_s / start_s
        loaded = np.minimum(start_s, loaded_s[waiting.model])
        first_load = self._first_load_s[waiting.model]
        fits: Bools = (
            np.isfinite(start_s)
            & (start_s > 0)
            & (loaded >= first_load - SLACK_S)
            & (band <= 1 + SLACK_S)
        )
        return fits

    def offer(self, waiting: Waiting, load_s: Floats) -> tuple[Bools, Floats]:
        """Which rounds fit first, and the GPU seconds they add, (E,) each."""
        end, loaded = self._limits_s(load_s)
        start = np.minimum(waiting.deadline_s, end[waiting.model]) - waiting.latency_s
        fits = self._fits(waiting, start, loaded, waiting.upload_s)
        latest = self._start_s
        if np.isinf(latest):
            latest = float(self._tables.deadline_s.max(initial=0.0))
        return fits, latest - start + load_s[waiting.model]

    def late(self, waiting: Waiting, load_s: Floats) -> Bools:
        """Mark entries whose last user would be late even alone, (E,)."""
        t = self._tables
        users = waiting.last
        end, loaded = self._limits_s(load_s)
        start = np.minimum(t.deadline_s[users], end[waiting.model])
        start -= self._tables.least_latency_s[waiting.model]
        return ~self._fits(waiting, start, loaded, t.demand_s[users])

    def batches(self, waiting: Waiting, model: int, load_s: Floats) -> list[int]:
        """Divide a visit of all waiting users into the batches that compute least."""
        del load_s
        users = len(waiting.queue[model])
        cost = batch_costs(self._tables.latency_s[model], users)
        return sorted(batches(cost[1], users))

    def place(self, planned: PlannedRound) -> None:
        """Prepend a round that fits."""
        t = self._tables
        model, users = planned
        chosen = list(users)
        end = min(float(t.deadline_s[chosen].min()), self._start_s, self._later_s)
        next_load = np.inf
        if self._first is not None:
            next_load = self._loaded_s - t.load_s(model, self._first)
            if not self._ahead()[model]:
                end = min(end, next_load)
                next_load = np.inf
        self._start_s = end - float(t.latency_s[model][len(users)])
        self._loaded_s = min(self._start_s, next_load)
        self._later_s = next_load
        self._band += float(t.demand_s[chosen].sum()) / self._start_s
        self._reversed.append(planned)
        self._first = model
