"""Solvers by name, the user's own included: import them, and report their errors."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from edgesim.errors import InputError, short
from edgesim.plugins import import_own, is_own, own_line, split_name, told
from solvers import (
    EdgesimError,
    Options,
    OwnSolver,
    OwnSolverError,
    Problem,
    Result,
    Uplink,
    solve,
)
from solvers.own_solver import Answer
from solvers.registry import NO_SHARING


class NamedSolver:
    """A user's own solver under the name by which it was requested."""

    def __init__(self, name: str, function: OwnSolver) -> None:
        self.__name__ = name
        self._function = function

    def __call__(self, problem: Problem, uplink: Uplink, options: Options) -> Answer:
        """Call the solver."""
        return self._function(problem, uplink, options)


def own_solver(name: str) -> NamedSolver:
    """Import a user's own solver.

    Parameters
    ----------
    name
        ``package.module:function``, with or without ``-noshare``.

    Raises
    ------
    InputError
        If there is no such function, or it does not accept the arguments of a solver.
    """
    base = name.removesuffix(NO_SHARING)
    module, function = import_own(base)
    if function is None:
        known = [
            key
            for key, value in vars(module).items()
            if _is_public_function_of(module, value)
        ]
        raise InputError(
            base,
            f"there is no function {base.partition(':')[2]!r} in {module.__name__}; "
            f"its functions are {', '.join(sorted(known)) or 'none'}",
        )
    requirement = "must be a function of (problem, uplink, options)"
    if not callable(function):
        raise InputError(base, f"{requirement}, found {short(function)}")
    try:
        inspect.signature(function).bind(None, None, None)
    except ValueError:  # some C callables have no signature
        pass
    except TypeError as error:
        raise InputError(base, f"{requirement}: {error}") from None
    return NamedSolver(name, function)


def _is_public_function_of(module: object, value: object) -> bool:
    """Whether a value is a public function defined in the module itself."""
    return (
        inspect.isfunction(value)
        and value.__module__ == getattr(module, "__name__", None)
        and not value.__name__.startswith("_")
    )


def check_solvers_there(names: Iterable[str]) -> None:
    """Check that the user's own solvers among some names can be imported.

    Raises
    ------
    InputError
        As for :func:`own_solver`.
    """
    for name in filter(is_own, names):
        own_solver(name)


def solve_by_name(
    problem: Problem,
    name: str,
    own: Mapping[str, OwnSolver] | None = None,
    **limits: Any,
) -> Result:
    """Solve a problem with a solver by name, a shipped one or the user's own.

    Parameters
    ----------
    problem
        The problem to be scheduled.
    name
        One of ``solvers.SOLVERS``, or ``package.module:function``, with ``-noshare``
        for the problem in which each model has a block of its own.
    own
        Functions by name, if they were passed as objects.
    limits
        As for :func:`solvers.solve`.

    Raises
    ------
    RefusalError
        If a shipped solver cannot take the problem.
    OwnSolverError
        If one of the user's own breaks a rule or fails, naming the line in its code.
    """
    given = (own or {}).get(name)
    if given is None and not is_own(name):
        return solve(problem, name, **limits)
    solver = own_solver(name) if given is None else NamedSolver(name, given)
    sharing = not name.endswith(NO_SHARING)
    try:
        return solve(problem, solver, name=name, sharing=sharing, **limits)
    except EdgesimError as error:
        # It may have called another solver, whose name begins the message.
        text = str(error).removeprefix(f"{name}: ")
        raise OwnSolverError(f"{name}: {text}") from error
    except Exception as error:
        line = own_line(error)
        if line is None:  # no line of its own: the error is edgesim's
            raise
        raise OwnSolverError(f"{name}: raised {told(error)}, at {line}") from error


def with_solver(policy: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Replace the name of a user's own solver in ``rolling``'s options by its function.

    Parameters
    ----------
    policy
        The policy's name, with or without ``-noshare``.
    options
        Its options.

    Raises
    ------
    InputError
        As for :func:`own_solver`.
    """
    solver = options.get("solver")
    rolls = policy.removesuffix(NO_SHARING) == "rolling"
    # With -noshare it stays a text, which is refused: the policy's name states that.
    if rolls and isinstance(solver, str) and split_name(solver) is not None:
        return {**options, "solver": own_solver(solver)}
    return options
