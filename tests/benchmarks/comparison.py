"""Tables of a campaign: gaps and times, what sharing gains, dp against proofs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median

from edgesim.measures.student import mean_interval
from tests.benchmarks.campaign import NO_SHARING, PROGRAMS, Record, base
from tests.instances import CASES, Best

_CASES = {case.name: case for case in CASES}
ALL = "all groups"


def best_of(records: Iterable[Record], known: Mapping[str, Best]) -> dict[str, int]:
    """Most users served in each case: best known, or better in these records."""
    best: dict[str, int] = {}
    for record in records:
        entry = known.get(record.case)
        if entry is not None and entry.digest == record.digest:
            best.setdefault(record.case, entry.best)
        if record.served is not None:
            best[record.case] = max(best.get(record.case, 0), record.served)
    return best


def gap(record: Record, best: Mapping[str, int]) -> float | None:
    """(best known − served) / best known, 0 where nobody can be served."""
    if record.served is None:
        return None
    most = best[record.case]
    return (most - record.served) / most if most else 0.0


def unanswered(runs: Iterable[Record], best: Mapping[str, int]) -> int:
    """Count runs that ended without any schedule, where there is one."""
    return sum(run.served == 0 < best[run.case] for run in runs)


def _by_group(
    records: Iterable[Record],
) -> dict[tuple[str, str], list[Record]]:
    """Sort records by solver and group, the solver over all groups last."""
    found: dict[tuple[str, str], list[Record]] = {}
    listed = list(records)
    for record in listed:
        key = record.solver, _CASES[record.case].group
        found.setdefault(key, []).append(record)
    for record in listed:
        found.setdefault((record.solver, ALL), []).append(record)
    solvers = list(dict.fromkeys(record.solver for record in listed))
    # Stable: groups of a solver stay in order, all groups last.
    return dict(sorted(found.items(), key=lambda item: solvers.index(item[0][0])))


def markdown(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 2
) -> str:
    """Lay out a table whose first columns are words and the others numbers."""
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + "---|" * words + "---:|" * (len(head) - words))
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def seconds(value_s: float) -> str:
    """Write a time with two digits."""
    return f"{value_s:.2g}" if value_s < 10 else f"{value_s:.0f}"


def table(records: Sequence[Record], best: Mapping[str, int]) -> str:
    """Write a row per solver and group: gap to best known, proofs, times."""
    rows = []
    for (solver, group), runs in _by_group(records).items():
        done = [run for run in runs if run.answered]
        gaps = [g for run in done if (g := gap(run, best)) is not None]
        times_s = [run.runtime_s for run in done if run.runtime_s is not None]
        refused = sum(run.status == "refused" for run in runs)
        lost = len(runs) - len(done) - refused
        row = [solver, group, str(len(done)), str(refused), str(lost)]
        if done:
            row += [f"{fmean(gaps):.2%}", f"{max(gaps):.2%}"]
            row += [str(unanswered(done, best))]
            # A bound without sharing proves nothing of the problem with it.
            own = solver == base(solver)
            row += [str(sum(run.proven for run in done)) if own else "–"]
            row += [seconds(median(times_s)), seconds(max(times_s))]
        else:
            row += ["–"] * 6
        rows.append(row)
    head = ("solver", "group", "runs", "refused", "stopped or failed", "mean gap")
    head += ("worst gap", "no answer", "proven", "median time (s)", "worst time (s)")
    limits = sorted({f"{record.time_limit_s:g}" for record in records})
    return (
        f"# Solvers over the family, time limit {', '.join(limits)} s\n\n"
        "Gap: users short of the best known value, as a share of it. A `-noshare` "
        "solver is held against the best with sharing. No answer: of these, runs that "
        "ended without any schedule, a gap of 100 %. Proven: runs whose bound is "
        "met.\n\n" + markdown(head, rows)
    )


def summary(records: Sequence[Record], best: Mapping[str, int]) -> str:
    """Write a row per group: mean and worst gap of each solver that shares."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.answered:
            for group in (_CASES[record.case].group, ALL):
                found.setdefault((record.solver, group), []).append(record)
    names = dict.fromkeys(solver for solver, _ in found)
    solvers = [name for name in names if name == base(name)]
    groups = [g for g in dict.fromkeys(group for _, group in found) if g != ALL]
    rows = [
        [
            group,
            *(_summed(found.get((solver, group), ()), best) for solver in solvers),
        ]
        for group in [*groups, ALL]
    ]
    return (
        "# Mean gap to the best known value (worst gap) of so many runs\n\n"
        "*Empty*: of these, runs that ended without any schedule, a gap of 100 %.\n\n"
        + markdown(("group", *solvers), rows)
    )


def _summed(runs: Sequence[Record], best: Mapping[str, int]) -> str:
    """Write the gaps of a solver in a group."""
    if not runs:
        return "–"
    gaps = [g for run in runs if (g := gap(run, best)) is not None]
    text = f"{fmean(gaps):.2%} ({max(gaps):.1%}) of {len(gaps)}"
    empty = unanswered(runs, best)
    return text + f", {empty} empty" * bool(empty)


def _means(records: Iterable[Record]) -> dict[tuple[str, str], float]:
    """Mean users served over seeds, by solver and case."""
    found: dict[tuple[str, str], list[int]] = {}
    for record in records:
        if record.served is not None:
            found.setdefault((record.solver, record.case), []).append(record.served)
    return {key: fmean(values) for key, values in found.items()}


def sharing(records: Sequence[Record]) -> str:
    """Write what each solver gains by sharing, per group, in paired differences."""
    served = _means(records)
    twins = dict.fromkeys(solver for solver, _ in served if solver.endswith(NO_SHARING))
    rows = []
    for twin in twins:
        pairs = {
            case: (served[base(twin), case], without)
            for (solver, case), without in served.items()
            if solver == twin and (base(twin), case) in served
        }
        groups: dict[str, list[tuple[float, float]]] = {}
        for case, pair in pairs.items():
            groups.setdefault(_CASES[case].group, []).append(pair)
        groups |= {ALL: list(pairs.values())} if pairs else {}
        for group, found in groups.items():
            gains = [shared - without for shared, without in found]
            percents = [100 * (s - w) / w for s, w in found if w]
            total = sum(without for _, without in found)
            rows.append(
                [
                    base(twin),
                    group,
                    str(len(found)),
                    _signed(gains, "+.2f"),
                    _signed(percents, "+.1f") if percents else "–",
                    f"{100 * sum(gains) / total:+.1f}" if total else "–",
                    str(sum(gain < 0 for gain in gains)),
                ]
            )
    head = ("solver", "group", "cases", "more users served", "% more, by case")
    head += ("% more, in all", "cases with fewer")
    return (
        "# What sharing parameters gains\n\n"
        "Each solver against its `-noshare` twin on the same cases: paired "
        "differences of users served (means over seeds), with 95 % intervals of "
        "Student's t over the cases. Cases in which nobody is served without sharing "
        "are left out of *by case*.\n\n" + markdown(head, rows)
    )


def _signed(values: Sequence[float], form: str) -> str:
    mean, half = mean_interval(values)
    text = format(mean, form)
    return text if half is None else f"{text} ± {format(half, form[1:])}"


def laminar(records: Sequence[Record]) -> str:
    """Compare dp with what exact solvers prove, where dp applies."""
    fast = {r.case: r for r in records if r.solver == "dp" and r.answered}
    rows, every = [], []
    for solver in PROGRAMS:
        ratios: dict[str, list[float]] = {}
        equal: dict[str, int] = {}
        tried: dict[str, int] = {}
        for record in records:
            if record.solver != solver or record.case not in fast:
                continue
            dp, uplink = fast[record.case], _CASES[record.case].uplink
            for key in (uplink, "all"):
                tried[key] = tried.get(key, 0) + 1
            if not record.proven or not record.runtime_s or not dp.runtime_s:
                continue
            ratio = record.runtime_s / dp.runtime_s
            same = dp.served == record.served
            for key in (uplink, "all"):
                ratios.setdefault(key, []).append(ratio)
                equal[key] = equal.get(key, 0) + same
            every.append(
                [
                    record.case,
                    solver,
                    str(record.served),
                    str(dp.served),
                    "yes" if same else "no",
                    seconds(record.runtime_s),
                    seconds(dp.runtime_s),
                    f"{ratio:.3g}",
                ]
            )
        for key in sorted(tried, key=lambda k: (k == "all", k)):
            found = ratios.get(key, [])
            row = [solver, key, str(tried[key]), str(len(found))]
            row += [str(equal.get(key, 0))]
            row += [f"{v:.3g}" for v in (min(found), median(found))] if found else []
            rows.append([*row, *["–"] * (7 - len(row))])
    head = ("exact solver", "uplink", "cases", "proven", "dp equal", "least ratio")
    single = ("case", "exact solver", "optimum", "dp", "equal", "exact (s)")
    single += ("dp (s)", "ratio")
    return (
        "# dp against proven optima\n\n"
        "Cases that dp takes: laminar sharing, one deadline, releases 0. Ratio: run "
        "time of the exact solver / run time of dp, where it proves its answer.\n\n"
        + markdown((*head, "median ratio"), rows)
        + "\n"
        + markdown(single, every)
    )
