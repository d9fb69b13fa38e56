"""Request traces: who asks for which model when, as a CSV file and as columns.

The format is described in ``traces/README.md``.
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgesim.errors import InputError, short
from edgesim.files import write_whole

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]

REQUIRED = ("arrival_s", "user", "model", "input_bytes", "slo_s")
OPTIONAL = ("spectral_efficiency", "x_m", "y_m")
MAX_BYTES = 2**63 - 1
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_QUOTED_LINE = re.compile(r'(?:[^",]*|"(?:[^"]|"")*")(?:,(?:[^",]*|"(?:[^"]|"")*"))*')
_DIGITS = re.compile(r"\d{1,19}", re.ASCII)
_CHUNK = 1 << 16  # rows turned into text at a time


@dataclass(frozen=True, slots=True)
class Request:
    """One row of a trace, and the line of the file on which it stands."""

    line: int
    arrival_s: float
    user: str
    model: str
    input_bytes: int
    slo_s: float
    spectral_efficiency: float | None = None
    x_m: float | None = None
    y_m: float | None = None


@dataclass(frozen=True, eq=False)
class Trace:
    """A trace as columns of equal length, in order of arrival.

    Parameters
    ----------
    arrival_s
        Seconds from the start of the trace: finite, >= 0, non-decreasing.
    users, user
        Distinct names, and for each request the position of its user among them.
        Reading a file numbers the names by first appearance.
    models, model
        The same for the model that each request wants.
    input_bytes
        Size of each input: whole, > 0.
    slo_s
        Time each request may take from its arrival: finite, > 0.
    spectral_efficiency
        Of each request's uplink in bit/s/Hz, >= 0, where the trace says so.
    x_m, y_m
        Where each request's user stands, in metres from the cell's centre; both or
        neither.

    Raises
    ------
    ValueError
        When a column breaks its rule. The arrays are copied and made read-only.
    """

    arrival_s: Floats
    users: tuple[str, ...]
    user: Codes
    models: tuple[str, ...]
    model: Codes
    input_bytes: Integers
    slo_s: Floats
    spectral_efficiency: Floats | None = None
    x_m: Floats | None = None
    y_m: Floats | None = None

    def __post_init__(self) -> None:
        for column, dtype in _DTYPES.items():
            values = getattr(self, column)
            if values is None:
                continue
            fixed = np.asarray(values).astype(dtype, casting="same_kind")
            if fixed.shape != (len(self.arrival_s),):
                raise ValueError(
                    f"{column} must have one value for each of the "
                    f"{len(self.arrival_s)} arrivals, found shape {fixed.shape}"
                )
            fixed.setflags(write=False)
            object.__setattr__(self, column, fixed)
        _check_names("users", self.users, "user", self.user)
        _check_names("models", self.models, "model", self.model)
        if (self.x_m is None) != (self.y_m is None):
            raise ValueError("x_m and y_m must be given together")
        for column in ("arrival_s", "slo_s", *OPTIONAL):
            values = getattr(self, column)
            if values is not None and not np.isfinite(values).all():
                raise ValueError(f"{column} must be finite")
        if len(self) and (self.arrival_s[0] < 0 or np.any(np.diff(self.arrival_s) < 0)):
            raise ValueError("arrival_s must be >= 0 and non-decreasing")
        if np.any(self.input_bytes <= 0):
            raise ValueError("input_bytes must be > 0")
        if np.any(self.slo_s <= 0):
            raise ValueError("slo_s must be > 0")
        efficiency = self.spectral_efficiency
        if efficiency is not None and np.any(efficiency < 0):
            raise ValueError("spectral_efficiency must be >= 0")

    def __len__(self) -> int:
        """Count the requests."""
        return len(self.arrival_s)

    def window(self, start_s: float, end_s: float) -> Trace:
        """Keep the requests with ``start_s <= arrival_s < end_s``.

        Arrivals keep their values, and user and model codes their meaning: names that
        no request of the window uses stay listed.

        Raises
        ------
        ValueError
            When ``end_s`` is before ``start_s``, or either is not a number.
        """
        if not start_s <= end_s:
            raise ValueError(f"end_s must be >= start_s ({start_s}), found {end_s}")
        first, last = np.searchsorted(self.arrival_s, (start_s, end_s))
        given = {column: getattr(self, column) for column in _DTYPES}
        return replace(
            self,
            **{
                column: values[first:last]
                for column, values in given.items()
                if values is not None
            },
        )

    def popularity(self) -> Codes:
        """List every model's code, most requested first, ties by lower code."""
        counts = np.bincount(self.model, minlength=len(self.models))
        return np.argsort(-counts, kind="stable").astype(np.int32)


_DTYPES: dict[str, type[np.generic]] = {
    "arrival_s": np.float64,
    "user": np.int32,
    "model": np.int32,
    "input_bytes": np.int64,
    "slo_s": np.float64,
    "spectral_efficiency": np.float64,
    "x_m": np.float64,
    "y_m": np.float64,
}


def _check_names(
    column: str, names: tuple[str, ...], code_column: str, codes: Codes
) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"{column} must be distinct")
    for name in names:
        name.encode()  # a lone surrogate fails here (ValueError), not in mid-writing
        if not is_name(name):
            raise ValueError(
                f"{column} must be non-empty names on one line, found {short(name)}"
            )
    if len(codes) and not (codes.min() >= 0 and codes.max() < len(names)):
        raise ValueError(
            f"{code_column} must lie between 0 and {len(names) - 1}, "
            f"found {codes.min()} to {codes.max()}"
        )


def is_name(text: str) -> bool:
    """Whether a user or model may be called so: not empty, and all on one line."""
    return bool(text) and not ("\n" in text or "\r" in text or "\0" in text)


def iter_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 text file, numbered from 1, without their ends.

    A byte-order mark is dropped; lines end in LF or CRLF.

    Raises
    ------
    InputError
        When the file cannot be read, or at the line that is not UTF-8 or holds a NUL.
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                try:
                    text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{path}:{number}",
                        f"must be UTF-8 text, found byte 0x{raw[error.start]:02x}",
                    ) from None
                if "\0" in text:
                    raise InputError(
                        f"{path}:{number}", "must be text, found a NUL byte"
                    )
                yield number, text.removesuffix("\n").removesuffix("\r")
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise InputError(path, f"cannot be read: {reason.lower()}") from None


def iter_trace(path: Path) -> Iterator[Request]:
    """Read a trace row by row, in memory that does not grow with the file.

    Raises
    ------
    InputError
        At the first line that breaks the format: ``FILE:LINE: COLUMN must be ...,
        found ...``. A blank line is accepted at the very end only.
    """
    lines = iter_lines(path)
    yield from _requests(path, _read_header(path, lines), lines)


def _requests(
    path: Path, header: list[str], lines: Iterator[tuple[int, str]]
) -> Iterator[Request]:
    columns = [
        (name, header.index(name), parse)
        for name, parse in _PARSERS.items()
        if name in header
    ]
    before_s = 0.0
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
        request = Request(line, **values)
        if request.arrival_s < before_s:
            raise InputError(
                f"{path}:{line}",
                f"arrival_s must be non-decreasing (the request before came at "
                f"{before_s!r}), found {request.arrival_s!r}",
            )
        before_s = request.arrival_s
        yield request


def _read_header(path: Path, lines: Iterator[tuple[int, str]]) -> list[str]:
    where = f"{path}:1"
    line, text = next(lines, (1, ""))
    wanted = f"{','.join(REQUIRED)}; optional {', '.join(OPTIONAL)}"
    if not text:
        raise InputError(where, f"header must be {wanted}; found none")
    names = _split(path, line, text)
    for name in names:
        if name not in _PARSERS:
            raise InputError(
                where, f"columns must be of {wanted}; found unknown {short(name)}"
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


def _split(path: Path, line: int, text: str) -> list[str]:
    where = f"{path}:{line}"
    if "\r" in text:
        raise InputError(where, "must be one line, found a carriage return in it")
    if '"' not in text:
        return text.split(",")
    try:
        # One line at a time: an unclosed quote is then an error of its own line.
        fields = next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise InputError(where, f"must be CSV, found bad quotes: {error}") from None
    if not _QUOTED_LINE.fullmatch(text):  # the csv module lets a"b pass
        raise InputError(where, "must be CSV, found a quote in an unquoted field")
    return fields


def _number(rule: str, accept: Callable[[float], bool]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if NUMBER.fullmatch(text) and accept(value := float(text)):
            return value
        raise ValueError(rule)

    return parse


_as_whole = _number(
    "a whole number > 0 and < 2^63", lambda v: 0 < v < 2**63 and v.is_integer()
)


def _whole(text: str) -> int:
    if _DIGITS.fullmatch(text) and 0 < (value := int(text)) <= MAX_BYTES:
        return value
    return int(_as_whole(text))  # 8e9 and 150528.0 are whole numbers too


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("a non-empty name")
    return text


_not_negative = _number("a finite number >= 0", lambda v: 0 <= v < inf)
_finite = _number("a finite number", lambda v: -inf < v < inf)
_PARSERS: dict[str, Callable[[str], object]] = {
    "arrival_s": _not_negative,
    "user": _name,
    "model": _name,
    "input_bytes": _whole,
    "slo_s": _number("a finite number > 0", lambda v: 0 < v < inf),
    "spectral_efficiency": _not_negative,
    "x_m": _finite,
    "y_m": _finite,
}


def read_trace(path: Path) -> Trace:
    """Read a trace into columns; users and models are numbered by first appearance.

    Raises
    ------
    InputError
        At the first line that breaks the format, see :func:`iter_trace`.
    """
    lines = iter_lines(path)
    header = _read_header(path, lines)
    names: dict[str, dict[str, int]] = {"user": {}, "model": {}}
    columns = {name: array(np.dtype(_DTYPES[name]).char) for name in header}
    append = {name: column.append for name, column in columns.items()}
    for request in _requests(path, header, lines):
        for name, add in append.items():
            value = getattr(request, name)
            codes = names.get(name)
            add(value if codes is None else codes.setdefault(value, len(codes)))
    return Trace(
        users=tuple(names["user"]),
        models=tuple(names["model"]),
        **{name: np.asarray(a, dtype=_DTYPES[name]) for name, a in columns.items()},
    )


def write_trace(trace: Trace, path: Path) -> None:
    """Write a trace, whole or not at all; reading gives back every bit of it.

    Names that no request uses are not written.

    Raises
    ------
    InputError
        When the file cannot be written.
    """
    header = [*REQUIRED, *(c for c in OPTIONAL if getattr(trace, c) is not None)]
    with write_whole(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for first in range(0, len(trace), _CHUNK):
            columns = {
                name: getattr(trace, name)[first : first + _CHUNK].tolist()
                for name in header
            }
            columns["user"] = [trace.users[code] for code in columns["user"]]
            columns["model"] = [trace.models[code] for code in columns["model"]]
            # The csv module writes a float as repr does.
            writer.writerows(zip(*columns.values(), strict=True))
