"""Solvers for parameter-sharing edge inference: a problem in, a verified result out.

A pure library: it performs no I/O, prints nothing and keeps no state.

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

from solvers.core.algorithm import MIP_ENGINES, Options
from solvers.errors import (
    EdgesimError,
    OwnSolverError,
    RefusalError,
    VerificationError,
)
from solvers.own_solver import OwnSolver
from solvers.problem import Block, Model, Problem, User
from solvers.registry import SOLVERS
from solvers.schedule import (
    UPLINKS,
    Allocation,
    Result,
    Round,
    Schedule,
    Segment,
    Uplink,
)
from solvers.solve import solve
from solvers.verify import verify

__all__ = [
    "MIP_ENGINES",
    "SOLVERS",
    "UPLINKS",
    "Allocation",
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
    "solve",
    "verify",
]
