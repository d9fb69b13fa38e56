"""The comparison of solvers: runs, resumes, tables, and what it refuses to believe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib.image
import pytest

from solvers import UPLINKS, solve
from solvers.core.tables import PlannedRound
from tests.benchmarks.campaign import (
    PROGRAM_USERS,
    Job,
    Record,
    checked,
    missing,
    read_records,
    run,
)
from tests.benchmarks.compare import RUNS, main, update
from tests.benchmarks.comparison import (
    best_of,
    gap,
    laminar,
    sharing,
    summary,
    table,
)
from tests.benchmarks.page import PAGE, written
from tests.instances import CASES, LARGE, best_known, digest, make

LAMINAR, CROSSING = "bottom-gpu-00-dynamic", "mixed-00-upfront"
SOLVERS = "dp,greedy,ilp,random,dp-noshare,greedy-noshare"
BY_NAME = {case.name: case for case in CASES}


def _compare(folder: Path, *words: str, cases: str = f"{LAMINAR},{CROSSING}") -> int:
    fixed = ("--cases", cases, "--time-limit", "5", "--out", str(folder))
    return main([*fixed, "--solvers", SOLVERS, "--seeds", "2", *words])


def _record(case: str, solver: str, served: int | None, **changes: object) -> Record:
    found = Record(
        case=case,
        solver=solver,
        seed=0,
        time_limit_s=5.0,
        digest="d",
        served=served,
        bound=served,
        proven=served is not None,
        status="refused" if served is None else "optimal",
        runtime_s=None if served is None else 0.5,
        refused="why" if served is None else "",
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def test_two_cases_end_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A campaign cut off in the middle goes on where it stopped, and reports."""
    assert _compare(tmp_path, "--jobs", "1", cases=LAMINAR) == 0
    path = tmp_path / RUNS
    first = path.read_text().splitlines()
    assert len(first) == 1 + 7
    # The last line is lost, and the one before it is cut off, as by a kill.
    path.write_text("\n".join(first[:-2]) + "\n" + first[-2][:40])
    capsys.readouterr()
    best = tmp_path / "best.csv"
    assert _compare(tmp_path, "--jobs", "2", "--update", str(best)) == 0
    lines = path.read_text().splitlines()
    assert lines[: len(first) - 2] == first[:-2]
    assert len(capsys.readouterr().err.splitlines()) == 2 + 7
    records = read_records(path)
    assert len({record.key for record in records}) == len(records) == 14
    refused = {(r.case, r.solver) for r in records if r.status == "refused"}
    assert refused == {(CROSSING, "dp")}
    assert all("cross" in r.refused for r in records if r.status == "refused")
    for name in ("summary.md", "table.md", "sharing.md", "laminar.md"):
        assert "| dp" in (tmp_path / name).read_text() or name == "laminar.md"
    assert f"| {LAMINAR} | ilp |" in (tmp_path / "laminar.md").read_text()
    picture = matplotlib.image.imread(tmp_path / "performance-profile.png")
    assert picture.shape[0] > 500
    assert picture.std() > 0.05
    known = best_known(best)
    assert set(known) == {LAMINAR, CROSSING}
    for case, entry in known.items():
        shared = [r for r in records if r.case == case and r.answered]
        assert entry.best == max(r.served for r in shared if r.served is not None)
    # Nothing is left to run; another time limit belongs into another folder.
    assert _compare(tmp_path, "--jobs", "1") == 0
    assert path.read_text().splitlines() == lines
    with pytest.raises(SystemExit):
        _compare(tmp_path, "--time-limit", "6")
    assert "--time-limit 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--groups", "none"], "'none'"),
        (["--cases", "none"], "'none'"),
        (["--solvers", "none"], "'none'"),
        (["--time-limit", "0"], "'0'"),
        (["--jobs", "0"], "'0'"),
        (["--cases", LAMINAR, "--max-users", "1"], "nothing to run"),
    ],
)
def test_wrong_options_are_named(
    words: Sequence[str],
    found: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong option ends the command before anything is written."""
    with pytest.raises(SystemExit):
        main([*words, "--out", str(tmp_path / "out")])
    assert found in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_programs_are_not_built_for_large_cases() -> None:
    """An integer program is refused a large case, with the limit as the reason."""
    case = next(case for case in CASES if case.group == LARGE)
    record = run(Job(case, "ilp", 0, time_limit_s=1.0, stop_after_s=10.0))
    assert (record.status, record.served) == ("refused", None)
    assert str(PROGRAM_USERS) in record.refused


def test_a_run_that_does_not_end_is_stopped() -> None:
    """A run is given up after its time, and leaves a record without an answer."""
    case = BY_NAME["bottom-balanced-10-static"]
    record = run(Job(case, "dp", 0, time_limit_s=1.0, stop_after_s=0.001))
    assert (record.status, record.served) == ("stopped", None)


@pytest.mark.parametrize("uplink", UPLINKS)
def test_peers_answers_are_judged(uplink: str) -> None:
    """A peer's rounds count when they are feasible and worth what it claims."""
    case = next(c for c in CASES if c.group == "bottom-gpu" and c.uplink == uplink)
    problem = make(case)
    found = solve(problem, "greedy", uplink=case.uplink)
    models = list(problem.models)
    number = {user.id: k for k, user in enumerate(problem.users)}
    rounds = [
        PlannedRound(models.index(r.model), tuple(number[u] for u in r.users))
        for r in found.schedule.rounds
    ]

    def claim(**changes: object) -> int:
        claims = {"served": found.served, "bound": None, "proven": False}
        result = SimpleNamespace(**{**claims, "rounds": rounds, **changes})
        return checked(problem, case.uplink, result, solver="peer", sharing=True).served

    assert claim() == claim(proven=True) == found.served
    with pytest.raises(ValueError, match="claims"):
        claim(served=found.served - 1)
    with pytest.raises(ValueError, match="above its bound"):
        claim(bound=found.served - 1)
    late = [*rounds, *rounds[:1]]
    with pytest.raises(ValueError, match=r"twice|not feasible"):
        claim(rounds=late, served=found.served + len(rounds[0].users), bound=99)
    with pytest.raises(ValueError, match="rounds serve"):
        claim(rounds=rounds[:-1])
    stranger = [PlannedRound(1 - rounds[0].model, rounds[0].users), *rounds[1:]]
    with pytest.raises(ValueError, match=r"another model|not feasible"):
        claim(rounds=stranger, bound=99)


def test_missing_solvers_are_told() -> None:
    """A solver that is not there is named as such; one that is there is not."""
    assert missing("dp") is None
    assert missing("dp-noshare") is None
    assert missing("dp-nonsense") == "no such solver"


def test_gaps_and_tables() -> None:
    """Gaps are to the best seen or known; refusals and proofs are counted apart."""
    records = [
        _record(LAMINAR, "dp", 8),
        _record(LAMINAR, "greedy", 6, proven=False, runtime_s=20.0),
        _record(CROSSING, "dp", None),
        _record(CROSSING, "greedy", 5, runtime_s=0.25),
        _record(LAMINAR, "dp-noshare", 4),
    ]
    best = best_of(records, {})
    assert best == {LAMINAR: 8, CROSSING: 5}
    assert [gap(record, best) for record in records] == [0, 0.25, None, 0, 0.5]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table(records, best).splitlines()
        if "all groups" in line
    ]
    assert [row[0] for row in rows] == ["dp", "greedy", "dp-noshare"]
    assert rows[0][2:] == ["1", "1", "0", "0.00%", "0.00%", "0", "1", "0.5", "0.5"]
    assert rows[1][2:] == ["2", "0", "0", "12.50%", "25.00%", "0", "1", "10", "20"]
    assert rows[2][5:9] == ["50.00%", "50.00%", "0", "–"]


def test_runs_without_any_schedule_are_counted_beside_their_gap() -> None:
    """A mean gap alone would not tell a poor schedule from none."""
    records = [
        _record(LAMINAR, "dp", 8),
        _record(LAMINAR, "cp-sat", 0, proven=False),
        _record(CROSSING, "greedy", 5),
        _record(CROSSING, "cp-sat", 4, proven=False),
        _record("tight-00-dynamic", "cp-sat", 0),
    ]
    best = best_of(records, {})
    (row,) = (
        line for line in table(records, best).splitlines() if "| cp-sat | all" in line
    )
    assert row == (
        "| cp-sat | all groups | 3 | 0 | 0 | 40.00% | 100.00% | 1 | 1 | 0.5 | 0.5 |"
    )
    text = summary(records, best)
    assert "| 100.00% (100.0%) of 1, 1 empty |" in text
    assert "| 20.00% (20.0%) of 1 |" in text
    assert "| 40.00% (100.0%) of 3, 1 empty |" in text.splitlines()[-1]


def test_the_page_shows_the_tables_of_the_campaign() -> None:
    """As ``python -m tests.benchmarks.page`` writes them."""
    page = PAGE.read_text(encoding="utf-8")
    assert written(page) == page


def test_sharing_is_compared_in_pairs() -> None:
    """Only cases that both twins answer count, each with its mean over seeds."""
    other = "bottom-gpu-01-upfront"
    records = [
        _record(LAMINAR, "dp", 8),
        _record(LAMINAR, "dp", 6, seed=1),
        _record(LAMINAR, "dp-noshare", 5),
        _record(other, "dp", 5),
        _record(other, "dp-noshare", 5),
        _record(CROSSING, "dp", None),
        _record(CROSSING, "dp-noshare", 5),
    ]
    row = next(r for r in sharing(records).splitlines() if "all groups" in r)
    assert row == (
        "| dp | all groups | 2 | +1.00 ± 12.71 | +20.0 ± 254.1 | +20.0 | 0 |"
    )


def test_laminar_counts_proofs_alone() -> None:
    """A ratio stands only where the exact solver proves; equality is counted."""
    other = "bottom-gpu-01-upfront"
    records = [
        _record(LAMINAR, "dp", 8, runtime_s=0.01),
        _record(other, "dp", 5, runtime_s=0.01),
        _record(LAMINAR, "ilp", 9, runtime_s=2.0),
        _record(other, "ilp", 5, proven=False, runtime_s=5.0),
        _record(CROSSING, "ilp", 5),
    ]
    text = laminar(records)
    assert "| ilp | all | 2 | 1 | 0 | 200 | 200 |" in text
    assert f"| {LAMINAR} | ilp | 9 | 8 | no |" in text
    assert CROSSING not in text


def test_bounds_without_sharing_do_not_count(tmp_path: Path) -> None:
    """What a solver proves under harder rules is no bound of the problem."""
    case = BY_NAME[LAMINAR]
    code = digest(make(case))
    path = tmp_path / "best.csv"
    update([_record(LAMINAR, "dp-noshare", 4, digest=code)], path)
    assert best_known(path)[LAMINAR].bound == case.users
    update([_record(LAMINAR, "dp", 6, digest=code)], path)
    assert best_known(path)[LAMINAR].proven
    with pytest.raises(ValueError, match="best <= bound"):
        update([_record(LAMINAR, "ilp", 7, digest=code)], path)
    assert best_known(path)[LAMINAR].best == 6
