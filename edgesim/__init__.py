"""edgesim: one GPU, more models than memory, wireless users with deadlines.

>>> import edgesim as es
>>> runs = es.run("campus", solvers=["dp", "greedy"], repeats=2)
>>> runs.to_dict("records")[0]["solver"]
'dp'

Everything public is in ``__all__`` and described in ``docs/python.md``. Nothing heavy
is imported until it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgesim.api import (
        read_problem,
        read_profile,
        read_run,
        read_scenario,
        read_schedule,
        read_trace,
        run,
        simulate,
        solve,
    )
    from edgesim.engine.policy import Policy, PolicyError, View
    from edgesim.errors import InputError
    from edgesim.experiment.request import Request
    from edgesim.profile.values import Profile
    from edgesim.results.columns import Columns
    from edgesim.results.runs import Runs, Simulation
    from edgesim.scenario.scenario import Scenario
    from edgesim.trace.requests import Trace
    from solvers.errors import EdgesimError, OwnSolverError, RefusalError
    from solvers.problem import Problem
    from solvers.schedule import Result, Schedule

    __version__: str

_PLACES = {
    "edgesim.api": (
        "read_problem",
        "read_profile",
        "read_run",
        "read_scenario",
        "read_schedule",
        "read_trace",
        "run",
        "simulate",
        "solve",
    ),
    "edgesim.engine.policy": ("Policy", "PolicyError", "View"),
    "edgesim.errors": ("InputError",),
    "edgesim.experiment.request": ("Request",),
    "edgesim.profile.values": ("Profile",),
    "edgesim.results.columns": ("Columns",),
    "edgesim.results.runs": ("Runs", "Simulation"),
    "edgesim.scenario.scenario": ("Scenario",),
    "edgesim.trace.requests": ("Trace",),
    "solvers.errors": ("EdgesimError", "OwnSolverError", "RefusalError"),
    "solvers.problem": ("Problem",),
    "solvers.schedule": ("Result", "Schedule"),
}
_MODULE = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Columns",
    "EdgesimError",
    "InputError",
    "OwnSolverError",
    "Policy",
    "PolicyError",
    "Problem",
    "Profile",
    "RefusalError",
    "Request",
    "Result",
    "Runs",
    "Scenario",
    "Schedule",
    "Simulation",
    "Trace",
    "View",
    "__version__",
    "read_problem",
    "read_profile",
    "read_run",
    "read_scenario",
    "read_schedule",
    "read_trace",
    "run",
    "simulate",
    "solve",
]


def __getattr__(name: str) -> Any:
    """Import what is public once it is asked for."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("edgesim")
    elif name in _MODULE:
        try:
            value = getattr(import_module(_MODULE[name]), name)
        except ImportError as error:
            from edgesim.shadow import shadow_text, shadowing_file

            file = shadowing_file()
            if file is None:
                raise
            raise ImportError(shadow_text(file)) from error
    else:
        raise AttributeError(f"module 'edgesim' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
