"""Quantities that are typed with a unit, ``8GB``, ``5MHz``, ``500ms``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

_BINARY = {f"{prefix}ib": 1024**n for n, prefix in enumerate("kmgt", start=1)}
_BYTES = {"b": 1, **{f"{p}b": 1000**n for n, p in enumerate("kmgt", 1)}, **_BINARY}
_UNITS: Mapping[str, Mapping[str, int | Decimal]] = {
    "_bytes_per_s": {f"{unit}/s": factor for unit, factor in _BYTES.items()},
    "_bytes": _BYTES,
    "_hz": {"hz": 1, **{f"{p}hz": 1000**n for n, p in enumerate("kmgt", 1)}},
    "_s": {
        "ns": Decimal("1e-9"),
        "us": Decimal("1e-6"),
        "µs": Decimal("1e-6"),
        "ms": Decimal("1e-3"),
        "s": 1,
        "min": 60,
        "h": 3600,
    },
}
"""Units by what a key ends with, longest first, and how much of its unit each is."""

_QUANTITY = re.compile(
    r"(?<![\w.])(?P<number>[+-]?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]{1,2})?) ?"
    r"(?P<unit>[a-zµ]+(/s)?)(?![\w.])",
    re.IGNORECASE,
)


def without_units(key: str, text: str) -> str:
    """Write the quantities in a text as numbers of the unit of a key.

    Parameters
    ----------
    key
        A key path of a scenario: its end says the unit, ``gpu.memory_bytes``. A key
        that says none leaves the text as it is.
    text
        One value or several. What has another unit is left, to be refused where the
        value is checked.
    """
    units = next((of for end, of in _UNITS.items() if key.endswith(end)), {})

    def number(found: re.Match[str]) -> str:
        factor = units.get(found["unit"].lower())
        if factor is None:
            return found[0]
        value = Decimal(found["number"]) * factor
        return f"{int(value)}" if value == int(value) else f"{value:f}"

    return _QUANTITY.sub(number, text)
