"""Run integer programs: PuLP's engines, their pitfalls, and the time limit."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Protocol, cast

import highspy
import pulp

from solvers.core.tables import PlannedRound
from solvers.errors import RefusalError

# HiGHS options for programs whose solutions are not schedules: skip the primal
# heuristics and search only for a bound.
BOUND_ONLY_OPTIONS: dict[str, Any] = {
    "mip_heuristic_effort": 0.0,
    "mip_heuristic_run_feasibility_jump": False,
    "mip_heuristic_run_root_reduced_cost": False,
    "mip_heuristic_run_shifting": False,
    "mip_heuristic_run_zi_round": False,
    "mip_allow_restart": False,
    "mip_pscost_minreliable": 1,
}

# The number of users served is integral: a bound this close below the next integer is
# rounded up to it.
INTEGRALITY_TOLERANCE = 1e-6


class OutOfTimeError(Exception):
    """The time limit expired while a program was being built."""


@dataclass(frozen=True)
class Clock:
    """A stopping time on the scale of ``time.monotonic``; infinity for never."""

    stop_s: float

    @classmethod
    def of(cls, limit_s: float | None) -> Clock:
        """Start a clock that runs for a time limit, or forever without one."""
        return cls(math.inf if limit_s is None else time.monotonic() + limit_s)

    def left_s(self) -> float:
        """Remaining time, negative once the clock has run out."""
        return self.stop_s - time.monotonic()

    def check(self) -> None:
        """Raise :class:`OutOfTimeError` if no time remains."""
        if self.left_s() <= 0:
            raise OutOfTimeError

    def part(self, share: float) -> Clock:
        """Return a clock that stops after a share of the remaining time."""
        if math.isinf(self.stop_s):
            return self
        return Clock(time.monotonic() + share * max(0.0, self.left_s()))


class Program(Protocol):
    """An integer program that maximises users served (PuLP minimises the negative)."""

    problem: Any

    def rounds(self) -> list[PlannedRound]:
        """Extract the rounds of the last answer."""

    def reject(self, rounds: list[PlannedRound]) -> None:
        """Cut off the last answer, whose rounds turned out to be infeasible."""


@dataclass(frozen=True)
class Answer:
    """The outcome of one run of an engine.

    ``chosen``: there is a solution to read. ``finished``: the solution is optimal, or
    the program is infeasible. ``bound``: upper bound on the users of any solution; None
    if there is no solution at all or the engine does not report one.
    """

    chosen: bool
    finished: bool
    bound: int | None


NO_ANSWER = Answer(chosen=False, finished=False, bound=None)


class _Highs(pulp.HiGHS):  # type: ignore[misc]
    """HiGHS with the time limit set when HiGHS itself starts, not when PuLP does.

    PuLP takes seconds to hand over a large program.
    """

    def __init__(self, clock: Clock, **options: Any) -> None:
        super().__init__(msg=False, gapRel=0, threads=1, **options)
        self._clock = clock

    def callSolver(self, lp: Any) -> None:  # noqa: N802
        left_s = self._clock.left_s()
        if math.isfinite(left_s):
            lp.solverModel.setOptionValue("time_limit", max(0.0, left_s))
        # HiGHS would fail if it ran before in this process with more threads.
        highspy.Highs.resetGlobalScheduler(True)
        lp.solverModel.run()

    def findSolutionValues(self, lp: Any) -> tuple[int, int]:  # noqa: N802
        """Read the answer; PuLP 3.3.2 does not map HiGHS's node-limit status."""
        highs = lp.solverModel
        if highs.getModelStatus() != highspy.HighsModelStatus.kSolutionLimit:
            return cast("tuple[int, int]", super().findSolutionValues(lp))
        if not math.isfinite(highs.getInfo().objective_function_value):
            return pulp.LpStatusNotSolved, pulp.LpSolutionNoSolutionFound
        for variable, value in zip(
            lp.variables(), highs.getSolution().col_value, strict=True
        ):
            variable.varValue = value
        return pulp.LpStatusOptimal, pulp.LpSolutionIntegerFeasible


def run(
    program: Any, mip: str, clock: Clock, *, relaxed: bool = False, nodes: int = 0
) -> Answer:
    """Run an engine once on a program.

    PuLP reports status "Optimal" if HiGHS stops at its time limit with an incumbent, so
    the solution status is decisive; HiGHS's bound is read from its model.

    Parameters
    ----------
    program
        The program: any object with a PuLP ``problem``.
    mip
        ``"highs"`` or ``"cbc"``.
    clock
        When to stop.
    relaxed
        Whether to relax integrality, for a bound alone.
    nodes
        Node limit for a search that only improves the bound; 0 for a full search
        without a limit (HiGHS).

    Raises
    ------
    RefusalError
        If CBC is requested and its binary cannot be run.
    """
    if clock.left_s() <= 0:
        return NO_ANSWER
    if mip == "cbc":
        return _run_cbc(program.problem, clock, relaxed=relaxed)
    limit = {"mip_max_nodes": nodes, **BOUND_ONLY_OPTIONS} if nodes else {}
    engine = _Highs(clock, mip=not relaxed, **limit)
    program.problem.solve(engine)
    highs = program.problem.solverModel
    finished = _finished(program.problem)
    if program.problem.status == pulp.LpStatusInfeasible:
        value = math.inf
    elif relaxed:
        # The objective of an unfinished linear program bounds nothing.
        value = highs.getInfo().objective_function_value if finished else -math.inf
    else:
        value = highs.getInfo().mip_dual_bound
    return Answer(
        chosen=_chosen(program.problem) and not relaxed,
        finished=finished,
        # The objective is minimised, as minus the users served.
        bound=math.floor(-value + INTEGRALITY_TOLERANCE)
        if math.isfinite(value)
        else None,
    )


def _run_cbc(problem: Any, clock: Clock, *, relaxed: bool) -> Answer:
    """Run CBC, whose bound is available only if it finishes."""
    # The CBC binary bundled with PuLP; PuLP's own class for it is deprecated.
    path = pulp.PULP_CBC_CMD.pulp_cbc_path
    left_s = clock.left_s()
    limit = {"timeLimit": left_s} if math.isfinite(left_s) else {}
    engine = pulp.COIN_CMD(path=path, msg=False, gapRel=0, mip=not relaxed, **limit)
    if not engine.available():
        raise RefusalError("ilp: the CBC engine cannot be run; use mip 'highs'")
    problem.solve(engine)
    chosen, finished = _chosen(problem), _finished(problem)
    bound = None
    if chosen and finished:
        bound = math.floor(-pulp.value(problem.objective) + INTEGRALITY_TOLERANCE)
    return Answer(chosen=chosen and not relaxed, finished=finished, bound=bound)


def _chosen(problem: Any) -> bool:
    return problem.sol_status in (
        pulp.LpSolutionOptimal,
        pulp.LpSolutionIntegerFeasible,
    )


def _finished(problem: Any) -> bool:
    """Return whether the engine terminated by itself.

    If CBC proves infeasibility, PuLP reports it in the status alone.
    """
    return bool(
        problem.sol_status == pulp.LpSolutionOptimal
        or problem.status == pulp.LpStatusInfeasible
    )
