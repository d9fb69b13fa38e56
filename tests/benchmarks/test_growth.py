"""How the ratio of run times grows: what is measured, refused, resumed and quoted."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import pytest

from solvers.core.tables import PlannedRound
from tests.benchmarks import cpsat
from tests.benchmarks.growth import (
    CSV,
    SEEDS,
    SETTINGS,
    USERS,
    ContradictionError,
    Run,
    agree,
    main,
    make,
    parts,
    read_runs,
    spread,
    table,
    write_runs,
)
from tests.instances import digest

PAGE = Path(__file__).parents[2] / "docs" / "mathematics.md"
RUN = Run(
    users=60,
    seed=0,
    workers=1,
    hint=False,
    blocks_once=False,
    digest="d",
    optimum=9,
    served=9,
    bound=9,
    dp_s=0.01,
    build_s=0.02,
    search_s=0.08,
    hint_s=0.0,
)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warm up with a small problem, and time nothing twice."""
    monkeypatch.setattr("tests.benchmarks.growth.USERS", (12,))
    monkeypatch.setattr("tests.benchmarks.growth.QUICK_RUNS", 1)


@pytest.mark.usefixtures("quick")
def test_small_sizes_end_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every setting proves dp's optimum; a run that is cut off goes on."""
    path = tmp_path / "new" / "growth.csv"
    words = ["--users", "12,20", "--seeds", "2", "--out", str(path)]
    assert main(words) == 0
    runs = read_runs(path)
    assert len({run.key for run in runs}) == len(runs) == 2 * 2 * len(SETTINGS)
    for run in runs:
        assert run.served == run.optimum == run.bound > 0
        assert min(run.dp_s, run.build_s, run.search_s) > 0
        assert (run.hint_s > 0) == run.hint
        assert run.digest == digest(make(run.users, run.seed))
    printed = capsys.readouterr()
    assert printed.out == table(runs) + "\n" + parts(runs)
    assert len(printed.err.splitlines()) == len(runs)
    lines = path.read_text().splitlines(keepends=True)
    # One problem was another one then, and the last line is cut off, as by a kill.
    lines[1] = lines[1].replace(runs[0].digest, "d")
    path.write_text("".join(lines[:-1]) + lines[-1][:30])
    assert main(words) == 0
    again = read_runs(path)
    assert again[: len(runs) - 2] == runs[1:-1]
    assert {run.key for run in again} == {run.key for run in runs}
    assert len(capsys.readouterr().err.splitlines()) == 2
    before = path.read_text()
    assert main(words) == 0
    assert path.read_text() == before


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("wrong", [-1, 1])
def test_a_contradiction_ends_the_run(
    wrong: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bound below dp's optimum, or an answer above it: no row, and status 1."""
    honest = cpsat.solve_cp_sat

    def lying(problem: Any, *words: Any, **options: Any) -> Any:
        found = honest(problem, *words, **options)
        if options["workers"] == 1:
            return found
        served = found.served + min(wrong, 0)
        rounds = list(found.rounds)
        if wrong < 0:
            model, users = rounds[-1]
            rounds[-1:] = [PlannedRound(model, users[:-1])] if len(users) > 1 else []
            return replace(found, served=served, bound=served, rounds=tuple(rounds))
        return replace(found, bound=found.bound + 1, proven=False)

    monkeypatch.setattr(cpsat, "solve_cp_sat", lying)
    path = tmp_path / "growth.csv"
    found = main(["--users", "12", "--seeds", "1", "--out", str(path)])
    captured = capsys.readouterr()
    if wrong < 0:
        assert found == 1
        assert captured.err.startswith("error: 12 users, seed 0, 8 workers: dp proves")
        assert captured.out == ""
        assert read_runs(path) == []
    else:
        # A bound above the optimum is weak, not wrong.
        assert found == 0
        assert "1 of 1 not proven" in captured.out


def test_what_contradicts() -> None:
    """Only one optimum can be proven, and nothing is served beyond it."""
    exact: Any = SimpleNamespace(served=9, bound=9)

    def claim(served: int, bound: int, of: Any = exact) -> None:
        found: Any = SimpleNamespace(served=served, bound=bound)
        agree("here", of, found)

    claim(9, 9)
    claim(8, 9)
    claim(0, 12)
    with pytest.raises(ContradictionError, match="here: dp proves 9, CP-SAT serves 8"):
        claim(8, 8)
    with pytest.raises(ContradictionError, match="CP-SAT serves 10 and proves 10"):
        claim(10, 10)
    with pytest.raises(ContradictionError, match="dp serves 9 and proves no better"):
        claim(9, 9, SimpleNamespace(served=9, bound=10))


def test_what_is_not_proven_is_marked() -> None:
    """A run that was stopped would have taken longer: its numbers are least values."""
    runs = [replace(RUN, seed=n, search_s=0.08 + 0.1 * n) for n in range(5)]

    def ratio(run: Run) -> float:
        return run.ratio

    assert spread(runs, ratio) == "30 (10–50)"
    last = [*runs[:-1], replace(runs[-1], served=8)]
    assert spread(last, ratio) == "30 (10–≥ 50), 1 of 5 not proven"
    first = [replace(runs[0], bound=10), *runs[1:]]
    # It may come anywhere in the order: each number may be higher.
    assert spread(first, ratio) == "≥ 30 (≥ 10–≥ 50), 1 of 5 not proven"
    assert spread(runs[:2], ratio) == "15 (10–20)"


def test_tables_of_some_runs(tmp_path: Path) -> None:
    """Ratios with building, and of the search alone; what was not run is a dash."""
    runs = [
        RUN,
        replace(RUN, users=1000, dp_s=0.1),
        replace(RUN, users=1000, seed=1, dp_s=0.1, workers=8, hint=True, hint_s=3.0),
    ]
    path = tmp_path / "runs.csv"
    write_runs(path, runs)
    assert read_runs(path) == runs
    assert table(read_runs(path)).splitlines() == [
        "| users | `dp` (ms) | 1 worker | 8 workers, hint |",
        "|---:|---:|---:|---:|",
        "| 60 | 10 | 10 (10–10) | – |",
        "| 1,000 | 100 | 1 (1–1) | 1 (1–1) |",
    ]
    assert "| 60 | 0.02 | 8 (8–8) | – |" in parts(runs)


@pytest.mark.parametrize(
    "words",
    [
        ["--users", "0"],
        ["--users", "60,no"],
        ["--seeds", "0"],
        ["--seeds", "1,2"],
        ["--time-limit", "0"],
        ["--time-limit", "nan"],
    ],
)
def test_wrong_options_are_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says which option, and what was found."""
    with pytest.raises(SystemExit) as error:
        main(words)
    assert error.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert words[0] in last
    assert words[1] in last


def test_the_committed_run_is_whole() -> None:
    """Every size, seed and setting once, of the problems that are drawn today."""
    runs = read_runs(CSV)
    keys = set(product(USERS, range(SEEDS), SETTINGS))
    assert {run.key for run in runs} == keys
    assert len(runs) == len(keys)
    for run in runs:
        assert run.served <= run.optimum <= run.bound
    for users in USERS[:4]:
        for seed in range(SEEDS):
            known = {r.digest for r in runs if (r.users, r.seed) == (users, seed)}
            assert known == {digest(make(users, seed))}


def medians(runs: list[Run], users: int) -> list[float]:
    """List the median ratio of each setting."""
    return [
        median(r.ratio for r in runs if (r.users, r.setting) == (users, setting))
        for setting in SETTINGS
    ]


def test_the_page_quotes_the_committed_run() -> None:
    """Tables and a sentence of the mathematics are those of the data."""
    runs = read_runs(CSV)
    page = PAGE.read_text(encoding="utf-8")
    assert table(runs) in page
    assert parts(runs) in page
    plain = [medians(runs, users)[0] for users in USERS]
    best = [min(medians(runs, users)) for users in USERS]
    lost = [run for run in runs if not run.proven]
    assert (
        f"From 60 to 10,000 users the ratio grows from {plain[0]:.0f} to "
        f"{plain[-1]:.0f} with one worker and no hint, and from {best[0]:.0f} to "
        f"{best[-1]:.0f} with the quickest of the five settings for each size; "
        f"{len(lost)} of {len(runs)} runs ended without a proof, "
        f"{sum(run.served == 0 for run in lost)} of them without any answer."
    ) in " ".join(page.split())


def test_the_findings_say_how_much_longer_it_takes() -> None:
    """In the setting that is quickest at each size."""
    runs = read_runs(CSV)
    few, many = (min(medians(runs, users)) for users in (USERS[0], USERS[-1]))
    page = (PAGE.parent / "findings.md").read_text(encoding="utf-8")
    assert (
        f"{few:.0f} times as long as `dp` for 60 requests and {many:.0f} times for "
        f"10,000"
    ) in " ".join(page.split())
