"""Convert the calls of Azure Functions to traces; functions become models.

``docs/traces.md`` describes both sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgesim.errors import InputError, Parameter, short
from edgesim.trace.generate import MAX_REQUESTS, generator, numbered
from edgesim.trace.log_file import UnusableError, files_of, read_table
from edgesim.trace.log_values import scaled
from edgesim.trace.request_log import (
    ConversionReport,
    Fill,
    Rows,
    by_count,
    finish,
    pieces,
    replaced,
    usable,
)
from edgesim.trace.requests import Integers
from edgesim.trace.stored import StoredTrace

_NAME_COLUMNS = ("HashOwner", "HashApp", "HashFunction")
_FUNCTION_COLUMNS = (*_NAME_COLUMNS, "Trigger")
_MINUTE = re.compile(r"(?:minute_)?([1-9]\d{0,5})", re.ASCII)
_MINUTE_NS = 60 * 10**9

Counts = npt.NDArray[np.uint32]


@dataclass
class _Functions:
    """The functions of some files: their rows, and calls in the minutes that are kept.

    Parameters
    ----------
    code
        Function -> its number, by first appearance.
    lines
        File and line of each function's rows.
    totals
        Calls of each function in all minutes.
    kept
        Calls in the minutes that are kept, file by file, by function.
    """

    code: dict[tuple[str, ...], int] = field(default_factory=dict)
    lines: list[list[tuple[str, int]]] = field(default_factory=list)
    totals: list[int] = field(default_factory=list)
    kept: list[dict[int, Counts]] = field(default_factory=list)
    kept_total: int = 0

    def add(
        self, name: tuple[str, ...], place: tuple[str, int], calls: Counts, kept: Counts
    ) -> None:
        """Add a row to its function."""
        code = self.code.setdefault(name, len(self.code))
        if code == len(self.lines):
            self.lines.append([])
            self.totals.append(0)
        self.lines[code].append(place)
        self.totals[code] += int(calls.sum(dtype=np.int64))
        self.kept_total += int(kept.sum(dtype=np.int64))
        here = self.kept[-1]
        here[code] = here[code] + kept if code in here else kept

    def table(self, minutes: Sequence[int]) -> Counts:
        """Return the calls by function and kept minute, given each file's number."""
        whole = np.zeros((len(self.code), sum(minutes)), dtype=np.uint32)
        first = 0
        for here, width in zip(self.kept, minutes, strict=True):
            for code, calls in here.items():
                whole[code, first : first + width] = calls
            first += width
        return whole


def azure_functions_2019(
    source: Path | Sequence[Path], fill: Fill
) -> tuple[StoredTrace, ConversionReport]:
    """Convert per-minute counts of calls (Azure Functions 2019).

    Every call becomes a request, at a uniformly drawn microsecond of its minute.
    Functions become models m000, m001, ... by calls in all files, ties in file order;
    one that stands in several rows is one model. A file begins where the last minute
    of the file before ends.

    Raises
    ------
    InputError
        If a file is not of that form, nothing is left to write, or ``fill`` has no
        deadline.
    """
    rows = Rows(fill.slo_s is None)
    rng = generator(fill.seed)
    functions = _Functions()
    starts: list[Integers] = []
    last = 0
    files = files_of(source)
    for file in files:
        header, body = read_table(file)
        minutes = _minutes(file, header)
        numbers = np.array(list(minutes), dtype=np.int64) + last
        last += max(minutes, default=0)
        # A whole day of every function is large: only the retained minutes are kept.
        start_ns, end_ns = fill.span_ns
        kept = ((numbers - 1) * _MINUTE_NS < end_ns) & (numbers * _MINUTE_NS > start_ns)
        starts.append((numbers[kept] - 1) * _MINUTE_NS)
        functions.kept.append({})
        shown = file.name if len(files) > 1 else ""
        for line, name, calls in _calls(file, header, minutes, body):
            rows.read += 1
            functions.add(name, (shown, line), calls, calls[kept])
    if not any(functions.totals):
        raise InputError(files[0], "must have a function with calls, found none")
    if functions.kept_total > MAX_REQUESTS:
        raise InputError(
            Parameter("duration_s"),
            f"must leave at most {MAX_REQUESTS:,} requests, found "
            f"{functions.kept_total:,}",
        )
    table = functions.table([len(one) for one in starts])
    table = table[by_count(functions.totals)]
    arrival_ns = np.repeat(np.tile(np.concatenate(starts), len(table)), table.ravel())
    arrival_ns += rng.integers(0, _MINUTE_NS // 1000, functions.kept_total) * 1000
    model = np.repeat(np.arange(len(table)), table.sum(axis=1, dtype=np.int64))
    order = np.argsort(arrival_ns, kind="stable")
    names = numbered("m", len(table))
    _note_functions(rows, functions, names, fill.seed)
    return finish(
        fill,
        rng,
        rows,
        {"arrival_ns": arrival_ns[order], "model": model[order].astype(np.int32)},
        names,
        no_users="the source names who owns a function, not who calls it",
    )


def _minutes(file: Path, header: list[str]) -> dict[int, int]:
    """Map the minutes of a file to their columns."""
    if header.count("HashFunction") != 1:
        found = "twice" if "HashFunction" in header else "none"
        raise InputError(
            f"{file}:1", f"must have the column 'HashFunction' once, found {found}"
        )
    minutes: dict[int, int] = {}
    for at, name in enumerate(header):
        if match := _MINUTE.fullmatch(name):
            minute = int(match[1])
            if minute in minutes:
                raise InputError(f"{file}:1", f"minute {minute} stands twice")
            minutes[minute] = at
        elif name not in _FUNCTION_COLUMNS:
            raise InputError(
                f"{file}:1",
                f"columns must be {', '.join(_FUNCTION_COLUMNS)}, 1, 2, ... or "
                f"minute_1, minute_2, ..., found {short(name)}",
            )
    if not minutes:
        raise InputError(
            file, "must have a function with calls, found no column of a minute"
        )
    return minutes


def _calls(
    file: Path,
    header: list[str],
    minutes: dict[int, int],
    body: Iterator[tuple[int, list[str]]],
) -> Iterator[tuple[int, tuple[str, ...], Counts]]:
    """Yield each row's line, function and calls by minute."""
    places = list(minutes.values())
    named = [header.index(name) for name in _NAME_COLUMNS if name in header]
    for line, fields in body:
        if len(fields) != len(header):
            raise InputError(
                f"{file}:{line}",
                f"must have {len(header)} fields, found {len(fields)}",
            )
        cells = [fields[at] for at in places]
        digits = "".join(cells)
        if not (
            digits.isascii()
            and digits.isdigit()
            and all(cells)
            and max(map(len, cells)) < 10
        ):
            raise _not_counts(f"{file}:{line}", header, places, fields)
        name = tuple(fields[at].strip() for at in named)
        yield line, name, np.array([int(cell) for cell in cells], dtype=np.uint32)


def _not_counts(
    where: str, header: list[str], places: list[int], fields: list[str]
) -> InputError:
    at = next(
        at
        for at in places
        if not (fields[at].isascii() and fields[at].isdigit() and len(fields[at]) < 10)
    )
    return InputError(
        where,
        f"{header[at]} must be a whole number >= 0 of at most 9 digits, "
        f"found {short(fields[at])}",
    )


def _note_functions(
    rows: Rows, functions: _Functions, names: tuple[str, ...], seed: int
) -> None:
    """Say what became of the functions, and count rows without calls."""
    rows.notes.append(
        f"arrival times are spread uniformly within their minute (seed {seed})"
    )
    rows.notes.append(
        f"models {names[0]} to {names[-1]} are the functions by calls in the whole file"
    )
    several = [lines for lines in functions.lines if len(lines) > 1]
    files = len(functions.kept)
    if files > 1:
        rows.notes.append(
            f"the minutes of {files} files follow one another; a function is known by "
            f"its owner, app and name"
        )
    elif several:
        rows.notes.append(
            f"functions that stand in several rows are one model each: "
            f"{len(several):,}, with {sum(map(len, several)):,} rows in all"
        )
    for lines, total in zip(functions.lines, functions.totals, strict=True):
        if not total:
            for file, line in lines:
                rows.skip(line, UnusableError("function without calls"), file)
    if rows.skipped:
        rows.notes.append("functions without calls keep their rank, with no requests")


def azure_functions_2021(
    source: Path | Sequence[Path], fill: Fill
) -> tuple[StoredTrace, ConversionReport]:
    """Convert single invocations (Azure Functions 2021): arrival = end - duration.

    Functions become models m000, m001, ... by calls, ties by first appearance.

    Raises
    ------
    InputError
        If a column is missing, no row is usable, nothing is left to write, or
        ``fill`` has no deadline.
    """
    rows = Rows(fill.slo_s is None)
    functions: dict[tuple[str, str], int] = {}

    def parse(app: str, func: str, end: str, duration: str) -> tuple[int, int]:
        lasted_ns = scaled("duration", duration, 10**9)
        arrival_ns = scaled("end_timestamp", end, 10**9) - lasted_ns
        if lasted_ns < 0:
            raise UnusableError("duration is below 0", duration)
        if arrival_ns < 0:
            # The file contains such calls only if they lasted long enough.
            raise UnusableError("arrival is before the time 0 of the source", end)
        if not func:
            raise UnusableError("func is empty")
        # A function's hash is unique within its app only.
        return arrival_ns, functions.setdefault((app, func), len(functions))

    columns = ("app", "func", "end_timestamp", "duration")
    dtypes: dict[str, type[np.generic]] = {"arrival_ns": np.int64, "model": np.int32}
    found = usable(source, columns, rows, parse, dtypes)
    counts = np.zeros(len(functions), dtype=np.int64)
    for piece in pieces(found):
        counts += np.bincount(piece["model"], minlength=len(counts))
    rank = np.argsort(by_count(counts)).astype(np.int32)
    names = numbered("m", len(rank))
    rows.notes.append(
        f"models {names[0]} to {names[-1]} are the functions by calls in the whole file"
    )
    return finish(
        fill,
        generator(fill.seed),
        rows,
        replaced(found, model=lambda piece: rank[piece["model"]]),
        names,
        no_users="the source names apps, not who calls them",
    )
