"""Values that a field seldom holds: ends of the ranges, odd texts, deep nesting."""

from __future__ import annotations

from typing import Any


class Raw(str):
    """A text that stands in a file as it is: a number that Python cannot hold."""

    __slots__ = ()


class Twice(dict[str, Any]):
    """An object whose last key stands in the file twice."""


NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 3, 7, 100, True, False),
    *(0.0, -0.0, 0.5, 1.5, -0.5, 1e-12, 9e-13, 1e-9, 1e-300, -1e-300),
    *(5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e300, -1e300),
    *(1e6, 1000001.0, 1e15, 1e18, 1.1e18, 1e19),
    *(2**31, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63), 10**400),
    *(Raw("1e999"), Raw("-1e999"), Raw("1" * 5000), Raw("-" + "9" * 5000)),
    *(Raw("0." + "0" * 5000 + "1"), Raw("1e-5000"), Raw("1e" + "9" * 5000)),
    *(Raw("NaN"), Raw("nan"), Raw("-nan"), Raw("Infinity"), Raw("inf"), Raw("-inf")),
    *(
        Raw("0x10"),
        Raw("1_000"),
        Raw("007"),
        Raw("+1"),
        Raw("1."),
        Raw(".5"),
        Raw("1e"),
    ),
)
"""Numbers at both ends of the floats, whole ones beyond 2^63, and what is none."""

CONTROLS = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b[2J",
    "a\nb",
    "a\rb",
    "a\tb",
    "a\x00b",
    "a\x7fb",
    "a\x85b",
    "a\x9b31mb",
    "a\u2028b",
    "\u202eevil\u202c",
    "\u2066hidden\u2069",
    "\ufeffname",
    "zero\u200bwidth",
    "\ud800",
    "\udc80",
)
"""Texts that a terminal obeys, that end a line, or that are no text at all."""

FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    '=HYPERLINK("http://x","y")',
    "\t=1",
    "\r=1",
)
"""Texts that a spreadsheet computes."""

TEXTS: tuple[str, ...] = (
    *CONTROLS,
    *FORMULAS,
    *("", " ", "a b", "x" * 5000, "é", "e\u0301", "∞", "\U0001f600", "a,b", 'a"b'),
    *("'", "\\", "/", ".", "..", "../x", "/dev/zero", "/etc/hostname", "~", "a/b", "*"),
    *("nan", "inf", "1e999", "0", "-0.0", "true", "null", "None", "1" * 5000, "٣"),
    *("{device}", "{", "}", "{0}", "%s", "$x^{$", "$", "__class__", "os:getcwd", ":"),
    *("dp", "greedy", "cache", "previous", "all", "profile", "trace", "shuffle"),
    *("<script>", "&amp;", "</script>", "[1", "#", "--out", "-", "--", "1=2"),
)
"""Texts of every kind."""


def nested(depth: int, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    """Make lists or objects inside each other."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind is list else {"a": value}
    return value


def deep(depth: int) -> Raw:
    """Make lists so deep that Python itself could not write them."""
    return Raw("[" * depth + "]" * depth)
