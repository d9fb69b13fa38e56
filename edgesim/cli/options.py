"""Checks of options that several commands share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeAlias, cast

from edgesim.errors import InputError, short
from edgesim.names import check_formats, check_policies, check_solvers
from solvers import UPLINKS, Uplink
from solvers.spelling import did_you_mean

Check: TypeAlias = Callable[[tuple[str, ...]], tuple[str, ...]]

_SIZE = re.compile(
    r"(?P<number>[0-9]+(\.[0-9]*)?(e\+?[0-9]{1,2})?) *(?P<unit>b|[kmgt]i?b)?",
    re.IGNORECASE | re.ASCII,
)


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


def byte_sizes(option: str, text: str) -> tuple[int, ...]:
    """Parse ``8GB,24GiB,1e9``: sizes, commas between, each once, smallest first.

    GB is 10⁹ bytes and GiB 2³⁰; a number without a unit is of bytes.

    Raises
    ------
    InputError
        Naming the option, what was found and what is allowed.
    """
    sizes = {_byte_size(option, part.strip()) for part in text.split(",")}
    return tuple(sorted(sizes))


def _byte_size(option: str, text: str) -> int:
    found = _SIZE.fullmatch(text)
    size = 0
    if found is not None:
        unit = (found["unit"] or "b").lower()
        base = 1024 if "i" in unit else 1000
        size = round(Decimal(found["number"]) * base ** ("bkmgt".index(unit[0])))
    if not 0 < size < 2**63:
        raise InputError(
            option,
            f"must be bytes, as in 1e9, 16GB or 24GiB, commas between, "
            f"found {short(text)}",
        )
    return size
