"""The one way in: a problem and a solver's name, a verified result out."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import NamedTuple, cast

from solvers.bound import upper_bound
from solvers.outcome import MIP_ENGINES, Found, Options, RefusalError
from solvers.problem import Problem
from solvers.schedule import UPLINKS, Result, Uplink
from solvers.tables import Tables
from solvers.timing import make_schedule
from solvers.verify import verify

Algorithm = Callable[[Tables, Uplink, Options], Found]


class _Entry(NamedTuple):
    """Where an algorithm is, and what it takes.

    ``sharing``: loads only what differs. ``extended``: takes residency ``"cache"`` and
    overlap.
    """

    module: str
    function: str
    sharing: bool = True
    extended: bool = False


# Imported when asked for, so that nobody waits for a library that is not used.
_ALGORITHMS: dict[str, _Entry] = {
    "dp": _Entry("solvers.dp", "solve"),
    "greedy": _Entry("solvers.greedy", "solve", extended=True),
    "local-search": _Entry("solvers.local_search", "solve", extended=True),
    "ilp": _Entry("solvers.ilp", "solve"),
    "exhaustive": _Entry("solvers.exhaustive", "solve"),
    "dp-noshare": _Entry("solvers.dp", "solve", sharing=False),
    "greedy-noshare": _Entry("solvers.greedy", "solve", sharing=False, extended=True),
    "local-search-noshare": _Entry(
        "solvers.local_search", "solve", sharing=False, extended=True
    ),
    "ilp-noshare": _Entry("solvers.ilp", "solve", sharing=False),
    "fcfs": _Entry("solvers.floors", "fcfs"),
    "edf": _Entry("solvers.floors", "edf"),
    "random": _Entry("solvers.floors", "random"),
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
    iterations: int | None = None,
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
        Wall-clock limit of ``ilp`` and ``local-search``; None for none.
    seed
        Seed of ``random`` and ``local-search``.
    mip
        Engine of ``ilp``: ``"highs"`` or ``"cbc"``.
    iterations
        Iteration limit of ``local-search``; None for its own. Without a time limit the
        same seed and iterations give the same schedule.

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
    if iterations is not None and iterations < 1:
        raise ValueError(f"iterations must be >= 1, found {iterations!r}")
    started = time.perf_counter()
    entry = _ALGORITHMS[solver]
    if not entry.extended:
        _refuse_extensions(problem, solver)
    module = importlib.import_module(entry.module)
    algorithm = cast("Algorithm", getattr(module, entry.function))
    tables = Tables(problem, sharing=entry.sharing)
    if uplink != "dynamic" and not tables.releases_zero:
        raise RefusalError(
            f"{solver}: uplink {uplink!r} needs every release_s to be 0; use 'dynamic'"
        )
    found = algorithm(tables, uplink, Options(time_limit_s, seed, mip, iterations))
    bound = found.bound
    if bound is None and not found.proven:
        bound = upper_bound(tables, uplink)
    schedule = make_schedule(tables, found.rounds, uplink, solver=solver, bound=bound)
    if schedule is None:
        raise AssertionError(f"{solver} returned rounds that are not feasible")
    verify(problem, schedule, sharing=entry.sharing)
    return Result(schedule, time.perf_counter() - started)


def _refuse_extensions(problem: Problem, solver: str) -> None:
    twin = "-noshare" if solver.endswith("-noshare") else ""
    instead = f"use greedy{twin} or local-search{twin}"
    if problem.residency == "cache":
        raise RefusalError(f"{solver}: residency 'cache' is not taken; {instead}")
    if problem.overlap:
        raise RefusalError(f"{solver}: overlap is not taken; {instead}")
