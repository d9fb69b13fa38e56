"""Checks of options that several commands share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeAlias, cast

from edgesim.cli.units import without_units
from edgesim.errors import InputError, short
from edgesim.names import check_formats, check_policies, check_solvers
from solvers import UPLINKS, Uplink
from solvers.spelling import did_you_mean

Check: TypeAlias = Callable[[tuple[str, ...]], tuple[str, ...]]

_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?(e[+-]?[0-9]{1,2})?", re.IGNORECASE)


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


def seconds(option: str, text: str | None) -> float | None:
    """Parse a time, ``0.5``, ``500ms``, or nothing; a number alone is of seconds.

    Raises
    ------
    InputError
        Naming the option, what was found and what is allowed.
    """
    if text is None:
        return None
    value = float(_quantity("_s", text))
    if not 0 < value < math.inf:
        raise InputError(
            option, f"must be a time above 0, as in 0.5 or 500ms, found {short(text)}"
        )
    return value


def byte_sizes(option: str, text: str) -> tuple[int, ...]:
    """Parse ``8GB,24GiB,1e9``: sizes, commas between, each once, smallest first.

    GB is 10⁹ bytes and GiB 2³⁰; a number without a unit is of bytes.

    Raises
    ------
    InputError
        Naming the option, what was found and what is allowed.
    """
    parts = text.split(",")
    return tuple(sorted({byte_size(option, p.strip(), _SIZES) for p in parts}))


_ONE_SIZE = "bytes, as in 1e9, 16GB or 24GiB"
_SIZES = f"{_ONE_SIZE}, commas between"


def byte_size(option: str, text: str, allowed: str = _ONE_SIZE) -> int:
    """Parse one size, as :func:`byte_sizes` does several.

    Raises
    ------
    InputError
        Naming the option, what was found and what is allowed.
    """
    value = _quantity("_bytes", text)
    size = round(value) if value < 2**63 else 0
    if not 0 < size < 2**63:
        raise InputError(option, f"must be {allowed}, found {short(text)}")
    return size


def hertz(option: str, text: str) -> float:
    """Parse a frequency, ``20e6``, ``20MHz``; a number without a unit is of Hz.

    Raises
    ------
    InputError
        Naming the option, what was found and what is allowed.
    """
    value = float(_quantity("_hz", text))
    if not 0 < value < math.inf:
        raise InputError(
            option, f"must be Hz, as in 20e6, 20MHz or 1GHz, found {short(text)}"
        )
    return value


def _quantity(end: str, text: str) -> Decimal:
    """Parse a number with or without a unit of keys with this end; 0 if it is none."""
    plain = without_units(end, text).strip()
    return Decimal(plain) if _NUMBER.fullmatch(plain) else Decimal(0)
