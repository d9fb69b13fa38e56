"""Ruin and recreate: the search that improves a plan."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from solvers.core.filling import fill as fill_plan
from solvers.core.insertion import Criterion, Insertions
from solvers.core.moves import Moves
from solvers.core.places import Bools
from solvers.core.plan import Clock, Plan, Times, served, total

# Candidates that may fail per evaluation; filling ends when none of them fits.
MAX_TRIES = 6

# Final annealing temperature, in users.
COLD = 0.03

# Penalty for the seconds that an average user takes, in users.
EFFORT = 0.1

# If deadlines differ, this share of the fillings starts with the users whose deadlines
# are above a cut.
CUT = 0.3

# Random shares of the costs of additions, drawn one at a time.
NOISES = (0.0, 0.2, 1.0)

# Batch sizes in which users must be in time to enter a new round, drawn one at a time.
BATCHES = (1, 1, 2, 4, 8)

# Pairs of a user and a round that are evaluated in the time of the fixed costs of an
# evaluation, of following a round through memory under cache or overlap, and of one
# release in a round if releases differ.
OVERHEAD = 4000
OVERHEAD_PER_ROUND = 800
OVERHEAD_PER_RELEASE = 2


class Chains(NamedTuple):
    """How a search anneals: in chains, each longer than the one before.

    ``first`` is the number of iterations of the first chain, ``growth`` how many times
    as long the next one is, and ``hot`` the temperature at which each starts, in users.
    """

    first: int = 150
    growth: float = 1.5
    hot: float = 0.3


CHAINS = Chains()


@dataclass
class Search:
    """One run of the search; its only mutable state is the random generator.

    Parameters
    ----------
    clock
        The problem and the discipline.
    seed
        Seed of every random choice.
    bound
        The search ends when so many users are served.
    stop_s
        It ends at this time of ``time.monotonic``.
    chains
        How it anneals.
    effort
        It ends after evaluations of so many pairs of a user and a round, where the
        fixed cost of an evaluation counts as ``OVERHEAD`` pairs.
    """

    clock: Clock
    seed: int
    bound: int
    stop_s: float = math.inf
    chains: Chains = CHAINS
    effort: float = math.inf
    _insertions: Insertions = field(init=False)

    def __post_init__(self) -> None:
        self._insertions = Insertions(self.clock)
        self._rng = np.random.default_rng(self.seed)
        self.moves = Moves(self.clock, self._rng)
        self._deadlines_differ = self.clock.tables.common_deadline_s is None
        # Seconds that an average user of the first plan takes.
        self._user_s = 1.0

    def run(self, plan: Plan, iterations: int | None) -> Plan:
        """Search from a feasible plan and return the best plan found.

        The search is a sequence of chains. Each anneals from the best plan so far, over
        a number of iterations that is fixed beforehand, so that a limit cuts the
        sequence short and changes nothing before: with more time or iterations the
        search never serves fewer users.

        Parameters
        ----------
        plan
            A feasible plan.
        iterations
            Iteration limit; None for none.
        """
        plan, times = self.fill(plan, self.draw_criterion())
        if plan:
            self._user_s = self._seconds(times) / served(plan)
        best = (served(plan), self._score(plan, times))
        left = math.inf if iterations is None else iterations
        length = float(self.chains.first)
        while left > 0 and best[0] < self.bound and not self._over():
            steps = int(min(length, left))
            plan, best = self._chain(plan, best, int(length), steps)
            left -= steps
            length *= self.chains.growth
        return plan

    def _chain(
        self, plan: Plan, best: tuple[int, float], length: int, steps: int
    ) -> tuple[Plan, tuple[int, float]]:
        """Make the first steps of a chain of a given length, from the best plan."""
        best_plan, now, hot = plan, best[1], self.chains.hot
        for step in range(steps):
            if best[0] >= self.bound or self._over():
                break
            ruined = self.moves.repair(self.moves.perturb(plan))
            found, times = self.fill(ruined, self.draw_criterion())
            score = self._score(found, times)
            if (served(found), score) > best:
                best_plan, best = found, (served(found), score)
            heat = hot * (COLD / hot) ** (step / length)
            if score >= now + heat * math.log(1 - self._rng.random()):
                plan, now = found, score
        return best_plan, best

    def draw_criterion(self) -> Criterion:
        """Draw how the next filling ranks candidates."""
        rng = self._rng
        return Criterion(
            uplink_weight=float(rng.random()),
            urgent=self._deadlines_differ and bool(rng.random() < 0.5),
            noise=NOISES[rng.integers(len(NOISES))],
            batch=BATCHES[rng.integers(len(BATCHES))] if self._deadlines_differ else 1,
        )

    def _score(self, plan: Plan, times: Times) -> float:
        """Users served, less a small penalty for the seconds that they take."""
        return served(plan) - EFFORT * self._seconds(times) / self._user_s

    def _seconds(self, times: Times) -> float:
        """GPU and band seconds that a plan takes."""
        gpu_s = total((times.load_s + times.compute_s).tolist())
        if self.clock.uplink == "static":
            return gpu_s + times.band * self.clock.horizon_s
        return gpu_s + total(times.demand_s.tolist())

    def fill(self, plan: Plan, criterion: Criterion) -> tuple[Plan, Times]:
        """Insert unserved users into a feasible plan until none fits or time is up."""
        tables = self.clock.tables
        waiting = np.zeros(len(tables.user_ids), dtype=bool)
        waiting[tables.users] = True
        waiting[[k for batch in plan for k in batch.users]] = False
        if self._deadlines_differ and self._rng.random() < CUT:
            users = tables.users
            cut_s = tables.deadline_s[users[self._rng.integers(len(users))]]
            later = waiting & (tables.deadline_s >= cut_s)
            plan, _ = self._fill(plan, later, criterion)
            waiting[[k for batch in plan for k in batch.users]] = False
        return self._fill(plan, waiting, criterion)

    def _fill(
        self, plan: Plan, waiting: Bools, criterion: Criterion
    ) -> tuple[Plan, Times]:
        overhead, overhead_per_round = self._overheads()

        def goes_on(rounds: int) -> bool:
            pairs = overhead + int(waiting.sum()) * (rounds + 1)
            self.effort -= pairs + overhead_per_round * rounds
            return not self._over()

        return fill_plan(
            *(self._insertions, plan, waiting, criterion, self._rng),
            tries=MAX_TRIES,
            goes_on=goes_on,
        )

    def _overheads(self) -> tuple[int, int]:
        """Pairs evaluated in the time of an evaluation's costs, fixed and by round."""
        per_round = 0 if self.clock.plain else OVERHEAD_PER_ROUND
        if not self.clock.releases_zero:
            per_round += OVERHEAD_PER_RELEASE * len(self.clock.release_grid_s)
        return OVERHEAD, per_round

    def _over(self) -> bool:
        return self.effort <= 0 or time.monotonic() >= self.stop_s
