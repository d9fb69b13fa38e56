"""The small integer program for ``upfront`` and one deadline: only totals count."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pulp

from solvers.forest import Forest
from solvers.knapsack import batch_costs, batches, visit_rounds
from solvers.orders import depth_first
from solvers.schedule import Uplink
from solvers.tables import PlannedRound, Tables


def one_deadline_upfront(tables: Tables, uplink: Uplink) -> bool:
    """Whether a schedule is feasible iff Σw/W + ΣL + ΣC ≤ the one deadline."""
    return uplink == "upfront" and tables.common_deadline_s is not None


@dataclass
class VisitModel:
    """The program with one visit a model.

    Load times obey the triangle inequality, so joining all rounds of a model into one
    visit never loads more: each model is visited at most once. Binary ``x[k]``: user k
    is served, of one model those of least demand. Integer ``batch[m, b]``: batches of
    exactly b. Where sharing is laminar and nothing is resident, a depth-first order
    loads each node of the forest once; else visits have positions, and ``load[a, p]``
    ≥ (atom a at position p) − (at p − 1).
    """

    tables: Tables
    forest: Forest | None
    wanted: int
    bound: int
    problem: Any = field(init=False)
    _x: dict[int, Any] = field(init=False, default_factory=dict)
    _batch: dict[tuple[int, int], Any] = field(init=False, default_factory=dict)
    _position: dict[tuple[int, int], Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        t = self.tables
        if t.initial_atoms:
            self.forest = None
        self.problem = pulp.LpProblem("visits", pulp.LpMinimize)
        visited = {
            m: self.problem.add_variable(f"visit_{m}", cat="Binary") for m in t.active
        }
        seconds = []
        for m in t.active:
            users = t.users_of[m].tolist()
            for k in users:
                self._x[k] = self.problem.add_variable(f"x_{k}", cat="Binary")
                self.problem += self._x[k] <= visited[m]
                seconds.append(float(t.demand_s[k]) * self._x[k])
            for first, second in pairwise(users):
                self.problem += self._x[second] <= self._x[first]
            most = min(len(t.latency_s[m]) - 1, len(users))
            for b in range(1, most + 1):
                if np.isfinite(t.latency_s[m][b]):
                    batch = self.problem.add_variable(
                        f"batch_{m}_{b}", 0, len(users) // b, cat="Integer"
                    )
                    self._batch[m, b] = batch
                    seconds.append(float(t.latency_s[m][b]) * batch)
            self.problem += pulp.lpSum(self._x[k] for k in users) == pulp.lpSum(
                b * v for (of, b), v in self._batch.items() if of == m
            )
        seconds += self._by_node(visited) if self.forest else self._by_position(visited)
        self.problem += -pulp.lpSum(self._x.values())
        self.problem += pulp.lpSum(self._x.values()) <= self.bound
        self.problem += pulp.lpSum(self._x.values()) >= self.wanted
        self.problem += pulp.lpSum(seconds) <= t.common_deadline_s

    def _by_node(self, visited: dict[int, Any]) -> list[Any]:
        """Charge each node of the forest once if a model below it is visited."""
        t = self.tables
        forest = self.forest
        assert forest is not None
        seconds = []
        used: list[Any] = [1.0]
        for node in range(1, len(forest.parent)):
            used.append(self.problem.add_variable(f"node_{node}", 0, 1))
            if forest.parent[node] > 0:
                self.problem += used[node] <= used[forest.parent[node]]
            for m in forest.models[node]:
                self.problem += visited[m] <= used[node]
            seconds.append(t.loads_s(forest.atoms[node]) * used[node])
        return seconds

    def _by_position(self, visited: dict[int, Any]) -> list[Any]:
        """Charge each atom whenever the model before does not hold it."""
        t = self.tables
        slots = range(len(t.active))
        for m in t.active:
            for p in slots:
                self._position[m, p] = self.problem.add_variable(
                    f"at_{m}_{p}", cat="Binary"
                )
            self.problem += visited[m] == pulp.lpSum(
                self._position[m, p] for p in slots
            )
        for p in slots:
            here = pulp.lpSum(self._position[m, p] for m in t.active)
            self.problem += here <= 1
            if p + 1 in slots:
                after = pulp.lpSum(self._position[m, p + 1] for m in t.active)
                self.problem += after <= here
        seconds = []
        for atom, load_s in enumerate(t.atom_load_s.tolist()):
            holders = [m for m in t.active if atom in t.atoms_of[m]]
            if not holders or load_s == 0:
                continue
            before: Any = float(atom in t.initial_atoms)
            for p in slots:
                here = pulp.lpSum(self._position[m, p] for m in holders)
                load = self.problem.add_variable(f"load_{atom}_{p}", 0, 1)
                self.problem += load >= here - before
                seconds.append(load_s * load)
                before = here
        return seconds

    def rounds(self) -> list[PlannedRound]:
        """Read the visits of the last answer, each in its fastest batches."""
        t = self.tables
        if self.forest is not None:
            order = depth_first(self.forest, t)
        else:
            at = {m: p for (m, p), v in self._position.items() if v.value() > 0.5}
            order = sorted(at, key=lambda m: at[m])
        result = []
        for m in order:
            count = sum(self._x[k].value() > 0.5 for k in t.users_of[m].tolist())
            sizes = batches(batch_costs(t.latency_s[m], count)[1], count)
            result += visit_rounds(t, m, sizes)
        return result

    def reject(self, rounds: list[PlannedRound]) -> None:
        """Cut off an answer that an engine's tolerance let through: all its choices."""
        del rounds
        binaries = [*self._x.values(), *self._position.values()]
        inside = [v for v in binaries if v.value() > 0.5]
        outside = [v for v in binaries if v.value() <= 0.5]
        self.problem += pulp.lpSum(1 - v for v in inside) + pulp.lpSum(outside) >= 1
