"""The rows of a trace: all rules of the CSV format, with errors that name the line.

The format is described in ``docs/traces.md``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from edgesim.errors import InputError, short
from edgesim.storage.files import check_ends

REQUIRED = ("arrival_s", "user", "model", "input_bytes", "slo_s")
OPTIONAL = ("spectral_efficiency", "x_m", "y_m")
MAX_BYTES = 10**17
"""As bits, still a number that a problem takes."""

RANGES = {
    "arrival_s": (0.0, 1e10),
    "slo_s": (1e-12, 1e9),
    "spectral_efficiency": (0.0, 1e18),
    "x_m": (-1e9, 1e9),
    "y_m": (-1e9, 1e9),
}
"""Least and largest number of a column: what is beyond has no use, and overflows."""
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_QUOTED_LINE = re.compile(r'(?:[^",]*|"(?:[^"]|"")*")(?:,(?:[^",]*|"(?:[^"]|"")*"))*')
_DIGITS = re.compile(r"\d{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One row of a trace, with its line number in the file."""

    line: int
    arrival_s: float
    user: str
    model: str
    input_bytes: int
    slo_s: float
    spectral_efficiency: float | None = None
    x_m: float | None = None
    y_m: float | None = None


def is_name(text: str) -> bool:
    """Whether a text is a valid user or model name: not empty and on one line."""
    return bool(text) and not ("\n" in text or "\r" in text or "\0" in text)


def iter_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 text file, numbered from 1, without their ends.

    A byte-order mark is dropped; lines end in LF or CRLF.

    Raises
    ------
    InputError
        If the file cannot be read, or at the line that is not UTF-8 or holds a NUL.
    """
    with open_bytes(path) as file:
        yield from number_lines(path, file)


@contextmanager
def open_bytes(path: Path) -> Iterator[BufferedReader]:
    """Open a file for reading; file system errors become input errors.

    Raises
    ------
    InputError
        If the file cannot be opened, or cannot be read inside the ``with`` block.
    """
    try:
        check_ends(path)
        with path.open("rb") as file:
            yield file
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise InputError(path, f"cannot be read: {reason.lower()}") from None


def number_lines(
    path: Path, lines: Iterable[bytes], first: int = 1
) -> Iterator[tuple[int, str]]:
    """Decode the lines of a file from line ``first`` on, as :func:`iter_lines` does.

    Raises
    ------
    InputError
        At the line that is not UTF-8 or holds a NUL.
    """
    for number, raw in enumerate(lines, start=first):
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}:{number}",
                f"must be UTF-8 text, found byte 0x{raw[error.start]:02x}",
            ) from None
        if "\0" in text:
            raise InputError(f"{path}:{number}", "must be text, found a NUL byte")
        yield number, text.removesuffix("\n").removesuffix("\r")


def iter_trace(path: Path) -> Iterator[TraceRow]:
    """Read a trace row by row, in constant memory.

    Raises
    ------
    InputError
        At the first line that violates the format: ``FILE:LINE: COLUMN must be ...,
        found ...``. A blank line is accepted only at the very end.
    """
    lines = iter_lines(path)
    yield from parse_requests(path, read_header(path, lines), lines)


def parse_requests(
    path: Path,
    header: list[str],
    lines: Iterator[tuple[int, str]],
    before_s: float = 0.0,
) -> Iterator[TraceRow]:
    """Parse numbered lines into requests, the first no earlier than ``before_s``.

    Raises
    ------
    InputError
        At the first line that violates the format.
    """
    columns = [
        (name, header.index(name), parse)
        for name, parse in _PARSERS.items()
        if name in header
    ]
    blank = 0
    for line, text in lines:
        if blank:
            raise InputError(f"{path}:{blank}", "must be a request, found a blank line")
        if not text:
            blank = line
            continue
        fields = _split(path, line, text)
        if len(fields) != len(header):
            raise InputError(
                f"{path}:{line}", f"must have {len(header)} fields, found {len(fields)}"
            )
        values: dict[str, Any] = {}
        for name, at, parse in columns:
            try:
                values[name] = parse(fields[at])
            except ValueError as rule:
                raise InputError(
                    f"{path}:{line}",
                    f"{name} must be {rule}, found {short(fields[at])}",
                ) from None
        request = TraceRow(line, **values)
        if request.arrival_s < before_s:
            raise InputError(
                f"{path}:{line}",
                f"arrival_s must be non-decreasing (the request before came at "
                f"{before_s!r}), found {request.arrival_s!r}",
            )
        before_s = request.arrival_s
        yield request


def read_header(path: Path, lines: Iterator[tuple[int, str]]) -> list[str]:
    """Read the first line: the columns, in the order of the file.

    Raises
    ------
    InputError
        If a column is unknown, missing or duplicated.
    """
    where = f"{path}:1"
    line, text = next(lines, (1, ""))
    wanted = f"{','.join(REQUIRED)}; optional {', '.join(OPTIONAL)}"
    if not text:
        raise InputError(where, f"header must be {wanted}; found none")
    names = _split(path, line, text)
    for name in names:
        if name not in _PARSERS:
            raise InputError(
                where,
                f"columns must be of {wanted}; found unknown {short(name)}"
                f"{_commas(text)}",
            )
        if names.count(name) > 1:
            raise InputError(where, f"columns must be distinct, found {name!r} twice")
    for name in REQUIRED:
        if name not in names:
            raise InputError(
                where, f"header must have the column {name!r}, found {short(text)}"
            )
    if ("x_m" in names) != ("y_m" in names):
        raise InputError(
            where, f"header must have both x_m and y_m or none, found {short(text)}"
        )
    return names


def _commas(header: str) -> str:
    """Say of a header without commas that they are needed."""
    other = next((mark for mark in ";\t|" if mark in header), None)
    if "," in header or other is None:
        return ""
    return f"; commas must separate columns, found {other!r}"


def _split(path: Path, line: int, text: str) -> list[str]:
    where = f"{path}:{line}"
    if "\r" in text:
        raise InputError(where, "must be one line, found a carriage return in it")
    if '"' not in text:
        return text.split(",")
    try:
        # Parse one line at a time, so that an unclosed quote is an error of its line.
        fields = next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise InputError(where, f"must be CSV, found bad quotes: {error}") from None
    if not _QUOTED_LINE.fullmatch(text):  # the csv module accepts a"b
        raise InputError(where, "must be CSV, found a quote in an unquoted field")
    return fields


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if NUMBER.fullmatch(text) and low <= (value := float(text)) <= high:
            return value + 0.0  # no −0.0
        raise ValueError(f"a number from {low:g} to {high:g}")

    return parse


def _whole(text: str) -> int:
    if _DIGITS.fullmatch(text):
        value = int(text)
    elif NUMBER.fullmatch(text) and float(text).is_integer():
        value = int(float(text))  # 8e9 and 150528.0 are whole numbers too
    else:
        value = 0
    if 0 < value <= MAX_BYTES:
        return value
    raise ValueError("a whole number from 1 to 1e+17")


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("a non-empty name")
    return text


_PARSERS: dict[str, Callable[[str], object]] = {
    "user": _name,
    "model": _name,
    "input_bytes": _whole,
    **{column: _number(low, high) for column, (low, high) in RANGES.items()},
}
