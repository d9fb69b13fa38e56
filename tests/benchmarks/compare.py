"""``python -m tests.benchmarks.compare``: solvers side by side over the family.

Runs the chosen solvers over the chosen groups, keeps every run in ``runs.csv``, goes on
where an earlier call stopped, and writes tables and a picture into the same folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from solvers import compile_loops
from tests.benchmarks.campaign import (
    PEERS,
    PROGRAM_USERS,
    Job,
    Record,
    append_record,
    base,
    jobs,
    missing,
    read_records,
    run_all,
    write_records,
)
from tests.benchmarks.comparison import best_of, laminar, sharing, summary, table
from tests.benchmarks.profile_plot import save_profile
from tests.instances import CASES, GROUPS, LARGE, Best, Case, digest, make
from tests.instances.best import BEST_KNOWN, best_known, merged, write_best_known

SOLVERS = (
    *("dp", "greedy", "local-search", "ilp", *PEERS),
    *("dp-noshare", "greedy-noshare", "local-search-noshare"),
)
RUNS = "runs.csv"


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.compare",
        description=__doc__.split("\n\n", 1)[1] if __doc__ else None,
        epilog="Writes runs.csv, summary.md (gaps by group), table.md (by solver and "
        "group), sharing.md (what sharing gains), laminar.md (dp against proven "
        "optima) and performance-profile.png. Integer and constraint programs are "
        f"refused cases of more than {PROGRAM_USERS} users.",
    )
    parser.add_argument(
        "--solvers",
        type=_words,
        default=SOLVERS,
        metavar="NAME,...",
        help=f"default: {','.join(SOLVERS)}; one that is not there is left out",
    )
    parser.add_argument(
        "--groups",
        type=_words,
        default=tuple(name for name in GROUPS if name != LARGE),
        metavar="NAME,...",
        help=f"of {', '.join(GROUPS)}, or all; default: all but {LARGE}",
    )
    parser.add_argument(
        "--cases", type=_words, metavar="NAME,...", help="only these cases"
    )
    parser.add_argument(
        "--max-users", type=int, metavar="N", help="only cases of up to N users"
    )
    parser.add_argument(
        "--time-limit",
        type=_positive,
        default=10.0,
        metavar="S",
        help="limit of solvers that have one, in s (default 10)",
    )
    parser.add_argument(
        "--stop-after",
        type=_positive,
        default=600.0,
        metavar="S",
        help="give up on a run that takes longer, in s (default 600)",
    )
    parser.add_argument(
        "--seeds",
        type=_count,
        default=5,
        metavar="N",
        help="runs of a solver with random choices (default 5)",
    )
    parser.add_argument(
        "--jobs", type=_count, default=2, metavar="N", help="processes (default 2)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results/compare"),
        metavar="FOLDER",
        help="default results/compare; one folder holds runs of one time limit",
    )
    parser.add_argument(
        "--update",
        nargs="?",
        type=Path,
        const=BEST_KNOWN,
        metavar="FILE",
        help="merge better values and bounds into best_known.csv (or FILE)",
    )
    return parser


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",")))


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _chosen_cases(
    parser: argparse.ArgumentParser, chosen: argparse.Namespace
) -> tuple[Case, ...]:
    groups = tuple(GROUPS) if chosen.groups == ("all",) else chosen.groups
    for group in groups:
        if group not in GROUPS:
            parser.error(f"--groups: must be of {', '.join(GROUPS)}, found {group!r}")
    named = {case.name: case for case in CASES}
    for name in chosen.cases or ():
        if name not in named:
            parser.error(f"--cases: no case is named {name!r}")
    found = (
        tuple(named[name] for name in chosen.cases)
        if chosen.cases
        else tuple(case for case in CASES if case.group in groups)
    )
    most = chosen.max_users
    return tuple(case for case in found if most is None or case.users <= most)


def _chosen_solvers(
    parser: argparse.ArgumentParser, chosen: argparse.Namespace
) -> tuple[str, ...]:
    found = []
    for solver in chosen.solvers:
        reason = missing(solver)
        if reason is None:
            found.append(solver)
        elif solver in SOLVERS or base(solver) in PEERS:
            print(f"{solver}: left out, {reason}", file=sys.stderr)
        else:
            parser.error(f"--solvers: {reason}: {solver!r}")
    return tuple(found)


def _resume(
    parser: argparse.ArgumentParser, path: Path, todo: Sequence[Job]
) -> tuple[list[Record], list[Job]]:
    """Split a campaign into what is there and what is left to run."""
    earlier = read_records(path)
    for record in earlier:
        if record.time_limit_s != todo[0].time_limit_s:
            parser.error(
                f"--out: {path} holds runs with --time-limit {record.time_limit_s:g}; "
                "choose that or another folder"
            )
    codes = {job.case.name: "" for job in todo}
    codes = {c.name: digest(make(c)) for c in CASES if c.name in codes}
    # A problem that has changed, or a run that went wrong, is run again.
    kept = {
        record.key: record
        for record in earlier
        if record.status != "failed"
        and codes.get(record.case, record.digest) == record.digest
    }
    left = [job for job in todo if (job.case.name, job.solver, job.seed) not in kept]
    return list(kept.values()), left


def main(words: Sequence[str] | None = None) -> int:
    """Run, compare and write; 1 when an answer was wrong."""
    parser = _arguments()
    chosen = parser.parse_args(words)
    cases = _chosen_cases(parser, chosen)
    solvers = _chosen_solvers(parser, chosen)
    todo = jobs(
        cases,
        solvers,
        seeds=chosen.seeds,
        time_limit_s=chosen.time_limit,
        stop_after_s=chosen.stop_after,
    )
    if not todo:
        parser.error("nothing to run: no case or no solver is left")
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / RUNS
    records, left = _resume(parser, path, todo)
    write_records(path, records)

    def keep(record: Record) -> None:
        append_record(path, record)
        records.append(record)
        done = f"{len(records)}: {record.case} {record.solver} {record.seed}"
        found = f"{record.served} served" if record.answered else record.refused
        print(f"{done}: {record.status}, {found}", file=sys.stderr, flush=True)

    if left:
        # Each process would compile them for itself.
        compile_loops()
        run_all(left, processes=chosen.jobs, keep=keep, solvers=solvers)
    # All runs of the folder, in the family's order, however the processes ended.
    at = {case.name: n for n, case in enumerate(CASES)}
    names = [*SOLVERS, *sorted({record.solver for record in records} - {*SOLVERS})]
    shown = sorted(records, key=lambda r: (at[r.case], names.index(r.solver), r.seed))
    if chosen.update is not None:
        update(shown, chosen.update)
    known = best_known()
    write_report(shown, known, chosen.out)
    wrong = [record for record in shown if record.status == "failed"]
    for record in wrong:
        print(f"{record.case} {record.solver}: {record.refused}", file=sys.stderr)
    return 1 if wrong else 0


def update(records: Sequence[Record], path: Path) -> None:
    """Merge verified answers into the best known values.

    Bounds of solvers without sharing are not bounds of the problem, so only what they
    served counts.

    Raises
    ------
    ValueError
        When a value is above a bound, or a row of the file is of another problem.
    """
    known = best_known(path)
    cases = {case.name: case for case in CASES}
    for record in records:
        if record.served is None or record.bound is None or record.runtime_s is None:
            continue
        case = cases[record.case]
        own = record.solver == base(record.solver)
        known[case.name] = merged(
            known.get(case.name),
            case,
            record.digest,
            served=record.served,
            bound=record.bound if own else case.users,
            by=record.solver,
            seconds=record.runtime_s,
        )
    write_best_known(known.values(), path)


def write_report(
    records: Sequence[Record], known: dict[str, Best], folder: Path
) -> None:
    """Write the tables and the picture."""
    best = best_of(records, known)
    for name, text in (
        ("table.md", table(records, best)),
        ("summary.md", summary(records, best)),
        ("sharing.md", sharing(records)),
        ("laminar.md", laminar(records)),
    ):
        (folder / name).write_text(text, encoding="utf-8")
    save_profile(records, best, folder / "performance-profile.png")


if __name__ == "__main__":
    sys.exit(main())
