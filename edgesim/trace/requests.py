"""Request traces as columns: which user requests which model when.

The format of their files is described in ``docs/traces.md``, and read row by row in
:mod:`edgesim.trace.rows`, block by block in :mod:`edgesim.trace.chunks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgesim.errors import short
from edgesim.storage.column_files import Columns, rows_between
from edgesim.storage.file_kinds import TRACE
from edgesim.storage.files import write_whole
from edgesim.trace.chunks import DTYPES, Names, read_columns
from edgesim.trace.rows import OPTIONAL, REQUIRED, is_name

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]

PIECE_ROWS = 1 << 16
"""Rows looked at, or turned into text, at a time."""


class Requests(Protocol):
    """The requests of a trace, in memory or in files."""

    @property
    def users(self) -> tuple[str, ...]:
        """Distinct names of users, by number."""
        ...

    @property
    def models(self) -> tuple[str, ...]:
        """Distinct names of models, by number."""
        ...

    def __len__(self) -> int:
        """Count the requests."""
        ...

    def pieces(self) -> Iterator[Columns]:
        """Yield the columns that are present, some rows at a time.

        The first has no rows if there are none at all.
        """
        ...


@dataclass(frozen=True, eq=False)
class Trace:
    """A trace as columns of equal length, in order of arrival.

    Parameters
    ----------
    arrival_s
        Seconds from the start of the trace: finite, >= 0, non-decreasing.
    users, user
        Distinct names, and for each request the index of its user among them. Reading a
        file numbers the names by first appearance.
    models, model
        The same for the requested models.
    input_bytes
        Size of each input: whole, > 0.
    slo_s
        Time that each request may take from its arrival: finite, > 0.
    spectral_efficiency
        Spectral efficiency of each request's uplink in bit/s/Hz, >= 0, if the trace
        states it.
    x_m, y_m
        Position of each request's user, in metres from the cell's centre; both or
        neither.

    Raises
    ------
    ValueError
        If a column breaks its rule. The arrays are copied and made read-only.
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
        for column, dtype in DTYPES.items():
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
        no request in the window uses remain listed.

        Raises
        ------
        ValueError
            If ``end_s`` is before ``start_s``, or either is not a number.
        """
        if not start_s <= end_s:
            raise ValueError(f"end_s must be >= start_s ({start_s}), found {end_s}")
        first, last = np.searchsorted(self.arrival_s, (start_s, end_s))
        kept: dict[str, Any] = {
            name: values[first:last] for name, values in self.columns().items()
        }
        return replace(self, **kept)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns that are present, by name."""
        given = {column: getattr(self, column) for column in DTYPES}
        return {name: values for name, values in given.items() if values is not None}

    def pieces(self) -> Iterator[Columns]:
        """Yield the columns that are present, some rows at a time."""
        return pieces_of(self.columns(), len(self))

    def popularity(self) -> Codes:
        """List every model's code, most requested first, ties by lower code."""
        counts = np.bincount(self.model, minlength=len(self.models))
        return np.argsort(-counts, kind="stable").astype(np.int32)


def _check_names(
    column: str, names: tuple[str, ...], code_column: str, codes: Codes
) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"{column} must be distinct")
    for name in names:
        name.encode()  # a lone surrogate fails here (ValueError), not during writing
        if not is_name(name):
            raise ValueError(
                f"{column} must be non-empty names on one line, found {short(name)}"
            )
    if len(codes) and not (codes.min() >= 0 and codes.max() < len(names)):
        raise ValueError(
            f"{code_column} must lie between 0 and {len(names) - 1}, "
            f"found {codes.min()} to {codes.max()}"
        )


def read_trace(path: Path) -> Trace:
    """Read a trace into columns; users and models are numbered by first appearance.

    Raises
    ------
    InputError
        At the first line that violates the format, see
        :func:`edgesim.trace.rows.iter_trace`.
    """
    users, models = Names(), Names()
    chunks = list(read_columns(path, users, models))
    columns: dict[str, Any] = {
        name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]
    }
    return Trace(users=tuple(users), models=tuple(models), **columns)


def pieces_of(columns: Columns, length: int) -> Iterator[Columns]:
    """Divide columns of a trace into pieces of some rows; an empty one has one."""
    for first in range(0, max(1, length), PIECE_ROWS):
        yield dict(rows_between(columns, first, first + PIECE_ROWS))


def write_trace(trace: Requests, path: Path) -> None:
    """Write a trace atomically; reading it back restores every bit.

    Names that no request uses are not written.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    names = {
        "user": [_quoted(name) for name in trace.users],
        "model": [_quoted(name) for name in trace.models],
    }
    header: list[str] = []
    with write_whole(path, replaces=TRACE) as file:
        for piece in trace.pieces():
            if not header:
                header = [name for name in (*REQUIRED, *OPTIONAL) if name in piece]
                file.write(",".join(header) + "\n")
            texts = []
            for column in header:
                text = names[column].__getitem__ if column in names else repr
                texts.append(map(text, piece[column].tolist()))
            # The csv module writes the same bytes, and takes a third longer.
            rows = "\n".join(map(",".join, zip(*texts, strict=True)))
            file.write(f"{rows}\n" if rows else "")


def _quoted(name: str) -> str:
    """Quote a name for CSV if it must be."""
    if "," in name or '"' in name:
        return f'"{name.replace(chr(34), chr(34) * 2)}"'
    return name
