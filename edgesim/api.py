"""The public functions of ``import edgesim``, one for each task."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic import ValidationError

from edgesim.engine.policy import Policy
from edgesim.engine.server import simulate as simulate_stream
from edgesim.engine.settings import Settings
from edgesim.errors import InputError, from_validation, short
from edgesim.experiment.inputs import load_inputs
from edgesim.experiment.own_solvers import solve_by_name
from edgesim.experiment.request import Request, arrivals_of
from edgesim.experiment.run import Progress, run_all
from edgesim.instances import read_instance
from edgesim.instances import read_schedule as read_schedule_file
from edgesim.library.build import Library
from edgesim.measures.account import Account
from edgesim.names import UPLINK_RULES, UplinkRule, shares
from edgesim.plugins import ConsentError
from edgesim.profile.file import read_profile as read_profile_file
from edgesim.profile.values import Profile
from edgesim.results import runs as results
from edgesim.results.report import check_outputs
from edgesim.results.runs import Runs, Simulation
from edgesim.scenario.file import locate_scenario
from edgesim.scenario.file import read_scenario as read_scenario_file
from edgesim.scenario.scenario import Scenario
from edgesim.shipped import locate
from edgesim.trace.requests import Trace
from edgesim.trace.requests import read_trace as read_trace_file
from solvers.core.tables import Tables
from solvers.own_solver import OwnSolver, name_of
from solvers.problem import Problem
from solvers.registry import NO_SHARING
from solvers.schedule import Result, Schedule
from solvers.uplink import Uplink

PolicyMaker: TypeAlias = Callable[..., Policy]
Solvers: TypeAlias = Sequence[str | OwnSolver] | Mapping[str, str | OwnSolver]
Policies: TypeAlias = Sequence[str | PolicyMaker] | Mapping[str, str | PolicyMaker]


def run(
    scenario: str | Path | Scenario,
    *,
    solvers: Solvers | None = None,
    policies: Policies | None = None,
    trace: str | Path | Trace | None = None,
    profile: str | Path | Profile | None = None,
    uplink: str | None = None,
    repeats: int | None = None,
    seed: int | None = None,
    time_limit_s: float | None = None,
    iterations: int | None = None,
    own_code: bool = False,
    progress: Progress | None = None,
) -> Runs:
    """Run a scenario under several solvers or policies. Nothing is written.

    Parameters
    ----------
    scenario
        The name of a shipped scenario, a file, or a :class:`Scenario`.
    solvers, policies
        Used instead of the scenario's: names, or your own objects. A solver is a
        function ``(problem, uplink, options) -> [(model, [user ids]), …]``, a policy a
        subclass of :class:`Policy` or a function that makes one. They are named by
        their ``__name__``; a mapping assigns names of your choice.
    trace, profile
        Used instead of the scenario's: a name, a file or the object.
    uplink, repeats, seed, time_limit_s, iterations
        Used instead of the scenario's; ``uplink`` is a discipline of plans, or a rule.
    own_code
        Whether your own code that the scenario's file names may run.
    progress
        Called periodically with the work done, and the total work.

    Returns
    -------
    Runs
        Tables, measures, and everything that the command would write.

    Raises
    ------
    InputError
        For any error in the inputs, or in the answers of a policy or solver.
    """
    value = scenario if isinstance(scenario, Scenario) else read_scenario(scenario)
    _check_source("trace", trace, Trace)
    _check_source("profile", profile, Profile)
    own: dict[str, Any] = {}
    online = value.online is not None
    section = "online" if online else "run"
    overrides: dict[str, Any] = {
        "run.solvers": _names("solvers", solvers, own),
        "online.policies": _names("policies", policies, own),
        f"{section}.uplink": uplink,
        "run.repeats": repeats,
        "run.seed": seed,
        "run.time_limit_s": time_limit_s,
        "run.iterations": iterations,
    }
    if solvers is not None and online:
        raise InputError("solvers", "are for plans, and this scenario is online")
    if policies is not None and not online:
        raise InputError("policies", "are for online scenarios, and this one plans")
    given = {
        key: one.item() if isinstance(one, np.generic) else one
        for key, one in overrides.items()
        if one is not None
    }
    try:
        inputs = load_inputs(
            value if value is scenario else locate_scenario(str(scenario)),
            trace=trace,
            profile=profile,
            overrides=given,
            own=own,
            own_code=own_code,
        )
    except ConsentError:
        raise
    except InputError as error:
        raise _of_parameter(error, given) from error
    check_outputs(inputs)
    try:
        trials = list(run_all(inputs, progress))
    except InputError as error:
        raise _of_parameter(error, given) from error
    return results.runs_of(inputs, trials)


def _check_source(parameter: str, given: object, kind: type) -> None:
    if not (given is None or isinstance(given, (str, Path, kind))):
        raise InputError(
            parameter,
            f"must be a name, a file or a {kind.__name__}, found {short(given)}",
        )


def _of_parameter(error: InputError, given: Mapping[str, Any]) -> InputError:
    """Name the parameter if an error concerns a value that was passed as one."""
    for key in given:
        if re.search(rf"(^|: ){re.escape(key)}(\[|$)", error.where):
            return InputError(key.rpartition(".")[2], *error.args[1:])
    return error


def _names(
    parameter: str, given: Sequence[Any] | Mapping[str, Any] | None, own: dict[str, Any]
) -> list[str] | None:
    """List names, and record the objects that some of them refer to."""
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, (Sequence, Mapping)):
        raise InputError(parameter, f"must be a list or mapping, found {short(given)}")
    if isinstance(given, Mapping):
        pairs = list(given.items())
        for _, one in pairs:
            if not isinstance(one, str):
                _name_of(parameter, one)
    else:
        pairs = [
            (one if isinstance(one, str) else _name_of(parameter, one), one)
            for one in given
        ]
    for name, one in pairs:
        if not isinstance(one, str):
            own[name] = one
        elif one != name:
            raise InputError(
                parameter, f"{short(name)} must be an object of your own, found {one!r}"
            )
    return [name for name, _ in pairs]


def _name_of(parameter: str, one: Any) -> str:
    if not callable(one):
        what = "names or callables"
        if parameter == "policies":
            what = "names or classes of policies, as an instance serves one run"
        raise InputError(parameter, f"must be {what}, found {short(one)}")
    return name_of(one)


def solve(
    problem: str | Path | Problem,
    solver: str | OwnSolver,
    *,
    uplink: Uplink = "dynamic",
    time_limit_s: float | None = None,
    seed: int = 0,
    mip: str = "highs",
    iterations: int | None = None,
    name: str | None = None,
    sharing: bool = True,
) -> Result:
    """Schedule one problem with one solver.

    Parameters
    ----------
    problem
        A :class:`Problem`, or an instance file (JSON).
    solver
        A name, also ``package.module:function`` for one of your own, or a callable of
        problem, uplink and options that answers with rounds, ``[(model, [user ids]),
        …]``: they are timed, verified and bounded as ours are.
    uplink, time_limit_s, seed, mip, iterations
        As for :func:`solvers.solve`.
    name, sharing
        What a callable goes by; and whether it is asked about the problem in which each
        model has a block of its own, as a name that ends in ``-noshare`` is.

    Raises
    ------
    RefusalError
        When the solver cannot take the problem, saying what to use instead.
    OwnSolverError
        When one of your own breaks a rule or fails, saying where in its code.
    """
    if not (name is None or (isinstance(name, str) and name)):
        raise InputError("name", f"must be a name, found {short(name)}")
    if not isinstance(sharing, (bool, np.bool_)):
        raise InputError("sharing", f"must be true or false, found {short(sharing)}")
    if not isinstance(problem, Problem):
        problem = read_problem(problem)
    given: dict[str, OwnSolver] = {}
    if not isinstance(solver, str):
        twin = NO_SHARING if not sharing else ""
        name = name or _name_of("solver", solver) + twin
        if shares(name) != sharing:
            raise InputError(
                "name", f"must end in {NO_SHARING} if and only if sharing is false"
            )
        given[name] = solver
    elif name is not None or not sharing:
        raise InputError("name, sharing", "are for callables, which have no name")
    return solve_by_name(
        problem,
        solver if isinstance(solver, str) else name or "",
        given,
        uplink=uplink,
        time_limit_s=time_limit_s,
        seed=seed,
        mip=mip,
        iterations=iterations,
    )


def simulate(
    library: str | Path | Library | Problem,
    requests: Sequence[Request],
    policy: str | Policy,
    *,
    uplink: UplinkRule = "fifo",
    late: Literal["drop", "serve"] = "drop",
    bandwidth_hz: float = 20e6,
    gpu_memory_bytes: int | None = None,
    residency: Literal["previous", "cache"] = "previous",
    overlap: bool = False,
    queue_limit: int | None = None,
    sharing: bool = True,
) -> Simulation:
    """Serve requests as they arrive under one policy: an online run from values.

    Parameters
    ----------
    library
        Blocks and models: those of a problem, of an instance file, or of a library.
    requests
        The requests, in any order.
    policy
        A policy instance for this run only, or the name of a shipped policy, also with
        ``-noshare``.
    uplink
        The rule for sharing the band: ``fifo``, ``edf`` or ``equal-share``.
    late
        Whether requests that cannot end in time are dropped, or served anyway.
    bandwidth_hz, gpu_memory_bytes, residency, overlap
        The band and the GPU.
    queue_limit
        Maximum number of requests uploading or waiting; further ones are rejected.
    sharing
        Whether models share blocks; if not, every change of model loads the whole
        model.

    Raises
    ------
    InputError
        Naming the invalid parameter.
    PolicyError
        If the policy fails, or makes a choice that cannot be run.
    """
    from edgesim.experiment.policies import make_policy

    for name, value, allowed in (
        ("uplink", uplink, UPLINK_RULES),
        ("late", late, ("drop", "serve")),
    ):
        if value not in allowed:
            raise InputError(
                name, f"must be one of {', '.join(allowed)}, found {short(value)}"
            )
    if not (queue_limit is None or (type(queue_limit) is int and queue_limit > 0)):
        raise InputError(
            "queue_limit", f"must be a whole number above 0, found {short(queue_limit)}"
        )
    if isinstance(library, (str, Path)):
        library = read_problem(library)
    elif not isinstance(library, (Library, Problem)):
        raise InputError(
            "library",
            f"must be a Problem, an instance file or a library, found {short(library)}",
        )
    if not isinstance(requests, Iterable):
        raise InputError("requests", f"must be a list, found {short(requests)}")
    requests = list(requests)
    try:
        problem = Problem(
            name="simulate",
            bandwidth_hz=bandwidth_hz,
            gpu_memory_bytes=gpu_memory_bytes,
            residency=residency,
            overlap=overlap,
            blocks=library.blocks,
            models=library.models,
            users=(),
        )
    except ValidationError as error:
        invalid = from_validation("simulate", error)
        raise InputError(
            invalid.where.removeprefix("simulate: "), invalid.what
        ) from None
    if isinstance(policy, str):
        sharing = sharing and shares(policy)
        try:
            policy = make_policy(policy, {})
        except InputError as error:
            raise InputError("policy", error.what) from None
    elif not isinstance(policy, Policy):
        raise InputError(
            "policy",
            f"must be a name or an instance of a Policy (call a class: Mine()), found "
            f"{short(policy)}",
        )
    number = {name: k for k, name in enumerate(problem.models)}
    arrivals, users = arrivals_of(requests, number, bandwidth_hz)
    tables = Tables(problem, sharing=sharing)
    settings = Settings(uplink=uplink, late=late, queue_limit=queue_limit)
    return Simulation(
        Account(simulate_stream(tables, arrivals, policy, settings), tables), users
    )


def read_scenario(path_or_name: str | Path) -> Scenario:
    """Read a scenario (TOML), or a shipped one by its name."""
    if not isinstance(path_or_name, (str, Path)):
        raise InputError(
            "scenario",
            f"must be a name, a file or a Scenario, found {short(path_or_name)}",
        )
    return read_scenario_file(locate_scenario(str(path_or_name)))


def read_trace(path_or_name: str | Path) -> Trace:
    """Read a trace (CSV), or a shipped one by its name."""
    return read_trace_file(locate("trace", _path("path_or_name", path_or_name)))


def read_profile(path_or_name: str | Path) -> Profile:
    """Read a profile (JSON), or a shipped one by its name."""
    return read_profile_file(_path("path_or_name", path_or_name))


def read_problem(path: str | Path) -> Problem:
    """Read an instance file (JSON)."""
    return read_instance(_path("path", path))


def read_schedule(path: str | Path) -> Schedule:
    """Read a schedule file (JSON); ``solvers.verify`` judges its content."""
    return read_schedule_file(_path("path", path))


def read_run(folder: str | Path) -> Runs:
    """Read what a run has left in a folder."""
    return results.read_run(_path("folder", folder))


def _path(parameter: str, given: str | Path) -> Path:
    if not isinstance(given, (str, Path)):
        raise InputError(parameter, f"must be a path, found {short(given)}")
    return Path(given)
