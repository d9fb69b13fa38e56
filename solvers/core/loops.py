"""A search that goes through plans in loops, for where these are compiled.

It finds what :class:`solvers.core.search.Search` finds, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from solvers.core import (
    compiling,
    filling,
    insertion,
    moves,
    search,
    search_kernels,
)
from solvers.core.arrays import DYNAMIC, STATIC, UPFRONT, Rows, Rules
from solvers.core.filling_kernels import Filling, fill
from solvers.core.insertion import Criterion
from solvers.core.move_kernels import Changes
from solvers.core.places import Bools
from solvers.core.plan import Batch, Clock, Plan, Times, served
from solvers.core.search import Search
from solvers.core.search_kernels import Chain, Kept, State, Ways, advance
from solvers.core.tables import Tables
from solvers.uplink import Uplink

NUMBERS: dict[Uplink, int] = {
    "upfront": UPFRONT,
    "dynamic": DYNAMIC,
    "static": STATIC,
}

# Bytes are added up in integers of 64 bits, load times of a cache as exact floats; with
# overlap each two models are looked at, and with a cache each atom at each place.
MOST_BYTES = 2**61
MOST_LOAD_S = 2.0**16
MOST_MODELS = 100
MOST_ATOMS = 1000

# Pairs of a user and a round that are evaluated, some ten milliseconds, before the time
# is looked at.
BUDGET = 2_000_000.0


def takes(tables: Tables) -> bool:
    """Whether loops can hold a problem."""
    problem = tables.problem
    models = problem.models.values()
    batches = (size for model in models for size in model.activation_bytes or ())
    total = sum(tables.atom_bytes) + max(batches, default=0)
    few = not problem.overlap or len(models) <= MOST_MODELS
    if problem.residency == "cache":
        few &= len(tables.atom_load_s) <= MOST_ATOMS
        few &= float(tables.atom_load_s.sum()) < MOST_LOAD_S
    return few and total < MOST_BYTES


def missing() -> bool:
    """Whether there is nothing that compiles the loops."""
    return not compiling.COMPILED


def kept() -> bool:
    """Whether the loops were compiled before."""
    return compiling.kept(fill, advance)


def make(tables: Tables) -> None:
    """Go through the loops for a small problem, which compiles them."""
    LoopSearch(Clock(tables, "dynamic"), seed=0, bound=len(tables.users) + 1).run((), 3)


def rules_of(clock: Clock) -> Rules:
    """Return the problem of a clock as arrays."""
    tables = clock.tables
    models = range(len(tables.model_names))
    problem = tables.problem
    overlap, capacity = problem.overlap, problem.gpu_memory_bytes
    cached, atoms = problem.residency == "cache", tables.atoms_of
    resident = np.zeros(len(tables.atom_load_s), dtype=bool)
    resident[list(tables.initial_atoms)] = True
    load_s = clock.loads_between_s
    both = np.zeros((len(models), len(models)), dtype=np.int64)
    activations = np.zeros(clock.padded_s.shape, dtype=np.int64)
    if overlap:
        load_s = load_s.copy()
        for m in models:
            load_s[-1, m] = tables.load_s(None, m)
            load_s[:-1, m] = [tables.load_s(before, m) for before in models]
    if overlap and capacity is not None:
        size = tables.atom_bytes
        for m in models:
            both[m] = [sum(size[a] for a in atoms[m] | atoms[n]) for n in models]
    if not clock.plain and capacity is not None:
        for m in models:
            for b in range(1, len(tables.latency_s[m])):
                activations[m, b] = tables.activation_bytes(m, b)
    return Rules(
        uplink=NUMBERS[clock.uplink],
        releases_zero=clock.releases_zero,
        horizon_s=clock.horizon_s,
        user_model=np.asarray(tables.user_model, dtype=np.int64),
        demand_s=tables.demand_s,
        deadline_s=tables.deadline_s,
        deadline_rank=clock.deadline_rank,
        release_index=clock.release_index,
        deadlines_s=clock.deadlines_s,
        release_grid_s=clock.release_grid_s,
        latency_s=clock.padded_s,
        between_s=clock.loads_between_s,
        load_s=load_s,
        plain=clock.plain,
        overlap=overlap,
        capacity_bytes=-1 if capacity is None else min(capacity, MOST_BYTES),
        both_bytes=both,
        activation_bytes=activations,
        cached=cached,
        furthest=problem.eviction == "furthest-next-use",
        holds=tables.holds > 0 if cached else np.zeros((0, 0), dtype=bool),
        resident=resident,
        atoms=np.array([a for held in atoms for a in sorted(held)], dtype=np.int64),
        begins=np.cumsum([0, *map(len, atoms)]),
        atom_load_s=tables.atom_load_s,
        rounded_s=clock.rounded_s,
        atom_bytes=np.array(tables.atom_bytes, dtype=np.int64),
    )


def rows_of(plan: Plan, width: int, count: int) -> Rows:
    """Return a plan as arrays.

    Parameters
    ----------
    plan
        The plan.
    width
        Room for the users of a round.
    count
        Room for rounds, those of the plan among them.
    """
    rows = Rows(
        at=np.arange(count),
        model=np.zeros(count, dtype=np.int64),
        size=np.zeros(count, dtype=np.int64),
        demand_s=np.zeros(count),
        deadline_s=np.zeros(count),
        compute_s=np.zeros(count),
        users=np.zeros((count, width), dtype=np.int64),
    )
    if plan:
        model, users, demand_s, deadline_s, compute_s = zip(*plan, strict=True)
        here = slice(len(plan))
        rows.model[here] = model
        rows.size[here] = [len(there) for there in users]
        rows.demand_s[here] = demand_s
        rows.deadline_s[here] = deadline_s
        rows.compute_s[here] = compute_s
        filled = np.arange(width) < rows.size[here, None]
        rows.users[here][filled] = [k for there in users for k in there]
    return rows


def plan_of(rows: Rows, rounds: int) -> Plan:
    """Return the plan that arrays hold."""
    return tuple(
        Batch(
            int(rows.model[row]),
            tuple(rows.users[row, : rows.size[row]].tolist()),
            float(rows.demand_s[row]),
            float(rows.deadline_s[row]),
            float(rows.compute_s[row]),
        )
        for row in rows.at[:rounds].tolist()
    )


@dataclass
class LoopSearch(Search):
    """A search whose fillings and chains are loops.

    Raises
    ------
    ValueError
        For what loops do not take (:func:`takes`).
    """

    _rules: Rules = field(init=False)
    _ways: Ways = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not takes(self.clock.tables):
            raise ValueError("more models, atoms, bytes or seconds than loops hold")
        self._rules = rules_of(self.clock)
        self._ways = self._search_ways()

    def _search_ways(self) -> Ways:
        tables, some = self.clock.tables, self._insertions
        criterion = Criterion(uplink_weight=0.0, urgent=False, noise=0.0)
        fits = self.clock.padded_s
        return Ways(
            changes=Changes(
                shares=np.array(moves.MOVE_SHARES),
                largest=np.array(
                    [np.flatnonzero(np.isfinite(row))[-1] for row in fits]
                ),
                max_rounds_dropped=moves.MAX_ROUNDS_DROPPED,
                max_users_dropped=moves.MAX_USERS_DROPPED,
                max_rounds_moved=moves.MAX_ROUNDS_MOVED,
            ),
            users=tables.users,
            by_demand=some.order(criterion),
            by_deadline=some.order(criterion._replace(urgent=True)),
            batches_s=np.array([some.need_s(size) for size in search.BATCHES]),
            noises=np.array(search.NOISES),
            filling=self._filling(criterion),
            deadlines_differ=self._deadlines_differ,
            cut=search.CUT,
        )

    def _filling(self, criterion: Criterion) -> Filling:
        some = self._insertions
        overhead, overhead_per_round = self._overheads()
        return Filling(
            uplink_weight=criterion.uplink_weight,
            noise=criterion.noise,
            need_s=some.need_s(criterion.batch),
            alone_s=some.need_s(1),
            tries=search.MAX_TRIES,
            spread=filling.SPREAD,
            order=some.order(criterion),
            most_pairs=insertion.MAX_PAIRS,
            overhead=overhead,
            overhead_per_round=overhead_per_round,
        )

    def _rows(self, plan: Plan) -> Rows:
        """Return a plan as arrays, with room for all users and one round more."""
        width = self._rules.latency_s.shape[1]
        return rows_of(plan, width, len(self.clock.tables.users) + 1)

    def _fill(
        self, plan: Plan, waiting: Bools, criterion: Criterion
    ) -> tuple[Plan, Times]:
        rows, rounds, filled = self._rows(plan), len(plan), False
        how = (waiting, self._filling(criterion), self._rng)
        while not filled and not self._over():
            effort = float(self.effort)
            rounds, filled, self.effort, _ = compiling.call(
                fill, self._rules, rows, rounds, *how, effort, BUDGET
            )
        plan = plan_of(rows, rounds)
        return plan, self.clock.time(plan)

    def _chain(
        self, plan: Plan, best: tuple[int, float], length: int, steps: int
    ) -> tuple[Plan, tuple[int, float]]:
        """Make the first steps of a chain of a given length, from the best plan."""
        chain = Chain(
            length=length,
            steps=steps,
            bound=self.bound,
            hot=self.chains.hot,
            cold=search.COLD,
            penalty=search.EFFORT,
            user_s=self._user_s,
        )
        found = Kept(self._rows(plan), len(plan), served(plan), best[1])
        users = len(self.clock.tables.user_ids)
        state = State(
            step=0,
            now=found._replace(rows=self._rows(plan)),
            best=found,
            todo=search_kernels.RUIN,
            made=self._rows(()),
            rounds=0,
            waiting=np.zeros(users, dtype=bool),
            later=np.zeros(users, dtype=bool),
            filling=self._ways.filling,
            effort=float(self.effort),
        )
        how = (self._rules, self._ways, chain)
        while not self._over():
            state = compiling.call(advance, *how, state, self._rng, BUDGET)
            self.effort = state.effort
            if state.todo == search_kernels.RUIN and (
                state.step >= steps or state.best.served >= self.bound
            ):
                break
        found = state.best
        return plan_of(found.rows, found.rounds), (found.served, found.score)
