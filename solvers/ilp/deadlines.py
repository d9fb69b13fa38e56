"""A relaxation by deadlines: what must be done by a time fits before that time.

It knows no order of rounds, so it holds with a cache and with overlap, too: each block
is loaded once if it is used. ``docs/mathematics.md``, section 7, proves each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pulp

from solvers.core.tables import Ints, Tables
from solvers.ilp.engine import (
    MOST_CHOICES,
    ROOM,
    Answer,
    Clock,
    OutOfTimeError,
    run,
)
from solvers.ilp.grid import (
    cost_lines,
    count_costs,
    evenly_spaced,
    merged_atoms,
)
from solvers.ilp.program import Program
from solvers.uplink import Uplink

# Maximum number of deadlines with rows of their own, from quick to sharp, and of
# releases.
DEADLINES = (12, 24, 60)
RELEASES = 12

# HiGHS drops coefficients up to this, as if they were 0.
LEAST_COEFFICIENT = 1e-9

# How many others it is said of a user, at most, that it yields to.
MOST_YIELDED = 30

# Node limit of each program, so that the bound does not depend on the machine, and the
# share of the time left that it may take.
NODES = 20_000
SHARE = 0.3


def deadline_bound(
    tables: Tables,
    uplink: Uplink,
    served: int,
    bound: int,
    clock: Clock,
    *,
    mip: str = "highs",
    rows: Sequence[int] = DEADLINES,
    nodes: int = NODES,
) -> int:
    """Bound the users that any schedule can serve by the time before their deadlines.

    Parameters
    ----------
    tables, uplink
        The problem, with any residency, and the discipline.
    served, bound
        Users that a known schedule serves, and a known bound.
    clock
        When to stop; what is proven by then counts.
    mip
        Engine: ``"highs"`` or ``"cbc"``.
    rows
        Maximum number of deadlines with rows of their own, one after the other.
    nodes
        Node limit of each program.

    Returns
    -------
    int
        The bound, from ``served`` to ``bound``.

    Notes
    -----
    Under ``upfront`` one program for each class of deadlines in which the first user to
    be in time may be: in none of them is it open whether the uploads matter for a row.
    Exponential in the worst case; users times deadlines are at most ``MOST_CHOICES``.
    """
    lenient = _hopeful(tables.granting())
    if not lenient.active:
        return served
    due_s = np.unique(lenient.deadline_s[lenient.users])
    tried: list[float] = []
    solve = partial(run, mip=mip, nodes=nodes)
    for wanted in rows:
        most = min(wanted, MOST_CHOICES // len(tables.users), len(due_s))
        times_s = evenly_spaced(due_s, most)
        if most and bound > served and times_s != tried:
            bound = _bounded(lenient, uplink, times_s, served, bound, clock, solve)
        tried = times_s
    return bound


def _bounded(
    lenient: Tables,
    uplink: Uplink,
    times_s: Sequence[float],
    served: int,
    bound: int,
    clock: Clock,
    solve: Callable[..., Answer],
) -> int:
    """Bound the users by rows for given times."""
    most = served
    for first in range(len(times_s)) if uplink == "upfront" else range(1):
        if most >= bound:
            break
        part = clock.part(SHARE)
        try:
            program = DeadlineModel(
                lenient, uplink, most + 1, bound, part, times_s, first
            )
        except OutOfTimeError:
            return bound
        answer = solve(program, clock=part)
        if answer.bound is not None:
            most = max(most, min(bound, answer.bound))
        elif not answer.finished:
            return bound
    return most


@dataclass
class DeadlineModel(Program):
    """The program for given times.

    Times are in shares of the latest deadline. Binary ``x[k]``: user k is served.
    ``by[m, j]`` in [0, 1]: users of model m with deadlines up to time j are served.

    Parameters
    ----------
    times_s
        Deadlines that rows are made for, in s, ascending, the latest one last.
    first
        ``upfront``: nobody is served whose deadline is up to time ``first`` − 1, and
        somebody is whose deadline is up to time ``first``.
    """

    times_s: Sequence[float]
    first: int
    _x: dict[int, Any] = field(init=False, default_factory=dict)

    def _build(self) -> None:
        t = self.tables
        self._unit_s = float(self.times_s[-1])
        deadline_s = t.deadline_s[t.users]
        row = np.searchsorted(self.times_s, deadline_s)
        self._lines = {
            m: [_kept(*line) for line in cost_lines(count_costs(t, m) / self._unit_s)]
            for m in t.active
        }
        self._due: dict[int, list[list[int]]] = {
            m: [[] for _ in self.times_s] for m in t.active
        }
        for k, j in zip(t.users.tolist(), row.tolist(), strict=True):
            self._due[int(t.user_model[k])][j].append(k)
            self._x[k] = 0.0 if j < self.first else self._new(f"x_{k}", cat="Binary")
        self._maximise(pulp.lpSum(self._x.values()))
        if self.uplink == "upfront":
            some = (k for due in self._due.values() for k in due[self.first])
            self.problem += pulp.lpSum(self._x[k] for k in some) >= 1
        self._prefer()
        self._gpu()
        if self.uplink == "static":
            self._band()
        elif self.uplink == "dynamic":
            self._uploads()

    def _prefer(self) -> None:
        """Serve nobody in whose place another one can be served, who is not."""
        t = self.tables
        for m in t.active:
            self.clock.check()
            for k, other in _yields(t, t.users_of[m], self.clock):
                here, there = self._x[k], self._x[other]
                if not isinstance(here, float):
                    self.problem += here <= there

    def _gpu(self) -> None:
        """Fit loads and batches before each time, after all uploads if these are first.

        With overlap each of them fits, and the last of the batches follows the loads.
        """
        t = self.tables
        by: dict[tuple[int, int], Any] = {}
        compute = [pulp.lpSum(self._computed(by, j)) for j in range(len(self.times_s))]
        upfront = self.uplink == "upfront"
        sent = self._demand(t.users.tolist()) if upfront else 0.0
        least_s = min(float(t.least_latency_s[m]) for m in t.active)
        for j in range(self.first, len(self.times_s)):
            loads = self._loads(by, j)
            end = self.times_s[j] / self._unit_s + ROOM
            if not t.problem.overlap:
                self.problem += sent + compute[j] + loads <= end
                continue
            self.problem += sent + compute[j] <= end
            if self.times_s[j] >= least_s:
                self.problem += sent + loads <= end - least_s / self._unit_s

    def _computed(self, by: dict[tuple[int, int], Any], j: int) -> list[Any]:
        """Price the batches of each model's users with deadlines up to a time."""
        t = self.tables
        terms = []
        for m in t.active:
            self.clock.check()
            before = by.get((m, j - 1))
            new = [self._x[k] for k in self._due[m][j]]
            new = [one for one in new if not isinstance(one, float)]
            if not new and before is None:
                continue
            now = by[m, j] = self._new(f"by_{m}_{j}")
            for one in new if before is None else [*new, before]:
                self.problem += one <= now
            count = pulp.lpSum(
                self._x[k] for i in range(j + 1) for k in self._due[m][i]
            )
            price = self._new(f"price_{m}_{j}", None)
            for slope, fixed in self._lines[m]:
                self.clock.check()
                self.problem += price >= slope * count + fixed * now
            terms.append(price)
        return terms

    def _loads(self, by: dict[tuple[int, int], Any], j: int) -> Any:
        """Load what models need by a time once, but for what is resident at first."""
        terms = []
        for a, (holders, load_s, resident) in enumerate(merged_atoms(self.tables)):
            self.clock.check()
            used = [by[m, j] for m in holders if (m, j) in by]
            if resident or not used:
                continue
            loaded = used[0]
            if len(used) > 1:
                loaded = self._new(f"atom_{a}_{j}")
                for one in used:
                    self.problem += one <= loaded
            terms.append(load_s / self._unit_s * loaded)
        return pulp.lpSum(terms)

    def _demand(self, users: list[int]) -> Any:
        """Upload time of users, in shares."""
        return pulp.lpSum(
            float(self.tables.demand_s[k]) / self._unit_s * self._x[k] for k in users
        )

    def _band(self) -> None:
        """Give each user the band that its latest start needs."""
        t = self.tables
        terms = []
        for k in t.users.tolist():
            start_s = t.deadline_s[k] - t.least_latency_s[int(t.user_model[k])]
            if start_s <= 0:
                self.problem += self._x[k] <= 0
            else:
                terms.append(float(t.demand_s[k] / start_s) * self._x[k])
        self.problem += pulp.lpSum(terms) <= 1 + ROOM

    def _uploads(self) -> None:
        """Carry what is released from a time on, and due by another, between the two.

        The last of the batches follows the uploads.
        """
        t = self.tables
        releases = np.unique(t.release_s[t.users])
        for end_s in self.times_s:
            for a in evenly_spaced(releases, RELEASES):
                self.clock.check()
                users = [
                    k
                    for k in t.users.tolist()
                    if t.release_s[k] >= a and t.deadline_s[k] <= end_s
                ]
                if users:
                    least_s = min(
                        float(t.least_latency_s[int(t.user_model[k])]) for k in users
                    )
                    room = max(0.0, end_s - a - least_s) / self._unit_s
                    self.problem += self._demand(users) <= room + ROOM


def _hopeful(tables: Tables) -> Tables:
    """Leave out users that nobody can serve, whatever else is done.

    Their demand, or the load of their model, may be so large that HiGHS takes no row
    with it, and so drops what the row says of the others.
    """
    users = tables.user_model
    load_s = np.array([tables.load_s(None, m) for m in range(len(tables.model_names))])
    ready_s = np.maximum(tables.release_s + tables.demand_s, load_s[users])
    least_s = ready_s + tables.least_latency_s[users]
    hopeful = least_s <= (1 + ROOM) * tables.deadline_s
    problem = tables.problem
    left = tuple(u for u, ok in zip(problem.users, hopeful, strict=True) if ok)
    return Tables(problem.model_copy(update={"users": left}), tables.sharing)


def _kept(slope: float, fixed: float) -> tuple[float, float]:
    """Make a line of costs of 1, 2, … users one that HiGHS does not raise.

    It drops coefficients below 1e-9. Where the constant is a negative one, the line
    through the origin that costs one user the same is nowhere above for more users.
    """
    return (slope + fixed, 0.0) if -LEAST_COEFFICIENT <= fixed < 0 else (slope, fixed)


def _yields(tables: Tables, users: Ints, clock: Clock) -> Iterator[tuple[int, int]]:
    """Pair each user with some that it yields to, and with nobody between them.

    A user yields to another one of its model that asks for no more, may wait no less
    and is there no later; of two that are the same, the second. For each user, at most
    ``MOST_YIELDED`` of those are named, those of greatest demand.
    """
    rank = (tables.release_s, -tables.deadline_s, tables.demand_s)
    ordered = users[np.lexsort([key[users] for key in rank])]
    # Whoever is no worse than a user stands before it.
    worse = [key[ordered] for key in rank]
    for place in range(1, len(ordered)):
        clock.check()
        above = np.flatnonzero(
            np.logical_and.reduce([key[:place] <= key[place] for key in worse])
        )
        for _ in range(MOST_YIELDED):
            if not len(above):
                break
            # The last of them cannot be reached by way of another.
            other = above[-1]
            yield int(ordered[place]), int(ordered[other])
            above = above[
                np.logical_or.reduce([key[above] > key[other] for key in worse])
            ]
