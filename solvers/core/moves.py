"""Random changes to a plan, and what makes it feasible again."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from solvers.core.plan import Clock, Plan, Times
from solvers.core.tables import Floats

# Probability of each move, in the order of ``perturb``.
MOVE_SHARES = (0.2, 0.18, 0.14, 0.14, 0.08, 0.05, 0.08, 0.07, 0.06)

# Maximum number of rounds or users dropped, and of rounds moved together.
MAX_ROUNDS_DROPPED = 3
MAX_USERS_DROPPED = 8
MAX_ROUNDS_MOVED = 4


def drawn(rng: np.random.Generator, weights: Floats) -> int:
    """Draw an index with probability proportional to its weight."""
    ends = weights.cumsum()
    return int((ends / ends[-1]).searchsorted(rng.random(), side="right"))


@dataclass(frozen=True, eq=False)
class Moves:
    """Moves for the plans of one problem, drawn from one random generator."""

    _clock: Clock
    _rng: np.random.Generator

    def repair(self, plan: Plan) -> Plan:
        """Drop users until the plan is feasible."""
        while not self._clock.feasible(plan):
            plan = self._relieve(plan, self._clock.time(plan))
        return plan

    def _relieve(self, plan: Plan, times: Times) -> Plan:
        """Drop one user or round that makes the plan infeasible."""
        rng = self._rng
        last = times.broken if times.broken >= 0 else len(plan) - 1
        r = last
        if times.broken < 0 or rng.random() < 0.5:
            r = int(rng.integers(last + 1))
        batch = plan[r]
        if rng.random() < 0.3 or not math.isfinite(batch.compute_s):
            return plan[:r] + plan[r + 1 :]
        if times.broken == r and rng.random() < 0.5:
            gone = min(batch.users, key=lambda k: self._clock.deadline_s[k])
        else:
            gone = max(batch.users, key=lambda k: self._clock.demand_s[k])
        return self._without(plan, {gone})

    def _without(self, plan: Plan, gone: set[int]) -> Plan:
        """Drop users, and rounds that become empty."""
        kept = []
        for batch in plan:
            if gone.isdisjoint(batch.users):
                kept.append(batch)
                continue
            users = [k for k in batch.users if k not in gone]
            if users:
                kept.append(self._clock.batch(batch.model, users))
        return tuple(kept)

    def perturb(self, plan: Plan) -> Plan:
        """Apply one random move; the resulting plan may be infeasible."""
        if not plan:
            return plan
        moves = (
            self._drop_rounds,
            self._drop_users,
            self._drop_relatives,
            self._move_rounds,
            self._swap_rounds,
            self._split_round,
            self._join_rounds,
            self._drop_urgent,
            self._drop_span,
        )
        return moves[drawn(self._rng, np.array(MOVE_SHARES))](plan)

    def _drop_rounds(self, plan: Plan) -> Plan:
        """Drop rounds in a row, half of the time from one that takes long per user."""
        rng = self._rng
        if rng.random() < 0.5:
            times = self._clock.time(plan)
            cost_s = (times.load_s + times.compute_s) / times.sizes
            first = drawn(rng, cost_s)
        else:
            first = int(rng.integers(len(plan)))
        count = int(rng.integers(1, MAX_ROUNDS_DROPPED + 1))
        return plan[:first] + plan[first + count :]

    def _drop_users(self, plan: Plan) -> Plan:
        """Drop users, those of large demand more often."""
        rng = self._rng
        there = [k for batch in plan for k in batch.users]
        count = min(len(there), int(rng.integers(1, MAX_USERS_DROPPED + 1)))
        drawn_s = self._clock.tables.demand_s[there] * rng.random(len(there))
        most = np.argsort(-drawn_s, kind="stable")[:count]
        return self._without(plan, {there[i] for i in most.tolist()})

    def _drop_relatives(self, plan: Plan) -> Plan:
        """Drop users of a model and of the models that share atoms with it."""
        rng = self._rng
        model = plan[int(rng.integers(len(plan)))].model
        held = self._clock.tables.atoms_of[model]
        share = rng.uniform(0.3, 1.0)
        return self._without(
            plan,
            {
                k
                for batch in plan
                if held & self._clock.tables.atoms_of[batch.model]
                for k in batch.users
                if rng.random() < share
            },
        )

    def _drop_urgent(self, plan: Plan) -> Plan:
        """Drop all users with a deadline below a cut."""
        there = [k for batch in plan for k in batch.users]
        deadline_s = self._clock.deadline_s
        cut_s = deadline_s[there[int(self._rng.integers(len(there)))]]
        return self._without(plan, {k for k in there if deadline_s[k] < cut_s})

    def _drop_span(self, plan: Plan) -> Plan:
        """Drop all rounds of a span of the plan, from its start, its end or between."""
        rng = self._rng
        count = int(rng.integers(1, max(len(plan) // 2, 1) + 1))
        first = (0, len(plan) - count, int(rng.integers(len(plan))))[rng.integers(3)]
        return plan[:first] + plan[first + count :]

    def _move_rounds(self, plan: Plan) -> Plan:
        """Move a run of consecutive rounds elsewhere."""
        rng = self._rng
        first = int(rng.integers(len(plan)))
        last = first + int(rng.integers(1, MAX_ROUNDS_MOVED + 1))
        run, rest = plan[first:last], plan[:first] + plan[last:]
        place = int(rng.integers(len(rest) + 1))
        return rest[:place] + run + rest[place:]

    def _swap_rounds(self, plan: Plan) -> Plan:
        i, j = sorted(self._rng.integers(len(plan), size=2).tolist())
        if i == j:
            return plan
        return (*plan[:i], plan[j], *plan[i + 1 : j], plan[i], *plan[j + 1 :])

    def _split_round(self, plan: Plan) -> Plan:
        """Split a round in two; the users of least demand keep its position."""
        rng = self._rng
        large = [r for r, batch in enumerate(plan) if len(batch.users) > 1]
        if not large:
            return plan
        r = large[int(rng.integers(len(large)))]
        batch = plan[r]
        users = sorted(batch.users, key=lambda k: self._clock.demand_s[k])
        at = int(rng.integers(1, len(users)))
        first = self._clock.batch(batch.model, users[:at])
        second = self._clock.batch(batch.model, users[at:])
        place = int(rng.integers(r + 1, len(plan) + 1))
        return (*plan[:r], first, *plan[r + 1 : place], second, *plan[place:])

    def _join_rounds(self, plan: Plan) -> Plan:
        """Join all rounds of a model at one of them, in batches as large as allowed."""
        rng = self._rng
        at = int(rng.integers(len(plan)))
        model = plan[at].model
        users = [k for batch in plan if batch.model == model for k in batch.users]
        users.sort(key=lambda k: (self._clock.deadline_s[k], self._clock.demand_s[k]))
        table = self._clock.latency_s[model]
        most = max(b for b in range(1, len(table)) if math.isfinite(table[b]))
        joined = [
            self._clock.batch(model, users[i : i + most])
            for i in range(0, len(users), most)
        ]
        rest = [batch for batch in plan[:at] if batch.model != model]
        after = [batch for batch in plan[at:] if batch.model != model]
        return (*rest, *joined, *after)
