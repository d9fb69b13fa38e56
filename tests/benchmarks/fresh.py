"""``python -m tests.benchmarks.fresh``: whether other draws show what the family shows.

Cases drawn alike from other seeds, on which nothing was tuned and of which nothing is
known: ``branch`` proves what it can, and plans are held against its bound and the best
plan of all. Keeps every run in ``runs.csv``, goes on where an earlier call stopped, and
writes ``fresh.md``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from tests.benchmarks.campaign import (
    Record,
    append_record,
    jobs,
    read_records,
    run_all,
    write_records,
)
from tests.instances import CASES, GROUPS, LARGE, drawn_again

PLANNERS = ("greedy", "local-search")
PROVER = "branch"
RUNS, TABLE = "runs.csv", "fresh.md"


def main(words: Sequence[str] | None = None) -> int:
    """Draw, solve and write the table; 1 when an answer was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fresh")
    parser.add_argument("--draws", type=int, default=10, metavar="N")
    parser.add_argument(
        "--number",
        type=int,
        action="append",
        metavar="I",
        help="case of each group, from 0; several times (default: 3 and 5)",
    )
    parser.add_argument(
        "--groups",
        type=lambda text: text.split(","),
        default=[name for name in GROUPS if name != LARGE],
        metavar="NAME,...",
    )
    parser.add_argument("--time-limit", type=float, default=10.0, metavar="S")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results/fresh"),
        metavar="FOLDER",
        help="default results/fresh; one folder holds runs of one time limit",
    )
    chosen = parser.parse_args(words)
    if chosen.draws < 1 or chosen.jobs < 1 or not chosen.time_limit > 0:
        parser.error("--draws, --jobs and --time-limit must be > 0")
    numbers = chosen.number or [3, 5]
    cases = [
        drawn_again(case, draw)
        for draw in range(1, chosen.draws + 1)
        for case in CASES
        if case.group in chosen.groups and case.number in numbers
    ]
    if not cases:
        parser.error(f"no case of {', '.join(chosen.groups)} is one of {numbers}")
    todo = jobs(
        cases,
        (*PLANNERS, PROVER),
        seeds=1,
        time_limit_s=chosen.time_limit,
        stop_after_s=10 * chosen.time_limit + 60,
    )
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / RUNS
    earlier = {record.key: record for record in read_records(path)}
    if any(r.time_limit_s != chosen.time_limit for r in earlier.values()):
        parser.error(f"--out: {path} holds runs with another --time-limit")
    keys = [(job.case.name, job.solver, job.seed) for job in todo]
    records = [earlier[key] for key in keys if key in earlier]
    left = [job for job, key in zip(todo, keys, strict=True) if key not in earlier]
    write_records(path, earlier.values())

    def keep(record: Record) -> None:
        append_record(path, record)
        records.append(record)
        print(f"{len(records)}: {record.case} {record.solver}", file=sys.stderr)

    if left:
        solvers = (*PLANNERS, PROVER)
        run_all(left, processes=chosen.jobs, keep=keep, solvers=solvers)
    group_of = {case.name: case.group for case in cases}
    text = fresh_table(records, group_of)
    (chosen.out / TABLE).write_text(text, encoding="utf-8")
    print(text, end="")
    wrong = [record for record in records if record.status in ("failed", "stopped")]
    for record in wrong:
        print(f"{record.case} {record.solver}: {record.refused}", file=sys.stderr)
    return 1 if wrong else 0


def fresh_table(records: Sequence[Record], group_of: dict[str, str]) -> str:
    """Write a row per group: proofs, mean distance of the bound, gap of each planner.

    A case counts once all of its solvers have answered.
    """
    by_case: dict[str, dict[str, Record]] = {}
    for record in records:
        if record.served is not None:
            by_case.setdefault(record.case, {})[record.solver] = record
    whole = {
        case: runs for case, runs in by_case.items() if set(runs) == {*PLANNERS, PROVER}
    }
    rows = [
        _row(group, [runs for case, runs in whole.items() if group_of[case] == group])
        for group in GROUPS
        if group in group_of.values()
    ]
    rows.append(_row("all groups", list(whole.values())))
    head = ("group", "cases", "proven", "bound above best", *PLANNERS)
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    limits = sorted({f"{record.time_limit_s:g}" for record in records})
    return (
        f"# Other draws, time limit {', '.join(limits)} s\n\n"
        "Means over the cases, a proven one counting 0, and the worst: bound above "
        "best as a share of the best plan of all three solvers, and what the others "
        "fall short of it.\n\n" + "\n".join(lines) + "\n"
    )


def _row(group: str, cases: Sequence[dict[str, Record]]) -> list[str]:
    distances: list[float] = []
    short: dict[str, list[float]] = {solver: [] for solver in PLANNERS}
    for runs in cases:
        best = max(record.served or 0 for record in runs.values())
        bound = min(r.bound for r in runs.values() if r.bound is not None)
        distances.append((bound - best) / max(best, 1))
        for solver, gaps in short.items():
            gaps.append(1 - (runs[solver].served or 0) / best if best else 0.0)
    proven = sum(distance == 0 for distance in distances)
    return [
        group,
        str(len(cases)),
        str(proven),
        *(
            f"{100 * fmean(values):.1f} % ({100 * max(values):.1f} %)"
            if values
            else "–"
            for values in (distances, *short.values())
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
