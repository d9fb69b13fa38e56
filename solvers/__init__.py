"""Solvers for parameter-sharing edge inference: a problem in, a verified result out.

A pure library: it performs no I/O, prints nothing and keeps no state, except for the
machine code that :func:`compile_loops` makes.

>>> from solvers import Problem, solve
>>> problem = Problem.model_validate({
...     "name": "one", "bandwidth_hz": 2e7,
...     "blocks": {"stem": {"bytes": 38144, "load_s": 0.003}},
...     "models": {"cats": {"blocks": ["stem"], "latency_s": [0.0027, 0.0041]}},
...     "users": [{"id": "u0", "model": "cats", "input_bits": 1.2e6,
...                "spectral_efficiency": 3.2, "deadline_s": 0.5}]})
>>> print(solve(problem, "dp").served)
1
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from solvers.compile import compile_loops
from solvers.core.algorithm import MIP_ENGINES, Options
from solvers.errors import (
    ArgumentError,
    EdgesimError,
    OwnSolverError,
    RefusalError,
    VerificationError,
)
from solvers.own_solver import OwnSolver
from solvers.registry import SOLVERS
from solvers.solve import check, solve
from solvers.uplink import UPLINKS, Uplink
from solvers.verify import verify

if TYPE_CHECKING:
    from solvers.problem import Block, Model, Problem, User
    from solvers.schedule import Allocation, Result, Round, Schedule, Segment

# Values that check themselves: imported once they are used, for the time that takes.
_VALUES = {
    **dict.fromkeys(("Block", "Model", "Problem", "User"), "solvers.problem"),
    **dict.fromkeys(
        ("Allocation", "Result", "Round", "Schedule", "Segment"), "solvers.schedule"
    ),
}

__all__ = [
    "MIP_ENGINES",
    "SOLVERS",
    "UPLINKS",
    "Allocation",
    "ArgumentError",
    "Block",
    "EdgesimError",
    "Model",
    "Options",
    "OwnSolver",
    "OwnSolverError",
    "Problem",
    "RefusalError",
    "Result",
    "Round",
    "Schedule",
    "Segment",
    "Uplink",
    "User",
    "VerificationError",
    "check",
    "compile_loops",
    "solve",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import a value's class once it is asked for."""
    if name not in _VALUES:
        raise AttributeError(f"module 'solvers' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_VALUES[name]), name)
    return value
