"""The same problem stated for OR-Tools CP-SAT, as a peer of edgesim's solvers.

A *tour* of optional stops: a circuit through a depot and the batches that run, with
load times on its arcs. It starts from no schedule unless it is given one as a hint, and
has no bound but its own.

Times are whole ticks, a power of ten of a second. Durations, uploads and deadlines are
rounded down, and the band that ``static`` needs, w/s, is taken from tangents to 1/s.
So every schedule of the problem is one of the rounded problem, and the bound holds for
the problem itself. The price is that an answer may be late by a tick for each of its
terms, or need a little more than the band; one that does not verify is cut off, by
itself, and the search goes on.

OR-Tools and highspy bundle different builds of one library, and whichever is loaded
second fails. So CP-SAT has a process of its own, which stays for the next call.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import pickle
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

from solvers import Problem, solve
from solvers.core.tables import Rounds
from solvers.core.timing import time_rounds
from solvers.registry import NO_SHARING
from solvers.uplink import Uplink
from tests.benchmarks.cpsat_search import Job
from tests.benchmarks.peer import PeerResult, planned_rounds, tables_for

if importlib.util.find_spec("ortools") is None:
    raise ImportError("ortools is not installed")


def solve_cp_sat(
    problem: Problem,
    uplink: Uplink,
    *,
    time_limit_s: float,
    sharing: bool = True,
    workers: int = 1,
    seed: int = 0,
    hint: Rounds | None = None,
    blocks_once: bool = False,
) -> PeerResult:
    """Find the most users that can be served with OR-Tools CP-SAT.

    Parameters
    ----------
    problem, uplink
        What is to be scheduled; residency ``"previous"``, no overlap.
    time_limit_s
        Wall-clock limit of the search; building the program comes on top.
    sharing
        If false, every change of model loads the whole model.
    workers, seed
        Threads and random seed of CP-SAT.
    hint
        Feasible rounds to start from; None for none. What they leave open, times, is
        found first, and the answer is never worse.
    blocks_once
        Whether to search for no order: under ``upfront`` with one deadline, laminar
        sharing and no resident model, a depth-first order loads each block once.

    Returns
    -------
    PeerResult
        Rounds that ``time_rounds`` accepts. Where the time limit left only rounds that
        it does not, users are taken out until it does.

    Raises
    ------
    RefusalError
        For residency ``"cache"``, overlap, releases under ``upfront`` or ``static``,
        or a batch that is shorter than a tick; for ``blocks_once`` also where it does
        not hold.
    ValueError
        For a hint that is not feasible.

    Notes
    -----
    O(K²) arcs and O(K · batch limit) further literals; NP-hard.
    """
    started_s = time.perf_counter()
    tables = tables_for(
        "cp-sat", problem, uplink, sharing=sharing, time_limit_s=time_limit_s
    )
    tables_s = time.perf_counter() - started_s
    if hint is not None and time_rounds(tables, hint, uplink) is None:
        raise ValueError("cp-sat: the hint is not feasible")
    start = None if hint is None else tuple(hint)
    found = _ask(Job(tables, uplink, time_limit_s, workers, seed, start, blocks_once))
    return replace(
        found,
        runtime_s=found.runtime_s + tables_s,
        build_s=found.build_s + tables_s,
    )


def solve_cp_sat_hinted(
    problem: Problem, uplink: Uplink, *, time_limit_s: float, sharing: bool = True
) -> PeerResult:
    """Search with eight workers from the schedule of ``greedy``.

    ``runtime_s`` and ``hint_s`` include the time of ``greedy``; the rest is as
    ``solve_cp_sat`` says.
    """
    started_s = time.perf_counter()
    greedy = "greedy" if sharing else f"greedy{NO_SHARING}"
    quick = solve(problem, greedy, uplink=uplink)
    greedy_s = time.perf_counter() - started_s
    found = solve_cp_sat(
        problem,
        uplink,
        time_limit_s=time_limit_s,
        sharing=sharing,
        workers=8,
        hint=planned_rounds(problem, quick.schedule),
    )
    return replace(
        found, runtime_s=found.runtime_s + greedy_s, hint_s=found.hint_s + greedy_s
    )


def _ask(job: Job) -> PeerResult:
    """Have the process do a job; when interrupted, end it, so that nobody waits."""
    process = _process()
    assert process.stdin is not None
    assert process.stdout is not None
    answer: PeerResult | Exception | None = None
    try:
        pickle.dump(job, process.stdin)
        process.stdin.flush()
        answer = pickle.load(process.stdout)
    finally:
        if answer is None:
            _stop(process)
    if isinstance(answer, Exception):
        raise answer
    return answer


@cache
def _process() -> subprocess.Popen[bytes]:
    """Start Python anew: a spawned process might import what its parent has."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.cpsat_search"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    atexit.register(_stop, process)
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    atexit.unregister(_stop)
    _process.cache_clear()
    process.kill()
    process.communicate()
