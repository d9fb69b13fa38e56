"""Solvers of the user's own by name: on the command line and in files, with consent."""

from __future__ import annotations

import csv
import dataclasses
import doctest
import json
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgesim.errors import InputError
from edgesim.experiment.inputs import load_inputs
from edgesim.experiment.own_solvers import own_solver, solve_by_name
from edgesim.experiment.run import run_all
from edgesim.instances import read_instance, read_schedule
from edgesim.storage.output_folder import MANIFEST
from solvers import OwnSolverError, RefusalError, solve
from tests.command import Finished, edgesim
from tests.examples import FIGURE, SCENARIO, TRACE, instance

DOCUMENT = Path(__file__).parents[1] / "docs" / "solvers-of-your-own.md"

# A module that notes when it is imported, and whose solvers are good or not.
MINE = """\
from pathlib import Path

import itertools
import os

from solvers import RefusalError, solve

Path("imported").touch()


def good(problem, uplink, options):
    found = solve(problem, "greedy", uplink=uplink, seed=options.seed)
    return [(r.model, r.users) for r in found.schedule.rounds]


def twice(problem, uplink, options):
    rounds = good(problem, uplink, options)
    return rounds + rounds


def raises(problem, uplink, options):
    {}["nothing"]


def yields(problem, uplink, options):
    yield from good(problem, uplink, options)
    raise OddError(1, 2)


def refuses(problem, uplink, options):
    raise RefusalError("needs a common deadline")


def leaves(problem, uplink, options):
    raise SystemExit(0)


def moves(problem, uplink, options):
    os.chdir("..")
    return good(problem, uplink, options)


def stops(problem, uplink, options):
    yield next(iter([]))


def goes_on(problem, uplink, options):
    return itertools.repeat((problem.users[0].model, [problem.users[0].id]))


class Mute(Exception):
    def __str__(self):
        raise ValueError


def mute(problem, uplink, options):
    raise Mute


def divides(problem, uplink, options):
    return 1 / 0


def asks(problem, uplink, options):
    return solve(problem, "dp", uplink="nowhere")


def from_second_repeat_on(problem, uplink, options):
    return good(problem, uplink, options) if options.seed == 0 else [("?", [])]


def serves_nobody(problem, uplink, options):
    return []


class OddError(Exception):
    def __init__(self, one, two):
        super().__init__()


number = 3


def of_one(problem):
    return []
"""

ONLINE = SCENARIO.replace(
    '[run]\nsolvers = ["dp", "dp-noshare"]\nrepeats = 2',
    '[online]\npolicies = ["rolling"]\nbatches = 2\n'
    '[online.rolling]\nsolver = "mine_for_test:good"',
).replace('"small.csv"\nwindow_s = 0.5', '"busy.csv"\nwindow_s = 1.0')

# More at once than can be served in time, so that plans are made.
BUSY = "arrival_s,user,model,input_bytes,slo_s\n" + "".join(
    f"0.{k // 12},u{k},m00{k % 3},9000,0.2{k % 4}\n" for k in range(36)
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with a scenario, a trace, an instance and solvers of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_for_test", raising=False)
    Path("mine_for_test.py").write_text(MINE)
    Path("small.csv").write_text(TRACE)
    Path("busy.csv").write_text(BUSY)
    Path("small.toml").write_text(SCENARIO)
    Path("tiny.json").write_text(json.dumps(instance()))
    return tmp_path


def _line(text: str) -> int:
    """Find the line of the module that begins with a text."""
    return next(
        number
        for number, line in enumerate(MINE.splitlines(), 1)
        if line.strip().startswith(text)
    )


def _rows(file: str) -> list[dict[str, str]]:
    with Path(file).open(newline="") as text:
        return list(csv.DictReader(text))


def _refused(finished: Finished, text: str) -> None:
    """Exit 2, and one line that says so."""
    assert (finished.code, finished.err) == (2, f"error: {text}\n")


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
    rows = _rows("out/requests.csv")
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


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mine_for_test:goes_on", "is in round 0 already"),
        ("os.path:join", "raised TypeError: "),
    ],
)
def test_odd_ones_are_told_in_one_line(name: str, said: str) -> None:
    """An answer without an end, and a function without a line of the user's."""
    finished = edgesim("run", "small.toml", "--solver", f"dp,{name}", "--out", "out")
    assert finished.code == 2
    assert finished.err.count("\n") == 1
    assert f"error: --solver: {name}: " in finished.err
    assert said in finished.err
    assert "kept dp" in finished.out


def test_one_that_fails_in_a_later_repeat_is_left_out_of_all() -> None:
    """Means would be of other repeats than the others' else."""
    name = "mine_for_test:from_second_repeat_on"
    finished = edgesim("run", "small.toml", "--solver", f"{name},dp", "--out", "out")
    _refused(
        finished,
        f"--solver: {name}: round 0: there is no model '?' (repeat 1)",
    )
    assert {row["solver"] for row in _rows("out/requests.csv")} == {"dp"}
    assert f"kept dp; failed: {name}" in finished.out


def test_nothing_is_written_where_none_is_left() -> None:
    """Both failures are told, on one line."""
    names = "mine_for_test:raises,mine_for_test:refuses"
    finished = edgesim("run", "small.toml", "--solver", names, "--out", "out")
    place = f"mine_for_test.py:{_line('{}')}"
    _refused(
        finished,
        f"--solver: mine_for_test:raises: raised KeyError: \"'nothing'\", at {place} "
        f"(repeat 0); mine_for_test:refuses: needs a common deadline (repeat 0)",
    )
    assert finished.out == ""
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("name", "said", "line"),
    [
        ("raises", "raised KeyError: \"'nothing'\"", "{}"),
        ("yields", "raised OddError()", "raise OddError"),
        ("divides", "raised ZeroDivisionError: ", "return 1 / 0"),
        ("leaves", "raised SystemExit: '0'", "raise SystemExit(0)"),
        ("stops", "raised RuntimeError: ", "yield next"),
        ("mute", "raised Mute", "raise Mute"),
    ],
)
def test_what_it_raises_is_told_with_file_and_line(
    name: str, said: str, line: str
) -> None:
    """One line; with --traceback all of it comes first."""
    words = ("solve", "tiny.json", "--solver", f"mine_for_test:{name}", "--out", "out")
    finished = edgesim(*words)
    assert finished.code == 2
    assert finished.err.startswith(f"error: tiny.json: mine_for_test:{name}: {said}")
    assert finished.err.endswith(f", at mine_for_test.py:{_line(line)}\n")
    assert finished.err.count("\n") == 1
    shown = edgesim(*words, "--traceback")
    assert shown.code == 2
    assert shown.err.startswith("Traceback (most recent call last):\n")
    assert f'mine_for_test.py", line {_line(line)}, in {name}' in shown.err
    assert shown.err.endswith(f"\n{finished.err}")


def test_what_goes_wrong_in_edgesim_is_no_fault_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error that never touched its code is passed on as it is."""
    # The module's name in its package is that of the function in it.
    monkeypatch.setattr(sys.modules["solvers.solve"], "verify", None)
    problem = read_instance(Path("tiny.json"))
    with pytest.raises(TypeError, match="not callable"):
        solve_by_name(problem, "mine_for_test:serves_nobody")


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


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone_for_test:solve", "gone_for_test:solve: there is no module"),
        (
            "mine_for_test:best",
            "mine_for_test:best: there is no function 'best' in mine_for_test; its "
            "functions are asks, divides, from_second_repeat_on, goes_on, good, "
            "leaves, ",
        ),
        (
            "mine_for_test:number-noshare",
            "mine_for_test:number: must be a function of (problem, uplink, options), "
            "found 3",
        ),
        (
            "mine_for_test:of_one",
            "mine_for_test:of_one: must be a function of (problem, uplink, options): "
            "too many positional arguments",
        ),
    ],
)
def test_what_is_no_solver_is_told_before_anything_is_solved(
    name: str, said: str
) -> None:
    """One line, and nothing written, not even of solvers that stand before it."""
    finished = edgesim(
        "solve", "tiny.json", "--solver", f"dp,{name}", "--out", "schedules"
    )
    assert finished.code == 2
    assert finished.err.startswith(f"error: {said}")
    assert finished.err.count("\n") == 1
    finished = edgesim("run", "small.toml", "--solver", f"dp,{name}", "--out", "out")
    assert finished.err.startswith(f"error: --solver: {said}")
    assert not {"schedules", "out"} & {path.name for path in Path().iterdir()}


def test_a_module_that_fails_as_it_is_read_is_told_with_its_line() -> None:
    """Whatever it raises."""
    Path("broken_for_test.py").write_text("a = 1\nb = a / 0\n")
    with pytest.raises(InputError) as caught:
        own_solver("broken_for_test:solve")
    assert str(caught.value) == (
        "broken_for_test:solve: cannot be imported: ZeroDivisionError: "
        "'division by zero', at broken_for_test.py:2"
    )


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("dp,magic", "must be of dp, greedy, .*, package.module:function, or that"),
        ("mine:solve,mine:solve", "must name each solver once"),
        ("mine:", "must be of dp"),
        ("a..b:c", "must be of dp"),
        ("mine:solve-noshare-noshare", "must be of dp"),
        ("local:search,local-search", "must be names that differ by more than"),
    ],
)
def test_names_are_checked_without_importing(names: str, said: str) -> None:
    """By their form alone."""
    finished = edgesim("run", "small.toml", "--solver", names, "--out", "out")
    assert finished.code == 2
    assert re.match(f"error: --solver: {said}", finished.err), finished.err


# Files that name code, and what is said to be where.
NAMED = {
    "solver": (
        SCENARIO.replace('"dp-noshare"', '"mine_for_test:good-noshare"'),
        "run.solvers: 'mine_for_test:good-noshare'",
    ),
    "policy": (
        ONLINE.replace('"rolling"', '"mine_for_test:Policy"').replace(
            '[online.rolling]\nsolver = "mine_for_test:good"', ""
        ),
        "online.policies: 'mine_for_test:Policy'",
    ),
    "solver of a policy": (ONLINE, "online.rolling.solver: 'mine_for_test:good'"),
}


@pytest.mark.parametrize("case", NAMED)
def test_what_a_scenario_names_runs_only_with_consent(case: str) -> None:
    """It is not even imported; the refusal is the command to repeat."""
    text, place = NAMED[case]
    Path("it is mine.toml").write_text(text)
    with Path("mine_for_test.py").open("a") as module:
        module.write("from edgesim.engine.policies.in_order import Fcfs as Policy\n")
    finished = edgesim("run", "it is mine.toml", "--out", "out")
    command = "edgesim run 'it is mine.toml' --out out --own-code"
    _refused(
        finished,
        f"it is mine.toml: {place} is code that is not part of edgesim, which runs "
        f"only with your consent; if you trust it: {command}",
    )
    assert not Path("imported").exists()
    assert not Path("out").exists()
    finished = edgesim(*shlex.split(command)[1:])
    assert finished.code == 0, finished.err
    assert Path("imported").exists()
    assert Path("out/summary.json").exists()


def test_names_on_the_command_line_are_consent_to_these_alone() -> None:
    """To the policy, say, but not to the solver that its options name."""
    Path("x.toml").write_text(NAMED["solver"][0])
    words = ("run", "x.toml", "--out", "out", "--solver")
    assert edgesim(*words, "mine_for_test:good").code == 0
    Path("imported").unlink()
    Path("x.toml").write_text(ONLINE.replace('["rolling"]', '["fcfs", "rolling"]'))
    finished = edgesim("run", "x.toml", "--policy", "rolling", "--out", "y")
    assert finished.code == 2
    assert "online.rolling.solver: 'mine_for_test:good' is code" in finished.err
    assert not Path("y").exists()


def test_names_given_in_python_are_consent_and_so_is_a_parameter() -> None:
    """As overrides; what the file names needs ``own_code``."""
    given = {"run.solvers": ["mine_for_test:good"], "run.repeats": 1}
    (one,) = run_all(load_inputs(Path("small.toml"), overrides=given))
    assert one.result.schedule.solver == "mine_for_test:good"
    Path("x.toml").write_text(NAMED["solver"][0])
    with pytest.raises(InputError, match=r"only with your consent$"):
        load_inputs(Path("x.toml"))
    assert len(list(run_all(load_inputs(Path("x.toml"), own_code=True)))) == 4


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


def _figure(solvers: str, more: str = "") -> Path:
    file = Path("fig.toml")
    file.write_text(FIGURE + f'\n[set]\n"run.solvers" = {solvers}\n{more}')
    return file


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_figure_runs_it_with_consent_in_every_process(jobs: int) -> None:
    """Consent goes along to workers; without it nothing is imported."""
    file = _figure('["mine_for_test:good", "greedy", "mine_for_test:good-noshare"]')
    finished = edgesim("figure", file, "--jobs", jobs)
    _refused(
        finished,
        f"fig.toml: run.solvers: 'mine_for_test:good' is code that is not part of "
        f"edgesim, which runs only with your consent; if you trust it: "
        f"edgesim figure fig.toml --jobs {jobs} --own-code",
    )
    assert not Path("imported").exists()
    finished = edgesim("figure", file, "--jobs", jobs, "--own-code")
    assert finished.code == 0, finished.err
    rows = _rows("fig.csv")
    served = {
        name: [row["in_time"] for row in rows if row["solver"] == name]
        for name in ("mine_for_test:good", "greedy", "mine_for_test:good-noshare")
    }
    assert served["mine_for_test:good"] == served["greedy"]
    assert len(served["mine_for_test:good-noshare"]) == 4


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_figure_is_refused_where_it_fails(jobs: int) -> None:
    """Point, solver and rule are named; nothing is written."""
    file = _figure('["dp", "mine_for_test:from_second_repeat_on"]')
    finished = edgesim("figure", file, "--own-code", "--jobs", jobs)
    kept = re.compile(
        r"; \d of 8 points kept in \.points(; the same command goes on from there)?$"
    )
    _refused(
        dataclasses.replace(finished, err=kept.sub("", finished.err)),
        "small.toml: run.solvers: cell.bandwidth_hz = 5000000.0, repeat 1: "
        "mine_for_test:from_second_repeat_on: round 0: there is no model '?'",
    )
    assert jobs == 2 or kept.search(finished.err), "those before it are kept"
    assert not Path("fig.csv").exists()
    file = _figure('["mine_for_test:raises"]')
    shown = edgesim("figure", file, "--own-code", "--jobs", jobs, "--traceback")
    assert "in raises" in shown.err
    # Of several processes another one than the first may fail first.
    assert re.search(r"repeat \d: mine_for_test:raises: raised KeyError: ", shown.err)


def test_what_a_scenario_of_a_figure_names_needs_consent_too() -> None:
    """Whether its own file names it or the scenario it is of."""
    Path("small.toml").write_text(NAMED["solver"][0])
    Path("fig.toml").write_text(FIGURE)
    assert "only with your consent" in edgesim("figure", "fig.toml").err
    assert not Path("imported").exists()


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


@pytest.mark.parametrize(
    ("solver", "said"),
    [
        (
            "mine_for_test:twice",
            r"x.toml: online.policies: rolling: mine_for_test:twice: round \d+: user "
            r"'\d+' is in round \d+ already",
        ),
        (
            "mine_for_test:raises",
            "x.toml: online.policies: rolling: choose raised KeyError: \"'nothing'\", "
            rf"at mine_for_test.py:{_line('{}')}",
        ),
        (
            "mine_for_test:refuses",
            "x.toml: online.policies: rolling: mine_for_test:refuses: needs a common "
            "deadline",
        ),
        (
            "mine_for_test:best",
            "x.toml: online.rolling.solver: mine_for_test:best: there is no .*",
        ),
        (
            "mine_for_test:good-noshare",
            "x.toml: online.rolling: refuses its options: solver must be one of .* "
            r"\(sharing is switched off by the policy's name, rolling-noshare\)",
        ),
    ],
)
def test_a_plan_of_rolling_that_cannot_be_ends_the_run(solver: str, said: str) -> None:
    """There is nothing to go on by."""
    Path("x.toml").write_text(ONLINE.replace("mine_for_test:good", solver))
    finished = edgesim("run", "x.toml", "--own-code", "--out", "out")
    assert finished.code == 2
    assert re.fullmatch(f"error: {said}\n", finished.err), finished.err
    assert not Path("out").exists()
    shown = edgesim("run", "x.toml", "--own-code", "--out", "out", "--traceback").err
    assert (f"in {solver.partition(':')[2]}\n" in shown) == (
        "needs" in said or "Key" in said
    )


def test_it_is_asked_by_its_name() -> None:
    """Schedules and errors say what the user wrote, not what the function is called."""
    solver = own_solver("mine_for_test:good")
    problem = read_instance(Path("tiny.json"))
    assert solve(problem, solver).schedule.solver == "mine_for_test:good"
    with pytest.raises(OwnSolverError, match=r"^mine_for_test:refuses: needs a common"):
        solve_by_name(problem, "mine_for_test:refuses")
    with pytest.raises(RefusalError, match="dp: overlap is not taken"):
        solve_by_name(problem.model_copy(update={"overlap": True}), "dp")


def _blocks(language: str) -> list[str]:
    text = DOCUMENT.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_commands_of_its_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Typed in their order, with the files that it shows, they succeed."""
    for block in _blocks("python") + _blocks("toml"):
        name = re.match(r"# ([\w-]+\.\w+)\n", block)
        if name:
            Path(name[1]).write_text(block, encoding="utf-8")
    assert Path("rolling-with-mine.toml").exists()
    commands = [
        line.removeprefix("$ edgesim ")
        for block in _blocks("console")
        for line in block.splitlines()
    ]
    assert len(commands) == 3
    for command in commands:
        finished = edgesim(*shlex.split(command))
        assert finished.code == 0, (command, finished.err)
    assert Path("results/mine/plans/0/mine-solve.json").exists()
    assert Path("rolling-with-mine.png").exists()
    refused = edgesim("figure", "rolling-with-mine.toml")
    assert refused.err.endswith("edgesim figure rolling-with-mine.toml --own-code\n")


def test_the_documented_solver_is_as_short_as_promised() -> None:
    """Twenty lines, and good enough to be worth it."""
    (code,) = (block for block in _blocks("python") if block.startswith("# mine.py"))
    assert len(code.strip().splitlines()) <= 21


def test_the_examples_of_its_documentation() -> None:
    """Every Python example gives the output that stands below it."""
    test = doctest.DocTestParser().get_doctest(
        "\n".join(_blocks("python")), {}, DOCUMENT.name, str(DOCUMENT), 0
    )
    assert len(test.examples) >= 5
    assert doctest.DocTestRunner().run(test).failed == 0


def _crossing(folder: Path, **changes: Any) -> None:
    """Write the tiny instance with a user of another deadline and release."""
    document = json.loads(Path("tiny.json").read_text())
    document["users"][0] |= changes
    (folder / "other.json").write_text(json.dumps(document))


def test_refusals_of_all_are_found_before_any_solves() -> None:
    """Of the user's own too, whose answers could not be taken; nothing is solved."""
    _crossing(Path(), release_s=0.001)
    words = ("solve", "other.json", "--uplink", "static", "--out", "out", "--solver")
    for last in ("greedy", "mine_for_test:good"):
        finished = edgesim(*words, f"mine_for_test:raises,{last}")
        said = "other.json: mine_for_test:raises: uplink 'static' needs every release_s"
        _refused(finished, f"{said} to be 0; use 'dynamic'")
    _crossing(Path(), deadline_s=0.4321)
    finished = edgesim(
        *("solve", "other.json", "--out", "out"), "--solver", "mine_for_test:raises,dp"
    )
    _refused(
        finished,
        "other.json: dp: deadlines differ between users; use greedy or ilp",
    )
    assert not Path("out").exists()


def test_an_engine_that_is_not_there_is_found_before_any_solves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So nothing waits for the solvers before it."""
    from solvers.ilp import engine

    monkeypatch.setattr(
        engine, "cbc", lambda **_: SimpleNamespace(available=lambda: False)
    )
    finished = edgesim(
        *("solve", "tiny.json", "--mip", "cbc", "--out", "out"),
        *("--solver", "mine_for_test:raises,ilp-noshare"),
    )
    assert finished.code == 2
    assert finished.err.startswith(
        "error: tiny.json: ilp: the CBC engine cannot be run"
    )
    assert not Path("out").exists()


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
