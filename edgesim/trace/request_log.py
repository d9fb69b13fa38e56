"""Shared by all converters: read rows, count unusable ones, fill in missing columns.

Arrivals stay whole nanoseconds throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgesim.errors import InputError, Parameter, short
from edgesim.storage.column_files import (
    Array,
    Columns,
    GrowingColumns,
    chosen,
    joined,
    rows_between,
)
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
from edgesim.trace.order import is_sorted, sorted_by
from edgesim.trace.requests import PIECE_ROWS, Integers, pieces_of
from edgesim.trace.rows import REQUIRED
from edgesim.trace.stored import StoredTrace, stored_trace
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
    dtypes: Mapping[str, type[np.generic]],
    form: Form = CSV,
) -> Columns:
    """Parse the usable rows of all files, in order, and count the others by reason.

    ``parse`` takes the text of each column ("" for None) and returns the row's numbers,
    those of ``dtypes`` in order; the result is column by column, in files if it is
    long.

    Raises
    ------
    InputError
        If a file is not of this form, its times cannot be compared, or no row of any
        file is usable.
    """
    used = GrowingColumns(dtypes)
    recent: list[tuple[Any, ...]] = []
    files = files_of(source)
    for file in files:
        shown = file.name if len(files) > 1 else ""
        for line, texts in fields_of(file, columns, form):
            rows.read += 1
            if isinstance(texts, UnusableError):
                rows.skip(line, texts, shown)
                continue
            try:
                recent.append(parse(*texts))
            except UnusableError as reason:
                rows.skip(line, reason, shown)
            except MixedTimesError as error:
                raise InputError(f"{file}:{line}", str(error)) from None
            if len(recent) >= PIECE_ROWS:
                used.append(_block(recent, dtypes))
                recent.clear()
    if recent:
        used.append(_block(recent, dtypes))
    if not len(used):
        others = f" and {len(files) - 1} more" if len(files) > 1 else ""
        raise InputError(
            f"{files[0]}{others}",
            f"must have a usable row, found {rows.read:,} rows"
            + "".join(
                f"; {skipped.count:,}: {reason} ({skipped.first[0]})"
                for reason, skipped in rows.skipped.items()
            ),
        )
    return used.columns()


def _block(
    rows: list[tuple[Any, ...]], dtypes: Mapping[str, type[np.generic]]
) -> dict[str, Array]:
    columns = zip(dtypes.items(), zip(*rows, strict=True), strict=True)
    return {name: np.array(values, dtype) for (name, dtype), values in columns}


def pieces(columns: Columns) -> Iterator[Columns]:
    """Divide columns into pieces of some rows."""
    return pieces_of(columns, len(next(iter(columns.values()))))


def from_first(columns: Columns, rows: Rows) -> Columns:
    """Make times relative to the earliest one."""
    rows.notes.append("arrival times count from the first request")
    first_ns = min(int(piece["arrival_ns"].min()) for piece in pieces(columns))
    return replaced(columns, arrival_ns=lambda piece: piece["arrival_ns"] - first_ns)


def replaced(
    columns: Columns, **changes: Callable[[Columns], npt.NDArray[Any]]
) -> Columns:
    """Change columns, or add some, piece by piece."""
    made = None
    for piece in pieces(columns):
        changed = {**piece, **{name: make(piece) for name, make in changes.items()}}
        if made is None:
            made = GrowingColumns({n: v.dtype.type for n, v in changed.items()})
        made.append(changed)
    assert made is not None
    return made.columns()


def finish(
    fill: Fill,
    rng: np.random.Generator,
    rows: Rows,
    columns: Columns,
    models: tuple[str, ...],
    *,
    no_users: str,
    users: tuple[str, ...] | None = None,
) -> tuple[StoredTrace, ConversionReport]:
    """Sort, cut, and fill in what the source lacks.

    Parameters
    ----------
    fill
        Values for what it lacks.
    rng
        Draws them.
    rows
        What is to be reported.
    columns
        ``arrival_ns`` and ``model``; ``user`` if ``users`` are given; ``input_bytes``
        and ``slo_s`` if the source has them.
    models, users
        Names, by number.
    no_users
        Why there are no users.

    Raises
    ------
    InputError
        If nothing is left to write.
    """
    if not _in_order(columns):
        rows.notes.append("rows were not in order of arrival and have been sorted")
        columns = sorted_by("arrival_ns", columns)
    if fill.spread_ties:
        columns = _without_ties(columns, rows)
    kept = _cut(fill, rows, columns)
    start_ns, _ = fill.span_ns
    first_ns, last_ns = kept["arrival_ns"][[0, -1]].tolist()
    n = len(kept["arrival_ns"])
    if users is None:
        kept, users = _with_users(fill, rng, rows, kept, no_users)
    if "input_bytes" not in kept:
        kept = _with_sizes(fill, rng, rows, kept)
    if "slo_s" not in kept:
        rows.notes.append(f"deadlines are all {fill.slo_s:g} s after arrival")
        deadline_s = fill.slo_s
        kept = _with(kept, "slo_s", lambda count: np.full(count, deadline_s))
    arrivals = replaced(
        chosen(kept, ["arrival_ns"]),
        arrival_s=lambda piece: (piece["arrival_ns"] - start_ns) / 1e9,
    )
    trace = stored_trace(chosen(joined(arrivals, kept), REQUIRED), users, models)
    unused = sum(skipped.count for skipped in rows.skipped.values())
    span_s = float(last_ns - first_ns) / 1e9
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


def _in_order(columns: Columns) -> bool:
    before_ns = None
    for piece in pieces(columns):
        times_ns = piece["arrival_ns"]
        if not is_sorted(times_ns, before_ns):
            return False
        before_ns = times_ns[-1] if len(times_ns) else before_ns
    return True


def _cut(fill: Fill, rows: Rows, columns: Columns) -> Columns:
    """Keep the part of the source that is wanted; its rows are in order."""
    times_ns = columns["arrival_ns"]
    start_ns, end_ns = fill.span_ns
    first, last = np.searchsorted(times_ns, (start_ns, end_ns)).tolist()
    if first == last:
        span = (
            f"arrivals go from {times_ns[0] / 1e9:g} to {times_ns[-1] / 1e9:g} s"
            if len(times_ns)
            else "found none in these minutes"
        )
        raise InputError(
            Parameter("start_s" if fill.start_s else "duration_s"),
            f"must leave a request; {span}",
        )
    n = last - first
    if n < len(times_ns) or start_ns:
        rows.notes.append(
            f"{n:,} of {len(times_ns):,} arrivals are in the cut that begins at "
            f"{fill.start_s:g} s, the trace's time 0"
        )
    return rows_between(columns, first, last)


def _with_users(
    fill: Fill, rng: np.random.Generator, rows: Rows, columns: Columns, why: str
) -> tuple[Columns, tuple[str, ...]]:
    rows.notes.append(
        f"users are drawn uniformly from {fill.users} (seed {fill.seed}): {why}"
    )
    names, _ = draw_users(0, fill.users, rng)
    users = _with(columns, "user", lambda n: draw_users(n, fill.users, rng)[1])
    return users, names


def _with_sizes(
    fill: Fill, rng: np.random.Generator, rows: Rows, columns: Columns
) -> Columns:
    spread = (
        f"lognormal around {fill.input_bytes} bytes with a coefficient of "
        f"variation of {fill.input_bytes_cv:g} (seed {fill.seed})"
        if fill.input_bytes_cv
        else f"all {fill.input_bytes} bytes"
    )
    rows.notes.append(f"input sizes are {spread}")

    def draw(n: int) -> Integers:
        return draw_sizes(n, fill.input_bytes, fill.input_bytes_cv, rng)

    return _with(columns, "input_bytes", draw)


def _with(
    columns: Columns, name: str, make: Callable[[int], npt.NDArray[Any]]
) -> Columns:
    """Add a column that is made, given the number of rows, a piece after another."""
    one = next(iter(columns))
    made = replaced(
        chosen(columns, [one]), **{name: lambda piece: make(len(piece[one]))}
    )
    return joined(columns, chosen(made, [name]))


def _without_ties(columns: Columns, rows: Rows) -> Columns:
    """Spread the rows of each time evenly over its tick; times are in order.

    A tick is the most common gap between different times (the least one, if several
    are), but it never reaches the next time: a clock may stutter. Memory holds each
    different gap, and the rows of one time.
    """
    tied, tick_ns = _ties(columns)
    if not tied:
        return columns
    if tick_ns is None:
        raise InputError(
            Parameter("spread_ties"),
            f"needs rows of two times or more, found {tied:,} rows of one",
        )
    rows.notes.append(
        f"{tied:,} rows share their time with others and are spread evenly over "
        f"ticks of {tick_ns / 1e9:g} s, in file order"
    )
    spread = GrowingColumns({"arrival_ns": np.int64})
    left_ns = np.empty(0, dtype=np.int64)
    for piece in pieces(columns):
        times_ns = np.concatenate([left_ns, piece["arrival_ns"]])
        # The rows of the last time may go on in the next piece.
        last = int(np.searchsorted(times_ns, times_ns[-1]))
        if last:
            next_ns = int(times_ns[last])
            spread.append({"arrival_ns": _spread(times_ns[:last], tick_ns, next_ns)})
        left_ns = times_ns[last:]
    spread.append({"arrival_ns": _spread(left_ns, tick_ns, None)})
    others = [name for name in columns if name != "arrival_ns"]
    return joined(spread.columns(), chosen(columns, others))


def _ties(columns: Columns) -> tuple[int, int | None]:
    """Count the rows that share their time, and find the most common gap, if any."""
    tied, in_last, last_ns = 0, 0, 0
    often: dict[int, int] = {}
    for piece in pieces(columns):
        ticks_ns, counts = np.unique(piece["arrival_ns"], return_counts=True)
        if not len(ticks_ns):
            continue
        if in_last and ticks_ns[0] == last_ns:
            counts[0] += in_last
        elif in_last:
            ticks_ns = np.concatenate([[last_ns], ticks_ns])
            counts = np.concatenate([[in_last], counts])
        for gap_ns, count in zip(
            *map(np.ndarray.tolist, np.unique(np.diff(ticks_ns), return_counts=True)),
            strict=True,
        ):
            often[gap_ns] = often.get(gap_ns, 0) + count
        done = counts[:-1]
        tied += int(done[done > 1].sum())
        last_ns, in_last = int(ticks_ns[-1]), int(counts[-1])
    tied += in_last if in_last > 1 else 0
    if not often:
        return tied, None
    most = max(often.values())
    return tied, min(gap_ns for gap_ns, count in often.items() if count == most)


def _spread(times_ns: Integers, tick_ns: int, next_ns: int | None) -> Integers:
    """Spread rows in order of time, of which the next one is known, if there is one."""
    ticks_ns, counts = np.unique(times_ns, return_counts=True)
    room_ns = np.full(len(ticks_ns), tick_ns)
    ahead_ns = ticks_ns if next_ns is None else np.append(ticks_ns, next_ns)
    gaps_ns = np.diff(ahead_ns)
    room_ns[: len(gaps_ns)] = np.minimum(gaps_ns, tick_ns)
    place = np.arange(len(times_ns)) - np.repeat(np.cumsum(counts) - counts, counts)
    whole_ns, rest_ns = np.divmod(room_ns, counts)  # their product could overflow
    number = np.repeat(counts, counts)
    spread: Integers = (
        times_ns
        + np.repeat(whole_ns, counts) * place
        + np.repeat(rest_ns, counts) * place // number
    )
    return spread


def by_count(counts: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Sort positions by count, largest first; ties keep their order."""
    return np.argsort(-np.asarray(counts), kind="stable")
