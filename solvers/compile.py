"""Compile the loops that solvers search with, once an installation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from solvers.core.knapsack import Sums
    from solvers.core.tables import Tables
    from solvers.dp.visits import Visiting
    from solvers.uplink import Uplink

MODELS = {
    "a": {"blocks": ["x", "y"], "latency_s": [0.1, 0.15]},
    "b": {"blocks": ["x", "z"], "latency_s": [0.1, 0.2]},
}
BLOCKS = {
    "x": {"bytes": 2, "load_s": 0.2},
    "y": {"bytes": 1, "load_s": 0.1},
    "z": {"bytes": 3, "load_s": 0.3},
}


Outcome: TypeAlias = Literal["there", "compiled", "not kept"]


def compile_loops(
    tell: Callable[[str], object] = lambda _: None,
) -> Mapping[str, Outcome]:
    """Compile the loops of bounds, ``local-search``, ``dp`` and ``branch``, once.

    Without loops searches find the same, several times as slowly. What is compiled is
    kept beside the package or, where that cannot be written to, in the user's folder
    for caches, for this user alone. Where neither can, nothing is compiled.

    Parameters
    ----------
    tell
        Is told the name of a solver, or ``bounds``, before its loops are compiled.

    Returns
    -------
    mapping
        By that name: its loops were there, are there now, or can be kept nowhere.

    Raises
    ------
    ArgumentError
        If numba is not installed, or told to compile nothing.
    """
    from solvers.core.compiling import COMPILED, keeps
    from solvers.errors import ArgumentError

    if not COMPILED:
        raise ArgumentError(
            "numba is not installed, or told to compile nothing; "
            "pip install 'edgesim[fast]'"
        )
    from solvers.branch import loops as of_branch
    from solvers.core import loops as of_search
    from solvers.core import sum_kernels, sum_loops
    from solvers.dp import visit_loops

    makers: tuple[tuple[str, Callable[[], bool], Callable[[], None]], ...] = (
        ("local-search", of_search.kept, lambda: of_search.make(_tables())),
        ("dp", visit_loops.kept, lambda: _walk(visit_loops.visit)),
        ("bounds", sum_loops.kept, lambda: _add(sum_loops.least_sums)),
        ("branch", of_branch.are_kept, lambda: _make_branch(of_branch.make)),
    )
    if not keeps(sum_kernels.least_sums):
        return {name: "not kept" for name, *_ in makers}
    found: dict[str, Outcome] = {}
    for name, kept, make in makers:
        if kept():
            found[name] = "there"
            continue
        tell(name)
        make()
        found[name] = "compiled" if kept() else "not kept"
    return found


def _add(sums: Sums) -> None:
    import numpy as np

    sums(np.zeros((1, 2)), np.zeros((1, 3)))


def _walk(visit: Visiting) -> None:
    from solvers.dp.solver import walk_once

    walk_once(_tables(), visit)


def _make_branch(make: Callable[[Tables, Uplink], None]) -> None:
    """Users in order and others, and labels from the end and from the start."""
    make(_tables(), "static")
    make(_tables(one_deadline=False), "dynamic")


def _tables(*, one_deadline: bool = True) -> Tables:
    """Make a problem of six users."""
    from solvers.core.tables import Tables
    from solvers.problem import Problem

    users = [
        {
            "id": f"u{k}",
            "model": "ab"[k % 2],
            "input_bits": 1e5 * (1 + k),
            "spectral_efficiency": 2.0,
            "deadline_s": 1.0 if one_deadline else 1.0 + 0.1 * (k * 5 % 7),
        }
        for k in range(6)
    ]
    return Tables(
        Problem.model_validate(
            {
                "name": "small",
                "bandwidth_hz": 1e6,
                "blocks": BLOCKS,
                "models": MODELS,
                "users": users,
            }
        )
    )
