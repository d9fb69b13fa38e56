"""Run integer programs: PuLP's engines, their pitfalls, and the time limit."""

from __future__ import annotations

import math
import subprocess
import threading
import time
from dataclasses import dataclass
from traceback import walk_tb
from typing import Any, Protocol

import highspy
import pulp

from solvers.errors import RefusalError
from solvers.temporary import temporary_folder

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

# Of every program: a solution is optimal, not within a gap of it, on one thread.
_EXACT: dict[str, Any] = {"mip_rel_gap": 0.0, "threads": 1}

# PuLP 4 returns from ``solve`` how an engine ended, and comes without CBC.
PULP_4 = hasattr(pulp, "LpSolveStats")

# Room for rounding in rows in shares of the latest deadline or of the band: more than
# HiGHS's own tolerance on rows (1e-6), within which it may call a program infeasible.
ROOM = 2e-6

# The number of users served is integral: a bound this close below the next integer is
# rounded up to it.
INTEGRALITY_TOLERANCE = 1e-6


# Programs of more choices (users times buckets or rounds) are not built: no engine ends
# with them in hours, and building them takes longer than most time limits.
MOST_CHOICES = 20_000

# How long an engine may run past the time limit before it is told to stop, and how long
# it may take to do so after an interrupt.
OVERDUE_S = 0.1
GRACE_S = 5.0


# How HiGHS ends after an error: its bound is 0 then, or an old one, and proves nothing.
_FAILED = (
    highspy.HighsModelStatus.kNotset,
    highspy.HighsModelStatus.kLoadError,
    highspy.HighsModelStatus.kModelError,
    highspy.HighsModelStatus.kPresolveError,
    highspy.HighsModelStatus.kSolveError,
    highspy.HighsModelStatus.kPostsolveError,
    highspy.HighsModelStatus.kModelEmpty,
    highspy.HighsModelStatus.kUnknown,
)


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


class Bounded(Protocol):
    """A program in PuLP, and how many users any solution of it serves at most."""

    problem: Any
    bound: int


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


class _SilentHighs(highspy.Highs):
    """HiGHS that writes nothing to standard output.

    The constructor of highspy registers its callbacks, at which HiGHS 1.16 prints its
    version: an option that is set after it, as PuLP does, comes too late.
    """

    def enableCallbacks(self) -> None:  # noqa: N802
        """Switch the log off before the first call that would begin it."""
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()  # type: ignore[no-untyped-call]


class _Highs(pulp.HiGHS):  # type: ignore[misc]
    """HiGHS with the time limit set when HiGHS itself starts, not when PuLP does.

    PuLP takes seconds to hand over a large program. The outcome is read from HiGHS:
    PuLP 3 and 4 name it differently, and PuLP 3.3.2 reports "Optimal" for an answer
    at the time limit and fails at a node limit.
    """

    def __init__(self, clock: Clock, **options: Any) -> None:
        super().__init__(msg=False, **options)
        self._clock = clock

    def createAndConfigureSolver(self, lp: Any) -> None:  # noqa: N802
        """Make the engine of a program, as PuLP does, without its log."""
        lp.solverModel = _SilentHighs()  # type: ignore[no-untyped-call]
        for name, value in {**_EXACT, **self.optionsDict}.items():
            lp.solverModel.setOptionValue(name, value)

    def actualSolve(self, lp: Any, **_: Any) -> None:  # noqa: N802
        """Hand the program over, solve it and put the values at its variables."""
        self.createAndConfigureSolver(lp)
        self.buildSolverModel(lp)
        highs = lp.solverModel
        left_s = self._clock.left_s()
        if math.isfinite(left_s):
            highs.setOptionValue("time_limit", max(0.0, left_s))
        # HiGHS would fail if it ran before in this process with more threads.
        highspy.Highs.resetGlobalScheduler(True)
        _run_apart(highs, self._clock)
        if not _has_answer(highs):
            return
        # The columns of PuLP 4 are the variables in use, those of PuLP 3 all of them.
        columns = lp.exported_variables() if PULP_4 else lp.variables()
        for variable, value in zip(columns, highs.getSolution().col_value, strict=True):
            variable.varValue = value


def _run_apart(highs: Any, clock: Clock) -> None:
    """Run HiGHS in a thread of its own: Python hears no interrupt while it runs."""
    highs.HandleUserInterrupt = True
    ended = threading.Event()

    def solve() -> None:
        try:
            highs.run()
        finally:
            ended.set()

    # Not joined: Python 3.11 takes a thread for ended whose join is interrupted.
    threading.Thread(target=solve, daemon=True).start()
    try:
        while not ended.wait(OVERDUE_S):
            if clock.left_s() < -OVERDUE_S:
                highs.cancelSolve()
    except BaseException:
        highs.cancelSolve()
        ended.wait(GRACE_S)
        raise


def _has_answer(highs: highspy.Highs) -> bool:
    status = highs.getInfo().primal_solution_status
    return bool(status == highspy.SolutionStatus.kSolutionStatusFeasible)


def run(
    program: Bounded, mip: str, clock: Clock, *, relaxed: bool = False, nodes: int = 0
) -> Answer:
    """Run an engine once on a program.

    Parameters
    ----------
    program
        The program. It has no more users than its ``bound``, nor has the answer.
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
        return _run_cbc(program, clock, relaxed=relaxed)
    limit = {"mip_max_nodes": nodes, **BOUND_ONLY_OPTIONS} if nodes else {}
    program.problem.solve(_Highs(clock, mip=not relaxed, **limit))
    highs = program.problem.solverModel
    status, info = highs.getModelStatus(), highs.getInfo()
    # No program is unbounded: the users are not.
    infeasible = status in (
        highspy.HighsModelStatus.kInfeasible,
        highspy.HighsModelStatus.kUnboundedOrInfeasible,
    )
    finished = infeasible or status == highspy.HighsModelStatus.kOptimal
    if infeasible or status in _FAILED:
        value = math.inf
    elif relaxed:
        # The objective of an unfinished linear program bounds nothing.
        value = info.objective_function_value if finished else -math.inf
    else:
        value = info.mip_dual_bound
    return Answer(
        chosen=not relaxed and _has_answer(highs),
        finished=finished,
        bound=_users(program, value) if math.isfinite(value) else None,
    )


def _users(program: Bounded, value: float) -> int:
    """Round minus the objective to users, at most those that the program is told of.

    An engine that is stopped before its first linear program knows no row.
    """
    return min(program.bound, math.floor(-value + INTEGRALITY_TOLERANCE))


def cbc(**options: Any) -> Any:
    """Return PuLP's CBC: the one inside PuLP 3; for PuLP 4, cbcbox's or the path's."""
    # PuLP 3's own class for its CBC is deprecated.
    path = None if PULP_4 else pulp.PULP_CBC_CMD.pulp_cbc_path
    return pulp.COIN_CMD(path=path, msg=False, gapRel=0, **options)


def check_engine(mip: str) -> None:
    """Refuse CBC if its binary cannot be run.

    Raises
    ------
    RefusalError
        Saying what to use instead.
    """
    if mip == "cbc" and not cbc().available():
        allowed = "use mip 'highs'" + (" or install pulp[cbc]" if PULP_4 else "")
        raise RefusalError(f"ilp: the CBC engine cannot be run; {allowed}")


def _run_cbc(program: Bounded, clock: Clock, *, relaxed: bool) -> Answer:
    """Run CBC, whose bound is available only if it finishes."""
    problem = program.problem
    left_s = clock.left_s()
    limit = {"timeLimit": left_s} if math.isfinite(left_s) else {}
    check_engine("cbc")
    engine = cbc(mip=not relaxed, **limit)
    # PuLP leaves its files, and CBC running, when it is interrupted.
    with temporary_folder("cbc") as folder:
        engine.tmpDir = str(folder)
        try:
            stats = problem.solve(engine)
        except BaseException as error:
            _end_processes(error)
            raise
    chosen, finished = _ended(problem, stats)
    bound = None
    if chosen and finished:
        bound = _users(program, pulp.value(problem.objective))
    return Answer(chosen=chosen and not relaxed, finished=finished, bound=bound)


def _end_processes(error: BaseException) -> None:
    """End the processes that were waited for when an error was raised."""
    for frame, _ in walk_tb(error.__traceback__):
        for value in list(frame.f_locals.values()):
            if isinstance(value, subprocess.Popen) and value.poll() is None:
                value.kill()
                value.wait()


def _ended(problem: Any, stats: Any) -> tuple[bool, bool]:
    """Say whether CBC has an answer, and whether it ended by itself.

    PuLP 4 returns both, and tells answers within a gap from the best; ours is 0.
    PuLP 3 leaves them at the problem: the status alone says that there is no answer.
    """
    if PULP_4:
        of = pulp.LpSolveStatus
        ended = stats.status in (of.Optimal, of.GapLimit, of.Infeasible)
        return stats.has_solution, ended
    best = problem.sol_status == pulp.LpSolutionOptimal
    some = problem.sol_status == pulp.LpSolutionIntegerFeasible
    return best or some, best or problem.status == pulp.LpStatusInfeasible
