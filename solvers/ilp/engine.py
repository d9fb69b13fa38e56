"""Running an integer program: PuLP's engines, their pitfalls, and the clock."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Protocol, cast

import highspy
import pulp

from solvers.core.tables import PlannedRound
from solvers.errors import RefusalError

# For programs whose answers are no schedules: no search for answers, only for a bound.
PROOF: dict[str, Any] = {
    "mip_heuristic_effort": 0.0,
    "mip_heuristic_run_feasibility_jump": False,
    "mip_heuristic_run_root_reduced_cost": False,
    "mip_heuristic_run_shifting": False,
    "mip_heuristic_run_zi_round": False,
    "mip_allow_restart": False,
    "mip_pscost_minreliable": 1,
}

# Users served are whole: a bound this little below the next integer is that integer.
WHOLE = 1e-6


class OutOfTimeError(Exception):
    """The time limit ended the building of a program."""


@dataclass(frozen=True)
class Clock:
    """When to stop, on the scale of ``time.monotonic``; infinity for never."""

    stop_s: float

    @classmethod
    def of(cls, limit_s: float | None) -> Clock:
        """Start a clock that runs for a time limit, for ever without one."""
        return cls(math.inf if limit_s is None else time.monotonic() + limit_s)

    def left_s(self) -> float:
        """Time that is left, negative once it is over."""
        return self.stop_s - time.monotonic()

    def check(self) -> None:
        """Raise :class:`OutOfTimeError` when no time is left."""
        if self.left_s() <= 0:
            raise OutOfTimeError

    def part(self, share: float) -> Clock:
        """Return a clock that stops after a share of the time that is left."""
        if math.isinf(self.stop_s):
            return self
        return Clock(time.monotonic() + share * max(0.0, self.left_s()))


class Program(Protocol):
    """An integer program that maximises users served (as PuLP minimises minus them)."""

    problem: Any

    def rounds(self) -> list[PlannedRound]:
        """Read the rounds of the last answer."""

    def reject(self, rounds: list[PlannedRound]) -> None:
        """Cut off the last answer, whose rounds turned out infeasible."""


@dataclass(frozen=True)
class Answer:
    """What one run of an engine ended with.

    ``chosen``: there is an answer to read. ``finished``: it is the best there is, or
    there is none. ``bound``: users that no answer exceeds; None when there is no
    answer at all, or the engine does not say.
    """

    chosen: bool
    finished: bool
    bound: int | None


NOTHING = Answer(chosen=False, finished=False, bound=None)


class _Highs(pulp.HiGHS):  # type: ignore[misc]
    """HiGHS that is given the time left when it starts, not when PuLP starts.

    Handing a program over takes PuLP seconds when it is large.
    """

    def __init__(self, clock: Clock, **options: Any) -> None:
        super().__init__(msg=False, gapRel=0, threads=1, **options)
        self._clock = clock

    def callSolver(self, lp: Any) -> None:  # noqa: N802
        left_s = self._clock.left_s()
        if math.isfinite(left_s):
            lp.solverModel.setOptionValue("time_limit", max(0.0, left_s))
        # Whoever used HiGHS before in this process with other threads: it would refuse.
        highspy.Highs.resetGlobalScheduler(True)
        lp.solverModel.run()

    def findSolutionValues(self, lp: Any) -> tuple[int, int]:  # noqa: N802
        """Read the answer; PuLP 3.3.2 has no entry for HiGHS's limit on nodes."""
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

    PuLP reports status "Optimal" when HiGHS stops at its time limit with an incumbent,
    so the solution status is what counts; HiGHS's bound is read from its model.

    Parameters
    ----------
    program
        The program: anything with a PuLP ``problem``.
    mip
        ``"highs"`` or ``"cbc"``.
    clock
        When to stop.
    relaxed
        Whether to let integers take any value, for a bound alone.
    nodes
        The most nodes of the search tree, for a search that only improves the bound;
        0 for a full one without a limit (HiGHS).

    Raises
    ------
    RefusalError
        When CBC is asked for and its binary cannot be run.
    """
    if clock.left_s() <= 0:
        return NOTHING
    if mip == "cbc":
        return _run_cbc(program.problem, clock, relaxed=relaxed)
    limit = {"mip_max_nodes": nodes, **PROOF} if nodes else {}
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
        bound=math.floor(-value + WHOLE) if math.isfinite(value) else None,
    )


def _run_cbc(problem: Any, clock: Clock, *, relaxed: bool) -> Answer:
    """Run CBC, whose bound cannot be read unless it finishes."""
    # The CBC that comes with PuLP; PuLP's own class for it is deprecated.
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
        bound = math.floor(-pulp.value(problem.objective) + WHOLE)
    return Answer(chosen=chosen and not relaxed, finished=finished, bound=bound)


def _chosen(problem: Any) -> bool:
    return problem.sol_status in (
        pulp.LpSolutionOptimal,
        pulp.LpSolutionIntegerFeasible,
    )


def _finished(problem: Any) -> bool:
    """Say whether the engine ended by itself.

    When CBC finds that there is no answer, PuLP says so in the status alone.
    """
    return bool(
        problem.sol_status == pulp.LpSolutionOptimal
        or problem.status == pulp.LpStatusInfeasible
    )
