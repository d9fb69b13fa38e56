"""Convert request logs to traces: what the columns of a log mean, known logs by name.

No source has everything that a trace needs. What it lacks is filled in from
:class:`Fill`, and the :class:`ConversionReport` states what was synthesised.
``docs/traces.md`` describes each source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np

from edgesim.errors import InputError, Parameter
from edgesim.storage.column_files import chosen
from edgesim.trace.azure_functions import azure_functions_2019, azure_functions_2021
from edgesim.trace.generate import draw_models, generator, numbered
from edgesim.trace.log_file import Form, UnusableError
from edgesim.trace.log_values import (
    DATE_FORMS,
    DECIMAL_SIGNS,
    Clock,
    plain_number,
    scaled,
)
from edgesim.trace.request_log import (
    ConversionReport,
    Fill,
    Place,
    Rows,
    Skipped,
    finish,
    from_first,
    replaced,
    usable,
)
from edgesim.trace.rows import MAX_BYTES, RANGES, is_name
from edgesim.trace.stored import StoredTrace

__all__ = [
    "ARRIVAL_UNITS",
    "SIZE_UNITS",
    "ConversionReport",
    "Fill",
    "LogColumns",
    "Place",
    "Skipped",
    "azure_functions_2019",
    "azure_functions_2021",
    "azure_llm_2023",
    "mooncake",
    "request_log",
]

ARRIVAL_UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}  # in nanoseconds
SIZE_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "KiB": 2**10, "MiB": 2**20}
MOST_TOKENS = 10**9
_MICRO = str.maketrans("\u00b5\u03bc", "uu")  # the sign and the letter


@dataclass(frozen=True)
class LogColumns:
    """The meaning of the columns of a request log, and how its rows are written.

    Parameters
    ----------
    arrival, arrival_unit
        Arrival times: numbers in ``s``, ``ms``, ``us`` (or ``µs``) or ``ns`` from any
        origin, or dates: ``iso`` for ISO 8601 and its like with the year first,
        ``apache`` for ``05/Jan/2023:10:00:00 +0100``.
    model
        Names of the models; None if the log has none.
    user, size, slo
        Names of the users, input sizes and deadlines (seconds from arrival), if any.
    size_unit
        A key of ``SIZE_UNITS``.
    bytes_per_token
        If given, sizes count tokens, and an input has this many bytes for each.
    decimal
        The decimal sign of numbers, ``.`` or ``,``, if the other one may separate
        thousands. If None, numbers have a decimal point or none, and no thousands.
    form, delimiter, header
        See :class:`edgesim.trace.log_file.Form`.
    """

    arrival: str
    model: str | None
    arrival_unit: str = "s"
    user: str | None = None
    size: str | None = None
    size_unit: str = "B"
    slo: str | None = None
    delimiter: str = ","
    bytes_per_token: int | None = None
    decimal: str | None = None
    form: str = "csv"
    header: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unit = self.arrival_unit.translate(_MICRO)
        object.__setattr__(self, "arrival_unit", unit)
        for name, value, allowed in (
            ("arrival_unit", self.arrival_unit, (*ARRIVAL_UNITS, *DATE_FORMS)),
            ("size_unit", self.size_unit, tuple(SIZE_UNITS)),
            ("decimal", self.decimal, (None, *DECIMAL_SIGNS)),
        ):
            if value not in allowed:
                known = ", ".join(filter(None, allowed))
                raise InputError(
                    Parameter(name), f"must be one of {known}, found {value!r}"
                )
        tokens = self.bytes_per_token
        if tokens is not None and not 1 <= tokens <= 10**6:
            raise InputError(
                Parameter("bytes_per_token"),
                f"must be from 1 to 10^6, found {tokens!r}",
            )
        if tokens is not None and self.size is None:
            raise InputError(
                Parameter("bytes_per_token"),
                "needs a column of token counts, ",
                Parameter("size"),
            )
        _ = self.rows

    @property
    def rows(self) -> Form:
        """How the rows are written."""
        return Form(self.form, self.delimiter, self.header)


_TYPES: dict[str, type[np.generic]] = {
    "arrival_ns": np.int64,
    "model": np.int32,
    "user": np.int32,
    "input_bytes": np.int64,
    "slo_s": np.float64,
}

AZURE_LLM = LogColumns(
    arrival="TIMESTAMP",
    model=None,
    arrival_unit="iso",
    size="ContextTokens",
    bytes_per_token=4,
)
"""Azure LLM inference: 2023, 2024 and, with images that are left out, 2025."""

MOONCAKE = LogColumns(
    arrival="timestamp",
    model=None,
    arrival_unit="ms",
    size="input_length",
    bytes_per_token=4,
    form="jsonl",
)
"""Mooncake: conversations, tools and agents, synthetic."""


def azure_llm_2023(
    source: Path | Sequence[Path],
    fill: Fill,
    *,
    bytes_per_token: int = 4,
    models: int = 1,
    zipf: float = 1.0,
) -> tuple[StoredTrace, ConversionReport]:
    """Convert calls of one language model service (Azure LLM inference 2023).

    As :func:`request_log` does with ``AZURE_LLM``; ``fill.input_bytes`` is not used.
    """
    columns = replace(AZURE_LLM, bytes_per_token=bytes_per_token)
    return request_log(source, columns, fill, models=models, zipf=zipf)


def mooncake(
    source: Path | Sequence[Path],
    fill: Fill,
    *,
    bytes_per_token: int = 4,
    models: int = 1,
    zipf: float = 1.0,
) -> tuple[StoredTrace, ConversionReport]:
    """Convert calls of one language model service (Mooncake).

    As :func:`request_log` does with ``MOONCAKE``; ``fill.input_bytes`` is not used.
    """
    columns = replace(MOONCAKE, bytes_per_token=bytes_per_token)
    return request_log(source, columns, fill, models=models, zipf=zipf)


def request_log(
    source: Path | Sequence[Path],
    columns: LogColumns,
    fill: Fill,
    *,
    models: int = 1,
    zipf: float = 1.0,
) -> tuple[StoredTrace, ConversionReport]:
    """Convert any request log with one request per row: CSV or JSON lines.

    Arrivals count from the first. Blanks around a field are dropped.

    Parameters
    ----------
    source
        A file, or several in order.
    columns
        What the columns mean.
    fill
        Values for what the log lacks.
    models, zipf
        Where the log names no models: their number, m000, m001, ...; each request's is
        drawn with probability proportional to 1/rank^zipf.

    Raises
    ------
    InputError
        If a file is not of the form, a named column is missing or duplicated, times
        with and without UTC offset are mixed, no row is usable, nothing is left to
        write, no deadline is given, or a parameter is out of range.
    """
    rows = Rows(columns.slo is None and fill.slo_s is None)
    rng = generator(fill.seed)
    draw_models(0, models, zipf, rng)
    read_ns = _arrival_of(columns)
    read_bytes = _size_of(columns)
    names: dict[str, int] = {}
    users: dict[str, int] = {}
    named = [
        (column, known)
        for column, known in ((columns.model, names), (columns.user, users))
        if column is not None
    ]

    def parse(
        arrival: str, model: str, user: str, size: str, slo: str
    ) -> tuple[int, int, int, int, float]:
        time_ns = read_ns(arrival)
        for column, name in named:
            text = model if name is names else user
            if not is_name(text):
                raise UnusableError(f"{column} is empty or not on one line", text)
        input_bytes = 0 if read_bytes is None else read_bytes(size)
        slo_s = 0.0
        if columns.slo is not None:
            slo_s = _slo_s(columns.slo, slo, columns.decimal)
        # Names are numbered last, so that an unusable row leaves none behind.
        return (
            time_ns,
            names.setdefault(model, len(names)),
            users.setdefault(user, len(users)),
            input_bytes,
            slo_s,
        )

    wanted = (columns.arrival, columns.model, columns.user, columns.size, columns.slo)
    found = usable(source, wanted, rows, parse, _TYPES, columns.rows)
    found = from_first(found, rows)
    if columns.model is None:
        model_names = numbered("m", models)
        found = replaced(
            found,
            model=lambda piece: draw_models(len(piece["model"]), models, zipf, rng),
        )
        rows.notes.append(_drawn(model_names, zipf, fill.seed))
    else:
        model_names = tuple(names)
    if columns.bytes_per_token is not None:
        rows.notes.append(
            f"an input has {columns.bytes_per_token} bytes for each token of "
            f"{columns.size}"
        )
    given = {"user": columns.user, "input_bytes": columns.size, "slo_s": columns.slo}
    known = ["arrival_ns", "model", *(n for n, column in given.items() if column)]
    return finish(
        fill,
        rng,
        rows,
        chosen(found, known),
        model_names,
        no_users="the log names none",
        users=None if columns.user is None else tuple(users),
    )


def _drawn(named: tuple[str, ...], zipf: float, seed: int) -> str:
    if len(named) == 1:
        return f"every request is for {named[0]}: the log names no models"
    return (
        f"models are drawn from {named[0]} to {named[-1]} with Zipf exponent {zipf:g} "
        f"(seed {seed}): the log names none"
    )


def _arrival_of(columns: LogColumns) -> Callable[[str], int]:
    """Return what reads an arrival, in nanoseconds."""
    if columns.arrival_unit in DATE_FORMS:
        return Clock(columns.arrival, columns.arrival_unit).read_ns
    unit_ns = ARRIVAL_UNITS[columns.arrival_unit]

    def read_ns(text: str) -> int:
        return scaled(columns.arrival, text, unit_ns, columns.decimal)

    return read_ns


def _size_of(columns: LogColumns) -> Callable[[str], int] | None:
    """Return what reads an input size, in bytes, if the log has sizes."""
    column = columns.size
    if column is None:
        return None
    per_token = columns.bytes_per_token
    unit = SIZE_UNITS[columns.size_unit]

    def read_bytes(text: str) -> int:
        input_bytes = scaled(column, text, unit, columns.decimal)
        if input_bytes < 1:
            raise UnusableError(f"{column} is below 1 byte", text)
        if input_bytes > MAX_BYTES:
            raise UnusableError(f"{column} is above {MAX_BYTES:,} bytes", text)
        return input_bytes

    def read_tokens(text: str) -> int:
        count = scaled(column, text, 1, columns.decimal)
        if not 0 < count <= MOST_TOKENS:
            raise UnusableError(f"{column} is not between 1 and 10^9", text)
        return count * per_token  # type: ignore[operator]

    return read_bytes if per_token is None else read_tokens


def _slo_s(column: str, text: str, decimal: str | None) -> float:
    try:
        slo_s = float(plain_number(column, text, decimal))
    except UnusableError:
        slo_s = 0.0
    if not 0 < slo_s < inf:
        raise UnusableError(f"{column} is not a number above 0", text)
    low, high = RANGES["slo_s"]
    if not low <= slo_s <= high:
        raise UnusableError(f"{column} is not between {low:g} and {high:g} s", text)
    return slo_s
