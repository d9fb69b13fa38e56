"""Solvers of the user's own beside ours: what is written, and kept when one fails."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edgesim.errors import InputError
from edgesim.experiment.inputs import load_inputs
from edgesim.experiment.own_solvers import own_solver, solve_by_name
from edgesim.experiment.run import run_all
from edgesim.instances import read_instance, read_schedule
from edgesim.storage.manifest import MANIFEST
from solvers import OwnSolverError, RefusalError, solve
from tests.command import edgesim
from tests.own_solvers.mine import ONLINE, check_refused, line_of, rows_of


def test_it_runs_beside_ours_and_so_does_its_twin() -> None:
    """Under the name it was asked by, in every table; files have no colon."""
    names = "mine_for_test:good,mine_for_test:good-noshare,greedy,greedy-noshare"
    finished = edgesim("run", "small.toml", "--solver", names, "--out", "out")
    assert finished.code == 0, finished.err
    assert "sharing gains mine_for_test:good " in finished.out
    summary = json.loads(Path("out/summary.json").read_text())
    assert list(summary["solvers"]) == names.split(",")
    gains = summary["sharing_gain_in_time"]
    assert gains["mine_for_test:good"] == gains["greedy"]
    rows = rows_of("out/requests.csv")
    for twin in ("", "-noshare"):
        ours, theirs = (
            [{**row, "solver": ""} for row in rows if row["solver"] == name + twin]
            for name in ("greedy", "mine_for_test:good")
        )
        assert ours == theirs
        mine = read_schedule(Path(f"out/plans/0/mine_for_test-good{twin}.json"))
        greedy = read_schedule(Path(f"out/plans/0/greedy{twin}.json"))
        assert mine.solver == f"mine_for_test:good{twin}"
        assert mine.rounds == greedy.rounds
    assert "failed" not in json.loads(Path("out/run.json").read_text())


def test_results_of_others_are_kept_where_it_breaks_a_rule() -> None:
    """Exit 2 and the rule; what is written is what a run without it writes."""
    finished = edgesim(
        "run", "small.toml", "--solver", "dp,mine_for_test:twice", "--out", "out"
    )
    rule = r"mine_for_test:twice: round \d: user '[^']+' is in round 0 already"
    rule += r" \(repeat 0\)"
    error = re.fullmatch(f"error: --solver: ({rule})\n", finished.err)
    assert error
    assert finished.code == 2
    assert "\nkept dp; failed: mine_for_test:twice\nresults in out\n" in finished.out
    alone = edgesim("run", "small.toml", "--solver", "dp", "--out", "alone")
    assert alone.code == 0, alone.err
    said = [line.split()[:6] for line in finished.out.splitlines()]
    assert [line.split()[:6] for line in alone.out.splitlines()[:-1]] == said[:-2]
    for file in ("summary.json", "requests.csv", "rounds.csv", "throughput.png"):
        assert Path("out", file).read_bytes() == Path("alone", file).read_bytes()
    assert {path.name for path in Path("out/plans/0").iterdir()} == {
        "instance.json",
        "dp.json",
    }
    provenance = json.loads(Path("out/run.json").read_text())
    assert provenance["failed"] == {"mine_for_test:twice": error[1]}
    assert list(provenance["runtime_s"]) == ["dp"]


def test_results_lie_where_they_were_asked_for() -> None:
    """Whatever folder a solver goes to."""
    names = "greedy,mine_for_test:moves"
    finished = edgesim("run", "small.toml", "--solver", names, "--out", "out")
    assert finished.code == 0, finished.err
    assert Path("out/summary.json").is_file()


def test_one_that_fails_in_a_later_repeat_is_left_out_of_all() -> None:
    """Means would be of other repeats than the others' else."""
    name = "mine_for_test:from_second_repeat_on"
    finished = edgesim("run", "small.toml", "--solver", f"{name},dp", "--out", "out")
    check_refused(
        finished,
        f"--solver: {name}: round 0: there is no model '?' (repeat 1)",
    )
    assert {row["solver"] for row in rows_of("out/requests.csv")} == {"dp"}
    assert f"kept dp; failed: {name}" in finished.out


def test_nothing_is_written_where_none_is_left() -> None:
    """Both failures are told, on one line."""
    names = "mine_for_test:raises,mine_for_test:refuses"
    finished = edgesim("run", "small.toml", "--solver", names, "--out", "out")
    place = f"mine_for_test.py:{line_of('{}')}"
    check_refused(
        finished,
        f"--solver: mine_for_test:raises: raised KeyError: \"'nothing'\", at {place} "
        f"(repeat 0); mine_for_test:refuses: needs a common deadline (repeat 0)",
    )
    assert finished.out == ""
    assert not Path("out").exists()


def test_solve_keeps_the_schedules_of_others() -> None:
    """In a folder, by names without colons; nothing for the one that failed."""
    names = "mine_for_test:good-noshare,greedy-noshare,mine_for_test:twice,dp"
    finished = edgesim("solve", "tiny.json", "--solver", names, "--out", "out")
    assert finished.code == 2
    assert finished.err.startswith("error: tiny.json: mine_for_test:twice: round ")
    assert {path.name for path in Path("out").iterdir()} == {
        ".edgesim.json",
        "mine_for_test-good-noshare.json",
        "greedy-noshare.json",
        "dp.json",
    }
    assert "kept mine_for_test:good-noshare, greedy-noshare, dp; failed: mine" in (
        finished.out
    )
    mine = read_schedule(Path("out/mine_for_test-good-noshare.json"))
    assert mine.rounds == read_schedule(Path("out/greedy-noshare.json")).rounds


def test_solve_writes_one_schedule_or_none() -> None:
    """A file for one solver; none where it fails, nor a folder where all do."""
    words = ("solve", "tiny.json", "--out", "s.json", "--solver")
    assert edgesim(*words, "mine_for_test:twice").code == 2
    assert not Path("s.json").exists()
    names = "mine_for_test:twice,mine_for_test:raises"
    assert edgesim(*words, names).code == 2
    assert not Path("s.json").exists()
    assert edgesim(*words, "mine_for_test:good").code == 0
    assert read_schedule(Path("s.json")).solver == "mine_for_test:good"


def test_a_run_from_python_ends_with_the_first_failure() -> None:
    """Unless the caller wants to know of failures and keep the rest."""
    given = {"run.solvers": ["mine_for_test:twice", "dp"]}
    inputs = load_inputs(Path("small.toml"), overrides=given)
    with pytest.raises(InputError, match=r"run.solvers: mine_for_test:twice: round"):
        list(run_all(inputs))
    failed: dict[str, Any] = {}
    assert {one.name for one in run_all(inputs, failed=failed)} == {"dp"}
    assert list(failed) == ["mine_for_test:twice"]
    assert isinstance(failed["mine_for_test:twice"], OwnSolverError)


def test_rolling_plans_with_it() -> None:
    """As with the solver that it stands for, with and without sharing."""
    Path("x.toml").write_text(ONLINE.replace('["rolling"', '["rolling-noshare"'))
    assert edgesim("run", "x.toml", "--own-code", "--out", "mine").code == 0
    Path("x.toml").write_text(
        ONLINE.replace('["rolling"', '["rolling-noshare"').replace(
            "mine_for_test:good", "greedy"
        )
    )
    assert edgesim("run", "x.toml", "--out", "ours").code == 0
    for file in ("requests.csv", "rounds.csv"):
        assert Path("mine", file).read_bytes() == Path("ours", file).read_bytes()


def test_it_is_asked_by_its_name() -> None:
    """Schedules and errors say what the user wrote, not what the function is called."""
    solver = own_solver("mine_for_test:good")
    problem = read_instance(Path("tiny.json"))
    assert solve(problem, solver).schedule.solver == "mine_for_test:good"
    with pytest.raises(OwnSolverError, match=r"^mine_for_test:refuses: needs a common"):
        solve_by_name(problem, "mine_for_test:refuses")
    with pytest.raises(RefusalError, match="dp: overlap is not taken"):
        solve_by_name(problem.model_copy(update={"overlap": True}), "dp")


@pytest.mark.parametrize("command", ["solve tiny.json", "run small.toml"])
def test_what_is_finished_is_kept_when_one_of_ours_fails(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Exit 2, whatever it raised; the table and the files are those of the others."""

    def broken(*_: object) -> None:
        raise RuntimeError("no memory\nleft")

    monkeypatch.setattr("solvers.greedy.solver.solve", broken)
    finished = edgesim(*command.split(), "--solver", "fcfs,greedy,edf", "--out", "out")
    assert finished.code == 2
    assert "greedy: raised RuntimeError: no memory left" in finished.err
    assert finished.err.count("\n") == 1
    assert "kept fcfs, edf; failed: greedy" in finished.out
    written = {path.name for path in Path("out").rglob("*.json")}
    assert {"fcfs.json", "edf.json"} <= written
    assert "greedy.json" not in written


def test_a_schedule_is_written_before_the_next_solver_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An interrupt later loses nothing of it."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("solvers.greedy.solver.solve", interrupted)
    finished = edgesim(
        "solve", "tiny.json", "--solver", "fcfs,greedy,edf", "--out", "out"
    )
    assert finished.code == 130
    assert {path.name for path in Path("out").iterdir()} == {MANIFEST, "fcfs.json"}
