"""Checks of options that several commands share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

from edgesim.errors import InputError
from edgesim.names import check_formats, check_policies, check_solvers
from solvers import UPLINKS, Uplink
from solvers.spelling import did_you_mean

Check: TypeAlias = Callable[[tuple[str, ...]], tuple[str, ...]]


def names_of(option: str, text: str, check: Check) -> tuple[str, ...]:
    """Parse ``dp,greedy``: comma-separated names.

    Parameters
    ----------
    option, text
        The option and its value.
    check
        Raises a ``ValueError`` for unknown or duplicate names.

    Raises
    ------
    InputError
        Naming the option, what was found and what is allowed.
    """
    try:
        return check(tuple(name.strip() for name in text.split(",")))
    except ValueError as error:
        raise InputError(option, str(error)) from None


def solver_names(option: str, text: str) -> tuple[str, ...]:
    """Parse ``dp,mine:solve``: solvers, each once, by :func:`names_of`."""
    return names_of(option, text, check_solvers)


def policy_names(option: str, text: str) -> tuple[str, ...]:
    """Parse ``fcfs,my.module:Mine``: policies, each once, by :func:`names_of`."""
    return names_of(option, text, check_policies)


def picture_formats(option: str, text: str) -> tuple[str, ...]:
    """Read ``png,pdf``: formats of pictures, each once, by :func:`names_of`."""
    return names_of(option, text, check_formats)


def one_of(option: str, text: str, allowed: Sequence[str]) -> str:
    """Accept one of a few words.

    Raises
    ------
    InputError
        Naming the option, what was found and what is allowed.
    """
    if text not in allowed:
        raise InputError(
            option,
            f"must be one of {', '.join(allowed)}, found {text!r}"
            f"{did_you_mean(text, allowed)}",
        )
    return text


def uplink_name(option: str, text: str) -> Uplink:
    """Parse an uplink discipline.

    Raises
    ------
    InputError
        Naming the option, what was found and what is allowed.
    """
    return cast("Uplink", one_of(option, text, UPLINKS))


def positive(option: str, value: float | None) -> float | None:
    """Accept a finite number above 0, or nothing.

    Raises
    ------
    InputError
        Naming the option, what was found and what is allowed.
    """
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise InputError(option, f"must be a number above 0, found {value!r}")
    return value


def amount(option: str, text: str, unit: str, example: str) -> int | float:
    """Parse a positive number with a unit or none: ``1e9``, ``1GB``, ``24GiB``.

    Parameters
    ----------
    option, text
        The option and its value.
    unit
        ``B`` or ``Hz``; k, M, G and T stand before it, and of bytes Ki, Mi, Gi and Ti.
    example
        What is allowed, for the message.

    Returns
    -------
    int or float
        In the unit itself; whole numbers are integers.

    Raises
    ------
    InputError
        Naming the option, what was found and what is allowed.
    """
    found = re.fullmatch(rf"\s*([0-9.eE+]+)\s*(?:(|[kMGT]|[KMGT]i){unit})?\s*", text)
    prefix = "" if found is None else found[2] or ""
    try:
        number = math.nan if found is None else float(found[1])
    except ValueError:
        number = math.nan
    if (prefix.endswith("i") and unit != "B") or not 0 < number < math.inf:
        raise InputError(
            option, f"must be a number above 0, such as {example}, found {text!r}"
        )
    base = 1024 if prefix.endswith("i") else 1000
    value = number * base ** "_KMGT".index(prefix[:1].upper() or "_")
    return int(value) if value == int(value) else value
