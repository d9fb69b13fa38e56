"""The exact integer program, with one slot per round."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pulp

from solvers.core.tables import PlannedRound, Tables
from solvers.ilp.engine import ROOM
from solvers.ilp.program import ExactProgram
from solvers.tolerance import granted

# Initial points of tangency to w/s, as shares of the latest deadline.
FIRST_TANGENTS = tuple(np.geomspace(0.02, 1.0, 12).tolist())


def max_rounds(tables: Tables) -> int:
    """Bound the rounds that fit before the latest deadline, each with one user."""
    least = np.sort(tables.least_latency_s[tables.user_model[tables.users]])
    latest_s = granted(float(tables.deadline_s[tables.users].max()))
    return int(np.searchsorted(np.cumsum(least), latest_s, side="right"))


@dataclass
class RoundModel(ExactProgram):
    """The program with one slot per round; trailing slots may stay empty.

    Binary ``x[k, r]``: user k is in round r. Binary ``batch[m, b, r]``: round r runs a
    batch of exactly b of model m. ``load[a, r]`` ≥ (atom a in round r) − (in round
    r − 1). ``start[r]`` is the compute start. Times are in shares of the latest
    deadline, so that the engine's tolerances are small against them at any scale.

    ``static`` needs the band w/s of each user, a convex function: tangents bound it
    from below, and tangents at the compute starts of each rejected answer are added.

    Parameters
    ----------
    slots
        Maximum number of rounds.
    """

    slots: int
    _slots: range = field(init=False)
    _x: dict[tuple[int, int], Any] = field(init=False)
    _start: list[Any] = field(init=False)
    _band: dict[tuple[int, int], Any] = field(init=False, default_factory=dict)
    _seen: set[tuple[PlannedRound, ...]] = field(init=False, default_factory=set)

    def _build(self) -> None:
        t = self.tables
        self._slots = range(self.slots)
        self._unit_s = float(t.deadline_s[t.users].max())
        self._demand = (t.demand_s / self._unit_s).tolist()
        self._deadline = (t.deadline_s / self._unit_s).tolist()
        users = t.users.tolist()
        self._x = {}
        for k in users:
            self.clock.check()
            for r in self._slots:
                self._x[k, r] = self._new(f"x_{k}_{r}", cat="Binary")
        self._start = [self._new(f"start_{r}") for r in self._slots]
        self._maximise(pulp.lpSum(self._x.values()))
        used, compute = self._batches()
        visited = self._visited()
        load = self._loads(used, visited)
        self._times(load, compute)
        self._order(used)
        if self.uplink == "static":
            self._spectrum()

    def _visited(self) -> dict[int, Any]:
        """Mark each model that serves any user; each user is served at most once."""
        visited = {}
        for m in self.tables.active:
            visited[m] = self._new(f"visited_{m}")
            for k in self.tables.users_of[m].tolist():
                served = pulp.lpSum(self._x[k, r] for r in self._slots)
                self.problem += served <= visited[m]
        return visited

    def _batches(self) -> tuple[dict[tuple[int, int], Any], list[Any]]:
        """Link users to batches; return each slot's model and its compute time."""
        t = self.tables
        used: dict[tuple[int, int], Any] = {}
        compute: list[Any] = [[] for _ in self._slots]
        for m in t.active:
            users = t.users_of[m].tolist()
            most = min(len(t.latency_s[m]) - 1, len(users))
            sizes = [b for b in range(1, most + 1) if np.isfinite(t.latency_s[m][b])]
            for r in self._slots:
                self.clock.check()
                batch = {
                    b: self._new(f"batch_{m}_{b}_{r}", cat="Binary") for b in sizes
                }
                used[m, r] = pulp.lpSum(batch.values())
                here = pulp.lpSum(self._x[k, r] for k in users)
                self.problem += here == pulp.lpSum(b * v for b, v in batch.items())
                for k in users:
                    self.problem += self._x[k, r] <= used[m, r]
                share = (t.latency_s[m] / self._unit_s).tolist()
                compute[r] += [share[b] * v for b, v in batch.items()]
        return used, [pulp.lpSum(terms) for terms in compute]

    def _loads(
        self, used: dict[tuple[int, int], Any], visited: dict[int, Any]
    ) -> list[Any]:
        """Load the atoms that the previous slot does not hold.

        That a used atom is loaded at least once is implied for integral models but not
        for fractional ones; stating it makes the relaxation much tighter.
        """
        t = self.tables
        loads: list[Any] = [[] for _ in self._slots]
        for atom, load_s in enumerate(t.atom_load_s.tolist()):
            holders = [m for m in t.active if atom in t.atoms_of[m]]
            if not holders or load_s == 0:
                continue
            resident = float(atom in t.initial_atoms)
            self.clock.check()
            before: Any = resident
            times: Any = resident
            for r in self._slots:
                here = pulp.lpSum(used[m, r] for m in holders)
                load = self._new(f"load_{atom}_{r}")
                self.problem += load >= here - before
                loads[r].append(load_s / self._unit_s * load)
                before = here
                times += load
            for m in holders:
                self.problem += visited[m] <= times
        return [pulp.lpSum(terms) for terms in loads]

    def _times(self, load: list[Any], compute: list[Any]) -> None:
        t = self.tables
        users = t.users.tolist()
        free: Any = 0.0
        if self.uplink == "upfront":
            free = pulp.lpSum(self._demand[k] * v for (k, _), v in self._x.items())
        common = t.common_deadline_s is not None
        for r in self._slots:
            self.clock.check()
            start = self._start[r]
            self.problem += start >= free + load[r]
            free = start + compute[r]
            for k in [] if common else users:
                early = 1 - self._deadline[k]
                if early > 0:
                    self.problem += free <= 1 + ROOM - early * self._x[k, r]
        self.problem += free <= 1 + ROOM
        if self.uplink == "dynamic":
            self._uploads()

    def _uploads(self) -> None:
        """Start no batch before its uploads can have ended.

        For every release a: the start of round r is at least a, if some user of that
        release is in rounds up to r, plus the uploads of all users in those rounds that
        are released at a or later.
        """
        t = self.tables
        by_release: dict[float, list[int]] = {}
        for k in t.users.tolist():
            by_release.setdefault(float(t.release_s[k]), []).append(k)
        for release_s, arrived in by_release.items():
            later = [k for k in t.users.tolist() if t.release_s[k] >= release_s]
            sent: Any = 0.0
            release = release_s / self._unit_s
            inside: dict[int, Any] = dict.fromkeys(arrived, 0.0)
            for r in self._slots:
                self.clock.check()
                sent += pulp.lpSum(self._demand[k] * self._x[k, r] for k in later)
                if release_s == 0:
                    self.problem += self._start[r] >= sent
                    continue
                for k in arrived:
                    inside[k] += self._x[k, r]
                    self.problem += self._start[r] >= release * inside[k] + sent

    def _order(self, used: dict[tuple[int, int], Any]) -> None:
        """Break symmetry: empty slots last, interchangeable users by demand."""
        t = self.tables
        for r in self._slots:
            here = pulp.lpSum(used[m, r] for m in t.active)
            self.problem += here <= 1
            if r + 1 in self._slots:
                after = pulp.lpSum(used[m, r + 1] for m in t.active)
                self.problem += after <= here
        alike: dict[tuple[int, float, float], list[int]] = {}
        for m in t.active:
            for k in t.users_of[m].tolist():
                key = (m, float(t.release_s[k]), float(t.deadline_s[k]))
                alike.setdefault(key, []).append(k)
        for group in alike.values():
            for first, second in pairwise(group):
                self.clock.check()
                ahead: Any = 0.0
                for r in self._slots:
                    ahead += self._x[first, r] - self._x[second, r]
                    self.problem += ahead >= 0

    def _spectrum(self) -> None:
        t = self.tables
        for k, r in self._x:
            self._band[k, r] = self._new(f"band_{k}_{r}", None)
        self.problem += pulp.lpSum(self._band.values()) <= 1 + ROOM
        for share in FIRST_TANGENTS:
            for r in self._slots:
                self.clock.check()
                self._tangents(r, share, t.users.tolist())

    def _tangents(self, r: int, touch: float, users: list[int]) -> None:
        """Bound w·x²/s from below by its tangent at x = 1 and a given start."""
        for k in users:
            self.problem += self._band[k, r] >= self._demand[k] * (
                2 / touch * self._x[k, r] - self._start[r] / touch**2
            )

    def rounds(self) -> list[PlannedRound]:
        """Extract the rounds of the last answer."""
        result = []
        for r in self._slots:
            chosen = [
                k for k in self.tables.users.tolist() if self._x[k, r].value() > 0.5
            ]
            if chosen:
                model = int(self.tables.user_model[chosen[0]])
                result.append(PlannedRound(model, tuple(chosen)))
        return result

    def reject(self, rounds: list[PlannedRound]) -> None:
        """Cut off an answer admitted by the engine's tolerance or the tangents."""
        again = tuple(rounds) in self._seen
        self._seen.add(tuple(rounds))
        if self.uplink == "static" and not again:
            for r, (_, users) in enumerate(rounds):
                touch = self._start[r].value()
                if touch > 1e-6:
                    self._tangents(r, touch, list(users))
            return
        inside = {(k, r) for r, (_, users) in enumerate(rounds) for k in users}
        self.problem += (
            pulp.lpSum(1 - v if kr in inside else v for kr, v in self._x.items()) >= 1
        )
