"""Convert public and private request logs to traces.

No source has everything that a trace needs. What it lacks is filled in from
:class:`Fill`, and the :class:`ConversionReport` states what was synthesised.
``docs/traces.md`` describes each source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgesim.errors import InputError, Parameter, short
from edgesim.trace.generate import (
    MAX_REQUESTS,
    draw_models,
    generator,
    numbered,
)
from edgesim.trace.request_log import (
    Clock,
    ConversionReport,
    Fill,
    Rows,
    Skipped,
    UnusableError,
    by_count,
    finish,
    from_first,
    positions_of,
    read_table,
    scaled,
    usable,
)
from edgesim.trace.requests import Trace
from edgesim.trace.rows import NUMBER, is_name

__all__ = [
    "ARRIVAL_UNITS",
    "SIZE_UNITS",
    "ConversionReport",
    "Fill",
    "LogColumns",
    "Skipped",
    "azure_functions_2019",
    "azure_functions_2021",
    "azure_llm_2023",
    "request_log",
]

ARRIVAL_UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}  # in nanoseconds
SIZE_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "KiB": 2**10, "MiB": 2**20}
_FUNCTION_COLUMNS = ("HashOwner", "HashApp", "HashFunction", "Trigger")
_MINUTE = re.compile(r"(?:minute_)?([1-9]\d{0,5})", re.ASCII)
_MINUTE_NS = 60 * 10**9


@dataclass(frozen=True)
class LogColumns:
    """The meaning of the columns of a request log.

    Parameters
    ----------
    arrival, arrival_unit
        Arrival times: numbers in ``s``, ``ms``, ``us`` or ``ns`` from any origin, or
        ``iso`` for ISO 8601.
    model
        Names of the models.
    user, size, slo
        Names of the users, input sizes and deadlines (seconds from arrival), if any.
    size_unit
        A key of ``SIZE_UNITS``.
    delimiter
        One character.
    """

    arrival: str
    model: str
    arrival_unit: str = "s"
    user: str | None = None
    size: str | None = None
    size_unit: str = "B"
    slo: str | None = None
    delimiter: str = ","

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("arrival_unit", self.arrival_unit, (*ARRIVAL_UNITS, "iso")),
            ("size_unit", self.size_unit, tuple(SIZE_UNITS)),
        ):
            if value not in allowed:
                raise InputError(
                    Parameter(name),
                    f"must be one of {', '.join(allowed)}, found {value!r}",
                )
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n\0':
            raise InputError(
                Parameter("delimiter"),
                f"must be one character, no quote or line end, "
                f"found {short(self.delimiter)}",
            )


def azure_functions_2019(source: Path, fill: Fill) -> tuple[Trace, ConversionReport]:
    """Convert per-minute counts of calls (Azure Functions 2019).

    Every call becomes a request, at a uniformly drawn microsecond of its minute.
    Functions become models m000, m001, ... by calls in the whole file, ties in file
    order.

    Raises
    ------
    InputError
        If the file is not of that form, nothing is left to write, or ``fill`` has no
        deadline.
    """
    rows = Rows(fill.slo_s is None)
    rng = generator(fill.seed)
    start_ns, end_ns = fill.span_ns
    header, body = read_table(source)
    positions_of(source, header, ("HashFunction",))
    minutes: dict[int, int] = {}
    for at, name in enumerate(header):
        if match := _MINUTE.fullmatch(name):
            minute = int(match[1])
            if minute in minutes:
                raise InputError(f"{source}:1", f"minute {minute} stands twice")
            minutes[minute] = at
        elif name not in _FUNCTION_COLUMNS:
            raise InputError(
                f"{source}:1",
                f"columns must be {', '.join(_FUNCTION_COLUMNS)}, 1, 2, ... or "
                f"minute_1, minute_2, ..., found {short(name)}",
            )
    # A whole day of every function is large, so only the retained minutes are kept.
    kept = np.array(
        [(m - 1) * _MINUTE_NS < end_ns and m * _MINUTE_NS > start_ns for m in minutes],
        dtype=np.bool_,
    )
    totals: list[int] = []
    kept_calls: list[npt.NDArray[np.uint32]] = []
    for line, fields in body:
        rows.read += 1
        calls = _calls(f"{source}:{line}", header, list(minutes.values()), fields)
        totals.append(int(calls.sum(dtype=np.int64)))
        kept_calls.append(calls[kept])
        if not totals[-1]:
            rows.skip(line, "function without calls")
    if not any(totals):
        raise InputError(source, "must have a function with calls, found none")
    table = np.array(kept_calls)[by_count(totals)].astype(np.int64)
    requests = int(table.sum())
    if requests > MAX_REQUESTS:
        raise InputError(
            Parameter("duration_s"),
            f"must leave at most {MAX_REQUESTS:,} requests, found {requests:,}",
        )
    starts_ns = (np.array(list(minutes), dtype=np.int64)[kept] - 1) * _MINUTE_NS
    arrival_ns = np.repeat(np.tile(starts_ns, len(table)), table.ravel())
    arrival_ns += rng.integers(0, _MINUTE_NS // 1000, requests) * 1000
    model = np.repeat(np.arange(len(table)), table.sum(axis=1))
    order = np.argsort(arrival_ns, kind="stable")
    rows.notes.append(
        f"arrival times are spread uniformly within their minute (seed {fill.seed})"
    )
    names = numbered("m", len(table))
    rows.notes.append(
        f"models {names[0]} to {names[-1]} are the functions by calls in the whole file"
    )
    if rows.skipped:
        rows.notes.append("functions without calls keep their rank, with no requests")
    return finish(
        fill,
        rng,
        rows,
        arrival_ns[order],
        names,
        model[order],
        no_users="the source names who owns a function, not who calls it",
    )


def _calls(
    where: str, header: list[str], minutes: list[int], fields: list[str]
) -> npt.NDArray[np.uint32]:
    if len(fields) != len(header):
        raise InputError(where, f"must have {len(header)} fields, found {len(fields)}")
    for at in minutes:
        text = fields[at]
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            raise InputError(
                where,
                f"{header[at]} must be a whole number >= 0 of at most 9 digits, "
                f"found {short(text)}",
            )
    return np.array([int(fields[at]) for at in minutes], dtype=np.uint32)


def azure_functions_2021(source: Path, fill: Fill) -> tuple[Trace, ConversionReport]:
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

    def parse(_: int, app: str, func: str, end: str, duration: str) -> tuple[int, int]:
        lasted_ns = scaled("duration", duration, 10**9)
        arrival_ns = scaled("end_timestamp", end, 10**9) - lasted_ns
        if lasted_ns < 0:
            raise UnusableError("duration is below 0")
        if arrival_ns < 0:
            # The file contains such calls only if they lasted long enough.
            raise UnusableError("arrival is before the time 0 of the source")
        if not func:
            raise UnusableError("func is empty")
        # A function's hash is unique within its app only.
        return arrival_ns, functions.setdefault((app, func), len(functions))

    columns = ("app", "func", "end_timestamp", "duration")
    arrival_ns, codes = usable(source, columns, rows, parse)
    function = np.array(codes)
    rank = np.argsort(by_count(np.bincount(function)))
    names = numbered("m", len(rank))
    rows.notes.append(
        f"models {names[0]} to {names[-1]} are the functions by calls in the whole file"
    )
    return finish(
        fill,
        generator(fill.seed),
        rows,
        np.array(arrival_ns),
        names,
        rank[function],
        no_users="the source names apps, not who calls them",
    )


def azure_llm_2023(
    source: Path,
    fill: Fill,
    *,
    bytes_per_token: int = 4,
    models: int = 1,
    zipf: float = 1.0,
) -> tuple[Trace, ConversionReport]:
    """Convert calls of one language model service (Azure LLM inference 2023).

    Arrivals count from the first; ``fill.input_bytes`` is not used.

    Parameters
    ----------
    bytes_per_token
        An input has ContextTokens times as many bytes.
    models, zipf
        The source has one model, m000. With more, each request's is drawn with
        probability proportional to 1/rank^zipf.

    Raises
    ------
    InputError
        If a column is missing, no row is usable, nothing is left to write, ``fill``
        has no deadline, or a parameter is out of range.
    """
    if not 1 <= bytes_per_token <= 10**6:
        raise InputError(
            Parameter("bytes_per_token"),
            f"must be from 1 to 10^6, found {bytes_per_token!r}",
        )
    rows = Rows(fill.slo_s is None)
    rng = generator(fill.seed)
    draw_models(0, models, zipf, rng)
    clock = Clock(source, "TIMESTAMP")

    def parse(line: int, timestamp: str, tokens: str) -> tuple[int, int]:
        count = scaled("ContextTokens", tokens, 1)
        if not 0 < count <= 10**9:
            raise UnusableError("ContextTokens is not between 1 and 10^9")
        return clock.read_ns(line, timestamp), count * bytes_per_token

    times_ns, sizes = usable(source, ("TIMESTAMP", "ContextTokens"), rows, parse)
    names = numbered("m", models)
    rows.notes.append(
        f"models are drawn from {names[0]} to {names[-1]} with Zipf exponent {zipf:g} "
        f"(seed {fill.seed}): the source has one service"
        if models > 1
        else "every request is for m000: the source has one service"
    )
    rows.notes.append(f"an input has {bytes_per_token} bytes for each context token")
    return finish(
        fill,
        rng,
        rows,
        from_first(times_ns, rows),
        names,
        draw_models(len(times_ns), models, zipf, rng),
        no_users="the source names none",
        input_bytes=np.array(sizes),
    )


def request_log(
    source: Path, columns: LogColumns, fill: Fill
) -> tuple[Trace, ConversionReport]:
    """Convert any request log: CSV with a header and one request per row.

    Arrivals count from the first. Blanks around a field are dropped.

    Raises
    ------
    InputError
        If the log is not CSV, a named column is missing or duplicated, times with and
        without UTC offset are mixed, no row is usable, nothing is left to write, or no
        deadline is given.
    """
    rows = Rows(columns.slo is None and fill.slo_s is None)
    clock = Clock(source, columns.arrival)
    users: dict[str, int] = {}
    models: dict[str, int] = {}

    def parse(
        line: int, arrival: str, model: str, user: str, size: str, slo: str
    ) -> tuple[int, int, int, int, float]:
        if columns.arrival_unit == "iso":
            time_ns = clock.read_ns(line, arrival)
        else:
            unit_ns = ARRIVAL_UNITS[columns.arrival_unit]
            time_ns = scaled(columns.arrival, arrival, unit_ns)
        for column, name in ((columns.model, model), (columns.user, user)):
            if column is not None and not is_name(name):
                raise UnusableError(f"{column} is empty or not on one line")
        input_bytes, slo_s = 0, 0.0
        if columns.size is not None:
            input_bytes = scaled(columns.size, size, SIZE_UNITS[columns.size_unit])
            if input_bytes < 1:
                raise UnusableError(f"{columns.size} is below 1 byte")
        if columns.slo is not None:
            slo_s = float(slo) if NUMBER.fullmatch(slo) else 0.0
            if not 0 < slo_s < inf:
                raise UnusableError(f"{columns.slo} is not a number above 0")
        # Names are numbered last, so that an unusable row leaves none behind.
        model_code = models.setdefault(model, len(models))
        return (
            time_ns,
            model_code,
            users.setdefault(user, len(users)),
            input_bytes,
            slo_s,
        )

    wanted = (columns.arrival, columns.model, columns.user, columns.size, columns.slo)
    times_ns, model, user, sizes, slo_s = usable(
        source, wanted, rows, parse, columns.delimiter
    )
    return finish(
        fill,
        generator(fill.seed),
        rows,
        from_first(times_ns, rows),
        tuple(models),
        np.array(model),
        no_users="the log names none",
        users=None if columns.user is None else (tuple(users), np.array(user)),
        input_bytes=None if columns.size is None else np.array(sizes),
        slo_s=None if columns.slo is None else np.array(slo_s),
    )
