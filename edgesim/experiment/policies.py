"""Make policies by name: those shipped with edgesim, and the user's own."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from edgesim.engine.policy import Policy
from edgesim.errors import InputError, short
from edgesim.names import ALLOWED_POLICIES, plain
from edgesim.plugins import FAILURES, import_own, pass_on_signal, split_name, told_where

# Imported on demand: policies import the solvers.
_SHIPPED: dict[str, tuple[str, str]] = {
    "fcfs": ("edgesim.engine.policies.in_order", "Fcfs"),
    "edf": ("edgesim.engine.policies.in_order", "Edf"),
    "clockwork": ("edgesim.engine.policies.in_order", "Clockwork"),
    "greedy": ("edgesim.engine.policies.greedy", "Greedy"),
    "rolling": ("edgesim.engine.policies.rolling", "Rolling"),
}


def make_policy(
    name: str, options: Mapping[str, Any], own: Mapping[str, Any] | None = None
) -> Policy:
    """Make a policy for one run.

    Parameters
    ----------
    name
        One of ``POLICIES``, or ``package.module:Class`` with or without ``-noshare``,
        imported from the installed packages or the current folder.
    options
        Keyword arguments of its constructor.
    own
        Classes, or functions that make a policy, by the name used in the run.

    Raises
    ------
    InputError
        If there is no such policy, or it refuses its options.
    """
    shipped = _SHIPPED.get(plain(name))
    given = (own or {}).get(name)
    if given is not None:
        factory, shipped = given, None
    elif shipped is not None:
        factory = shipped_policy(plain(name))
    else:
        factory = _imported_class(name)
    where = f"online.{plain(name)}" if shipped is not None else plain(name)
    try:
        inspect.signature(factory).bind(**options)
    except ValueError:  # some C callables have no signature
        pass
    except TypeError as error:
        raise InputError(
            where, f"{error}; allowed are {_keywords(factory) or 'no options'}"
        ) from None
    try:
        policy = factory(**options)
    except InputError:
        raise
    except FAILURES as error:
        pass_on_signal(error)
        # A constructor may raise anything: the cause is in the options, if any.
        what = "refuses its options" if options else "cannot be made"
        raise InputError(where, f"{what}: {_error_text(error)}") from error
    if not isinstance(policy, Policy):
        raise InputError(where, f"must make an edgesim.Policy, found {short(policy)}")
    return policy


def shipped_policy(name: str) -> type[Policy]:
    """Import the class of a shipped policy, by one of ``SHIPPED_POLICIES``."""
    module, attribute = _SHIPPED[name]
    found: type[Policy] = getattr(importlib.import_module(module), attribute)
    return found


def _imported_class(name: str) -> type[Policy]:
    """Import a user's class."""
    spec = split_name(plain(name))
    if spec is None:
        raise InputError(
            "online.policies", f"{name!r} is no policy; allowed: {ALLOWED_POLICIES}"
        )
    place, attribute = spec
    module, policy_class = import_own(plain(name))
    if policy_class is None:
        policies = [
            key for key, value in vars(module).items() if _is_policy_class(value)
        ]
        raise InputError(
            plain(name),
            f"there is no class {attribute!r} in {place}; "
            f"its policies are {', '.join(sorted(policies)) or 'none'}",
        )
    if not _is_policy_class(policy_class):
        raise InputError(
            plain(name),
            f"must be a subclass of edgesim.Policy, found {short(policy_class)}",
        )
    undefined = sorted(policy_class.__abstractmethods__)
    if undefined:
        raise InputError(
            plain(name), f"must define {', '.join(undefined)}, found none of its own"
        )
    policy: type[Policy] = policy_class
    return policy


def _is_policy_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Policy) and value is not Policy


def _keywords(factory: type[Policy]) -> str:
    return ", ".join(inspect.signature(factory).parameters)


def _error_text(error: BaseException) -> str:
    """Describe an error of a policy's code; a ``ValueError`` speaks for itself."""
    if isinstance(error, ValueError) and str(error).strip():
        return str(error)
    return told_where(error)
