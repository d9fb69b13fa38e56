"""Entry point: solve a problem with a named solver and return a verified result."""

from __future__ import annotations

import time
from numbers import Integral, Real
from typing import TYPE_CHECKING

from solvers.core.algorithm import MIP_ENGINES, Options, Solution
from solvers.core.limit import UNLIMITED, Limit
from solvers.errors import ArgumentError, RefusalError
from solvers.own_solver import (
    OwnSolver,
    name_of,
    planned_rounds,
    without_sharing,
)
from solvers.registry import (
    ALGORITHMS,
    NO_SHARING,
    OWN,
    SOLVERS,
    Entry,
    algorithm,
    check_of,
)
from solvers.spelling import did_you_mean
from solvers.uplink import UPLINKS, Uplink
from solvers.verify import verify

if TYPE_CHECKING:
    from solvers.core.tables import Tables
    from solvers.problem import Problem
    from solvers.schedule import Result


MOST_LIMIT_S = 1e9
"""Longer time limits are taken as this one, of thirty years."""


LEAST_BOUND_S = 0.25
"""What the bound of a plan may take although the time limit has passed."""


def solve(
    problem: Problem,
    solver: str | OwnSolver,
    *,
    uplink: Uplink = "dynamic",
    time_limit_s: float | None = None,
    seed: int = 0,
    mip: str = "highs",
    iterations: int | None = None,
    quick: bool = False,
    name: str | None = None,
    sharing: bool = True,
) -> Result:
    """Solve a problem with one solver and verify the schedule.

    Parameters
    ----------
    problem
        The problem to schedule.
    solver
        One of ``SOLVERS``. A name ending in ``-noshare`` loads the whole model at every
        change of model; its bound holds for schedules that do the same. Or a
        user-supplied solver: a callable that takes the problem, the uplink and the
        options (time limit, seed, iterations, quick) and returns rounds in order,
        ``[(model, [user ids]), …]``. Its rounds are timed, verified and bounded like
        those of the built-in solvers.
    uplink
        ``"upfront"``, ``"static"`` or ``"dynamic"``. The first two require all releases
        to be 0.
    time_limit_s
        Wall-clock limit; None for no limit. A solver that it ends returns the best that
        it has found, ``exhaustive`` the plan of ``greedy``; the baselines (``fcfs``,
        ``edf``, ``random``) take none.
    seed
        Seed for ``random``, ``local-search`` and ``branch``.
    mip
        MIP engine for ``ilp``: ``"highs"`` or ``"cbc"``.
    iterations
        Iteration limit for ``local-search``; None for its default. Without a time
        limit, the same seed and iterations give the same schedule.
    quick
        Whether ``greedy`` searches only briefly: about half its time, for problems that
        are solved by the thousand. All other solvers do the same either way.
    name
        What schedules and messages call a user-supplied solver; None for the function's
        or class's name, with ``-noshare`` behind it where ``sharing`` is false.
    sharing
        If false, a user-supplied solver is asked about the problem in which each model
        has a block of its own, and its rounds load the whole model at every change.

    Returns
    -------
    Result
        The schedule, users served, a proven bound and the run time.

    Raises
    ------
    RefusalError
        If the solver does not support the problem; the message says which condition
        fails and what to use instead.
    OwnSolverError
        If a user-supplied solver breaks a rule; the message names it. Exceptions that
        the solver itself raises propagate.
    ArgumentError
        For an unknown solver, discipline or engine, a limit that is not positive, or
        ``name`` or ``sharing`` where the solver is one of ``SOLVERS``.
    """
    if isinstance(solver, str):
        _check_name(solver)
    if isinstance(solver, str) and (name is not None or not sharing):
        raise ArgumentError(
            f"name and sharing are for a solver of your own, found solver {solver!r}"
        )
    _check_uplink(uplink)
    _check_mip(mip)
    if time_limit_s is not None:
        if not (isinstance(time_limit_s, Real) and time_limit_s > 0):
            raise ArgumentError(f"time_limit_s must be > 0, found {time_limit_s!r}")
        # Longer is no limit, and what is no float would be no time.
        time_limit_s = float(min(time_limit_s, MOST_LIMIT_S))
    if iterations is not None and not (
        isinstance(iterations, Integral) and iterations > 0
    ):
        raise ArgumentError(f"iterations must be an integer >= 1, found {iterations!r}")
    if not (isinstance(seed, Integral) and seed >= 0):
        raise ArgumentError(f"seed must be an integer >= 0, found {seed!r}")
    if not (name is None or isinstance(name, str)):
        raise ArgumentError(f"name must be a text, found {name!r}")
    # Imported here, so that importing a name or an error does not wait for numpy.
    from solvers.bounds.upper_bound import upper_bound
    from solvers.core.timing import make_schedule
    from solvers.schedule import Result

    if not isinstance(solver, str) and not callable(solver):
        raise ArgumentError(f"solver must be a name or a callable, found {solver!r}")
    asked = problem
    if not isinstance(solver, str):
        # A copy: whatever it does to the problem, ours is what it is judged by.
        asked = (problem if sharing else without_sharing(problem)).model_copy(deep=True)
    if isinstance(solver, str):
        entry, name = ALGORITHMS[solver], solver
        run = algorithm(entry)  # its import is no part of its run time
    else:
        entry = OWN._replace(sharing=sharing)
        name = name or name_of(solver) + ("" if sharing else NO_SHARING)
    started = time.perf_counter()
    tables = _supported(problem, entry, name, uplink)
    options = Options(time_limit_s, seed, mip, iterations, quick)
    if isinstance(solver, str):
        found = run(tables, uplink, options)
    else:
        answer = solver(asked, uplink, options)
        found = Solution(planned_rounds(tables, answer, uplink, name))
    bound = found.bound
    if bound is None and not found.proven:
        bound = upper_bound(tables, uplink, _bound_limit(entry, started, time_limit_s))
    schedule = make_schedule(tables, found.rounds, uplink, solver=name, bound=bound)
    if schedule is None:
        raise AssertionError(f"{name} returned rounds that are not feasible")
    verify(problem, schedule)
    return Result(schedule, time.perf_counter() - started, found.note)


def _bound_limit(entry: Entry, started: float, time_limit_s: float | None) -> Limit:
    """Return the limit of a bound that comes after a plan: what is left, or a little.

    There is none where nothing else ends at the limit: baselines, and solvers of the
    user's own, whose time is theirs.
    """
    if time_limit_s is None or not entry.limited or entry.module == OWN.module:
        return UNLIMITED
    left_s = started + time_limit_s - time.perf_counter()
    return Limit.after(max(left_s, LEAST_BOUND_S))


def check(
    problem: Problem,
    solver: str | OwnSolver,
    *,
    uplink: Uplink = "dynamic",
    mip: str = "highs",
) -> None:
    """Refuse a problem that a solver does not support, without solving it.

    Parameters
    ----------
    problem, uplink, mip
        As for :func:`solve`.
    solver
        One of ``SOLVERS``, or a user-supplied solver, which is not called.

    Raises
    ------
    RefusalError
        If :func:`solve` would raise it, or what a user-supplied solver answers would be
        refused whatever it is.
    ArgumentError
        For an unknown solver, discipline or engine.

    Notes
    -----
    O(K + Σ blocks), unlike any solver.
    """
    _check_uplink(uplink)
    _check_mip(mip)
    if not isinstance(solver, str):
        _supported(problem, OWN, name_of(solver), uplink)
        return
    _check_name(solver)
    entry = ALGORITHMS[solver]
    tables = _supported(problem, entry, solver, uplink)
    refuse = check_of(entry)
    if refuse is not None:
        refuse(tables)
    if mip != "highs" and solver.removesuffix(NO_SHARING) == "ilp":
        from solvers.ilp.engine import check_engine

        check_engine(mip)


def _check_name(solver: str) -> None:
    if solver not in ALGORITHMS:
        raise ArgumentError(
            f"solver must be one of {', '.join(SOLVERS)}, or a callable, found "
            f"{solver!r}{did_you_mean(solver, SOLVERS)}"
        )


def _check_mip(mip: str) -> None:
    if mip not in MIP_ENGINES:
        raise ArgumentError(
            f"mip must be one of {', '.join(MIP_ENGINES)}, found {mip!r}"
        )


def _check_uplink(uplink: Uplink) -> None:
    if uplink not in UPLINKS:
        raise ArgumentError(
            f"uplink must be one of {', '.join(UPLINKS)}, found {uplink!r}"
        )


def _supported(problem: Problem, entry: Entry, name: str, uplink: Uplink) -> Tables:
    """Return the tables of a problem, unless extensions or releases are refused."""
    from solvers.core.tables import Tables

    if not entry.extended:
        _refuse_extensions(problem, name)
    tables = Tables(problem, sharing=entry.sharing)
    if uplink != "dynamic" and not tables.releases_zero:
        raise RefusalError(
            f"{name}: uplink {uplink!r} needs every release_s to be 0; use 'dynamic'"
        )
    return tables


def _refuse_extensions(problem: Problem, solver: str) -> None:
    suffix = NO_SHARING if solver.endswith(NO_SHARING) else ""
    instead = f"use greedy{suffix} or local-search{suffix}"
    if problem.residency == "cache":
        raise RefusalError(f"{solver}: residency 'cache' is not taken; {instead}")
    if problem.overlap:
        raise RefusalError(f"{solver}: overlap is not taken; {instead}")
