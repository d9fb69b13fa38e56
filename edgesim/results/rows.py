"""Small tables, written row by row.

The same rows give the same bytes: columns in a fixed order, numbers by ``repr``,
nothing (None) as an empty cell.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeAlias

from edgesim.storage.files import write_whole

Cell: TypeAlias = str | int | float | None
Row: TypeAlias = Mapping[str, Cell]


def write_csv(path: Path, rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Write a table, whole or not at all.

    Parameters
    ----------
    path
        The file; an existing one is replaced.
    rows
        One mapping from column to value per row.
    columns
        The header, in order.

    Raises
    ------
    ValueError
        If a row does not have exactly these columns.
    InputError
        If the file cannot be written.
    """
    with write_whole(path) as file:
        dump_csv(file, rows, columns)


def dump_csv(file: IO[str], rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Write a table to an open file, like :func:`write_csv`."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        if row.keys() != set(columns):
            odd = sorted(row.keys() ^ set(columns))
            raise ValueError(
                f"a row must have the columns of the table, differs in {odd}"
            )
        writer.writerow([_cell(row[column]) for column in columns])


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    # numpy's repr includes its type; a plain float's is the shortest that reads back.
    return repr(float(value)) if isinstance(value, float) else str(value)
