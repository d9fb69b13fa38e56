"""Integer linear programs, built with PuLP and solved by HiGHS (CBC on request).

Four programs: one visit per model where only totals matter (:mod:`solvers.ilp.visits`),
two relaxations that bound every schedule, by deadlines where these differ
(:mod:`solvers.ilp.deadlines`) and by time buckets (:mod:`solvers.ilp.buckets`), and the
exact program with one slot per round (:mod:`solvers.ilp.slots`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from solvers.bounds.upper_bound import upper_bound
from solvers.core.algorithm import Options, Solution
from solvers.core.forest import Crossing, build_forest
from solvers.core.tables import PlannedRound, Tables, count_users
from solvers.core.timing import time_rounds
from solvers.ilp.buckets import BucketModel
from solvers.ilp.deadlines import deadline_bound
from solvers.ilp.engine import (
    MOST_CHOICES,
    NO_ANSWER,
    Answer,
    Clock,
    OutOfTimeError,
    run,
)
from solvers.ilp.grid import bucket_edges, latest_start_s
from solvers.ilp.program import ExactProgram
from solvers.ilp.slots import RoundModel, max_rounds
from solvers.ilp.visits import VisitModel, by_arcs, one_deadline_upfront
from solvers.local_search import solver as local_search
from solvers.uplink import Uplink

# Share of the time limit for the initial schedule.
INCUMBENT_SHARE = 0.15

# The same where the program that could prove it the best is too large to be built.
UNBUILT_SHARE = 0.5

# Local search iterations before the programs if there is no time limit: at most this
# many in total, and this many per user.
INCUMBENT_ITERATIONS = 200
ITERATIONS_PER_USER = 20


class _Stage(NamedTuple):
    """One relaxation in the sequence.

    The number of buckets, the node limit of the search (0: the linear program alone),
    whether reloads are counted, and the share of the remaining time that it may take.
    """

    buckets: int
    nodes: int
    reloads: bool
    share: float


# Relaxations in order. Under ``upfront`` it does not matter when batches start.
RELAXATIONS: dict[Uplink, tuple[_Stage, ...]] = {
    "upfront": (_Stage(1, 0, False, 0.2), _Stage(1, 20_000, False, 0.9)),
    "static": (
        _Stage(6, 0, False, 0.1),
        _Stage(12, 0, False, 0.1),
        _Stage(24, 0, False, 0.2),
        _Stage(48, 0, False, 0.3),
        _Stage(12, 20_000, False, 0.5),
        _Stage(16, 20_000, True, 0.9),
    ),
    "dynamic": (
        _Stage(6, 0, False, 0.1),
        _Stage(16, 0, False, 0.2),
        _Stage(5, 20_000, True, 0.8),
        _Stage(12, 20_000, True, 0.9),
    ),
}

# Share of the time left that the relaxation by deadlines may take.
DEADLINES_SHARE = 0.4

# Share of the remaining time for the program with few slots, which rarely proves
# anything.
FEW_SLOTS_SHARE = 0.3

# Up to this product of users and slots the exact program is fast: only the linear
# relaxations are solved before it, and it is tried with all slots at once.
SMALL = 400


@dataclass(frozen=True)
class _State:
    """The best rounds so far and a proven bound on users served."""

    rounds: list[PlannedRound]
    bound: int

    @property
    def served(self) -> int:
        return count_users(self.rounds)

    @property
    def open(self) -> bool:
        return self.served < self.bound

    def lowered(self, bound: int | None) -> _State:
        """Return the state with an additional proven bound."""
        if bound is None:
            return self
        return replace(self, bound=max(self.served, min(self.bound, bound)))

    def after(self, found: list[PlannedRound] | None, answer: Answer) -> _State:
        """Return the state after a program that required more users than served."""
        state = replace(self, rounds=found) if found else self
        return state.lowered(state.served if answer.finished else answer.bound)


def solve(tables: Tables, uplink: Uplink, options: Options) -> Solution:
    """Serve the maximum number of users over all sequences of rounds.

    Supports any sharing, deadlines and (``dynamic``) releases; a model may recur in any
    number of rounds. The programs grant the whole tolerance, and what they choose is
    timed by the problem. With one deadline and ``upfront`` only totals matter, and a
    small program is exact. Otherwise relaxations, by deadlines and by time buckets,
    bound the users until the bound meets the best rounds known; the exact program, with
    one slot per round, closes any remaining gap.

    Returns
    -------
    Solution
        Proven if the programs were solved to completion. If the time limit ended them,
        the best rounds known and the smallest bound proven.

    Raises
    ------
    RefusalError
        If CBC is requested and its binary cannot be run.

    Notes
    -----
    NP-hard: exponential time in the worst case.
    """
    if not tables.active:
        return Solution([], proven=True)
    clock = Clock.of(options.time_limit_s)
    lenient = tables.granting()
    choices = _choices(lenient, uplink)
    built = choices <= MOST_CHOICES
    share = INCUMBENT_SHARE if built else UNBUILT_SHARE
    rounds = _incumbent(tables, uplink, options, share)
    state = _State(rounds, upper_bound(tables, uplink))
    if one_deadline_upfront(tables, uplink):
        if built:
            state = _visits(tables, lenient, uplink, options.mip, clock, state)
    else:
        state = _buckets(tables, lenient, uplink, options.mip, clock, state)
        state = _slots(tables, lenient, uplink, options.mip, clock, state)
    if not state.open:
        return Solution(state.rounds, proven=True)
    note = None
    if not built:
        note = (
            f"ilp: the program was not built: {len(tables.users)} users make {choices} "
            f"choices, at most {MOST_CHOICES} are taken; this is local-search's plan, "
            f"with the bound"
        )
    return Solution(state.rounds, bound=state.bound, note=note)


def _choices(tables: Tables, uplink: Uplink) -> int:
    """Count the choices of the exact program: users by rounds, or visits in order."""
    users = len(tables.users)
    if not one_deadline_upfront(tables, uplink):
        return users * max_rounds(tables)
    return users + (len(tables.active) ** 2 if by_arcs(tables) else 0)


def _incumbent(
    tables: Tables, uplink: Uplink, options: Options, share: float
) -> list[PlannedRound]:
    """Find an initial incumbent by local search."""
    limit_s = options.time_limit_s
    iterations = min(INCUMBENT_ITERATIONS, ITERATIONS_PER_USER * len(tables.users))
    allowed = replace(
        options,
        time_limit_s=None if limit_s is None else share * limit_s,
        iterations=iterations if limit_s is None else None,
    )
    return list(local_search.solve(tables, uplink, allowed).rounds)


def _small(tables: Tables) -> bool:
    return len(tables.users) * max_rounds(tables) <= SMALL


def _visits(
    tables: Tables,
    lenient: Tables,
    uplink: Uplink,
    mip: str,
    clock: Clock,
    state: _State,
) -> _State:
    """Solve the program of visits, where only totals matter."""
    if not state.open:
        return state
    forest = build_forest(tables)
    laminar = None if isinstance(forest, Crossing) else forest

    def build() -> VisitModel:
        wanted = state.served + 1
        return VisitModel(lenient, uplink, wanted, state.bound, clock, laminar)

    return state.after(*_solve_program(tables, uplink, build, mip, clock))


def _slots(
    tables: Tables,
    lenient: Tables,
    uplink: Uplink,
    mip: str,
    clock: Clock,
    state: _State,
) -> _State:
    """Solve the exact program, first with few slots for a better incumbent."""
    most = max_rounds(lenient)
    if most == 0:
        return state.lowered(0)
    few = len(state.rounds) + 1
    worthwhile = few < most and not _small(tables)
    stages = [(few, FEW_SLOTS_SHARE)] if worthwhile else []
    for slots, share in [*stages, (most, 1.0)]:
        if not state.open:
            break
        if len(tables.users) * slots > MOST_CHOICES:
            continue
        part = clock.part(share)

        def build(
            slots: int = slots, part: Clock = part, state: _State = state
        ) -> RoundModel:
            wanted = state.served + 1
            return RoundModel(lenient, uplink, wanted, state.bound, part, slots)

        found, answer = _solve_program(tables, uplink, build, mip, part)
        # Few slots prove nothing.
        state = state.after(found, answer if slots == most else NO_ANSWER)
    return state


def _buckets(
    tables: Tables,
    lenient: Tables,
    uplink: Uplink,
    mip: str,
    clock: Clock,
    state: _State,
) -> _State:
    """Bound the users by relaxations, and try to convert their answers to schedules."""
    if latest_start_s(lenient) <= 0:
        return state
    small = _small(tables)
    if tables.common_deadline_s is None and not small:
        part = clock.part(DEADLINES_SHARE)
        bound = deadline_bound(tables, uplink, state.served, state.bound, part, mip=mip)
        state = state.lowered(bound)
    for buckets, nodes, reloads, share in RELAXATIONS[uplink]:
        if not state.open or (small and nodes):
            break
        if len(tables.users) * buckets > MOST_CHOICES:
            continue
        part = clock.part(share)
        edges_s = bucket_edges(lenient, uplink, buckets)
        with suppress(OutOfTimeError):
            program = BucketModel(
                lenient, uplink, state.served + 1, state.bound, part, edges_s, reloads
            )
            answer = run(program, mip, part, relaxed=nodes == 0, nodes=nodes)
            if answer.finished and answer.bound is None:
                state = state.lowered(state.served)
            state = state.lowered(answer.bound)
            if answer.chosen:
                found = program.rounds()
                if count_users(found) > state.served and (
                    time_rounds(tables, found, uplink) is not None
                ):
                    state = replace(state, rounds=found)
    return state


def _solve_program(
    tables: Tables,
    uplink: Uplink,
    build: Callable[[], ExactProgram],
    mip: str,
    clock: Clock,
) -> tuple[list[PlannedRound] | None, Answer]:
    """Solve a program until an answer is feasible, none exists, or time is up."""
    try:
        program = build()
    except OutOfTimeError:
        return None, NO_ANSWER
    while True:
        answer = run(program, mip, clock)
        if not answer.chosen:
            return None, answer
        rounds = program.rounds()
        if time_rounds(tables, rounds, uplink) is not None:
            return rounds, answer
        program.reject(rounds)
