"""CSV from columns of numbers, written in chunks for speed with a day of requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TypeAlias

import numpy as np

from edgesim.engine.records import Floats, Ints
from edgesim.storage.column_files import blocks_of

CHUNK_ROWS = 65_536


# A column of numbers; or of texts by number, the last of which is for −1 (none).
Column: TypeAlias = Floats | Ints | tuple[Sequence[str], Ints]


def cell(text: str) -> str:
    """Quote a text if CSV requires it."""
    if any(sign in text for sign in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def texts_of(texts: Iterable[str]) -> list[str]:
    """List texts for a column; number −1 is the empty text."""
    return [*texts, ""]


def write_table(
    file: IO[str],
    prefix: str,
    columns: Mapping[str, Column],
    names: Sequence[str],
) -> None:
    """Write rows of a table in chunks.

    Parameters
    ----------
    file
        The open file.
    prefix
        The first cells, the same in every row, already formatted.
    columns
        Columns by name, arrays of shape (n,).
    names
        Names of the columns to write, in order.
    """
    first = columns[names[0]]
    length = len(first[1] if isinstance(first, tuple) else first)
    parts = (
        {name: _rows_of(columns[name], rows) for name in names}
        for rows in blocks_of(length, CHUNK_ROWS)
    )
    write_parts(file, prefix, parts, names)


def write_parts(
    file: IO[str],
    prefix: str,
    parts: Iterable[Mapping[str, Column]],
    names: Sequence[str],
) -> None:
    """Write a table that is given in parts, some rows at a time.

    Parameters
    ----------
    file, prefix, names
        As for :func:`write_table`.
    parts
        Columns by name; the texts of a column are the same in all parts.
    """
    quoted: dict[str, list[str]] = {}
    for columns in parts:
        chosen: list[Column] = []
        for name in names:
            column = columns[name]
            if isinstance(column, tuple):
                if name not in quoted:
                    quoted[name] = list(map(cell, column[0]))
                column = quoted[name], column[1]
            chosen.append(column)
        write_rows(file, prefix, chosen)


def _rows_of(column: Column, rows: slice) -> Column:
    if isinstance(column, tuple):
        return column[0], column[1][rows]
    return column[rows]


def write_rows(file: IO[str], prefix: str, columns: Sequence[Column]) -> None:
    """Write rows of a table.

    Numbers are written by ``repr``, the shortest form that reads back; NaN is an empty
    cell, and so is an integer below 0, which stands for none.

    Parameters
    ----------
    file
        The open file.
    prefix
        The first cells, the same in every row, already formatted.
    columns
        The other cells, arrays of shape (n,).
    """
    cells = map(_cells, columns)
    file.writelines(
        f"{prefix},{row}\n" for row in map(",".join, zip(*cells, strict=True))
    )


def _cells(column: Column) -> list[str]:
    if isinstance(column, tuple):
        texts, numbers = column
        return [texts[number] for number in numbers.tolist()]
    values = column.tolist()
    if column.dtype == np.float64:
        return [repr(value) if value == value else "" for value in values]
    return [str(value) if value >= 0 else "" for value in values]
