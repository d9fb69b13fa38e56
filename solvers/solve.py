"""The one way in: a problem and a solver's name, a verified result out."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import cast

from solvers.bound import upper_bound
from solvers.outcome import MIP_ENGINES, Found, Options, RefusalError
from solvers.problem import Problem
from solvers.schedule import UPLINKS, Result, Uplink
from solvers.tables import Tables
from solvers.timing import make_schedule
from solvers.verify import verify

Algorithm = Callable[[Tables, Uplink, Options], Found]

# Name → where the algorithm is and whether it shares parameters. Imported when asked
# for, so that nobody waits for a library that is not used.
_ALGORITHMS: dict[str, tuple[str, str, bool]] = {
    "dp": ("solvers.dp", "solve", True),
    "greedy": ("solvers.greedy", "solve", True),
    "ilp": ("solvers.ilp", "solve", True),
    "exhaustive": ("solvers.exhaustive", "solve", True),
    "dp-noshare": ("solvers.dp", "solve", False),
    "greedy-noshare": ("solvers.greedy", "solve", False),
    "ilp-noshare": ("solvers.ilp", "solve", False),
    "fcfs": ("solvers.floors", "fcfs", True),
    "edf": ("solvers.floors", "edf", True),
    "random": ("solvers.floors", "random", True),
}

SOLVERS: tuple[str, ...] = tuple(_ALGORITHMS)


def solve(
    problem: Problem,
    solver: str,
    *,
    uplink: Uplink = "dynamic",
    time_limit_s: float | None = None,
    seed: int = 0,
    mip: str = "highs",
) -> Result:
    """Schedule a problem with one solver and verify what it returns.

    Parameters
    ----------
    problem
        What is to be scheduled.
    solver
        One of ``SOLVERS``. A name ending in ``-noshare`` loads the whole model at every
        change of model; its bound holds for schedules that do the same.
    uplink
        ``"upfront"``, ``"static"`` or ``"dynamic"``. The first two need releases 0.
    time_limit_s
        Wall-clock limit of ``ilp``; None for none.
    seed
        Seed of ``random``.
    mip
        Engine of ``ilp``: ``"highs"`` or ``"cbc"``.

    Returns
    -------
    Result
        The schedule, users served, a proven bound, and the run time.

    Raises
    ------
    RefusalError
        When the solver cannot take the problem; the message says which condition
        fails and what to use instead.
    ValueError
        For an unknown solver, discipline or engine, or a limit that is not positive.
    """
    if solver not in _ALGORITHMS:
        raise ValueError(
            f"solver must be one of {', '.join(SOLVERS)}, found {solver!r}"
        )
    if uplink not in UPLINKS:
        raise ValueError(
            f"uplink must be one of {', '.join(UPLINKS)}, found {uplink!r}"
        )
    if mip not in MIP_ENGINES:
        raise ValueError(f"mip must be one of {', '.join(MIP_ENGINES)}, found {mip!r}")
    if time_limit_s is not None and not time_limit_s > 0:
        raise ValueError(f"time_limit_s must be > 0, found {time_limit_s!r}")
    started = time.perf_counter()
    module, function, sharing = _ALGORITHMS[solver]
    algorithm = cast("Algorithm", getattr(importlib.import_module(module), function))
    tables = Tables(problem, sharing=sharing)
    if uplink != "dynamic" and not tables.releases_zero:
        raise RefusalError(
            f"{solver}: uplink {uplink!r} needs every release_s to be 0; use 'dynamic'"
        )
    found = algorithm(tables, uplink, Options(time_limit_s, seed, mip))
    bound = found.bound
    if bound is None and not found.proven:
        bound = upper_bound(tables, uplink)
    schedule = make_schedule(tables, found.rounds, uplink, solver=solver, bound=bound)
    if schedule is None:
        raise AssertionError(f"{solver} returned rounds that are not feasible")
    verify(problem, schedule)
    return Result(schedule, time.perf_counter() - started)
