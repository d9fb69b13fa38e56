"""Local search: ruin a plan, reinsert users where they are cheapest, and anneal."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import numpy as np

from solvers.bounds.upper_bound import upper_bound
from solvers.core.algorithm import Options, Solution
from solvers.core.insertion import Criterion, Insertions
from solvers.core.plan import Clock, Plan, Times, rounds_of, served
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import rank
from solvers.dp import solver as dp
from solvers.errors import RefusalError
from solvers.greedy import solver as greedy
from solvers.uplink import Uplink

# Default iteration limit: proportional to the number of users in small problems, and
# inversely proportional in large ones, where an iteration takes longer.
ITERATIONS_PER_USER = 100
ITERATIONS_TIMES_USERS = 200_000
MIN_ITERATIONS = 20

# Candidates tried per insertion; filling ends when none of them fits.
MAX_TRIES = 6

# Initial and final annealing temperature, in users.
HOT, COLD = 0.3, 0.03

# Penalty for the seconds that an average user takes, in users.
EFFORT = 0.1

# Probability of each move, in the order of ``_perturb``.
MOVE_SHARES = (0.25, 0.2, 0.15, 0.15, 0.1, 0.05, 0.1)

# Maximum number of rounds or users dropped, and of rounds moved together.
MAX_ROUNDS_DROPPED = 3
MAX_USERS_DROPPED = 8
MAX_ROUNDS_MOVED = 4

# dp provides a start up to this product of users and models.
MAX_DP_SIZE = 20_000


def solve(tables: Tables, uplink: Uplink, options: Options) -> Solution:
    """Improve the best of greedy and dp by ruin and recreate with simulated annealing.

    Supports any sharing, deadlines, releases (``dynamic``), residency and overlap. Each
    iteration modifies the plan by one move (drop rounds or users, move a run of rounds,
    swap two rounds, split a round, join the rounds of a model), drops users until it is
    feasible, and inserts unserved users, the cheapest first. A worse plan is accepted
    with the probability of simulated annealing.

    Notes
    -----
    After Schrimpf et al., Record breaking optimization results using the ruin and
    recreate principle, J. Comput. Phys. 159 (2000), and Christiaens and Vanden Berghe,
    Slack induction by string removals for vehicle routing problems, Transp. Sci. 54
    (2020). One iteration costs O(inserted users · waiting users · rounds); the same
    seed and iterations give the same schedule, unless a time limit ends them.
    """
    if not tables.active:
        return Solution([], proven=True)
    stop_s = (
        math.inf
        if options.time_limit_s is None
        else time.monotonic() + options.time_limit_s
    )
    best = _best(tables, uplink, _starts(tables, uplink, options))
    bound = upper_bound(tables, uplink)
    if sum(len(users) for _, users in best) < bound:
        search = _Search(tables, uplink, options, bound, stop_s)
        found = rounds_of(search.run(search.clock.plan(best)))
        best = _best(tables, uplink, [best, found])
    return Solution(best, bound=bound)


def _best(
    tables: Tables, uplink: Uplink, plans: list[list[PlannedRound]]
) -> list[PlannedRound]:
    return min(plans, key=lambda rounds: rank(tables, rounds, uplink))


def _starts(
    tables: Tables, uplink: Uplink, options: Options
) -> list[list[PlannedRound]]:
    starts = [list(greedy.solve(tables, uplink, options).rounds)]
    if len(tables.users) * len(tables.active) <= MAX_DP_SIZE:
        # A plan that is feasible without cache and overlap is feasible with them.
        rules = {"residency": "previous", "overlap": False}
        plain = Tables(tables.problem.model_copy(update=rules), tables.sharing)
        with suppress(RefusalError):
            starts.append(list(dp.solve(plain, uplink, options).rounds))
    return starts


@dataclass
class _Search:
    """One run of the search; its only mutable state is the random generator."""

    tables: Tables
    uplink: Uplink
    options: Options
    bound: int
    stop_s: float

    def __post_init__(self) -> None:
        self.clock = Clock(self.tables, self.uplink)
        self._insertions = Insertions(self.clock)
        self._rng = np.random.default_rng(self.options.seed)
        self._deadlines_differ = self.tables.common_deadline_s is None
        self._horizon_s = float(self.tables.deadline_s.max())
        # Seconds that an average user of the first plan takes.
        self._user_s = 1.0

    def run(self, plan: Plan) -> Plan:
        """Search from a feasible plan and return the best plan found."""
        limit = self.options.iterations
        if limit is None and math.isinf(self.stop_s):
            users = len(self.tables.users)
            share = max(ITERATIONS_TIMES_USERS // users, MIN_ITERATIONS)
            limit = min(share, ITERATIONS_PER_USER * users)
        started_s = time.monotonic()
        plan, times = self._fill(plan, self._draw_criterion())
        best = plan
        if plan:
            self._user_s = self._seconds(times) / served(plan)
        now = self._score(plan, times)
        best_score = now
        iteration = 0
        while served(best) < self.bound:
            progress = self._progress(iteration, limit, started_s)
            if progress >= 1:
                break
            iteration += 1
            found, times = self._fill(
                self._repair(self._perturb(plan)), self._draw_criterion()
            )
            score = self._score(found, times)
            heat = HOT * (COLD / HOT) ** progress
            if score >= now + heat * math.log(1 - self._rng.random()):
                plan, now = found, score
                if (served(found), score) > (served(best), best_score):
                    best, best_score = found, score
        return best

    def _progress(self, iteration: int, limit: int | None, started_s: float) -> float:
        done = 0.0 if limit is None else iteration / limit
        if math.isfinite(self.stop_s):
            now_s = time.monotonic()
            share = (now_s - started_s) / max(self.stop_s - started_s, 1e-9)
            done = max(done, share)
        return done

    def _draw_criterion(self) -> Criterion:
        rng = self._rng
        return Criterion(
            uplink_weight=float(rng.random()),
            urgent=self._deadlines_differ and bool(rng.random() < 0.5),
            noise=float(rng.choice([0.0, 0.2, 1.0])),
        )

    def _score(self, plan: Plan, times: Times) -> float:
        """Users served, less a small penalty for the seconds that they take."""
        return served(plan) - EFFORT * self._seconds(times) / self._user_s

    def _seconds(self, times: Times) -> float:
        """GPU and band seconds that a plan takes."""
        gpu_s = float((times.load_s + times.compute_s).sum())
        if self.uplink == "static":
            return gpu_s + times.band * self._horizon_s
        return gpu_s + float(times.demand_s.sum())

    def _fill(self, plan: Plan, criterion: Criterion) -> tuple[Plan, Times]:
        """Insert unserved users into a feasible plan until none fits or time is up."""
        waiting = np.ones(len(self.tables.user_ids), dtype=bool)
        waiting[[k for batch in plan for k in batch.users]] = False
        times = self.clock.time(plan)
        while time.monotonic() < self.stop_s:
            tries = self._insertions.candidates(
                plan, times, waiting, criterion, self._rng
            )
            for candidate in islice(tries, MAX_TRIES):
                found = self.clock.time(candidate.plan)
                if found.feasible:
                    plan, times = candidate.plan, found
                    waiting[list(candidate.users)] = False
                    break
            else:
                break
        return plan, times

    def _repair(self, plan: Plan) -> Plan:
        """Drop users until the plan is feasible."""
        while True:
            times = self.clock.time(plan)
            if times.feasible:
                return plan
            plan = self._relieve(plan, times)

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
            gone = min(batch.users, key=lambda k: self.clock.deadline_s[k])
        else:
            gone = max(batch.users, key=lambda k: self.clock.demand_s[k])
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
                kept.append(self.clock.batch(batch.model, users))
        return tuple(kept)

    def _perturb(self, plan: Plan) -> Plan:
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
        )
        return moves[int(self._rng.choice(len(moves), p=MOVE_SHARES))](plan)

    def _drop_rounds(self, plan: Plan) -> Plan:
        first = int(self._rng.integers(len(plan)))
        count = int(self._rng.integers(1, MAX_ROUNDS_DROPPED + 1))
        return plan[:first] + plan[first + count :]

    def _drop_users(self, plan: Plan) -> Plan:
        there = [k for batch in plan for k in batch.users]
        count = min(len(there), int(self._rng.integers(1, MAX_USERS_DROPPED + 1)))
        return self._without(plan, set(self._rng.choice(there, count).tolist()))

    def _drop_relatives(self, plan: Plan) -> Plan:
        """Drop users of a model and of the models that share atoms with it."""
        rng = self._rng
        model = plan[int(rng.integers(len(plan)))].model
        held = self.tables.atoms_of[model]
        share = rng.uniform(0.3, 1.0)
        return self._without(
            plan,
            {
                k
                for batch in plan
                if held & self.tables.atoms_of[batch.model]
                for k in batch.users
                if rng.random() < share
            },
        )

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
        users = sorted(batch.users, key=lambda k: self.clock.demand_s[k])
        at = int(rng.integers(1, len(users)))
        first = self.clock.batch(batch.model, users[:at])
        second = self.clock.batch(batch.model, users[at:])
        place = int(rng.integers(r + 1, len(plan) + 1))
        return (*plan[:r], first, *plan[r + 1 : place], second, *plan[place:])

    def _join_rounds(self, plan: Plan) -> Plan:
        """Join all rounds of a model at one of them, in batches as large as allowed."""
        rng = self._rng
        at = int(rng.integers(len(plan)))
        model = plan[at].model
        users = [k for batch in plan if batch.model == model for k in batch.users]
        users.sort(key=lambda k: (self.clock.deadline_s[k], self.clock.demand_s[k]))
        table = self.clock.latency_s[model]
        most = max(b for b in range(1, len(table)) if math.isfinite(table[b]))
        joined = [
            self.clock.batch(model, users[i : i + most])
            for i in range(0, len(users), most)
        ]
        rest = [batch for batch in plan[:at] if batch.model != model]
        after = [batch for batch in plan[at:] if batch.model != model]
        return (*rest, *joined, *after)
