"""Shared by all converters: read rows, count unusable ones, fill in missing columns.

Arrivals stay whole nanoseconds throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

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
    need_slo,
)
from edgesim.trace.log_file import CSV, Form, UnusableError, fields_of, files_of
from edgesim.trace.log_values import MixedTimesError
from edgesim.trace.requests import Codes, Floats, Integers, Trace
from edgesim.trace.summary import Popularity, popularity

_FIRST_ROWS = 3


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
    spread_ties
        Whether rows of equal times are spread evenly over their tick, in file order.
    start_s, duration_s
        Keep arrivals in [start_s, start_s + duration_s) and count time from start_s.
    """

    slo_s: float | None = None
    input_bytes: int = IMAGE_BYTES
    input_bytes_cv: float = 0.0
    users: int = 100
    seed: int = 0
    spread_ties: bool = False
    start_s: float = 0.0
    duration_s: float | None = None

    def __post_init__(self) -> None:
        if self.slo_s is not None:
            need_slo(self.slo_s)
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


class Place(NamedTuple):
    """A row that was not used: its line, what it has, its file if there are several."""

    line: int
    found: str = ""
    file: str = ""

    def __str__(self) -> str:
        """Format the place: ``line 7: 'soon'``."""
        where = f"{self.file} line {self.line}" if self.file else f"line {self.line}"
        return f"{where}: {short(self.found)}" if self.found else where


@dataclass(frozen=True)
class Skipped:
    """The number of rows that were unusable for one reason, and the first of them."""

    count: int
    first: tuple[Place, ...]


@dataclass(frozen=True)
class ConversionReport:
    """The outcome of converting a source.

    Parameters
    ----------
    rows_read, rows_used
        Rows of the source, and those that were usable (before any cut).
    requests
        Requests in the trace.
    span_s
        From the first arrival to the last one.
    rate_per_s
        (requests − 1) / span; None if there is no span.
    popularity
        Models that are requested, and how unequally.
    skipped
        Reason -> the rows that were not used.
    notes
        Sentences on what was synthesised, changed or left out.
    """

    rows_read: int
    rows_used: int
    requests: int
    span_s: float
    rate_per_s: float | None
    popularity: Popularity
    skipped: Mapping[str, Skipped]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Format the report as the command prints it.

        Span and rate come early: a wrong unit is seen in them.
        """
        lines = [
            f"{self.rows_used:,} of {self.rows_read:,} rows used, "
            f"{self.requests:,} requests written",
            f"span {_duration(self.span_s)}"
            + (
                ""
                if self.rate_per_s is None
                else f", {self.rate_per_s:,.4g} requests/s"
            ),
            str(self.popularity),
        ]
        for reason, rows in self.skipped.items():
            where = ", ".join(map(str, rows.first))
            more = ", ..." if rows.count > len(rows.first) else ""
            lines.append(f"skipped {rows.count:,}: {reason} ({where}{more})")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


_LONGER = ((365.25 * 86_400, "years"), (86_400, "days"), (3600, "h"), (60, "min"))


def _duration(span_s: float) -> str:
    """Format a duration in seconds, and in a unit in which it is more than two."""
    text = f"{span_s:,.6g} s" if span_s < 1e6 else f"{span_s:,.0f} s"
    for unit_s, unit in _LONGER:
        if span_s >= 2 * unit_s:
            return f"{text} ({span_s / unit_s:,.3g} {unit})"
    return text


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

    def skip(self, line: int, why: UnusableError, file: str = "") -> None:
        """Count an unusable row, and keep the first ones for the report."""
        reason = str(why)
        old = self.skipped.get(reason, Skipped(0, ()))
        first = old.first
        if len(first) < _FIRST_ROWS:
            first = (*first, Place(line, why.found, file))
        self.skipped[reason] = Skipped(old.count + 1, first)


def usable(
    source: Path | Sequence[Path],
    columns: Sequence[str | None],
    rows: Rows,
    parse: Callable[..., tuple[Any, ...]],
    form: Form = CSV,
) -> list[list[Any]]:
    """Parse the usable rows of all files, in order, and count the others by reason.

    ``parse`` takes the text of each column ("" for None) and returns the row's values;
    the result is column by column.

    Raises
    ------
    InputError
        If a file is not of this form, its times cannot be compared, or no row of any
        file is usable.
    """
    used = []
    files = files_of(source)
    for file in files:
        shown = file.name if len(files) > 1 else ""
        for line, texts in fields_of(file, columns, form):
            rows.read += 1
            if isinstance(texts, UnusableError):
                rows.skip(line, texts, shown)
                continue
            try:
                used.append(parse(*texts))
            except UnusableError as reason:
                rows.skip(line, reason, shown)
            except MixedTimesError as error:
                raise InputError(f"{file}:{line}", str(error)) from None
    if not used:
        others = f" and {len(files) - 1} more" if len(files) > 1 else ""
        raise InputError(
            f"{files[0]}{others}",
            f"must have a usable row, found {rows.read:,} rows"
            + "".join(
                f"; {skipped.count:,}: {reason} ({skipped.first[0]})"
                for reason, skipped in rows.skipped.items()
            ),
        )
    return [list(column) for column in zip(*used, strict=True)]


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
    if fill.spread_ties:
        in_order = _without_ties(in_order, rows)
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
    span_s = float(in_order[last - 1] - in_order[first]) / 1e9
    report = ConversionReport(
        rows_read=rows.read,
        rows_used=rows.read - unused,
        requests=n,
        span_s=span_s,
        rate_per_s=(n - 1) / span_s if span_s > 0 else None,
        popularity=popularity(trace),
        skipped=rows.skipped,
        notes=tuple(rows.notes),
    )
    return trace, report


def _without_ties(times_ns: Integers, rows: Rows) -> Integers:
    """Spread the rows of each time evenly over its tick; times are in order.

    A tick is the most common gap between different times (the least one, if several
    are), but it never reaches the next time: a clock may stutter.
    """
    ticks_ns, counts = np.unique(times_ns, return_counts=True)
    if len(ticks_ns) == len(times_ns):
        return times_ns
    if len(ticks_ns) == 1:
        raise InputError(
            Parameter("spread_ties"),
            f"needs rows of two times or more, found {len(times_ns):,} rows of one",
        )
    gaps_ns = np.diff(ticks_ns)
    lengths_ns, often = np.unique(gaps_ns, return_counts=True)
    tick_ns = lengths_ns[np.argmax(often)]
    room_ns = np.append(np.minimum(gaps_ns, tick_ns), tick_ns)
    place = np.arange(len(times_ns)) - np.repeat(np.cumsum(counts) - counts, counts)
    whole_ns, rest_ns = np.divmod(room_ns, counts)  # their product could overflow
    number = np.repeat(counts, counts)
    tied = int(counts[counts > 1].sum())
    rows.notes.append(
        f"{tied:,} rows share their time with others and are spread evenly over "
        f"ticks of {tick_ns / 1e9:g} s, in file order"
    )
    spread: Integers = (
        times_ns
        + np.repeat(whole_ns, counts) * place
        + np.repeat(rest_ns, counts) * place // number
    )
    return spread


def by_count(counts: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Sort positions by count, largest first; ties keep their order."""
    return np.argsort(-np.asarray(counts), kind="stable")
