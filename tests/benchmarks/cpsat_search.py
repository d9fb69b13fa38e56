"""The search of CP-SAT, in a process where OR-Tools can be loaded."""

from __future__ import annotations

import math
import pickle
import sys
import time
from typing import TYPE_CHECKING, TypeAlias

from solvers.core.tables import PlannedRound, Rounds, Tables
from solvers.uplink import Uplink
from tests.benchmarks.peer import PeerResult, repaired, served

if TYPE_CHECKING:
    from tests.benchmarks.cpsat_tour import Tour


Job: TypeAlias = tuple[Tables, Uplink, float, int, int, Rounds | None]
"""Tables, discipline, time limit in s, workers, seed and hint."""


def run(job: Job) -> PeerResult:
    """Build the program and search, as ``solve_cp_sat`` says."""
    from tests.benchmarks.cpsat_times import add_times
    from tests.benchmarks.cpsat_tour import Tour

    tables, uplink, time_limit_s, workers, seed, hint = job
    started_s = time.perf_counter()
    best: list[PlannedRound] = []
    bound = len(tables.users)
    if bound:
        tour = Tour(tables, uplink)
        if not tour.visits:
            add_times(tour)
        if hint is not None:
            tour.hint(hint)
        best, bound = _search(tour, bound, time_limit_s, workers, seed)
    runtime_s = time.perf_counter() - started_s
    return PeerResult(
        served(best), bound, served(best) == bound, runtime_s, tuple(best)
    )


def _search(
    tour: Tour, bound: int, time_limit_s: float, workers: int, seed: int
) -> tuple[list[PlannedRound], int]:
    """Solve until an answer verifies, or time is up; return it and a bound."""
    from ortools.sat.python import cp_model

    stop_s = time.monotonic() + time_limit_s
    best: list[PlannedRound] = []
    while (left_s := stop_s - time.monotonic()) > 0 and served(best) < bound:
        engine = cp_model.CpSolver()
        engine.parameters.max_time_in_seconds = left_s
        engine.parameters.num_workers = workers
        engine.parameters.random_seed = seed
        engine.parameters.linearization_level = 2
        status = engine.solve(tour.program)
        if status in (cp_model.MODEL_INVALID, cp_model.INFEASIBLE):
            # To serve nobody is always an answer.
            raise AssertionError(f"cp-sat: {engine.status_name(status)}")
        # Before the first answer the bound that can be read may be no bound.
        if status == cp_model.UNKNOWN:
            break
        bound = min(bound, math.floor(engine.best_objective_bound + 0.5))
        rounds = tour.rounds(engine)
        kept = repaired(tour.tables, rounds, tour.uplink)
        best = max(best, kept, key=served)
        if kept == rounds:
            break
        tour.reject(engine)
    return best, max(bound, served(best))


def main() -> None:
    """Answer jobs from standard input until it ends."""
    while True:
        try:
            job = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer: PeerResult | Exception
        try:
            answer = run(job)
        except Exception as error:
            # It is raised where the job came from.
            answer = error
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
