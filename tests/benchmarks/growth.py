"""``python -m tests.benchmarks.growth``: how much longer CP-SAT takes than ``dp``.

Under ``upfront`` with one deadline both prove the optimum, so the ratio of their run
times is a fair comparison, and how it grows with the number of users the one to make.
They run in turn on the same cores. Every run of CP-SAT is kept as it ends, and the
same command goes on where it stopped. A run that contradicts ``dp`` ends it.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from edgesim.storage.files import write_whole
from solvers import Problem, Result, solve
from tests.benchmarks.campaign import checked
from tests.benchmarks.comparison import markdown
from tests.benchmarks.peer import PeerResult, planned_rounds
from tests.benchmarks.problems import campus_like
from tests.instances import digest

USERS = (60, 200, 500, 1000, 3000, 10000)
SEEDS = 5
MODELS = 16
TIME_LIMIT_S = 60.0
QUICK_S = 1.0
QUICK_RUNS = 5
"""CP-SAT runs this often where it takes less than ``QUICK_S``; the median counts."""

DP_RUNS = 2
"""``dp`` runs this often before and after each run of CP-SAT; the median counts."""

CSV = Path(__file__).parents[1] / "instances" / "tables" / "growth.csv"
"""The run that docs/mathematics.md quotes."""


@dataclass(frozen=True)
class Setting:
    """How CP-SAT is run; ``blocks_once`` as :func:`solve_cp_sat` says."""

    workers: int
    hint: bool = False
    blocks_once: bool = False

    @property
    def name(self) -> str:
        """What its column is called."""
        words = [f"{self.workers} worker" + "s" * (self.workers > 1)]
        words += ["hint"] * self.hint + ["blocks once"] * self.blocks_once
        return ", ".join(words)


SETTINGS = (
    Setting(1),
    Setting(1, hint=True),
    Setting(8),
    Setting(8, hint=True),
    Setting(1, blocks_once=True),
)


@dataclass(frozen=True)
class Run:
    """A run of CP-SAT and the run times of ``dp`` beside it.

    ``served`` is what CP-SAT found, ``optimum`` what ``dp`` proves. ``build_s`` is for
    the program, ``search_s`` for all searches. ``hint_s``, for ``greedy`` and to
    complete its schedule, comes on top of both. ``digest`` is of the problem.
    """

    users: int
    seed: int
    workers: int
    hint: bool
    blocks_once: bool
    digest: str
    optimum: int
    served: int
    bound: int
    dp_s: float
    build_s: float
    search_s: float
    hint_s: float

    @property
    def setting(self) -> Setting:
        """How CP-SAT was run."""
        return Setting(self.workers, self.hint, self.blocks_once)

    @property
    def key(self) -> tuple[int, int, Setting]:
        """What is run once."""
        return self.users, self.seed, self.setting

    @property
    def proven(self) -> bool:
        """Whether CP-SAT proved its answer."""
        return self.served == self.bound

    @property
    def ratio(self) -> float:
        """Time of CP-SAT to build and to search, over that of ``dp``."""
        return (self.build_s + self.search_s) / self.dp_s


COLUMNS = tuple(field.name for field in fields(Run))


class ContradictionError(Exception):
    """CP-SAT and ``dp`` cannot both be right."""


def make(users: int, seed: int) -> Problem:
    """Draw a problem; somewhat less than half of the users can be served."""
    return campus_like(
        np.random.default_rng(seed),
        users=users,
        models=MODELS,
        deadline_s=users / 160 + 0.05,
    )


def measure(users: int, seed: int, setting: Setting, *, time_limit_s: float) -> Run:
    """Time ``dp``, then CP-SAT, on one problem.

    Raises
    ------
    ContradictionError
        When what they found or proved does not agree.
    """
    # OR-Tools may be missing; reading what was measured does not take it.
    from tests.benchmarks.cpsat import solve_cp_sat

    problem = make(users, seed)
    dp_s: list[float] = []

    def run_dp() -> Result:
        for _ in range(DP_RUNS):
            started_s = time.perf_counter()
            result = solve(problem, "dp", uplink="upfront")
            dp_s.append(time.perf_counter() - started_s)
        return result

    exact = run_dp()
    started_s = time.perf_counter()
    hint = None
    if setting.hint:
        quick = solve(problem, "greedy", uplink="upfront")
        hint = planned_rounds(problem, quick.schedule)
    greedy_s = time.perf_counter() - started_s
    answers: list[PeerResult] = []
    while not answers or (answers[0].runtime_s < QUICK_S and len(answers) < QUICK_RUNS):
        answers.append(
            solve_cp_sat(
                problem,
                "upfront",
                time_limit_s=time_limit_s,
                workers=setting.workers,
                hint=hint,
                blocks_once=setting.blocks_once,
            )
        )
        checked(problem, "upfront", answers[-1], solver="cp-sat", sharing=True)
        run_dp()
    answers.sort(key=lambda answer: answer.runtime_s - answer.hint_s)
    found = answers[len(answers) // 2]
    what = f"{users} users, seed {seed}, {setting.name}"
    for answer in answers:
        agree(what, exact, answer)
    return Run(
        users=users,
        seed=seed,
        workers=setting.workers,
        hint=setting.hint,
        blocks_once=setting.blocks_once,
        digest=digest(problem),
        optimum=exact.served,
        served=found.served,
        bound=found.bound,
        dp_s=statistics.median(dp_s),
        build_s=found.build_s,
        search_s=found.runtime_s - found.build_s - found.hint_s,
        hint_s=greedy_s + found.hint_s if setting.hint else 0.0,
    )


def agree(what: str, exact: Result, found: PeerResult) -> None:
    """Compare what ``dp`` and CP-SAT found: one optimum, which no bound is below.

    Raises
    ------
    ContradictionError
        When they do not agree.
    """
    if exact.bound != exact.served:
        raise ContradictionError(
            f"{what}: dp serves {exact.served} and proves no better than {exact.bound}"
        )
    if not found.served <= exact.served <= found.bound:
        raise ContradictionError(
            f"{what}: dp proves {exact.served}, CP-SAT serves {found.served} and "
            f"proves {found.bound}"
        )


def read_runs(path: Path) -> list[Run]:
    """Read what earlier runs kept; a last line that was cut off is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = csv.DictReader(line for line in lines if line.endswith("\n"))
    return [_parsed(row) for row in rows]


def _parsed(row: dict[str, str]) -> Run:
    whole = ("users", "seed", "workers", "optimum", "served", "bound")
    values: dict[str, Any] = {name: int(row[name]) for name in whole}
    values |= {name: row[name] == "yes" for name in ("hint", "blocks_once")}
    values |= {name: float(row[name]) for name in row if name.endswith("_s")}
    return Run(digest=row["digest"], **values)


def write_runs(path: Path, runs: Iterable[Run]) -> None:
    """Write runs anew, header first, whole or not at all."""
    with write_whole(path) as file:
        csv.DictWriter(file, COLUMNS, lineterminator="\n").writeheader()
        for run in runs:
            _append(file, run)


def _append(file: Any, run: Run) -> None:
    row = asdict(run)
    for name, value in row.items():
        if isinstance(value, bool):
            row[name] = "yes" if value else "no"
        elif isinstance(value, float):
            row[name] = f"{value:.6g}"
    csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)


def _of(runs: Sequence[Run], users: int, setting: Setting) -> list[Run]:
    return [run for run in runs if (run.users, run.setting) == (users, setting)]


def _users(runs: Iterable[Run]) -> list[int]:
    return sorted({run.users for run in runs})


def _settings(runs: Iterable[Run]) -> list[Setting]:
    found = {run.setting for run in runs}
    return [setting for setting in SETTINGS if setting in found]


def spread(runs: Sequence[Run], value: Callable[[Run], float]) -> str:
    """Write the median, least and greatest value, and how many are not proven.

    A run that ended without a proof would have taken longer: a number that could
    therefore be higher is marked with ≥.
    """
    ordered = sorted(runs, key=value)
    middle = statistics.median(map(value, runs))
    marks = [
        # In the order of values a run without proof could stand at any later place.
        "≥ " * any(not run.proven and value(run) <= least for run in runs)
        for least in (middle, value(ordered[0]), value(ordered[-1]))
    ]
    least, most = value(ordered[0]), value(ordered[-1])
    text = f"{marks[0]}{middle:.0f} ({marks[1]}{least:.0f}–{marks[2]}{most:.0f})"
    lost = sum(not run.proven for run in runs)
    return text + f", {lost} of {len(runs)} not proven" * bool(lost)


def table(runs: Sequence[Run]) -> str:
    """Write a row per size: the ratio of run times with every setting of CP-SAT."""
    return _by_size(
        runs,
        "`dp` (ms)",
        lambda those: f"{1e3 * statistics.median(run.dp_s for run in those):.3g}",
        lambda run: run.ratio,
    )


def parts(runs: Sequence[Run]) -> str:
    """Write a row per size: what CP-SAT takes to build, and its search over ``dp``."""
    return _by_size(
        runs,
        "build (s)",
        lambda those: f"{statistics.median(run.build_s for run in those):.2g}",
        lambda run: run.search_s / run.dp_s,
    )


def _by_size(
    runs: Sequence[Run],
    name: str,
    first: Callable[[Sequence[Run]], str],
    value: Callable[[Run], float],
) -> str:
    """Write a row per size: a cell of all its runs, and a spread for each setting."""
    settings = _settings(runs)
    rows = []
    for users in _users(runs):
        row = [f"{users:,}", first([run for run in runs if run.users == users])]
        for setting in settings:
            of = _of(runs, users, setting)
            row.append(spread(of, value) if of else "–")
        rows.append(row)
    head = ["users", name, *(setting.name for setting in settings)]
    return markdown(head, rows, words=0)


def _whole_numbers(text: str) -> tuple[int, ...]:
    values = tuple(dict.fromkeys(int(word) for word in text.split(",")))
    if min(values) < 1:
        raise ValueError(text)
    return values


def _count(text: str) -> int:
    (value,) = _whole_numbers(text)
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.growth",
        description=__doc__.split("\n\n", 1)[1] if __doc__ else None,
    )
    parser.add_argument(
        "--users",
        type=_whole_numbers,
        default=USERS,
        metavar="N,...",
        help=f"default: {','.join(map(str, USERS))}",
    )
    parser.add_argument(
        "--seeds",
        type=_count,
        default=SEEDS,
        metavar="N",
        help=f"problems of each size (default {SEEDS})",
    )
    parser.add_argument(
        "--time-limit",
        type=_positive,
        default=TIME_LIMIT_S,
        metavar="S",
        help=f"limit of CP-SAT's search in s (default {TIME_LIMIT_S:g}); one file "
        "holds runs of one limit",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results/growth/growth.csv"),
        metavar="FILE",
        help="default results/growth/growth.csv",
    )
    return parser


def _todo(
    users: Sequence[int], seeds: int, done: Iterable[Run]
) -> Iterator[tuple[int, int, Setting]]:
    """List what is left, size by size."""
    keys = {run.key for run in done}
    for size in users:
        for seed in range(seeds):
            for setting in SETTINGS:
                if (size, seed, setting) not in keys:
                    yield size, seed, setting


def main(words: Sequence[str] | None = None) -> int:
    """Measure what is left and print the tables; 1 at the first contradiction."""
    chosen = _arguments().parse_args(words)
    path: Path = chosen.out
    path.parent.mkdir(parents=True, exist_ok=True)
    # A problem that has changed is measured again.
    runs = [
        run
        for run in read_runs(path)
        if run.digest == digest(make(run.users, run.seed))
    ]
    write_runs(path, runs)
    todo = list(_todo(chosen.users, chosen.seeds, runs))
    try:
        if todo:
            # Imports and first calls are not timed.
            for setting in SETTINGS:
                measure(min(USERS), 0, setting, time_limit_s=TIME_LIMIT_S)
        for users, seed, setting in todo:
            run = measure(users, seed, setting, time_limit_s=chosen.time_limit)
            with path.open("a", encoding="utf-8", newline="") as file:
                _append(file, run)
            runs.append(run)
            what = f"{users} users, seed {seed}, {setting.name}"
            proof = "" if run.proven else ", not proven"
            print(f"{what}: {run.ratio:.0f}{proof}", file=sys.stderr, flush=True)
    except ContradictionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(runs))
    print(parts(runs), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
