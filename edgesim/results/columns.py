"""Tables as columns: numpy arrays by name."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgesim.errors import InputError
from edgesim.results.csv_columns import Column

Array: TypeAlias = NDArray[Any]

_WHOLE = (
    *("repeat", "round", "planned_batch", "chosen", "batch", "loaded_blocks"),
    *("loaded_bytes", "reused_bytes"),
)
_MOST = 1e18  # far beyond every time in seconds, and sums stay finite
_TEXT = ("solver", "policy", "user", "model", "outcome", "reason")


class Columns(Mapping[str, Array]):
    """A table, as a mapping from a column's name to its values.

    Numbers are float64 or int64, texts are objects; empty cells of a table are NaN, −1
    or an empty text.

    Parameters
    ----------
    arrays
        Columns of equal length, by name.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = dict(arrays)

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        rows = len(next(iter(self._arrays.values()), ()))
        return f"Columns({rows} rows: {', '.join(self._arrays)})"

    def to_pandas(self) -> Any:
        """Return a pandas data frame.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]

        return pd.DataFrame(self._arrays)


def decoded(column: Column) -> Array:
    """Convert a column to an array: numbers as they are, texts as objects."""
    if not isinstance(column, tuple):
        return column
    texts, numbers = column
    values = np.empty(len(numbers), dtype=object)
    values[:] = [texts[number] for number in numbers.tolist()]
    return values


def joined(kind: str, parts: Sequence[tuple[int, str, Mapping[str, Array]]]) -> Columns:
    """Concatenate the tables of trials, with repeat and name as leading columns.

    Parameters
    ----------
    kind
        ``"solver"`` or ``"policy"``.
    parts
        Repeat, name, and columns of each trial; at least one.
    """
    lengths = [len(next(iter(columns.values()))) for _, _, columns in parts]
    names = np.empty(len(parts), dtype=object)
    names[:] = [name for _, name, _ in parts]
    arrays: dict[str, Array] = {
        "repeat": np.repeat(np.array([r for r, _, _ in parts], np.int64), lengths),
        kind: np.repeat(names, lengths),
    }
    for column in parts[0][2]:
        arrays[column] = np.concatenate([columns[column] for _, _, columns in parts])
    return Columns(arrays)


def read_columns(path: Path, required: Iterable[str] = ()) -> Columns:
    """Read a table written by a run.

    Parameters
    ----------
    path
        The file.
    required
        Columns that it must have.

    Raises
    ------
    InputError
        As :func:`read_cells` does, if a column is missing, or a cell is no number where
        one is needed.
    """
    header, rows = read_cells(path)
    missing = [name for name in required if name not in header]
    if missing:
        raise InputError(f"{path}: {missing[0]}", "required column is missing")
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    arrays = {}
    for name, cells in zip(header, columns, strict=True):
        try:
            arrays[name] = _parsed(name, cells)
        except (ValueError, OverflowError):
            raise InputError(
                f"{path}: {name}",
                "must hold numbers, whole ones where they count",
            ) from None
    return Columns(arrays)


def read_cells(path: Path) -> tuple[list[str], list[list[str]]]:
    """Read a table as texts.

    Returns
    -------
    tuple of list
        The header, and the rows.

    Raises
    ------
    InputError
        If it cannot be read, names a column twice, or a row has too few or too many
        cells.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"is no table of a run: {error}") from None
    if not rows:
        raise InputError(path, "is no table of a run: it is empty")
    header = rows.pop(0)
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise InputError(f"{path}: {twice[0]}", "column stands twice")
    for line, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise InputError(
                f"{path}:{line}",
                f"must have {len(header)} cells, found {len(row)}",
            )
    return header, rows


def _parsed(name: str, cells: Sequence[str]) -> Array:
    if name in _WHOLE:
        return np.array([int(cell) if cell else -1 for cell in cells], dtype=np.int64)
    if name in _TEXT or (name == "id" and not all(cell.isdigit() for cell in cells)):
        values = np.empty(len(cells), dtype=object)
        values[:] = cells
        return values
    if name == "id":
        return np.array(cells, dtype=np.int64)
    numbers = np.array([float(cell or "nan") for cell in cells], np.float64)
    if (np.abs(numbers) <= _MOST).sum() != sum(map(bool, cells)):
        raise ValueError("a number of a table is finite")
    return numbers
