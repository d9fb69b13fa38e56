"""A trace of any length, checked once and laid down as columns on disk."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesim.errors import InputError
from edgesim.trace.chunks import DTYPES, Names, read_columns

Columns = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StoredTrace:
    """A trace on disk, as columns of equal length in order of arrival.

    Parameters
    ----------
    path
        Where the trace was read.
    columns
        Arrays in files, of the names and types of
        :class:`edgesim.trace.requests.Trace`.
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

    def popularity(self) -> NDArray[np.int32]:
        """List every model's number, most requested first, ties by lower number."""
        return np.argsort(-self.per_model, kind="stable").astype(np.int32)


def open_trace(path: Path, folder: Path) -> StoredTrace:
    """Read a trace once, check it whole, and lay it down as columns.

    Parameters
    ----------
    path
        A trace (CSV).
    folder
        Where the columns' files go, about 32 bytes a request; they are needed as long
        as the result is.

    Raises
    ------
    InputError
        At the first line that breaks the format, see
        :func:`edgesim.trace.rows.iter_trace`, or when the folder cannot be written to.
    """
    users, models = Names(), Names()
    per_model = np.zeros(0, dtype=np.int64)
    chunks = read_columns(path, users, models)
    with ExitStack() as stack:
        try:
            header = next(chunks)
            files = {
                name: stack.enter_context(_file(folder, name).open("wb"))
                for name in header
            }
            for chunk in chunks:
                for name, values in chunk.items():
                    values.tofile(files[name])
                counted = np.bincount(chunk["model"], minlength=len(models))
                counted[: len(per_model)] += per_model
                per_model = counted
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise InputError(folder, f"cannot be written: {reason}") from None
    columns = {name: _mapped(_file(folder, name), name) for name in header}
    return StoredTrace(path, columns, tuple(users), tuple(models), per_model)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.column"


def _mapped(file: Path, name: str) -> NDArray[Any]:
    if not file.stat().st_size:  # nothing can be mapped
        return np.empty(0, dtype=DTYPES[name])
    return np.memmap(file, dtype=DTYPES[name], mode="r")
