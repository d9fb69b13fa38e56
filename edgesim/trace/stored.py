"""A trace of any length, checked once and laid down as columns on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesim.storage.column_files import Columns, GrowingColumns
from edgesim.trace.chunks import DTYPES, Names, read_columns
from edgesim.trace.requests import Codes, Floats, Integers, Trace, pieces_of

NOT_READ = Path("(not read)")
"""Path of a trace that was made, not read."""


@dataclass(frozen=True, eq=False)
class StoredTrace:
    """A trace as columns of equal length in order of arrival, in files if it is long.

    Parameters
    ----------
    path
        Where the trace was read; ``NOT_READ`` if it was not.
    columns
        Of the names and types of :class:`edgesim.trace.requests.Trace`.
    users, models
        Names, by number.
    per_model
        How many requests want each of ``models``.
    """

    path: Path
    columns: Columns
    users: tuple[str, ...]
    models: tuple[str, ...]
    per_model: NDArray[np.int64]

    def __len__(self) -> int:
        """Count the requests."""
        return len(self.arrival_s)

    @property
    def arrival_s(self) -> Floats:
        """Arrivals in seconds from the start of the trace."""
        return self.columns["arrival_s"]

    @property
    def user(self) -> Codes:
        """The user of each request, by number."""
        return self.columns["user"]

    @property
    def model(self) -> Codes:
        """The model of each request, by number."""
        return self.columns["model"]

    @property
    def input_bytes(self) -> Integers:
        """Size of each input."""
        return self.columns["input_bytes"]

    @property
    def slo_s(self) -> Floats:
        """Time that each request may take from its arrival."""
        return self.columns["slo_s"]

    def pieces(self) -> Iterator[Columns]:
        """Yield the columns that are present, some rows at a time."""
        return pieces_of(self.columns, len(self))

    def popularity(self) -> NDArray[np.int32]:
        """List every model's number, most requested first, ties by lower number."""
        return np.argsort(-self.per_model, kind="stable").astype(np.int32)


def stored_trace(
    columns: Columns, users: tuple[str, ...], models: tuple[str, ...]
) -> StoredTrace:
    """Make a trace of columns that obey its rules."""
    per_model = np.zeros(len(models), dtype=np.int64)
    for piece in pieces_of(columns, len(columns["model"])):
        per_model += np.bincount(piece["model"], minlength=len(models))
    return StoredTrace(NOT_READ, columns, users, models, per_model)


def in_memory(trace: Trace, path: Path) -> StoredTrace:
    """Take a trace in memory for one that was read from ``path``."""
    per_model = np.bincount(trace.model, minlength=len(trace.models))
    return StoredTrace(path, trace.columns(), trace.users, trace.models, per_model)


def open_trace(path: Path) -> StoredTrace:
    """Read a trace once, check it whole, and lay it down as columns.

    Those of a long trace are in files without a name, about 32 bytes a request.

    Parameters
    ----------
    path
        A trace (CSV).

    Raises
    ------
    InputError
        At the first line that breaks the format, see
        :func:`edgesim.trace.rows.iter_trace`, or when there is no room for the files.
    """
    users, models = Names(), Names()
    per_model = np.zeros(0, dtype=np.int64)
    chunks = read_columns(path, users, models)
    columns = GrowingColumns({name: DTYPES[name] for name in next(chunks)})
    for chunk in chunks:
        columns.append(chunk)
        counted = np.bincount(chunk["model"], minlength=len(models))
        counted[: len(per_model)] += per_model
        per_model = counted
    return StoredTrace(path, columns.columns(), tuple(users), tuple(models), per_model)
