"""The small integer program for ``upfront`` and one deadline: only totals matter."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pulp

from solvers.core.forest import Crossing, Forest, build_forest
from solvers.core.knapsack import batch_costs, batches, visit_rounds
from solvers.core.orders import depth_first
from solvers.core.tables import PlannedRound, Tables
from solvers.ilp.engine import ROOM
from solvers.ilp.program import ExactProgram
from solvers.uplink import Uplink


def one_deadline_upfront(tables: Tables, uplink: Uplink) -> bool:
    """Whether a schedule is feasible iff Σw/W + ΣL + ΣC ≤ the one deadline."""
    return uplink == "upfront" and tables.common_deadline_s is not None


def by_arcs(tables: Tables) -> bool:
    """Whether loads are charged by the order of the visits, not by node."""
    return bool(tables.initial_atoms) or isinstance(build_forest(tables), Crossing)


@dataclass
class VisitModel(ExactProgram):
    """The program with one visit per model, for ``upfront``.

    Load times satisfy the triangle inequality, so joining all rounds of a model into
    one visit never loads more: each model is visited at most once. Binary ``x[k]``:
    user k is served, by least demand within each model. Integer ``batch[m, b]``: number
    of batches of exactly b. If sharing is laminar and nothing is resident, a
    depth-first order loads each node of the forest once; otherwise binary
    ``arc[p, q]``: model q is visited right after model p (None: first), along one path.

    Parameters
    ----------
    forest
        Of the sharing, if it is laminar.
    """

    forest: Forest | None
    _x: dict[int, Any] = field(init=False, default_factory=dict)
    _batch: dict[tuple[int, int], Any] = field(init=False, default_factory=dict)
    _arc: dict[tuple[int | None, int], Any] = field(init=False, default_factory=dict)

    def _build(self) -> None:
        t = self.tables
        if t.initial_atoms:
            self.forest = None
        visited = {m: self._new(f"visit_{m}", cat="Binary") for m in t.active}
        seconds = []
        for m in t.active:
            self.clock.check()
            users = t.users_of[m].tolist()
            for k in users:
                self._x[k] = self._new(f"x_{k}", cat="Binary")
                self.problem += self._x[k] <= visited[m]
                seconds.append(float(t.demand_s[k]) * self._x[k])
            for first, second in pairwise(users):
                self.problem += self._x[second] <= self._x[first]
            most = min(len(t.latency_s[m]) - 1, len(users))
            for b in range(1, most + 1):
                if np.isfinite(t.latency_s[m][b]):
                    batch = self._new(f"batch_{m}_{b}", len(users) // b, "Integer")
                    self._batch[m, b] = batch
                    seconds.append(float(t.latency_s[m][b]) * batch)
            self.problem += pulp.lpSum(self._x[k] for k in users) == pulp.lpSum(
                b * v for (of, b), v in self._batch.items() if of == m
            )
        seconds += self._by_node(visited) if self.forest else self._by_arc(visited)
        self._maximise(pulp.lpSum(self._x.values()))
        # In shares of the deadline, as the engine's tolerances are.
        room = 1 + ROOM
        self.problem += pulp.lpSum(seconds) * (1 / t.deadline_s[t.users[0]]) <= room

    def _by_node(self, visited: dict[int, Any]) -> list[Any]:
        """Charge each node of the forest once if any model below it is visited."""
        t = self.tables
        forest = self.forest
        assert forest is not None
        seconds = []
        used: list[Any] = [1.0]
        for node in range(1, len(forest.parent)):
            used.append(self._new(f"node_{node}"))
            if forest.parent[node] > 0:
                self.problem += used[node] <= used[forest.parent[node]]
            for m in forest.models[node]:
                self.problem += visited[m] <= used[node]
            seconds.append(t.loads_s(forest.atoms[node]) * used[node])
        return seconds

    def _by_arc(self, visited: dict[int, Any]) -> list[Any]:
        """Charge the load of each step from one visit to the next.

        The arcs form a path from the start through every visited model (``place``
        increases along it). That each atom of a visited model is loaded once is implied
        for integral arcs but not for fractional ones.
        """
        t = self.tables
        count = len(t.active)
        place = {m: self.problem.add_variable(f"place_{m}", 1, count) for m in t.active}
        for q in t.active:
            for p in (None, *t.active):
                if p != q:
                    self._arc[p, q] = self.problem.add_variable(
                        f"arc_{'start' if p is None else p}_{q}", cat="Binary"
                    )
        for p in (None, *t.active):
            leaving = pulp.lpSum(self._arc[p, q] for q in t.active if p != q)
            self.problem += leaving <= (1 if p is None else visited[p])
        for q in t.active:
            self.clock.check()
            others = [p for p in t.active if p != q]
            arrivals = pulp.lpSum(self._arc[p, q] for p in (None, *others))
            self.problem += visited[q] == arrivals
            for p in others:
                step = count * (1 - self._arc[p, q])
                self.problem += place[q] >= place[p] + 1 - step
                self.problem += self._arc[p, q] + self._arc[q, p] <= visited[p]
        for atom, load_s in enumerate(t.atom_load_s.tolist()):
            if load_s == 0 or atom in t.initial_atoms:
                continue
            self.clock.check()
            holders = [m for m in t.active if atom in t.atoms_of[m]]
            without: list[int | None] = [m for m in t.active if m not in holders]
            without.append(None)
            loaded = pulp.lpSum(self._arc[p, q] for p in without for q in holders)
            for m in holders:
                self.problem += loaded >= visited[m]
        return [t.load_s(p, q) * arc for (p, q), arc in self._arc.items()]

    def rounds(self) -> list[PlannedRound]:
        """Extract the visits of the last answer, each in its fastest batches."""
        t = self.tables
        if self.forest is not None:
            order = depth_first(self.forest, t)
        else:
            after = {p: q for (p, q), arc in self._arc.items() if arc.value() > 0.5}
            order = []
            m = after.get(None)
            while m is not None:
                order.append(m)
                m = after.get(m)
        result = []
        for m in order:
            count = sum(self._x[k].value() > 0.5 for k in t.users_of[m].tolist())
            sizes = batches(batch_costs(t.latency_s[m], count)[1], count)
            result += visit_rounds(t, m, sizes)
        return result

    def reject(self, rounds: list[PlannedRound]) -> None:
        """Cut off an answer admitted by the engine's tolerance: all its choices."""
        del rounds
        binaries = [*self._x.values(), *self._arc.values()]
        inside = [v for v in binaries if v.value() > 0.5]
        outside = [v for v in binaries if v.value() <= 0.5]
        self.problem += pulp.lpSum(1 - v for v in inside) + pulp.lpSum(outside) >= 1
