"""Loops are compiled where numba is there, and nothing depends on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from solvers.core import compiling
from solvers.core.sum_kernels import least_sums

REPOSITORY = Path(__file__).parents[3]


SCRIPT = """
import sys
if sys.argv[1] == "without":
    sys.modules["numba"] = None
import numpy as np
from solvers import solve
from solvers.core.compiling import COMPILED
from tests.solvers.strategies import seeded_problem
assert COMPILED == (sys.argv[1] == "with")
for uplink, deadlines in (("static", "own"), ("upfront", "one")):
    rng = np.random.default_rng(2)
    problem = seeded_problem(
        rng, sharing="crossing", users=8, models=3, deadlines=deadlines
    )
    for solver in ("branch", "local-search"):
        result = solve(problem, solver, uplink=uplink, iterations=20_000)
        print(solver, result.served, result.bound, result.schedule)
loaded = "solvers.core.loops" in sys.modules
assert loaded == COMPILED
"""


def test_nothing_depends_on_whether_numba_is_installed() -> None:
    """``branch`` and ``local-search`` give the same plans and bounds without it."""
    found = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT, word],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for word in ("with", "without")
    ]
    assert found[0] == found[1]
    assert len(found[0].splitlines()) == 4


def test_what_cannot_be_kept_is_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where neither the package's nor the user's folder can be written to."""

    def refuse(*, cache: bool = False, error_model: str) -> object:
        if cache:
            raise RuntimeError("cannot cache function")
        return lambda function: ("compiled", error_model, function)

    monkeypatch.setattr(compiling, "njit", refuse)
    assert compiling.compiled(max) == ("compiled", "numpy", max)


def test_what_was_kept_before_a_change_of_any_loops_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What numba looks at is the file of the function, and others are part of it."""
    source = tmp_path / "other_kernels.py"
    source.write_text("")
    monkeypatch.setattr(compiling, "_SOURCES", (source,))
    stats = SimpleNamespace(cache_path=str(tmp_path))
    function = SimpleNamespace(py_func=product, stats=stats)
    assert not compiling.kept(function)
    line = product.__code__.co_firstlineno
    version = f"py{sys.version_info.major}{sys.version_info.minor}{sys.abiflags}"
    index = tmp_path / f"test_compiling.product-{line}.{version}.nbi"
    for name in (
        "test_compiling.product-1.py39.nbi",
        f"test_compiling.product.{version}",
    ):
        (tmp_path / name).touch()
    assert not compiling.kept(function)
    index.touch()
    assert compiling.kept(function)
    os.utime(source, (index.stat().st_mtime + 5,) * 2)
    assert not compiling.kept(function)
    monkeypatch.setattr(compiling, "njit", lambda **_: lambda _: function)
    assert compiling.compiled(product) is function
    assert not index.exists()
    assert not compiling.kept(max)


def product(one: float, other: float) -> float:
    """Multiply."""
    return one * other


def test_what_another_numba_or_processor_kept_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else it would be taken for compiled, and be compiled while a search waits."""
    compiling.call(least_sums, np.zeros((1, 2)), np.zeros((1, 3)))
    made = cast("Any", least_sums)
    index = Path(made._cache._cache_file._index_path)
    assert compiling.keeps(least_sums)
    with monkeypatch.context() as patch:
        patch.setattr(made._cache._cache_file, "_version", "another")
        assert not compiling.kept(least_sums)
        compiling.compiled(made.py_func)
    with monkeypatch.context() as patch:
        codegen = SimpleNamespace(magic_tuple=lambda: ("another",))
        patch.setattr(made.targetctx, "codegen", lambda: codegen)
        assert not compiling.kept(least_sums)
    # It is good for whom it was made.
    assert index.is_file()
    assert compiling.kept(least_sums)
