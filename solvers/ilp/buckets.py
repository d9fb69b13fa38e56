"""A time-bucket relaxation that bounds every schedule and is often tight.

Time up to the latest compute start is divided into buckets; users, batches and loads
are counted per bucket instead of per round. It follows the idea of partially
time-expanded networks: N. Boland, M. Hewitt, L. Marshall and M. Savelsbergh, "The
continuous-time service network design problem", Operations Research 65 (2017).
``docs/mathematics.md`` proves each row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pulp

from solvers.core.knapsack import batch_costs, batches
from solvers.core.tables import Floats, PlannedRound
from solvers.ilp.engine import ROOM
from solvers.ilp.grid import (
    cost_lines,
    count_costs,
    evenly_spaced,
    merged_atoms,
    most_users,
)
from solvers.ilp.program import Program
from solvers.tolerance import SPECTRUM_TOLERANCE, TIME_TOLERANCE_S

# Maximum number of deadlines with a row of their own, evenly spread, if they differ.
DEADLINE_ROWS = 24

# The same for releases.
RELEASE_ROWS = 12


@dataclass
class BucketModel(Program):
    """The relaxation for given bucket edges.

    Times are in shares of the latest deadline. ``x[k, j]`` in [0, 1]: user k is in a
    round that starts in buckets 0 … j. ``count[m, j]``: number of users of m in bucket
    j; ``visit[m, j]``: whether there are any; ``later[m, j]``: whether there are any in
    buckets j, j + 1, …. ``first[m, j]``: the first round of buckets j, j + 1, … runs m.

    Parameters
    ----------
    edges_s
        Bucket edges, in s, from 0 to the latest start.
    reloads
        Whether reloaded atoms are counted again, which adds rows for a tighter bound;
        otherwise each atom counts once in buckets j, j + 1, … for every j.
    """

    edges_s: Floats
    reloads: bool
    _x: dict[tuple[int, int], Any] = field(init=False, default_factory=dict)
    _count: dict[tuple[int, int], Any] = field(init=False, default_factory=dict)
    _visit: dict[tuple[int, int], Any] = field(init=False, default_factory=dict)
    _later: dict[tuple[int, int], Any] = field(init=False, default_factory=dict)
    _sooner: dict[tuple[int, int], Any] = field(init=False, default_factory=dict)
    _compute: list[list[Any]] = field(init=False)

    def _build(self) -> None:
        t = self.tables
        self._unit_s = float(t.deadline_s[t.users].max())
        self._open = self.edges_s[:-1] / self._unit_s
        self._close = self.edges_s[1:] / self._unit_s
        self._buckets = range(len(self._open))
        self._compute = [[] for _ in self._buckets]
        self._costs = {m: count_costs(t, m) for m in t.active}
        self._atoms = merged_atoms(t)
        for m in t.active:
            self._users(m)
            self._visits(m)
        served = pulp.lpSum(self._in_by(k, self._buckets[-1]) for k in t.users.tolist())
        self._maximise(served)
        loads = self._gpu()
        if t.common_deadline_s is None:
            self._deadlines()
        self._spectrum(loads)

    def _in_by(self, k: int, j: int) -> Any:
        """Variable: whether a user is in a round of buckets 0 … j."""
        return self._x.get((k, j), 0.0)

    def _users(self, m: int) -> None:
        """Allow each user in the buckets where its batch can start and be in time.

        Among interchangeable users, those of least demand are served.
        """
        t = self.tables
        load_s = t.load_s(None, m)
        ahead: dict[tuple[float, float], int] = {}
        for k in t.users_of[m].tolist():
            self.clock.check()
            release_s, deadline_s = float(t.release_s[k]), float(t.deadline_s[k])
            # The band itself has a tolerance under ``static``.
            upload_s = float(t.demand_s[k]) * (1 - 2 * SPECTRUM_TOLERANCE)
            earliest_s = max(load_s, release_s + upload_s)
            latest_s = deadline_s - float(t.least_latency_s[m])
            for j in self._buckets:
                before = self._in_by(k, j - 1)
                if (
                    latest_s < max(0.0, earliest_s - 2 * TIME_TOLERANCE_S)
                    or self.edges_s[j] > latest_s + TIME_TOLERANCE_S
                    or self.edges_s[j + 1] < earliest_s - TIME_TOLERANCE_S
                ):
                    self._x[k, j] = before
                    continue
                self._x[k, j] = self._new(f"x_{k}_{j}")
                if not isinstance(before, float):
                    self.problem += before <= self._x[k, j]
            alike = (release_s, deadline_s)
            if alike in ahead:
                last = self._buckets[-1]
                self.problem += self._in_by(ahead[alike], last) >= pulp.lpSum(
                    [self._in_by(k, last)]
                )
            ahead[alike] = k

    def _visits(self, m: int) -> None:
        """Count users per bucket, and bound the time of the batches that serve them."""
        t = self.tables
        users = t.users_of[m].tolist()
        cost_s = self._costs[m]
        largest = len(t.latency_s[m]) - 1
        end_s = float(t.deadline_s[users].max())
        total: Any = 0.0
        for j in self._buckets:
            self.clock.check()
            # All batches of a bucket except the last end before the bucket does.
            width_s = float(self.edges_s[j + 1] - self.edges_s[j])
            most = min(
                most_users(cost_s, end_s - float(self.edges_s[j])),
                largest + most_users(cost_s, width_s),
            )
            count = self._count[m, j] = self._new(f"n_{m}_{j}", most, "Integer")
            visit = self._visit[m, j] = self._new(
                f"visit_{m}_{j}", min(1, most), "Binary"
            )
            self.problem += count <= most * visit
            self.problem += visit <= count
            total += count
            self.problem += total == pulp.lpSum(self._in_by(k, j) for k in users)
            self._compute[j].append(self._price(m, f"{m}_{j}", count, visit))
        after: Any = 0.0
        for j in reversed(self._buckets):
            later = self._later[m, j] = self._new(f"later_{m}_{j}")
            self.problem += later >= self._visit[m, j]
            self.problem += later >= after
            self.problem += later <= after + self._visit[m, j]
            for k in users:
                served = self._in_by(k, self._buckets[-1])
                self.problem += served - self._in_by(k, j - 1) <= later
            after = later
        for j in self._buckets if self.reloads else ():
            self._sooner[m, j] = self._new(f"sooner_{m}_{j}")
            for k in users:
                self.problem += self._in_by(k, j) <= self._sooner[m, j]

    def _price(self, m: int, name: str, count: Any, visit: Any) -> Any:
        """Bound the compute time, in shares, of a count of users from below."""
        lines = cost_lines(self._costs[m] / self._unit_s)
        if len(lines) == 1:
            slope, fixed = lines[0]
            return slope * count + fixed * visit
        price = self._new(f"price_{name}", None)
        for slope, fixed in lines:
            self.problem += price >= slope * count + fixed * visit
        return price

    def _gpu(self) -> list[Any]:
        """Fit the work of buckets j, j + 1, … between the start of j and the end.

        Returns the loads of these buckets: everything loaded after the first of their
        batches has started.
        """
        first = self._firsts()
        terms: list[list[Any]] = [[] for _ in self._buckets]
        at_start: list[Any] = []
        for a, (holders, load_s, resident) in enumerate(self._atoms):
            self.clock.check()
            share = load_s / self._unit_s
            held = [pulp.lpSum(first[m, j] for m in holders) for j in self._buckets]
            load = [self._new(f"load_{a}_{j}") for j in self._buckets]
            for j, one in enumerate(load):
                terms[j].append(share * one)
            if not resident:
                at_start.append(share * held[0])
            self._atom(holders, held, load, resident=resident)
        loads = [
            pulp.lpSum(one for i in self._from(j) for one in terms[i])
            for j in self._buckets
        ]
        for j in self._buckets:
            work = pulp.lpSum(c for i in self._buckets[j:] for c in self._compute[i])
            before = pulp.lpSum(at_start) if j == 0 else 0.0
            room = 1 - float(self._open[j]) + ROOM
            self.problem += before + work + loads[j] <= room
        loads[0] += pulp.lpSum(at_start)
        return loads

    def _from(self, j: int) -> range:
        """Buckets whose loads sum to those of buckets j, j + 1, …: see ``_atom``."""
        return self._buckets[j:] if self.reloads else self._buckets[j : j + 1]

    def _firsts(self) -> dict[tuple[int, int], Any]:
        """Choose the model of the first round of buckets j, j + 1, …."""
        active = self.tables.active
        first = {
            (m, j): self._new(f"first_{m}_{j}", 1, "Binary")
            for m in active
            for j in self._buckets
        }
        for j in self._buckets:
            self.clock.check()
            self.problem += pulp.lpSum(first[m, j] for m in active) <= 1
            for m in active:
                self.problem += first[m, j] <= self._later[m, j]
            if not self.reloads:
                continue
            empty = self._new(f"empty_{j}")
            for m in active:
                after = first.get((m, j + 1), 0.0)
                self.problem += first[m, j] <= self._visit[m, j] + after
                self.problem += first[m, j] <= self._visit[m, j] + empty
                self.problem += empty <= 1 - self._visit[m, j]
        return first

    def _atom(
        self,
        holders: tuple[int, ...],
        held: list[Any],
        load: list[Any],
        *,
        resident: bool,
    ) -> None:
        """Load an atom as often as its holders need it.

        It is loaded after the first round of bucket j if that round's model does not
        hold it and a later one does. With ``reloads``, ``load[j]`` counts the loads
        from there up to and including the first round of bucket j + 1, otherwise all
        of them; and an atom used before bucket j is loaded before it.
        """
        after: Any = 0.0
        for j in reversed(self._buckets):
            self.clock.check()
            after = load[j] + (after if self.reloads else 0.0)
            for m in holders:
                self.problem += after + held[j] >= self._later[m, j]
            if not self.reloads:
                continue
            for m in holders:
                self.problem += load[j] + held[j] >= self._visit[m, j]
            if j + 1 in self._buckets:
                self.problem += load[j] + held[j] >= held[j + 1]
        before = held[0]
        for j in self._buckets if self.reloads and not resident else ():
            before = before + load[j]
            for m in holders:
                self.problem += before >= self._sooner[m, j]

    def _load(self, name: str, used: dict[int, Any]) -> Any:
        """Load every atom of the used models that is not resident at the start."""
        terms = []
        for a, (holders, load_s, resident) in enumerate(self._atoms):
            if not resident:
                atom = self._new(f"atom_{a}_{name}")
                for m in holders:
                    self.problem += atom >= used[m]
                terms.append(load_s / self._unit_s * atom)
        return pulp.lpSum(terms)

    def _deadlines(self) -> None:
        """Fit the work for users with deadlines up to d between 0 and d."""
        t = self.tables
        deadlines = np.unique(t.deadline_s[t.users])[:-1]
        for i, d in enumerate(evenly_spaced(deadlines, DEADLINE_ROWS)):
            self.clock.check()
            used = {}
            work: list[Any] = []
            for m in t.active:
                users = [k for k in t.users_of[m].tolist() if t.deadline_s[k] <= d]
                if not users:
                    continue
                served = [self._in_by(k, self._buckets[-1]) for k in users]
                used[m] = self._new(f"by_{m}_{i}")
                for one in served:
                    self.problem += one <= used[m]
                work.append(self._price(m, f"by_{m}_{i}", pulp.lpSum(served), used[m]))
            for m in set(t.active) - set(used):
                used[m] = 0.0
            work.append(self._load(f"by_{i}", used))
            end: Any = d / self._unit_s
            if self.uplink == "upfront":
                # All uploads come first, which matters only if any work ends by d.
                work.append(self._demand(t.users.tolist(), self._buckets[-1]))
                any_served = self._new(f"anybody_by_{i}", 1, "Binary")
                for m in t.active:
                    self.problem += any_served >= used[m]
                end = 1 - (1 - end) * any_served
            self.problem += pulp.lpSum(work) <= end + ROOM

    def _demand(self, users: list[int], j: int) -> Any:
        """Upload time, in shares, of the users in rounds of buckets 0 … j."""
        return pulp.lpSum(
            float(self.tables.demand_s[k]) / self._unit_s * self._in_by(k, j)
            for k in users
        )

    def _spectrum(self, loads: list[Any]) -> None:
        t = self.tables
        users = t.users.tolist()
        last = self._buckets[-1]
        if self.uplink == "upfront":
            work = pulp.lpSum(c for parts in self._compute for c in parts)
            total = self._demand(users, last) + work + loads[0]
            self.problem += total <= 1 + ROOM
        elif self.uplink == "static":
            self._band(users)
        else:
            self._uploads(users, loads)

    def _band(self, users: list[int]) -> None:
        """Give a user of bucket j at least the band that a start at j's end needs."""
        t = self.tables
        terms = []
        for k in users:
            m = int(t.user_model[k])
            latest_s = float(t.deadline_s[k] - t.least_latency_s[m])
            before: Any = 0.0
            for j in self._buckets:
                now = self._in_by(k, j)
                if now is not before and not isinstance(now, float):
                    start_s = min(float(self.edges_s[j + 1]), latest_s)
                    terms.append(float(t.demand_s[k]) / start_s * (now - before))
                    before = now
        self.problem += pulp.lpSum(terms) <= 1 + ROOM

    def _uploads(self, users: list[int], loads: list[Any]) -> None:
        """Carry the uploads of buckets 0 … j by the end of bucket j, for each release.

        The GPU work after the last batch of bucket j comes after these uploads.
        """
        t = self.tables
        least = min(float(t.least_latency_s[m]) for m in t.active) / self._unit_s
        releases = np.unique(t.release_s[t.users])
        for a in evenly_spaced(releases, RELEASE_ROWS):
            since = [k for k in users if t.release_s[k] >= a]
            for j in self._buckets:
                self.clock.check()
                sent = self._demand(since, j)
                room = max(0.0, float(self._close[j]) - a / self._unit_s)
                self.problem += sent <= room + ROOM
        for j in self._buckets[:-1]:
            sent = self._demand(users, j)
            work = pulp.lpSum(
                c for i in self._buckets[j + 1 :] for c in self._compute[i]
            )
            # The batch that these uploads precede may be the only one.
            end = 1 - (least if self._open[j + 1] >= least else 0.0)
            self.problem += sent + work + loads[j + 1] <= end + ROOM

    def rounds(self) -> list[PlannedRound]:
        """Convert the last answer to rounds, by bucket; they may be infeasible."""
        t = self.tables
        before: int | None = None
        result: list[PlannedRound] = []
        for j in self._buckets:
            waiting = {m for m in t.active if self._count[m, j].value() > 0.5}
            while waiting:
                model = min(waiting, key=lambda m: (t.load_s(before, m), m))
                waiting.remove(model)
                before = model
                result += self._batches(model, j)
        return result

    def _batches(self, m: int, j: int) -> list[PlannedRound]:
        t = self.tables
        share = {
            k: _value(self._in_by(k, j)) - _value(self._in_by(k, j - 1))
            for k in t.users_of[m].tolist()
        }
        count = round(self._count[m, j].value())
        sizes = batch_costs(t.latency_s[m], count)
        if not np.isfinite(sizes[0][count]):
            return []
        users = sorted(share, key=lambda k: -share[k])[:count]
        users.sort(key=lambda k: (t.deadline_s[k], t.demand_s[k], k))
        result = []
        for size in batches(sizes[1], count):
            result.append(PlannedRound(m, tuple(users[:size])))
            users = users[size:]
        return result


def _value(expression: Any) -> float:
    return expression if isinstance(expression, float) else float(expression.value())
