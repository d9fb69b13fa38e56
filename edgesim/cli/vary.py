"""What ``--vary`` says: a parameter, and its values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from edgesim.errors import InputError

_MOST_VALUES = 1000


def values_of(key: str, text: str) -> tuple[tuple[Any, ...], bool]:
    """Read ``START:STOP:COUNT`` with both ends, or ``a,b,c``.

    Returns
    -------
    values, log
        The values, and whether ``:log`` asks for a logarithmic axis.

    Raises
    ------
    InputError
        Naming the parameter, what was found and what is allowed.
    """
    from edgesim.cli.units import without_units
    from edgesim.scenario.key_path import read_value
    from edgesim.scenario.parameters import is_whole, key_of

    where = f"--vary {key}"
    text = without_units(key_of(key), text)
    steps = text.split(":")
    one_word = "," not in text and '"' not in text
    if one_word and (len(steps) in (3, 4) or (steps[1:] and _is_number(steps[0]))):
        spread = _range(where, text, steps)
        return _whole(where, text, spread) if is_whole(key) else spread, len(steps) == 4
    found = []
    for one in _split(text):
        try:
            found.append(read_value(one.strip()))
        except ValueError as error:
            raise InputError(where, str(error)) from None
        if not isinstance(found[-1], (bool, int, float, str)):
            raise InputError(
                where, f"must be numbers, true and false, or texts, found {one.strip()}"
            )
    if len(set(found)) < len(found):
        raise InputError(where, f"must be distinct values, found {text}")
    return tuple(found), False


def _split(text: str) -> list[str]:
    """Split at commas that are not within quotes."""
    return re.sub(r'("[^"]*")|,', lambda m: m[1] or "\n", text).split("\n")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _range(where: str, text: str, steps: Sequence[str]) -> tuple[float | int, ...]:
    import numpy as np

    allowed = (
        "must be START:STOP:COUNT with two numbers and a whole number of 2 or more "
        "(:log after it for equal ratios), or KEY=a,b,c"
    )
    try:
        start, stop, count = float(steps[0]), float(steps[1]), int(steps[2])
    except (ValueError, IndexError):
        raise InputError(where, f"{allowed}; found {text!r}") from None
    log = steps[3:] == ["log"]
    finite = np.isfinite([start, stop]).all()
    if not 2 <= count <= _MOST_VALUES or not finite or (steps[3:] and not log):
        raise InputError(where, f"{allowed}, at most {_MOST_VALUES}; found {text!r}")
    if start == stop or (log and min(start, stop) <= 0):
        what = "two different numbers" + (" above 0" if log else "")
        raise InputError(where, f"must have {what} at its ends, found {text!r}")
    spread = np.geomspace if log else np.linspace
    values = spread(start, stop, count).tolist()
    values[0], values[-1] = start, stop
    whole = all(re.fullmatch(r"[+-]?[0-9_]+", step.strip()) for step in steps[:2])
    if whole and all(value == round(value) for value in values):
        return tuple(round(value) for value in values)
    return tuple(values)


def _whole(where: str, text: str, values: Sequence[float | int]) -> tuple[int, ...]:
    """Round to whole numbers, which the parameter takes alone."""
    rounded = tuple(round(value) for value in values)
    if len(set(rounded)) < len(rounded):
        raise InputError(
            where,
            f"must have at least {len(rounded)} whole numbers between its ends, "
            f"found {text!r}",
        )
    return rounded


def varied(vary: Sequence[str]) -> tuple[dict[str, Any], bool]:
    """Return the sections ``sweep`` and ``second``, and whether the x axis is log."""
    from edgesim.scenario.key_path import parts_of

    found: list[tuple[dict[str, Any], bool]] = []
    for text in vary:
        key, equals, values = text.partition("=")
        key = key.strip()
        if not equals or not key or not values.strip():
            raise InputError(
                "--vary", f"must be KEY=START:STOP:COUNT or KEY=a,b,c, found {text!r}"
            )
        try:
            parts_of(key)
        except InputError as error:
            raise InputError("--vary", f"{error.what}, found {key!r}") from None
        if any(key == other["parameter"] for other, _ in found):
            raise InputError(f"--vary {key}", "is given twice; give one list of values")
        listed, log = values_of(key, values)
        found.append(({"parameter": key, "values": listed}, log))
    if len(found) > 2:
        raise InputError("--vary", f"is for one or two parameters, found {len(found)}")
    (first, log), *others = found
    sections = {"sweep": first}
    if others:
        sections["second"], _ = others[0]
    return sections, log
