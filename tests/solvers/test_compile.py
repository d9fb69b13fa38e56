"""``compile_loops`` makes every loop that is ever called."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from solvers import UPLINKS, ArgumentError, compile_loops, solve
from solvers.branch import loops as of_branch
from solvers.branch import solver as branch
from solvers.core import compiling, knapsack, quick, sum_kernels, sum_loops
from solvers.core import loops as of_search
from solvers.core.loops import LoopSearch
from solvers.core.plan import Clock
from solvers.core.tables import Tables
from solvers.dp import visit_kernels, visit_loops
from solvers.dp.solver import walk_once
from tests.solvers.strategies import Deadlines, Sharing, seeded_problem

REPOSITORY = Path(__file__).parents[2]
ENTRIES = (
    *of_branch.ENTRIES,
    of_search.fill,
    of_search.advance,
    visit_kernels.visits,
    sum_kernels.least_sums,
)


def test_nothing_is_left_to_compile() -> None:
    """All kinds of problems call what was compiled, with arrays of the same layout.

    In a process of its own, for other tests call the loops with other arrays.
    """
    compile_loops()
    assert set(compile_loops().values()) == {"there"}
    assert compiling.kept(*ENTRIES)
    script = f"import {__name__} as here; here.go_through_all()"
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["1"] * len(ENTRIES)


def go_through_all() -> None:
    """Solve problems of all kinds, and print for how many kinds of arguments."""
    knapsack.LOOP_WORK = 0
    kinds: list[tuple[Sharing, Deadlines, dict[str, Any]]] = [
        ("laminar", "common", {}),
        ("crossing", "own", {}),
        ("crossing", "own", {"residency": "cache"}),
        ("crossing", "own", {"overlap": True}),
    ]
    for uplink, (sharing, deadlines, change) in product(UPLINKS, kinds):
        problem = seeded_problem(
            np.random.default_rng(3),
            sharing=sharing,
            users=9,
            models=4,
            deadlines=deadlines,
        ).model_copy(update=change)
        tables = Tables(problem)
        branch.proven(
            *(tables, uplink, [], len(tables.users), branch.UNLIMITED, lambda: False),
            loops=True,
        )
        LoopSearch(Clock(tables, uplink), seed=0, bound=10).run((), 5)
        if sharing == "laminar":
            walk_once(tables, visit_loops.visit)
    print(*(len(cast("Any", entry).signatures) for entry in ENTRIES))


SCRIPT = """
import sys
if sys.argv[1] == "without":
    sys.modules["numba"] = None
import solvers
try:
    solvers.compile_loops()
except solvers.ArgumentError as error:
    print(error)
"""


@pytest.mark.parametrize("how", ["without", "disabled"])
def test_loops_need_a_compiler(how: str) -> None:
    """Said in one line."""
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, how],
        cwd=REPOSITORY,
        env={"NUMBA_DISABLE_JIT": "1"} if how == "disabled" else {},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.count("\n") == 1
    assert "numba" in found.stdout


def test_what_is_compiled_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it takes a minute, and whether it could be kept."""
    made: list[str] = []
    told: list[str] = []
    monkeypatch.setattr(of_search, "make", lambda *_: made.append("local-search"))
    monkeypatch.setattr(of_branch, "make", lambda *_: made.append("branch"))
    monkeypatch.setattr(visit_loops, "kept", lambda: True)
    monkeypatch.setattr(sum_loops, "kept", lambda: True)
    monkeypatch.setattr(of_search, "kept", lambda: "local-search" in made)
    monkeypatch.setattr(of_branch, "are_kept", lambda: False)
    found = compile_loops(told.append)
    assert told == ["local-search", "branch"]
    assert found == {
        "local-search": "compiled",
        "dp": "there",
        "bounds": "there",
        "branch": "not kept",
    }
    assert compile_loops() == {**found, "local-search": "there"}


@pytest.mark.parametrize(
    ("limit_s", "kept", "pays"),
    [(5.0, False, False), (5.0, True, True), (60.0, False, True), (None, False, True)],
)
def test_branch_does_not_wait_for_the_compiler_with_a_short_limit(
    limit_s: float | None, kept: bool, pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a limit the result must not depend on what was compiled before."""
    monkeypatch.setattr(of_branch, "are_kept", lambda: kept)
    assert of_branch.pay(limit_s) == pays
    monkeypatch.setattr(of_branch, "COMPILED", False)
    assert not of_branch.pay(limit_s)


def test_branch_without_its_loops_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes through numpy, calls nothing compiled, and proves what it can."""
    monkeypatch.setattr(of_branch, "are_kept", lambda: False)
    monkeypatch.setattr(quick, "LEAST_S", 1e9)
    called: list[str] = []
    for entry in of_branch.ENTRIES:
        name = cast("Any", entry).py_func.__name__
        for module in list(sys.modules.values()):
            if getattr(module, name, None) is entry and module is not None:
                monkeypatch.setattr(
                    module, name, lambda *_, name=name: called.append(name)
                )
    problem = seeded_problem(
        np.random.default_rng(13),
        sharing="crossing",
        users=9,
        models=4,
        deadlines="own",
    )
    found = solve(problem, "branch", time_limit_s=3.0)
    assert found.note == quick.NOT_COMPILED
    assert not called
    exact = solve(problem, "exhaustive")
    assert found.served <= exact.served <= found.bound


def test_a_compiler_that_is_there_but_off_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where it is not installed."""
    monkeypatch.setattr(compiling, "COMPILED", False)
    with pytest.raises(ArgumentError, match="numba"):
        compile_loops()


def test_what_can_be_kept_nowhere_is_not_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would all be compiled again the next time."""
    monkeypatch.setattr(compiling, "keeps", lambda _: False)
    told: list[str] = []
    assert set(compile_loops(told.append).values()) == {"not kept"}
    assert not told
