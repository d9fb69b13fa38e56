"""Clocks and fillings that go through plans in loops, for where these are compiled.

They give what :mod:`solvers.core.plan` and :mod:`solvers.core.filling` give, to the
last bit. Problems are those whose loads depend on the round before only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from solvers.core import compiling, filling, filling_kernels
from solvers.core.filling_kernels import Filling
from solvers.core.insertion import MAX_PAIRS, Criterion, Insertions
from solvers.core.places import Bools
from solvers.core.plan import Batch, Clock, Plan, Times
from solvers.core.plan_kernels import (
    DYNAMIC,
    STATIC,
    UPFRONT,
    Rows,
    Rules,
    in_time,
    timed,
)
from solvers.core.tables import Tables
from solvers.uplink import Uplink

NUMBERS: dict[Uplink, int] = {
    "upfront": UPFRONT,
    "dynamic": DYNAMIC,
    "static": STATIC,
}


# Bytes are added up in integers of 64 bits; with overlap each two models are looked at.
MOST_BYTES = 2**61
MOST_MODELS = 100


def takes(tables: Tables) -> bool:
    """Whether loads depend on the round before only, and loops can hold a problem."""
    problem = tables.problem
    models = problem.models.values()
    batches = (size for model in models for size in model.activation_bytes or ())
    total = sum(tables.atom_bytes) + max(batches, default=0)
    few = not problem.overlap or len(models) <= MOST_MODELS
    return problem.residency == "previous" and few and total < MOST_BYTES


def missing() -> bool:
    """Whether there is nothing that compiles the loops."""
    return not compiling.COMPILED


def kept() -> bool:
    """Whether the loops were compiled before."""
    kept = compiling.kept
    return kept(filling_kernels.fill) and kept(in_time) and kept(timed)


@dataclass(frozen=True, eq=False)
class LoopClock(Clock):
    """A clock for plans as arrays, which keeps the arrays of the last plan it saw.

    Raises
    ------
    ValueError
        For what loops do not take (:func:`takes`).
    """

    _last: list[tuple[Plan, Rows]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if not takes(self.tables):
            raise ValueError("loads must depend on the round before only, and be few")

    @cached_property
    def rules(self) -> Rules:
        """The problem as arrays."""
        tables = self.tables
        models = range(len(tables.model_names))
        overlap, capacity = tables.problem.overlap, tables.problem.gpu_memory_bytes
        load_s = self.loads_between_s
        both = np.zeros((len(models), len(models)), dtype=np.int64)
        activations = np.zeros(self.padded_s.shape, dtype=np.int64)
        if overlap:
            load_s = load_s.copy()
            for m in models:
                load_s[-1, m] = tables.load_s(None, m)
                load_s[:-1, m] = [tables.load_s(before, m) for before in models]
        if overlap and capacity is not None:
            size, held = tables.atom_bytes, tables.atoms_of
            for m in models:
                both[m] = [sum(size[a] for a in held[m] | held[n]) for n in models]
                for b in range(1, len(tables.latency_s[m])):
                    activations[m, b] = tables.activation_bytes(m, b)
        return Rules(
            uplink=NUMBERS[self.uplink],
            releases_zero=self.releases_zero,
            horizon_s=self.horizon_s,
            user_model=np.asarray(tables.user_model, dtype=np.int64),
            demand_s=tables.demand_s,
            deadline_s=tables.deadline_s,
            deadline_rank=self.deadline_rank,
            release_index=self.release_index,
            deadlines_s=self.deadlines_s,
            release_grid_s=self.release_grid_s,
            latency_s=self.padded_s,
            between_s=self.loads_between_s,
            load_s=load_s,
            overlap=overlap,
            capacity_bytes=-1 if capacity is None else min(capacity, MOST_BYTES),
            both_bytes=both,
            activation_bytes=activations,
        )

    def rows(self, plan: Plan) -> Rows:
        """Return a plan as arrays, which nobody may write to."""
        for last, rows in self._last:
            if last is plan:
                return rows
        # Who uploads when matters only if releases differ.
        width = 0 if self.releases_zero else self.rules.latency_s.shape[1]
        rows = rows_of(plan, width, 0)
        self.recall(plan, rows)
        return rows

    def recall(self, plan: Plan, rows: Rows) -> None:
        """Keep the arrays of a plan."""
        self._last[:] = [(plan, rows)]

    def feasible(self, plan: Plan) -> bool:
        """Whether a plan is feasible."""
        return bool(in_time(self.rules, self.rows(plan), len(plan)))

    def time(self, plan: Plan) -> Times:
        """Time a plan, feasible or not."""
        rows = self.rows(plan)
        here = rows.at[: len(plan)]
        compute_s = rows.compute_s[here]
        if not np.isfinite(compute_s).all():
            return super().time(plan)
        found = timed(self.rules, rows, len(plan))
        return Times(
            models=rows.model[here],
            sizes=rows.size[here],
            demand_s=rows.demand_s[here],
            deadline_s=rows.deadline_s[here],
            compute_s=compute_s,
            load_s=found.load_s,
            loaded_s=found.loaded_s,
            ready_s=found.ready_s,
            end_s=found.before_s[1:],
            latest_end_s=found.latest_end_s,
            band=found.band,
            broken=found.broken,
            arrivals_s=found.ends_s if len(found.ends_s) else None,
        )


def rows_of(plan: Plan, width: int, room: int) -> Rows:
    """Return a plan as arrays.

    Parameters
    ----------
    plan
        The plan.
    width
        Maximum number of users of a round that fits; 0 to leave out who they are.
    room
        Number of rounds that may be added.
    """
    if width:
        width = max((width, *(len(batch.users) for batch in plan)))
    count = len(plan) + room
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
        if width:
            filled = np.arange(width) < rows.size[here, None]
            rows.users[here][filled] = [k for there in users for k in there]
    return rows


def plan_of(rows: Rows, rounds: int, before: Plan) -> Plan:
    """Return the plan that arrays hold; ``before`` is the one they were made of."""
    at = rows.at[:rounds].tolist()
    size = rows.size.tolist()
    return tuple(
        before[row]
        if row < len(before) and size[row] == len(before[row].users)
        else Batch(
            int(rows.model[row]),
            tuple(rows.users[row, : size[row]].tolist()),
            float(rows.demand_s[row]),
            float(rows.deadline_s[row]),
            float(rows.compute_s[row]),
        )
        for row in at
    )


def fill(
    insertions: Insertions,
    plan: Plan,
    waiting: Bools,
    criterion: Criterion,
    rng: np.random.Generator,
    *,
    tries: int,
    goes_on: Callable[[int], bool],
    at_once: int = 1,
) -> tuple[Plan, Times]:
    """Fill a plan as :func:`solvers.core.filling.fill` does.

    ``insertions`` are those of a :class:`LoopClock`.
    """
    clock = insertions.clock
    assert isinstance(clock, LoopClock)
    width, room = clock.rules.latency_s.shape[1], int(waiting.sum())
    rows, rounds = rows_of(plan, width, room), len(plan)
    some = Filling(
        uplink_weight=criterion.uplink_weight,
        noise=criterion.noise,
        need_s=insertions.need_s(criterion.batch),
        alone_s=insertions.need_s(1),
        tries=tries,
        spread=filling.SPREAD,
        order=insertions.order(criterion),
    )
    over = False
    while not over and goes_on(rounds):
        order = insertions.sample(some.order, waiting, rounds + 1, rng)
        # Of a sample there is one evaluation.
        evaluations = at_once if len(order) == np.count_nonzero(waiting) else 1
        rounds, over = filling_kernels.fill(
            *(clock.rules, rows, rounds, waiting, some._replace(order=order), rng),
            *(evaluations, MAX_PAIRS),
        )
    plan = plan_of(rows, rounds, plan)
    clock.recall(plan, rows)
    return plan, clock.time(plan)
