"""The CP-SAT program of a tour: which stops, in which order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise, permutations
from typing import Any

from ortools.sat.python import cp_model

from solvers import RefusalError
from solvers.core.forest import Crossing, Forest, build_forest
from solvers.core.knapsack import batch_costs, batches, visit_rounds
from solvers.core.orders import depth_first
from solvers.core.tables import PlannedRound, Rounds, Tables
from solvers.tolerance import TIME_TOLERANCE_S
from solvers.uplink import Uplink
from tests.benchmarks.peer import most_rounds

HORIZON_TICKS = 10**9
"""The latest deadline is at most this many ticks away."""

VISIT_TICKS = 10**12
"""The same where a stop is a visit: a program with a few large sums and no times."""

STATIC_TICKS = 10**7
"""The same for ``static``, where ticks are multiplied with rates."""


def alike(tables: Tables, model: int) -> dict[tuple[float, float], list[int]]:
    """Group the users of a model that differ in demand alone, least demand first."""
    found: dict[tuple[float, float], list[int]] = {}
    for k in tables.users_of[model].tolist():
        key = float(tables.release_s[k]), float(tables.deadline_s[k])
        found.setdefault(key, []).append(k)
    return found


def _weighted(literals: Sequence[Any], weights: Sequence[int]) -> Any:
    """Sum literals with weights at once: one by one would take long to build."""
    return cp_model.LinearExpr.weighted_sum(literals, weights) if literals else 0


@dataclass(frozen=True)
class Stop:
    """One stop of the tour: a batch, or in ``visits`` all batches of a model.

    ``members``: literals, and the users that are in when they are true. The sums
    ``compute`` and ``demand`` are in ticks.
    """

    model: int
    present: Any
    members: Sequence[tuple[Any, tuple[int, ...]]]
    compute: Any
    demand: Any


@dataclass
class Tour:
    """The program but for its times: choose stops and order them.

    Three kinds of stops. With one deadline, releases 0 and ``upfront`` only totals
    count: a stop is a *visit*, the n users of least demand of a model. Else, with one
    deadline and releases 0, the users of a model are cut, least demand first, into
    *runs*: stop i, if present, starts at user i. In general the *members* of each batch
    are free.

    Parameters
    ----------
    tables, uplink
        The problem, with at least one user that can be scheduled.
    blocks_once
        If true, no order is searched for: each block of the models visited is loaded
        once, as a depth-first order of laminar sharing does. For visits alone.

    Raises
    ------
    RefusalError
        For a batch that is shorter than a tick; with ``blocks_once`` for a problem to
        which it does not apply.
    """

    tables: Tables
    uplink: Uplink
    blocks_once: bool = False
    program: Any = field(init=False, default_factory=cp_model.CpModel)
    stops: list[Stop] = field(init=False, default_factory=list)
    arcs: dict[tuple[int, int], Any] = field(init=False, default_factory=dict)
    forest: Forest | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        t = self.tables
        if self.blocks_once:
            self.forest = self._laminar()
        if self.one_deadline and self.uplink == "upfront":
            for m in t.active:
                self._visit(m)
        elif self.one_deadline:
            for m in t.active:
                self._runs(m)
        else:
            for m in t.active:
                self._members(m)
        if self.forest is None:
            self._order()
            self._totals()
        else:
            self._load_once()
        members = [member for stop in self.stops for member in stop.members]
        self.program.maximize(
            _weighted([v for v, _ in members], [len(users) for _, users in members])
        )

    def _laminar(self) -> Forest:
        """Return the forest along which a depth-first order loads each block once."""
        forest = build_forest(self.tables)
        if not self.visits or self.tables.initial_atoms or isinstance(forest, Crossing):
            raise RefusalError(
                "cp-sat: blocks are loaded once only under 'upfront' with one "
                "deadline, laminar sharing and no resident model"
            )
        return forest

    @cached_property
    def one_deadline(self) -> bool:
        """Whether users of a model are served least demand first."""
        return self.tables.common_deadline_s is not None and self.tables.releases_zero

    @property
    def visits(self) -> bool:
        """Whether only totals count, and one stop a model is enough."""
        return self.one_deadline and self.uplink == "upfront"

    @cached_property
    def _ticks_per_s(self) -> float:
        most = STATIC_TICKS if self.uplink == "static" else HORIZON_TICKS
        if self.visits:
            most = VISIT_TICKS
        return float(10.0 ** math.floor(math.log10(most / self._latest_s)))

    @cached_property
    def _latest_s(self) -> float:
        return float(self.tables.deadline_s[self.tables.users].max())

    def ticks(self, seconds: float) -> int:
        """Round down to whole ticks, but for what is a whole number but for noise.

        What is longer than twice the horizon is cut to that: sums stay small.
        """
        kept_s = min(float(seconds), 2 * self._latest_s)
        return math.floor(kept_s * self._ticks_per_s + 1e-6)

    @cached_property
    def horizon(self) -> int:
        """The latest deadline."""
        return self.ticks(self._latest_s + TIME_TOLERANCE_S)

    def _latency(self, model: int, batch: int) -> int | None:
        """Compute time in ticks, None for what does not fit."""
        latency_s = float(self.tables.latency_s[model][batch])
        if math.isinf(latency_s):
            return None
        if self.ticks(latency_s) < 1:
            raise RefusalError(
                f"cp-sat: a batch of model {self.tables.model_names[model]!r} takes "
                f"{latency_s:g} s, less than a tick of {1 / self._ticks_per_s:g} s; "
                f"use ilp"
            )
        return self.ticks(latency_s)

    def _sizes(self, model: int, users: int) -> Iterator[tuple[int, int]]:
        for b in range(1, min(len(self.tables.latency_s[model]) - 1, users) + 1):
            latency = self._latency(model, b)
            if latency is not None:
                yield b, latency

    def _stop_of_choices(
        self, model: int, choices: Sequence[tuple[tuple[int, ...], int, int]]
    ) -> Stop:
        """Make a stop that serves one of several sets of users.

        Each with the ticks of its batches and of its uploads.
        """
        literals = [self.program.new_bool_var("") for _ in choices]
        present = self.program.new_bool_var("")
        self.program.add_exactly_one([~present, *literals])
        stop = Stop(
            model,
            present,
            [(v, users) for v, (users, _, _) in zip(literals, choices, strict=True)],
            _weighted(literals, [latency for _, latency, _ in choices]),
            _weighted(literals, [demand for _, _, demand in choices]),
        )
        self.stops.append(stop)
        return stop

    def _visit(self, model: int) -> None:
        """Serve the n users of least demand, in the batches that take least time."""
        users = tuple(self.tables.users_of[model].tolist())
        cost_s = batch_costs(self.tables.latency_s[model], len(users))[0].tolist()
        # Sums are rounded, not the uploads of each of thousands of users.
        demand_s = [0.0, *accumulate(self.tables.demand_s[list(users)].tolist())]
        latest_s = self._latest_s + TIME_TOLERANCE_S
        self._stop_of_choices(
            model,
            [
                (users[:n], self.ticks(cost_s[n]), self.ticks(demand_s[n]))
                for n in range(1, len(users) + 1)
                if cost_s[n] + demand_s[n] <= latest_s
            ],
        )

    def _runs(self, model: int) -> None:
        """Cut the users, least demand first, into runs: stop i starts at user i."""
        users = tuple(self.tables.users_of[model].tolist())
        ending: list[list[Any]] = [[] for _ in range(len(users) + 1)]
        each_s = self.tables.demand_s[list(users)].tolist()
        demand = [0, *accumulate(map(self.ticks, each_s))]
        for i in range(len(users)):
            sizes = list(self._sizes(model, len(users) - i))
            stop = self._stop_of_choices(
                model,
                [
                    (users[i : i + b], latency, demand[i + b] - demand[i])
                    for b, latency in sizes
                ],
            )
            for (b, _), (v, _) in zip(sizes, stop.members, strict=True):
                ending[i + b].append(v)
            if i:
                self.program.add(stop.present <= sum(ending[i]))

    def _members(self, model: int) -> None:
        """Choose the users of each batch; the batches of a model are in order."""
        t = self.tables
        users = t.users_of[model].tolist()
        inside: dict[int, list[Any]] = {k: [] for k in users}
        count = min(len(users), most_rounds(t))
        for j in range(count):
            present = self.program.new_bool_var("")
            x = {k: self.program.new_bool_var("") for k in users}
            sizes = {
                b: (self.program.new_bool_var(""), latency)
                for b, latency in self._sizes(model, len(users))
            }
            self.program.add_exactly_one([~present, *(v for v, _ in sizes.values())])
            self.program.add(
                sum(x.values()) == sum(b * v for b, (v, _) in sizes.items())
            )
            for k in users:
                self.program.add_implication(x[k], present)
                inside[k].append(x[k])
            if j:
                self.program.add_implication(present, self.stops[-1].present)
            self.stops.append(
                Stop(
                    model,
                    present,
                    [(x[k], (k,)) for k in users],
                    sum(latency * v for v, latency in sizes.values()),
                    sum(self.ticks(t.demand_s[k]) * x[k] for k in users),
                )
            )
        for literals in inside.values():
            self.program.add_at_most_one(literals)
        for group in alike(t, model).values():
            for first, second in pairwise(group):
                for j in range(count):
                    self.program.add(
                        sum(inside[first][: j + 1]) >= sum(inside[second][: j + 1])
                    )

    def _order(self) -> None:
        """Join the stops to a circuit; 0 is the depot, stop i is number i + 1."""
        models = [None, *(stop.model for stop in self.stops)]
        nobody = self.program.new_bool_var("")
        self.arcs[0, 0] = nobody
        for i, stop in enumerate(self.stops, start=1):
            self.arcs[i, i] = ~stop.present
            self.program.add_implication(nobody, ~stop.present)
        for i, j in permutations(range(len(models)), 2):
            # The stops of a model are in order.
            if models[i] != models[j] or i < j:
                self.arcs[i, j] = self.program.new_bool_var("")
        self.program.add_circuit([(i, j, v) for (i, j), v in self.arcs.items()])

    def _load_once(self) -> None:
        """Load each block of the models visited once, in whatever order."""
        t = self.tables
        loaded: dict[int, Any] = {}
        for stop in self.stops:
            for atom in t.atoms_of[stop.model]:
                if atom not in loaded:
                    loaded[atom] = self.program.new_bool_var("")
                self.program.add_implication(stop.present, loaded[atom])
        loads = [self.ticks(t.atom_load_s[atom]) for atom in loaded]
        self.program.add(
            sum(stop.compute + stop.demand for stop in self.stops)
            + _weighted([*loaded.values()], loads)
            <= self.horizon
        )

    def load_ticks(self, i: int, j: int) -> int:
        """Load time on the arc from i to stop number j."""
        before = self.stops[i - 1].model if i else None
        return self.ticks(self.tables.load_s(before, self.stops[j - 1].model))

    def real_arcs(self) -> Iterator[tuple[int, int, Any]]:
        """Arcs that lead to a stop."""
        for (i, j), literal in self.arcs.items():
            if j and i != j:
                yield i, j, literal

    def _totals(self) -> None:
        """State what holds of all stops together; it tightens the relaxation.

        Each atom of a model that is visited is resident at first or loaded once.
        """
        t = self.tables
        busy = sum(stop.compute for stop in self.stops) + sum(
            self.load_ticks(i, j) * v for i, j, v in self.real_arcs()
        )
        uploads = sum(stop.demand for stop in self.stops)
        if self.uplink == "upfront":
            self.program.add(busy + uploads <= self.horizon)
        else:
            least_s = min(float(t.least_latency_s[m]) for m in t.active)
            self.program.add(busy <= self.horizon)
            self.program.add(uploads <= max(0, self.horizon - self.ticks(least_s)))
        atoms = [t.initial_atoms, *(t.atoms_of[stop.model] for stop in self.stops)]
        for atom, load_s in enumerate(t.atom_load_s.tolist()):
            if load_s == 0 or atom in t.initial_atoms:
                continue
            loaded = sum(
                v
                for i, j, v in self.real_arcs()
                if atom in atoms[j] and atom not in atoms[i]
            )
            for i, stop in enumerate(self.stops):
                first = i == 0 or self.stops[i - 1].model != stop.model
                if first and atom in atoms[i + 1]:
                    self.program.add(loaded >= stop.present)

    def _literals(self) -> list[Any]:
        return [
            *(v for stop in self.stops for v, _ in stop.members),
            *(v for (i, j), v in self.arcs.items() if i != j),
        ]

    def hint(self, rounds: Rounds) -> None:
        """Suggest the choices that given rounds come from; times are left to find."""
        stops_of: dict[int, list[int]] = {}
        for i, stop in enumerate(self.stops):
            stops_of.setdefault(stop.model, []).append(i)
        # Users of each stop that is visited, in the order of the tour.
        users_at: dict[int, tuple[int, ...]] = {}
        served: dict[int, int] = {}
        count: dict[int, int] = {}
        for model, users in rounds:
            before, batch = served.get(model, 0), count.get(model, 0)
            served[model], count[model] = before + len(users), batch + 1
            if self.visits:
                place, before = 0, 0
            else:
                place = before if self.one_deadline else batch
            if self.one_deadline:
                least_first = self.tables.users_of[model].tolist()
                users = tuple(least_first[before : served[model]])
            users_at[stops_of[model][place]] = users
        if not self.one_deadline:
            users_at = self._least_first(users_at)
        path = set(pairwise([0, *(i + 1 for i in users_at), 0]))
        for (i, j), literal in self.arcs.items():
            if i != j or not i:
                self.program.add_hint(literal, int((i, j) in path))
        for i, stop in enumerate(self.stops):
            here = users_at.get(i, ())
            self.program.add_hint(stop.present, int(bool(here)))
            for literal, users in stop.members:
                if self.one_deadline:
                    # Choices of a stop differ in how many they serve.
                    inside = len(users) == len(here)
                else:
                    inside = users[0] in here
                self.program.add_hint(literal, int(inside))

    def _least_first(
        self, users_at: Mapping[int, tuple[int, ...]]
    ) -> dict[int, tuple[int, ...]]:
        """Serve users that differ in demand alone least demand first, as stated."""
        t = self.tables
        free = {m: alike(t, m) for m in t.active}
        found: dict[int, tuple[int, ...]] = dict.fromkeys(users_at, ())
        for i in sorted(users_at):
            groups = free[self.stops[i].model]
            for k in users_at[i]:
                found[i] += (groups[t.release_s[k], t.deadline_s[k]].pop(0),)
        return found

    def rounds(self, engine: Any) -> list[PlannedRound]:
        """Follow the circuit of an answer."""
        result: list[PlannedRound] = []
        for stop in self._visited(engine):
            users = [
                k for v, group in stop.members if engine.boolean_value(v) for k in group
            ]
            if self.visits:
                latency_s = self.tables.latency_s[stop.model]
                sizes = batches(batch_costs(latency_s, len(users))[1], len(users))
                result += visit_rounds(self.tables, stop.model, sizes)
            else:
                result.append(PlannedRound(stop.model, tuple(users)))
        return result

    def _visited(self, engine: Any) -> Iterator[Stop]:
        """List the stops of an answer in the order of the tour."""
        if self.forest is not None:
            stop_of = {stop.model: stop for stop in self.stops}
            for model in depth_first(self.forest, self.tables):
                if engine.boolean_value(stop_of[model].present):
                    yield stop_of[model]
            return
        after = {i: j for (i, j), v in self.arcs.items() if engine.boolean_value(v)}
        at = after[0]
        while at:
            yield self.stops[at - 1]
            at = after[at]

    def reject(self, engine: Any) -> None:
        """Cut off an answer that only rounding let through: all its choices."""
        self.program.add_bool_or(
            [~v if engine.boolean_value(v) else v for v in self._literals()]
        )
