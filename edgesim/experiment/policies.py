"""Make policies by name: those that edgesim ships, and the user's own."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from edgesim.engine.policy import Policy
from edgesim.errors import InputError, short
from edgesim.names import ALLOWED_POLICIES, plain
from edgesim.plugins import import_own, split_name, told_where

# Imported on request: policies bring the solvers with them.
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
        Keywords of its constructor.
    own
        Classes, or functions that make a policy, by the name they are run under.

    Raises
    ------
    InputError
        When there is no such policy, or it refuses its options.
    """
    known = _SHIPPED.get(plain(name))
    given = (own or {}).get(name)
    if given is not None:
        made, known = given, None
    elif known is not None:
        made = shipped_policy(plain(name))
    else:
        made = _imported_class(name)
    where = f"online.{plain(name)}" if known is not None else plain(name)
    try:
        inspect.signature(made).bind(**options)
    except TypeError as error:
        raise InputError(
            where, f"{error}; allowed are {_keywords(made) or 'no options'}"
        ) from None
    try:
        policy = made(**options)
    except InputError:
        raise
    except Exception as error:
        # A constructor may raise anything: it is about the options all the same.
        raise InputError(where, f"refuses its options: {_told(error)}") from error
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
    module, made = import_own(plain(name))
    if made is None:
        known = [key for key, value in vars(module).items() if _is_policy_class(value)]
        raise InputError(
            plain(name),
            f"there is no class {attribute!r} in {place}; "
            f"its policies are {', '.join(sorted(known)) or 'none'}",
        )
    if not _is_policy_class(made):
        raise InputError(
            plain(name),
            f"must be a subclass of edgesim.Policy, found {short(made)}",
        )
    left = sorted(made.__abstractmethods__)
    if left:
        raise InputError(
            plain(name), f"must define {', '.join(left)}, found none of its own"
        )
    policy: type[Policy] = made
    return policy


def _is_policy_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Policy) and value is not Policy


def _keywords(made: type[Policy]) -> str:
    return ", ".join(inspect.signature(made).parameters)


def _told(error: Exception) -> str:
    """Tell an error of a policy's code; a ``ValueError`` says itself what is wrong."""
    if isinstance(error, ValueError) and str(error).strip():
        return str(error)
    return told_where(error)
