"""Running solvers over the family: one verified record a run, kept at once.

A record is written as soon as its run has ended, so an interrupted campaign goes on
where it stopped.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
import math
import multiprocessing
import signal
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from edgesim.storage.files import write_whole
from solvers import SOLVERS, Problem, RefusalError, Schedule, Uplink, solve, verify
from solvers.bounds.upper_bound import upper_bound
from solvers.core.tables import Tables
from solvers.core.timing import make_schedule
from solvers.registry import NO_SHARING
from tests.instances import CASES, Case, digest, make

PEERS: Mapping[str, tuple[str, str]] = {
    "cp-sat": ("tests.benchmarks.cpsat", "solve_cp_sat"),
    "cp-sat-hinted": ("tests.benchmarks.cpsat", "solve_cp_sat_hinted"),
    "highs-plain": ("tests.benchmarks.plain_highs", "solve_plain_highs"),
}
"""Solvers that are not edgesim's: where their function is."""

SEEDED = ("local-search", "random")
"""Solvers with random choices; they run once a seed."""

PROGRAMS = ("ilp", *PEERS)
PROGRAM_USERS = 200
"""Integer and constraint programs are not built for more users than this."""

QUICK_S = 0.2
QUICK_RUNS = 3
"""A run quicker than ``QUICK_S`` is timed this often, and the median is kept."""


@dataclass(frozen=True)
class Job:
    """One run: a case, a solver, a seed, and what it may take."""

    case: Case
    solver: str
    seed: int
    time_limit_s: float
    stop_after_s: float


@dataclass(frozen=True)
class Record:
    """What came of a run.

    ``status`` is "optimal" or "feasible" for an answer, "refused" where the solver
    does not take the problem, "stopped" where it did not end, and "failed" where what
    it returned was wrong; ``refused`` then gives the reason. ``bound`` holds under the
    solver's own rules, so that of a ``-noshare`` solver says nothing of sharing.
    ``digest`` is of the problem.
    """

    case: str
    solver: str
    seed: int
    time_limit_s: float
    digest: str
    served: int | None
    bound: int | None
    proven: bool
    status: str
    runtime_s: float | None
    refused: str

    @property
    def key(self) -> tuple[str, str, int]:
        """What is run once."""
        return self.case, self.solver, self.seed

    @property
    def answered(self) -> bool:
        """Whether the run ended with a verified answer."""
        return self.served is not None


COLUMNS = tuple(field.name for field in fields(Record))


def base(solver: str) -> str:
    """Name of a solver without ``-noshare``."""
    return solver.removesuffix(NO_SHARING)


def missing(solver: str) -> str | None:
    """Say why a solver cannot be run here at all; None if it can."""
    if base(solver) not in PEERS:
        return None if solver in SOLVERS else "no such solver"
    module = PEERS[base(solver)][0]
    if importlib.util.find_spec(module) is None:
        return f"{module} is not there"
    try:
        importlib.import_module(module)
    except ImportError as error:
        return f"{module} cannot be imported: {error}"
    return None


def jobs(
    cases: Iterable[Case],
    solvers: Sequence[str],
    *,
    seeds: int,
    time_limit_s: float,
    stop_after_s: float,
) -> list[Job]:
    """List the runs of a campaign, case by case."""
    return [
        Job(case, solver, seed, time_limit_s, stop_after_s)
        for case in cases
        for solver in solvers
        for seed in range(seeds if base(solver) in SEEDED else 1)
    ]


def run(job: Job) -> Record:
    """Make the problem, solve it, check the answer and time it."""
    problem = make(job.case)
    code = digest(problem)

    def none(status: str, reason: str) -> Record:
        return _record(job, code, status=status, refused=reason)

    if base(job.solver) in PROGRAMS and job.case.users > PROGRAM_USERS:
        return none("refused", f"not built for more than {PROGRAM_USERS} users")
    times_s: list[float] = []
    try:
        with _stopped_after(job.stop_after_s):
            while not times_s or (max(times_s) < QUICK_S and len(times_s) < QUICK_RUNS):
                started = time.perf_counter()
                schedule = _answer(job, problem)
                times_s.append(time.perf_counter() - started)
    except (RefusalError, ImportError) as error:
        return none("refused", str(error))
    except _Stopped:
        return none("stopped", f"not done after {job.stop_after_s:g} s")
    except Exception as error:
        return none("failed", f"{type(error).__name__}: {error}")
    return _record(
        job,
        code,
        served=schedule.served,
        bound=schedule.bound,
        proven=schedule.served == schedule.bound,
        status=schedule.status,
        runtime_s=statistics.median(times_s),
    )


def _record(job: Job, code: str, **found: Any) -> Record:
    none: dict[str, Any] = {
        "served": None,
        "bound": None,
        "proven": False,
        "runtime_s": None,
        "refused": "",
    }
    return Record(
        case=job.case.name,
        solver=job.solver,
        seed=job.seed,
        time_limit_s=job.time_limit_s,
        digest=code,
        **none | found,
    )


def _answer(job: Job, problem: Problem) -> Schedule:
    """Return a verified schedule."""
    uplink, limit_s = job.case.uplink, job.time_limit_s
    if base(job.solver) not in PEERS:
        found = solve(
            problem, job.solver, uplink=uplink, time_limit_s=limit_s, seed=job.seed
        )
        return found.schedule
    module, function = PEERS[base(job.solver)]
    sharing = not job.solver.endswith(NO_SHARING)
    peer = getattr(importlib.import_module(module), function)
    result = peer(problem, uplink, time_limit_s=limit_s, sharing=sharing)
    return checked(problem, uplink, result, solver=job.solver, sharing=sharing)


def checked(
    problem: Problem, uplink: Uplink, result: Any, *, solver: str, sharing: bool
) -> Schedule:
    """Time the rounds a peer returned by our rules and verify them.

    Parameters
    ----------
    problem, uplink
        What was solved.
    result
        ``served``, ``bound`` (or None), ``proven`` and ``rounds``: models and users by
        number, as the solvers plan them.
    solver
        The peer's name.
    sharing
        Whether it could share parameters.

    Raises
    ------
    ValueError
        When the rounds are not feasible, or not worth what was claimed.
    """
    tables = Tables(problem, sharing=sharing)
    bound = result.served if result.proven else result.bound
    if bound is None:
        bound = upper_bound(tables, uplink)
    if bound < result.served:
        raise ValueError(f"{solver} claims {result.served} above its bound {bound}")
    schedule = make_schedule(tables, result.rounds, uplink, solver=solver, bound=bound)
    if schedule is None:
        raise ValueError(f"{solver} returned rounds that are not feasible")
    verify(problem, schedule)
    if schedule.served != result.served:
        raise ValueError(
            f"{solver} claims {result.served} served, its rounds serve "
            f"{schedule.served}"
        )
    return schedule


class _Stopped(BaseException):
    """Not an Exception: no solver may swallow it."""


@contextmanager
def _stopped_after(limit_s: float) -> Iterator[None]:
    """Interrupt Python code that runs for too long (compiled code: when it returns)."""

    def stop(signum: int, frame: object) -> None:
        raise _Stopped

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def warm_up(solvers: Sequence[str]) -> None:
    """Solve a small case with every solver, so that no import is timed."""
    for solver in solvers:
        run(Job(CASES[0], solver, 0, time_limit_s=1.0, stop_after_s=60.0))


def run_all(
    todo: Sequence[Job],
    *,
    processes: int,
    keep: Callable[[Record], None],
    solvers: Sequence[str],
) -> None:
    """Run every job; hand each record over as soon as it is there."""
    if processes == 1:
        warm_up(solvers)
        for job in todo:
            keep(run(job))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, warm_up, (solvers,)) as pool:
        try:
            for future in as_completed([pool.submit(run, job) for job in todo]):
                keep(future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def read_records(path: Path) -> list[Record]:
    """Read what earlier runs kept; a last line that was cut off is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    return [_parsed(row) for row in csv.DictReader(whole)]


def _parsed(row: Mapping[str, str]) -> Record:
    return Record(
        case=row["case"],
        solver=row["solver"],
        seed=int(row["seed"]),
        time_limit_s=float(row["time_limit_s"]),
        digest=row["digest"],
        served=int(row["served"]) if row["served"] else None,
        bound=int(row["bound"]) if row["bound"] else None,
        proven=row["proven"] == "yes",
        status=row["status"],
        runtime_s=float(row["runtime_s"]) if row["runtime_s"] else None,
        refused=row["refused"],
    )


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write records anew, header first, whole or not at all."""
    with write_whole(path) as file:
        csv.DictWriter(file, COLUMNS, lineterminator="\n").writeheader()
        for record in records:
            _append(file, record)


def append_record(path: Path, record: Record) -> None:
    """Add one record to a file that is there."""
    with path.open("a", encoding="utf-8", newline="") as file:
        _append(file, record)


def _append(file: Any, record: Record) -> None:
    row = asdict(record) | {"proven": "yes" if record.proven else "no"}
    row["refused"] = " ".join(record.refused.split())
    if record.runtime_s is not None and math.isfinite(record.runtime_s):
        row["runtime_s"] = f"{record.runtime_s:.6g}"
    csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
