"""Greedy construction: least cost per user first, under several cost rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from solvers.core.algorithm import Options, Solution
from solvers.core.limit import UNLIMITED, Limit
from solvers.core.plan import Clock, rounds_of
from solvers.core.quick import choose
from solvers.core.search import Chains
from solvers.core.tables import PlannedRound, Tables, count_users
from solvers.core.timing import rank, time_rounds
from solvers.greedy.build import Rule, grow, tour
from solvers.greedy.fill import fill
from solvers.greedy.pick import Selection, Selector
from solvers.greedy.sides import Backward, Forward
from solvers.greedy.waiting import Loads, Waiting
from solvers.uplink import Uplink

# Attempts end after this many candidate rounds have been evaluated; evaluating
# ``OVERHEAD`` of them takes as long as the fixed cost of a step.
MAX_EVALUATIONS = 8_000_000
OVERHEAD = 4000

# With individual deadlines, a few more attempts are made until this many have been
# evaluated.
MAX_EXTRA_EVALUATIONS = 400_000

# Minimum number of attempts, and number of best schedules that are filled.
MIN_ATTEMPTS = 4
FILLED = 3


class Closing(NamedTuple):
    """The search that follows where schedules are hardest to build.

    It evaluates ``effort`` pairs per candidate round that the attempts have evaluated,
    and ends after a number of iterations per user; the smallest problems need fewer.
    """

    effort: float
    hot: float
    iterations_per_user: int


CLOSING = Closing(effort=6.0, hot=0.6, iterations_per_user=30)
QUICK = Closing(effort=1.0, hot=0.1, iterations_per_user=5)


class _Ranked(NamedTuple):
    """Rounds and their sort key."""

    key: tuple[float, float, float, tuple[int, ...]]
    rounds: list[PlannedRound]


def _key_of(ranked: _Ranked) -> tuple[float, float, float, tuple[int, ...]]:
    return ranked.key


@dataclass(frozen=True)
class _Attempt:
    """The parameters of one way to build a schedule.

    With a ``share``, users that cost this share of the time are selected beforehand, by
    the ``first`` or else the second of the two possible selections; they precede all
    others. ``key`` is the order in which the models of selected users are toured, by
    ``"upload"``, by ``"both"`` upload and load, or by ``"deadline"``, per user; without
    it all rounds follow the rule. ``cut`` excludes this fraction of users, those with
    the earliest deadlines, from the selection; the earliest deadline of the others is
    then the time.
    """

    rule: Rule
    share: float | None = None
    first: bool = True
    key: str | None = None
    cut: float | None = None


def _tour(
    weight: float, share: float, first: bool, key: str, cut: float | None = None
) -> _Attempt:
    own = cut is not None
    rule = Rule(weight, "holders", urgent=own, haste=2.0 if own else 0.0)
    return _Attempt(rule, share, first, key, cut)


def _rate(
    weight: float,
    spread: str,
    haste: float | None = None,
    share: float | None = None,
    first: bool = True,
) -> _Attempt:
    return _Attempt(Rule(weight, spread, haste is not None, haste or 0.0), share, first)


# Ordered so that each adds most to its predecessors, as measured on the instance
# families of the tests. One deadline and no releases:
ONE_DEADLINE: dict[Uplink, tuple[_Attempt, ...]] = {
    "upfront": (
        _tour(0.5, 0.5, False, "both"),
        _tour(0.5, 0.5, True, "upload"),
        _rate(0.5, "model"),
        _rate(0.5, "holders"),
    ),
    "static": (
        _tour(0.5, 0.6, False, "upload"),
        _tour(0.75, 0.7, True, "upload"),
        _tour(0.25, 0.7, False, "upload"),
        _tour(0.5, 0.6, True, "both"),
        _tour(0.5, 0.8, False, "upload"),
        _rate(0.25, "round"),
        _tour(0.25, 0.6, False, "upload"),
        _tour(0.5, 0.6, True, "upload"),
    ),
    "dynamic": (
        _tour(0.5, 0.85, False, "upload"),
        _rate(0.5, "round"),
        _tour(0.25, 0.9, False, "upload"),
        _tour(0.75, 0.9, False, "upload"),
        _tour(0.75, 0.95, False, "upload"),
        _tour(0.5, 1.0, False, "upload"),
        _rate(0.75, "round"),
        _tour(0.5, 0.9, True, "upload"),
        _tour(0.0, 0.9, True, "upload"),
    ),
}

# Deadlines or releases that differ:
OWN_DEADLINES: dict[Uplink, tuple[_Attempt, ...]] = {
    "upfront": (
        _tour(0.5, 0.6, True, "deadline", 0.4),
        _tour(0.5, 0.55, True, "deadline", 0.3),
        _tour(0.5, 0.6, True, "upload", 0.3),
        _tour(0.5, 0.55, False, "deadline", 0.4),
        _tour(0.5, 0.6, True, "deadline", 0.5),
        _tour(0.5, 0.55, False, "upload", 0.2),
        _tour(0.5, 0.6, True, "deadline", 0.2),
        _rate(0.75, "round"),
        _rate(0.5, "holders", 2.0, 0.35, False),
        _rate(0.25, "round"),
    ),
    "static": (
        _rate(0.5, "holders", 2.0, 0.7),
        _rate(0.0, "holders", 2.0),
        _rate(0.25, "model"),
        _rate(0.0, "model", 8.0),
        _rate(0.5, "holders", 2.0, 0.9),
        _rate(0.25, "holders", 2.0, 0.7),
        _rate(0.5, "model", 2.0),
        _rate(0.0, "model"),
    ),
    "dynamic": (
        _rate(0.25, "round", 2.0),
        _rate(0.5, "round"),
        _rate(0.25, "model"),
        _rate(0.25, "model", 2.0),
        _rate(0.5, "model", 2.0),
        _rate(0.25, "model", 0.0),
        _tour(0.5, 0.85, True, "deadline", 0.2),
        _rate(0.0, "model", 2.0),
        _rate(0.5, "round", 8.0),
        _tour(0.75, 1.0, True, "deadline", 0.2),
    ),
}

# For the smallest of these problems, where average performance says little:
ANY_DEADLINES = tuple(
    _rate(weight, spread, haste)
    for haste in (2.0, None, 8.0)
    for spread in ("round", "holders")
    for weight in (0.0, 0.25, 0.5, 0.75)
)


def solve(tables: Tables, uplink: Uplink, options: Options) -> Solution:
    """Build several schedules, insert unserved users, and keep the best.

    Supports any sharing, deadlines and (``dynamic``) releases, cache and overlap.
    ``static`` schedules are built from their last round, since later starts need less
    band. With deadlines that differ, releases, a cache or overlap, a bounded ruin and
    recreate from a fixed seed improves the best schedule.

    Notes
    -----
    O(rounds · models · (batch limit + shared atoms)) for each attempt, and the search
    costs at most ``CLOSING.effort`` times as much as all of them. Attempts are
    made in a fixed order, and end after ``MAX_EVALUATIONS`` candidate rounds, or with
    the time limit, but for the first; then whatever was built counts.
    """
    limit = Limit.after(options.time_limit_s)
    closing = QUICK if options.quick else CLOSING
    return solve_within(tables, uplink, limit, limit, closing)


def solve_within(
    tables: Tables,
    uplink: Uplink,
    limit: Limit,
    search_limit: Limit,
    closing: Closing = CLOSING,
    work: float = 0.0,
) -> Solution:
    """Build schedules within one limit, and search from the best within another.

    ``work`` is the iterations times users of a search that follows, whose loops may be
    loaded for this one.
    """
    if not tables.active:
        return Solution([])

    def ranked(rounds: list[PlannedRound]) -> _Ranked:
        return _Ranked(rank(tables, rounds, uplink), rounds)

    effort = 0
    schedules = []
    for rounds, evaluations in _schedules(tables, uplink, limit):
        schedules.append(rounds)
        effort = evaluations
    schedules.sort(key=count_users, reverse=True)
    # Timing is expensive if releases differ, so only promising schedules are ranked.
    enough = count_users(schedules[:FILLED][-1])
    likely = [rounds for rounds in schedules if count_users(rounds) >= enough]
    built = sorted(map(ranked, likely), key=_key_of)
    candidates = built[:1]
    for known in built[:FILLED]:
        rounds = fill(tables, known.rounds, uplink, limit)
        if rounds != known.rounds:
            candidates.append(ranked(rounds))
    best = min(candidates, key=_key_of)
    if not _simple(tables) and not search_limit.passed():
        improved = _improved(
            tables, best.rounds, uplink, closing, effort, search_limit, work
        )
        candidates = [best, ranked(improved)]
        best = min(candidates, key=_key_of)
    return Solution(best.rounds)


def _simple(tables: Tables) -> bool:
    """Whether there is one deadline, no release, no cache and no overlap."""
    problem = tables.problem
    return (
        tables.common_deadline_s is not None
        and tables.releases_zero
        and problem.residency == "previous"
        and not problem.overlap
    )


def _improved(
    tables: Tables,
    rounds: list[PlannedRound],
    uplink: Uplink,
    closing: Closing,
    evaluations: float,
    limit: Limit,
    work: float,
) -> list[PlannedRound]:
    """Improve a schedule by a search that is bounded by what building took."""
    search = choose(tables, limit.left_s(), work).search(
        Clock(tables, uplink),
        seed=0,
        bound=len(tables.users),
        stop_s=limit.stop_s,
        chains=Chains(hot=closing.hot),
        effort=closing.effort * evaluations,
    )
    iterations = closing.iterations_per_user * len(tables.users)
    return rounds_of(search.run(search.clock.plan(rounds), iterations))


def _schedules(
    tables: Tables, uplink: Uplink, limit: Limit = UNLIMITED
) -> Iterator[tuple[list[PlannedRound], int]]:
    """Build a schedule for each attempt that the budget and the time limit allow.

    Each comes with the number of candidate rounds evaluated so far.
    """
    one = tables.common_deadline_s is not None and tables.releases_zero
    attempts = (ONE_DEADLINE if one else OWN_DEADLINES)[uplink]
    known = len(attempts)
    if not one:
        attempts += tuple(a for a in ANY_DEADLINES if a not in attempts)
    builder = _Builder(tables, uplink)
    evaluations = 0
    for number, attempt in enumerate(attempts):
        most = MAX_EVALUATIONS if number < known else MAX_EXTRA_EVALUATIONS
        if number >= MIN_ATTEMPTS and evaluations > most:
            return
        if number and limit.passed():
            return
        rounds = builder.build(attempt)
        builder.limit = limit  # the first schedule is whole
        if tables.problem.eviction != "lru":
            rounds = _feasible(tables, rounds, uplink)
        evaluations += len(rounds) * (builder.entries + OVERHEAD)
        yield rounds, evaluations


def _feasible(
    tables: Tables, rounds: list[PlannedRound], uplink: Uplink
) -> list[PlannedRound]:
    """Drop trailing rounds until the others are in time.

    Construction assumes eviction by last use; under eviction by next use, other blocks
    are resident.
    """
    while time_rounds(tables, rounds, uplink) is None:
        rounds = rounds[:-1]
    return rounds


class _Builder:
    """Builds schedules of one problem under one discipline."""

    def __init__(self, tables: Tables, uplink: Uplink) -> None:
        self.limit = UNLIMITED
        self._tables = tables
        self._uplink: Uplink = uplink
        self._loads = Loads(tables)
        self._selectors: dict[float, Selector] = {}
        # A schedule that is built backwards places its last round first.
        self._sign = -1.0 if uplink == "static" else 1.0
        self.entries = sum(
            min(len(users), len(latency) - 1)
            for users, latency in zip(tables.users_of, tables.latency_s, strict=True)
        )

    def build(self, attempt: _Attempt) -> list[PlannedRound]:
        """Build one schedule: first for the selected users, then for all others."""
        tables, rule, loads = self._tables, attempt.rule, self._loads
        backward = self._uplink == "static"
        side = Backward(loads) if backward else Forward(loads, self._uplink)
        order = self._sign * tables.deadline_s if rule.urgent else None
        if attempt.share is not None:
            selector = self._selector(attempt.cut)
            pair = selector.select(rule.uplink_weight, attempt.share)
            selected = pair[0] if attempt.first else pair[1]
            if attempt.key is None:
                waiting = Waiting(tables, selected, order)
                grow(loads, side, waiting, rule, self.limit)
            else:
                self._tour(side, selected, attempt.key)
        left = np.ones(len(tables.user_model), dtype=bool)
        left[[k for _, users in side.rounds for k in users]] = False
        rest = [users[left[users]] for users in tables.users_of]
        grow(loads, side, Waiting(tables, rest, order), rule, self.limit)
        return side.rounds

    def _selector(self, cut: float | None) -> Selector:
        """Make the menu of the users left by a cut, limited by their first deadline."""
        tables = self._tables
        deadlines = np.sort(tables.deadline_s[tables.users])
        limit_s = float(deadlines[-1])
        users_of = tables.users_of
        if cut is not None:
            limit_s = float(deadlines[int(cut * len(deadlines))])
            users_of = tuple(
                users[tables.deadline_s[users] >= limit_s] for users in users_of
            )
        key = -1.0 if cut is None else cut
        if key not in self._selectors:
            self._selectors[key] = Selector(self._loads, users_of, limit_s)
        return self._selectors[key]

    def _tour(self, side: Backward | Forward, selected: Selection, name: str) -> None:
        """Visit the models of the selected users in order of their mean key."""
        tables = self._tables
        of_user = tables.deadline_s if name == "deadline" else tables.demand_s
        seconds = np.array([float(of_user[users].sum()) for users in selected])
        if name == "both":
            seconds += self._loads.load_s
        key = seconds / np.maximum([len(users) for users in selected], 1)
        order = self._sign * of_user
        waiting = Waiting(tables, selected, order)
        tour(self._loads, side, waiting, self._sign * key, self.limit)
