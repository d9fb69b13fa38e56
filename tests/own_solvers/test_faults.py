"""What is wrong with a solver of the user's own is told in one line, and where."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgesim.errors import InputError
from edgesim.experiment.own_solvers import own_solver, solve_by_name
from edgesim.instances import read_instance
from tests.command import edgesim
from tests.own_solvers.mine import ONLINE, check_refused, line_of, write_figure


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
    assert finished.err.endswith(f", at mine_for_test.py:{line_of(line)}\n")
    assert finished.err.count("\n") == 1
    shown = edgesim(*words, "--traceback")
    assert shown.code == 2
    assert shown.err.startswith("Traceback (most recent call last):\n")
    assert f'mine_for_test.py", line {line_of(line)}, in {name}' in shown.err
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


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_figure_is_refused_where_it_fails(jobs: int) -> None:
    """Point, solver and rule are named; nothing is written."""
    file = write_figure('["dp", "mine_for_test:from_second_repeat_on"]')
    finished = edgesim("figure", file, "--own-code", "--jobs", jobs)
    kept = re.compile(
        r"; \d of 8 points kept in \.points(; the same command goes on from there)?$"
    )
    check_refused(
        dataclasses.replace(finished, err=kept.sub("", finished.err)),
        "small.toml: run.solvers: cell.bandwidth_hz = 5000000.0, repeat 1: "
        "mine_for_test:from_second_repeat_on: round 0: there is no model '?'",
    )
    assert jobs == 2 or kept.search(finished.err), "those before it are kept"
    assert not Path("fig.csv").exists()
    file = write_figure('["mine_for_test:raises"]')
    shown = edgesim("figure", file, "--own-code", "--jobs", jobs, "--traceback")
    assert "in raises" in shown.err
    # Of several processes another one than the first may fail first.
    assert re.search(r"repeat \d: mine_for_test:raises: raised KeyError: ", shown.err)


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
            rf"at mine_for_test.py:{line_of('{}')}",
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
        check_refused(finished, f"{said} to be 0; use 'dynamic'")
    _crossing(Path(), deadline_s=0.4321)
    finished = edgesim(
        *("solve", "other.json", "--out", "out"), "--solver", "mine_for_test:raises,dp"
    )
    check_refused(
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
