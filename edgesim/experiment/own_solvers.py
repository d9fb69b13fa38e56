"""Solvers by name, the user's own included: import them, and report their errors."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

from edgesim.errors import InputError, short
from edgesim.plugins import (
    FAILURES,
    import_own,
    is_own,
    keeping_folder,
    own_line,
    split_name,
    told_where,
)
from solvers import (
    EdgesimError,
    Options,
    OwnSolver,
    OwnSolverError,
    Problem,
    Result,
    Uplink,
    check,
    solve,
)
from solvers import own_solver as own_solver_module
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
    wrong = _refusal(function)
    if wrong is not None:
        raise InputError(base, wrong)
    return NamedSolver(name, function)


def _refusal(function: object) -> str | None:
    """Say why something cannot be called as a solver is; None if it can."""
    requirement = "must be a function of (problem, uplink, options)"
    if not callable(function):
        return f"{requirement}, found {short(function)}"
    try:
        inspect.signature(function).bind(None, None, None)
    except ValueError:  # some C callables have no signature
        return None
    except TypeError as error:
        return f"{requirement}: {error}"
    return None


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


def check_by_name(
    problem: Problem,
    name: str,
    own: Mapping[str, OwnSolver] | None = None,
    *,
    uplink: Uplink,
    mip: str = "highs",
) -> None:
    """Refuse what a solver by name does not take, without solving it.

    Parameters
    ----------
    problem, name, own
        As for :func:`solve_by_name`.
    uplink, mip
        As for :func:`solvers.check`.

    Raises
    ------
    RefusalError
        Naming the condition that fails.
    OwnSolverError
        If an object cannot be called as a solver is.
    InputError
        As for :func:`own_solver`.
    """
    given = (own or {}).get(name)
    if given is not None:
        wrong = _refusal(given)
        if wrong is not None:
            raise OwnSolverError(f"{name}: {wrong}")
        check(problem, NamedSolver(name, given), uplink=uplink, mip=mip)
    elif is_own(name):
        check(problem, own_solver(name), uplink=uplink, mip=mip)
    else:
        check(problem, name, uplink=uplink, mip=mip)


def failure(name: str, error: Exception, where: str = "") -> EdgesimError:
    """Return what to say of a solver that failed, whatever it raised, and where."""
    said = str(error)
    if not isinstance(error, EdgesimError):
        said = f"{name}: raised {type(error).__name__}: {' '.join(said.split())}"
    elif not where:
        return error
    kind = OwnSolverError if isinstance(error, OwnSolverError) else EdgesimError
    found = kind(f"{said}{where}")
    found.__cause__ = error
    return found


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
    wrong = None if given is None else _refusal(given)
    if wrong is not None:
        raise OwnSolverError(f"{name}: {wrong}")
    solver = own_solver(name) if given is None else NamedSolver(name, given)
    sharing = not name.endswith(NO_SHARING)
    try:
        with keeping_folder():
            return solve(problem, solver, name=name, sharing=sharing, **limits)
    except EdgesimError as error:
        # It may have called another solver, whose name begins the message.
        text = str(error).removeprefix(f"{name}: ")
        raise OwnSolverError(f"{name}: {text}") from error
    except FAILURES as error:
        if own_line(error) is None and not _left_by_call(error):
            raise  # the error is edgesim's
        raise OwnSolverError(f"{name}: raised {told_where(error)}") from error


def _left_by_call(error: BaseException) -> bool:
    """Whether an error without a line of the user's was raised by calling a solver."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return last.filename.startswith("<frozen ") or (last.filename, last.name) in _CALLS


_CALLS = ((__file__, "__call__"), (own_solver_module.__file__, "_listed"))
"""Where user code is entered: the solver, and the iterator that it may answer with."""


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
