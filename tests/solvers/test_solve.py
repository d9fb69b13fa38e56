"""The one way in: refusals, determinism, ties, and what importing it costs."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import solvers
from solvers import SOLVERS, UPLINKS, Problem, RefusalError, check, solve
from tests.solvers.strategies import problems, seeded_problem

FEW = settings(
    max_examples=20,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
PACKAGE = Path(solvers.__file__).parent


def problem(users: list[dict[str, Any]] | None = None, **models: list[str]) -> Problem:
    """Build a problem of given models, with one user each unless users are given."""
    models = models or {"a": ["x"], "b": ["y"]}
    user = {
        "input_bits": 0.1,
        "spectral_efficiency": 1.0,
        "deadline_s": 9.0,
        "model": "a",
    }
    users = [{"model": name} for name in models] if users is None else users
    blocks = {block for held in models.values() for block in held}
    return Problem.model_validate(
        {
            "name": "small",
            "bandwidth_hz": 1.0,
            "blocks": {b: {"bytes": 1, "load_s": 0.1} for b in sorted(blocks)},
            "models": {
                name: {"blocks": held, "latency_s": [0.1, 0.15]}
                for name, held in models.items()
            },
            "users": [{"id": f"u{k}", **user, **new} for k, new in enumerate(users)],
        }
    )


CROSSING = problem(a=["x"], b=["x", "y"], c=["y"])
DIFFERING = problem([{"deadline_s": 8.0}, {}])
RELEASED = problem([{"release_s": 0.5}, {}])
MANY = problem([{}] * 13)


@pytest.mark.parametrize(
    ("solver", "uplink", "refused", "message"),
    [
        (
            "dp",
            "dynamic",
            CROSSING,
            "dp: blocks 'x' (models a, b) and 'y' (models b, c) cross; "
            "use greedy or ilp",
        ),
        (
            "dp",
            "static",
            DIFFERING,
            "dp: deadlines differ between users; use greedy or ilp",
        ),
        (
            "dp-noshare",
            "upfront",
            DIFFERING,
            "deadlines differ between users; use greedy",
        ),
        ("dp", "dynamic", RELEASED, "dp: some releases are not 0; use greedy or ilp"),
        (
            "exhaustive",
            "dynamic",
            MANY,
            "exhaustive: 13 users, at most 12 are taken; use ilp for a proven optimum",
        ),
        *(
            (
                name,
                uplink,
                RELEASED,
                f"{name}: uplink '{uplink}' needs every release_s to be 0; "
                "use 'dynamic'",
            )
            for name in SOLVERS
            for uplink in ("upfront", "static")
        ),
    ],
)
def test_refusals_name_condition_and_alternative(solver, uplink, refused, message):
    """What a solver cannot take, why, and what to use instead."""
    with pytest.raises(RefusalError) as caught:
        solve(refused, solver, uplink=uplink)
    assert message in str(caught.value)
    with pytest.raises(RefusalError, match=re.escape(message)):
        check(refused, solver, uplink=uplink)


@FEW
@given(problems(deadlines="own", releases=True, max_users=4))
def test_a_check_refuses_what_solving_refuses(drawn):
    """The same word for word, and nothing else."""
    for solver in SOLVERS:
        for uplink in UPLINKS:
            told = []
            for ask in (check, solve):
                try:
                    ask(drawn, solver, uplink=uplink)
                except RefusalError as error:
                    told.append(str(error))
            assert len(told) in (0, 2)
            assert len(set(told)) < 2


def test_a_check_knows_solvers_and_uplinks():
    """Names that are none are told as they are when solving."""
    with pytest.raises(ValueError, match="solver must be one of dp"):
        check(problem(), "simplex")
    with pytest.raises(ValueError, match="uplink must be one of upfront"):
        check(problem(), "dp", uplink="fifo")


def test_dp_without_sharing_takes_crossing_blocks():
    """Where nothing is shared nothing crosses."""
    assert solve(CROSSING, "dp-noshare").served == 3


def test_dp_ignores_users_that_cannot_be_scheduled():
    """A user without a link may have another deadline and cross."""
    users = [{"model": "a"}, {"model": "b"}, {"model": "c"}]
    users[2] |= {"spectral_efficiency": 0.0, "deadline_s": 3.0}
    found = problem(users, a=["x"], b=["x", "y"], c=["y"])
    assert solve(found, "dp").served == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"solver": "magic"},
            f"solver must be one of {', '.join(SOLVERS)}, or a callable, found",
        ),
        ({"uplink": "fdma"}, "uplink must be one of upfront, static, dynamic, found"),
        ({"time_limit_s": 0.0}, "time_limit_s must be > 0, found 0.0"),
        ({"time_limit_s": -1.0}, "time_limit_s must be > 0, found -1.0"),
        ({"time_limit_s": float("nan")}, "time_limit_s must be > 0, found nan"),
    ],
)
def test_unknown_names_and_limits(arguments, message):
    """Errors say what was found and what is allowed."""
    with pytest.raises(ValueError, match=re.escape(message)):
        solve(problem(), **{"solver": "greedy", **arguments})


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_same_inputs_same_schedule(solver, uplink):
    """Solving twice gives equal schedules, which carry the solver's name."""
    rng = np.random.default_rng(1)
    for _ in range(2):
        found = seeded_problem(rng, sharing="laminar", users=6, models=4)
        first = solve(found, solver, uplink=uplink)
        assert first.schedule == solve(found, solver, uplink=uplink).schedule
        assert (first.schedule.solver, first.schedule.uplink) == (solver, uplink)
        assert first.schedule.instance == found.name


SCRIPT = """
import sys
from solvers import SOLVERS, UPLINKS, Problem, solve
problem = Problem.model_validate_json(sys.stdin.read())
for solver in SOLVERS:
    for uplink in UPLINKS:
        print(solve(problem, solver, uplink=uplink).schedule.model_dump_json())
"""


def python(code: str, *, stdin: str = "", hash_seed: str = "0") -> str:
    """Run code in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code],
        input=stdin,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_hash_seed_does_not_matter():
    """Schedules are the same bytes whatever order sets and hashes fall in."""
    rng = np.random.default_rng(2)
    found = seeded_problem(rng, sharing="laminar", users=7, models=5)
    runs = {
        python(SCRIPT, stdin=found.model_dump_json(), hash_seed=seed)
        for seed in ("0", "1")
    }
    assert len(runs) == 1
    assert len(runs.pop().splitlines()) == len(SOLVERS) * len(UPLINKS)


@FEW
@given(problems(deadlines="any", max_users=4))
def test_order_of_users_does_not_matter(problem):
    """Users in another order: as many served, by every exact solver."""
    turned = problem.model_copy(update={"users": problem.users[::-1]})
    for uplink in UPLINKS:
        for name in ("exhaustive", "ilp"):
            served = {solve(p, name, uplink=uplink).served for p in (problem, turned)}
            assert len(served) == 1


@pytest.mark.parametrize("solver", ["dp", "exhaustive", "greedy"])
def test_of_equal_ends_the_least_demand_is_served(solver):
    """Two of three fit: the two whose uploads are shortest."""
    found = problem(
        [{"input_bits": bits, "deadline_s": 0.75} for bits in (0.3, 0.2, 0.1)],
        a=["x"],
    )
    result = solve(found, solver, uplink="upfront")
    assert [set(r.users) for r in result.schedule.rounds] == [{"u1", "u2"}]


@pytest.mark.parametrize("solver", ["dp", "exhaustive", "greedy", "ilp"])
def test_the_earliest_last_end_is_preferred(solver):
    """Either model's user fits, not both: the one that is done first is served."""
    found = problem(
        [
            {"model": "a", "input_bits": 0.5, "deadline_s": 0.8},
            {"model": "b", "input_bits": 0.4, "deadline_s": 0.8},
        ]
    )
    result = solve(found, solver, uplink="upfront")
    assert [r.users for r in result.schedule.rounds] == [("u1",)]


def test_the_result_prints_well():
    """Solver, instance, discipline, users, bound, gap, status, time."""
    text = str(solve(problem(), "greedy", uplink="static"))
    assert re.fullmatch(
        r"greedy on small \(static\): 2 served, bound 2, gap 0\.0%, optimal, \S+ s",
        text,
    )


def test_the_docstring_example_runs():
    """What the package shows first is true."""
    code = "import doctest, solvers; print(doctest.testmod(solvers))"
    assert python(code) == "TestResults(failed=0, attempted=3)\n"


def imported(source: Path) -> set[str]:
    """List the top-level names that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source.name} imports relatively"
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize(
    "source",
    sorted(PACKAGE.rglob("*.py")),
    ids=lambda p: p.relative_to(PACKAGE).as_posix(),
)
def test_the_library_is_pure(source):
    """Nothing of edgesim, no files, nothing printed, no more packages than needed."""
    allowed = {*sys.stdlib_module_names, "numpy", "pydantic", "solvers"}
    if source.parent.name == "ilp":
        allowed |= {"pulp", "highspy"}
    if source.name == "compiling.py":
        # Only if it is there.
        allowed |= {"numba"}
    assert imported(source) <= allowed
    called = {
        node.func.id
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"print", "open", "input", "eval", "exec"}


def test_importing_is_light():
    """An engine is imported when asked for, torch never."""
    code = (
        "import json, sys, solvers; "
        "print(json.dumps([m for m in sys.modules if '.' not in m]))"
    )
    modules = set(json.loads(python(code)))
    assert "solvers" in modules
    assert not modules & {"pulp", "highspy", "torch", "edgesim", "matplotlib"}


def test_a_result_prints_in_one_line():
    """Also as part of a list, where Python shows its repr."""
    result = solve(CROSSING, "greedy")
    assert repr(result) == f"<Result: {result}>"
    assert "\n" not in repr(result)
    assert len(repr(result)) < 120
