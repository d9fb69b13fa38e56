"""Shared by all converters: read rows, count unusable ones, fill in missing columns.

Arrivals stay integral nanoseconds throughout: a 19-digit epoch keeps every digit.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, DecimalException
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgesim.errors import InputError, Parameter, short
from edgesim.trace.generate import (
    IMAGE_BYTES,
    MAX_DURATION_S,
    draw_sizes,
    draw_users,
    generator,
    need_count,
    need_positive,
)
from edgesim.trace.requests import Codes, Floats, Integers, Trace
from edgesim.trace.rows import NUMBER, iter_lines

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(
    r"(\d{4}-?\d\d-?\d\d[Tt ]\d\d:?\d\d:?\d\d)"  # date and time to the second
    r"(?:[.,](\d+))?\s?([Zz]|[+-]\d\d(?::?\d\d)?)?",  # its fraction, UTC offset
    re.ASCII,
)
_FIRST_LINES = 3


@dataclass(frozen=True)
class Fill:
    """Values for what a source lacks, and the part of it to keep.

    Parameters
    ----------
    slo_s
        Deadline of every request, relative to its arrival; needed unless the source
        has deadlines.
    input_bytes, input_bytes_cv
        Mean input size (by default a 224 × 224 RGB image) and its coefficient of
        variation (0: all equal, otherwise lognormal), where the source has no sizes.
    users
        Number of users, each request's drawn uniformly, where the source has none.
    seed
        Seed of the single generator for all draws.
    start_s, duration_s
        Keep arrivals in [start_s, start_s + duration_s) and count time from start_s.
    """

    slo_s: float | None = None
    input_bytes: int = IMAGE_BYTES
    input_bytes_cv: float = 0.0
    users: int = 100
    seed: int = 0
    start_s: float = 0.0
    duration_s: float | None = None

    def __post_init__(self) -> None:
        if self.slo_s is not None:
            need_positive("slo_s", self.slo_s)
        need_count("users", self.users)
        # Drawing nothing checks the parameters before a long file is read.
        draw_sizes(0, self.input_bytes, self.input_bytes_cv, generator(self.seed))
        if not 0 <= self.start_s <= MAX_DURATION_S:
            raise InputError(
                Parameter("start_s"),
                f"must be from 0 to {MAX_DURATION_S:g}, found {self.start_s!r}",
            )
        if self.duration_s is not None and not 0 < self.duration_s <= MAX_DURATION_S:
            raise InputError(
                Parameter("duration_s"),
                f"must be > 0 and at most {MAX_DURATION_S:g}, "
                f"found {self.duration_s!r}",
            )

    @property
    def span_ns(self) -> tuple[int, int]:
        """The first nanosecond that is kept, and the first one past the window."""
        start_ns = round(self.start_s * 1e9)
        if self.duration_s is None:
            return start_ns, 2**63 - 1
        return start_ns, start_ns + round(self.duration_s * 1e9)


@dataclass(frozen=True)
class Skipped:
    """The number of rows that were unusable for one reason, and the first lines."""

    count: int
    first_lines: tuple[int, ...]


@dataclass(frozen=True)
class ConversionReport:
    """The outcome of converting a source.

    Parameters
    ----------
    rows_read, rows_used
        Rows of the source, and those that were usable (before any cut).
    requests
        Requests in the trace.
    skipped
        Reason -> the rows that were not used.
    notes
        Sentences on what was synthesised, changed or left out.
    """

    rows_read: int
    rows_used: int
    requests: int
    skipped: Mapping[str, Skipped]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Format the report as the command prints it."""
        lines = [
            f"{self.rows_used:,} of {self.rows_read:,} rows used, "
            f"{self.requests:,} requests written"
        ]
        for reason, rows in self.skipped.items():
            where = ", ".join(str(line) for line in rows.first_lines)
            more = ", ..." if rows.count > len(rows.first_lines) else ""
            word = "line" if rows.count == 1 else "lines"
            lines.append(f"skipped {rows.count:,}: {reason} ({word} {where}{more})")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


@dataclass
class Rows:
    """The running count of a source's rows, and the notes for its report."""

    needs_slo: InitVar[bool]
    read: int = 0
    skipped: dict[str, Skipped] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self, needs_slo: bool) -> None:
        if needs_slo:
            raise InputError(
                Parameter("slo_s"), "is needed: the source has no deadlines"
            )

    def skip(self, line: int, reason: str) -> None:
        """Count an unusable row, and keep the first line numbers for the report."""
        old = self.skipped.get(reason, Skipped(0, ()))
        lines = (*old.first_lines, line)[:_FIRST_LINES]
        self.skipped[reason] = Skipped(old.count + 1, lines)


class UnusableError(Exception):
    """A row cannot be used; the message is the reason."""


def read_table(
    source: Path, delimiter: str = ","
) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Split CSV into its header and its rows, each with its first line number."""
    rows = _csv_rows(source, delimiter)
    _, header = next(rows, (1, []))
    if not header:
        raise InputError(f"{source}:1", "must have a header, found none")
    return [name.strip() for name in header], rows


def _csv_rows(source: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    lines = (f"{text}\n" for _, text in iter_lines(source))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    line = 1
    try:
        for fields in reader:
            if fields:  # blank lines are not rows
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{source}:{line}", f"must be CSV: {error}") from None


def positions_of(
    source: Path, header: list[str], columns: Sequence[str | None]
) -> list[int | None]:
    """Find columns by name; a column that is None has no position."""
    for column in columns:
        if column is not None and header.count(column) != 1:
            found = "twice" if column in header else f"only {', '.join(header)}"
            raise InputError(
                f"{source}:1",
                f"must have the column {column!r} once, found {found}",
            )
    return [None if column is None else header.index(column) for column in columns]


def usable(
    source: Path,
    columns: Sequence[str | None],
    rows: Rows,
    parse: Callable[..., tuple[Any, ...]],
    delimiter: str = ",",
) -> list[list[Any]]:
    """Parse the usable rows and count the others by reason.

    ``parse`` takes the line and the text of each column ("" for None) and returns the
    row's values; the result is column by column.
    """
    header, body = read_table(source, delimiter)
    positions = positions_of(source, header, columns)
    used = []
    for line, fields in body:
        rows.read += 1
        if len(fields) != len(header):
            rows.skip(line, "wrong number of fields")
            continue
        texts = ["" if at is None else fields[at].strip() for at in positions]
        try:
            used.append(parse(line, *texts))
        except UnusableError as reason:
            rows.skip(line, str(reason))
    if not used:
        raise InputError(
            source,
            f"must have a usable row, found {rows.read} rows"
            + "".join(f"; {r.count}: {reason}" for reason, r in rows.skipped.items()),
        )
    return [list(column) for column in zip(*used, strict=True)]


def scaled(column: str, text: str, scale: int) -> int:
    """Parse a decimal number times ``scale``, rounded to an integer, without floats."""
    if not NUMBER.fullmatch(text):
        raise UnusableError(f"{column} is {'not a number' if text else 'empty'}")
    try:
        value = Decimal(text) * scale
    except DecimalException:  # the exponent has too many digits
        value = Decimal("inf")
    if abs(value) >= 2**62:
        raise UnusableError(f"{column} is out of range")
    return int(value.to_integral_value())


class Clock:
    """Parses the ISO 8601 times of one column, all with or all without UTC offset."""

    def __init__(self, source: Path, column: str) -> None:
        self.source = source
        self.column = column
        self.has_offset: bool | None = None

    def read_ns(self, line: int, text: str) -> int:
        """Convert a time to nanoseconds since 1970; further digits are truncated."""
        match = _ISO.fullmatch(text)
        try:
            if match is None:
                raise ValueError(text)
            base, fraction, offset = match.groups(default="")
            time = datetime.fromisoformat(base + (offset.upper() or "Z"))
            since = time - _EPOCH
        except (ValueError, OverflowError):
            reason = "not a date and time as in ISO 8601" if text else "empty"
            raise UnusableError(f"{self.column} is {reason}") from None
        if self.has_offset is None:
            self.has_offset = bool(offset)
        elif self.has_offset != bool(offset):
            rule = "have a UTC offset" if self.has_offset else "have no UTC offset"
            raise InputError(
                f"{self.source}:{line}",
                f"{self.column} must {rule} as the times before, found {short(text)}",
            )
        time_ns = (since.days * 86_400 + since.seconds) * 10**9
        time_ns += int(fraction[:9].ljust(9, "0"))
        if abs(time_ns) >= 2**62:
            raise UnusableError(f"{self.column} is out of range")
        return time_ns


def from_first(times_ns: list[int], rows: Rows) -> Integers:
    """Make times relative to the earliest one."""
    rows.notes.append("arrival times count from the first request")
    return np.array(times_ns, dtype=np.int64) - min(times_ns)


def finish(
    fill: Fill,
    rng: np.random.Generator,
    rows: Rows,
    arrival_ns: Integers,
    models: tuple[str, ...],
    model: npt.NDArray[Any],
    *,
    no_users: str,
    users: tuple[tuple[str, ...], Codes] | None = None,
    input_bytes: Integers | None = None,
    slo_s: Floats | None = None,
) -> tuple[Trace, ConversionReport]:
    """Sort, cut, and fill in what the source lacks (arguments that are None)."""
    order = np.argsort(arrival_ns, kind="stable")
    if np.any(np.diff(arrival_ns) < 0):
        rows.notes.append("rows were not in order of arrival and have been sorted")
    start_ns, end_ns = fill.span_ns
    in_order = arrival_ns[order]
    first, last = np.searchsorted(in_order, (start_ns, end_ns))
    if first == last:
        span = (
            f"arrivals go from {in_order[0] / 1e9:g} to {in_order[-1] / 1e9:g} s"
            if len(in_order)
            else "found none in these minutes"
        )
        raise InputError(
            Parameter("start_s" if fill.start_s else "duration_s"),
            f"must leave a request; {span}",
        )
    kept = order[first:last]
    n = len(kept)
    if n < len(order) or start_ns:
        rows.notes.append(
            f"{n:,} of {len(order):,} arrivals are in the cut that begins at "
            f"{fill.start_s:g} s, the trace's time 0"
        )
    if users is None:
        names, user = draw_users(n, fill.users, rng)
        rows.notes.append(
            f"users are drawn uniformly from {fill.users} (seed {fill.seed}): "
            f"{no_users}"
        )
    else:
        names, user = users[0], users[1][kept]
    if input_bytes is None:
        sizes = draw_sizes(n, fill.input_bytes, fill.input_bytes_cv, rng)
        spread = (
            f"lognormal around {fill.input_bytes} bytes with a coefficient of "
            f"variation of {fill.input_bytes_cv:g} (seed {fill.seed})"
            if fill.input_bytes_cv
            else f"all {fill.input_bytes} bytes"
        )
        rows.notes.append(f"input sizes are {spread}")
    else:
        sizes = input_bytes[kept]
    if slo_s is None:
        slos = np.full(n, fill.slo_s)
        rows.notes.append(f"deadlines are all {fill.slo_s:g} s after arrival")
    else:
        slos = slo_s[kept]
    trace = Trace(
        arrival_s=(in_order[first:last] - start_ns) / 1e9,
        users=names,
        user=user,
        models=models,
        model=model[kept],
        input_bytes=sizes,
        slo_s=slos,
    )
    unused = sum(skipped.count for skipped in rows.skipped.values())
    report = ConversionReport(
        rows_read=rows.read,
        rows_used=rows.read - unused,
        requests=n,
        skipped=rows.skipped,
        notes=tuple(rows.notes),
    )
    return trace, report


def by_count(counts: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Sort positions by count, largest first; ties keep their order."""
    return np.argsort(-np.asarray(counts), kind="stable")
