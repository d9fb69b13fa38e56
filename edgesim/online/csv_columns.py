"""CSV from columns of numbers: chunk by chunk, so that a day of requests is quick."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TypeAlias

import numpy as np

from edgesim.engine.records import Floats, Ints

CHUNK_ROWS = 65_536


# A column of numbers; or of cells by number, the last of them for −1 (none).
Column: TypeAlias = Floats | Ints | tuple[Sequence[str], Ints]


def cell(text: str) -> str:
    """Quote a text where CSV needs it."""
    if any(sign in text for sign in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def quoted(texts: Iterable[str]) -> list[str]:
    """Make cells of texts; number −1 is an empty one."""
    return [*map(cell, texts), ""]


def chunks(rows: Ints) -> Iterator[Ints]:
    """Take row numbers apart, so that what is made of them stays small."""
    for start in range(0, len(rows), CHUNK_ROWS):
        yield rows[start : start + CHUNK_ROWS]


def write_rows(file: IO[str], prefix: str, columns: Sequence[Column]) -> None:
    """Write rows of a table.

    Numbers are written by ``repr``, the shortest that reads back; NaN is an empty
    cell, and so is an integer below 0, which says that there is none.

    Parameters
    ----------
    file
        Where to.
    prefix
        The first cells, the same in every row, as they are to be written.
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
