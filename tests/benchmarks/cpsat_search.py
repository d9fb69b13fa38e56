"""The search of CP-SAT, in a process where OR-Tools can be loaded."""

from __future__ import annotations

import math
import pickle
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from solvers.core.tables import PlannedRound, Rounds, Tables
from solvers.uplink import Uplink
from tests.benchmarks.peer import PeerResult, repaired, served

if TYPE_CHECKING:
    from tests.benchmarks.cpsat_tour import Tour


class Job(NamedTuple):
    """What is to be solved, and how: as ``solve_cp_sat`` says."""

    tables: Tables
    uplink: Uplink
    time_limit_s: float
    workers: int
    seed: int
    hint: Rounds | None
    blocks_once: bool


def run(job: Job) -> PeerResult:
    """Build the program and search, as ``solve_cp_sat`` says."""
    from tests.benchmarks.cpsat_times import add_times
    from tests.benchmarks.cpsat_tour import Tour

    started_s = time.perf_counter()
    best = list(job.hint or ())
    bound = len(job.tables.users)
    build_s = hint_s = 0.0
    if bound:
        tour = Tour(job.tables, job.uplink, job.blocks_once)
        if not tour.visits:
            add_times(tour)
        build_s = time.perf_counter() - started_s
        if job.hint is not None:
            tour.hint(job.hint)
            _complete(tour, job.time_limit_s)
            hint_s = time.perf_counter() - started_s - build_s
        best, bound = _search(tour, best, job)
    return PeerResult(
        served=served(best),
        bound=bound,
        proven=served(best) == bound,
        runtime_s=time.perf_counter() - started_s,
        rounds=tuple(best),
        build_s=build_s,
        hint_s=hint_s,
    )


def _complete(tour: Tour, time_limit_s: float) -> None:
    """Hint every variable: fix the choices that are hinted, and find times for them.

    Where time is up before, the choices alone stay hinted.
    """
    from ortools.sat.python import cp_model

    engine = cp_model.CpSolver()
    engine.parameters.max_time_in_seconds = time_limit_s
    engine.parameters.num_workers = 1
    engine.parameters.fix_variables_to_their_hinted_value = True
    status = engine.solve(tour.program)
    if status in (cp_model.MODEL_INVALID, cp_model.INFEASIBLE):
        # Every schedule of the problem is one of the rounded problem.
        raise AssertionError(f"cp-sat: {engine.status_name(status)} with a hint")
    if status == cp_model.UNKNOWN:
        return
    tour.program.clear_hints()
    for index, value in enumerate(engine.response_proto.solution):
        variable = tour.program.get_int_var_from_proto_index(index)
        tour.program.add_hint(variable, value)


def _search(
    tour: Tour, best: list[PlannedRound], job: Job
) -> tuple[list[PlannedRound], int]:
    """Solve until an answer verifies, or time is up; return it and a bound.

    Relaxations as tight as they come (level 2): with the default one worker needs some
    hundred times as long under ``upfront``.
    """
    from ortools.sat.python import cp_model

    bound = len(job.tables.users)
    stop_s = time.monotonic() + job.time_limit_s
    while (left_s := stop_s - time.monotonic()) > 0 and served(best) < bound:
        engine = cp_model.CpSolver()
        engine.parameters.max_time_in_seconds = left_s
        engine.parameters.num_workers = job.workers
        engine.parameters.random_seed = job.seed
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
