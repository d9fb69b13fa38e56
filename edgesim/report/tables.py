"""Tables of a page: rows of a file, of which a long one shows only the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgesim.report.page import paragraph, text
from edgesim.results.columns import Array

TABLE_ROWS = 2_000
"""Most rows of a table of a page."""


def fair_limit(sizes: Sequence[int], total: int) -> int:
    """Find how many of each group to take so that all together are at most ``total``.

    Small groups are taken whole, and leave room to the others; one of each is taken in
    any case. O(n log n).
    """
    room = total
    for place, size in enumerate(sorted(sizes)):
        left = len(sizes) - place
        if size * left > room:
            return max(room // left, 1)
        room -= size
    return max(sizes, default=1)


def first_of_each(groups: Sequence[object], total: int) -> Sequence[int]:
    """Choose the first rows of each group, at most ``total``, and keep their order."""
    counts: dict[object, int] = {}
    for group in groups:
        counts[group] = counts.get(group, 0) + 1
    limit = fair_limit(list(counts.values()), total)
    taken = dict.fromkeys(counts, 0)
    rows = []
    for row, group in enumerate(groups):
        if taken[group] < limit:
            taken[group] += 1
            rows.append(row)
    return rows


def table_of_columns(
    columns: Mapping[str, Array], groups: Sequence[str], file: str
) -> str:
    """Make a table of a file's columns, and say how much of it is shown.

    Parameters
    ----------
    columns
        Columns by name, arrays of equal length.
    groups
        Columns that tell runs apart; of a long table the first rows of each run.
    file
        Name of the file that holds all rows.

    Returns
    -------
    str
        HTML.
    """
    count = len(next(iter(columns.values()), ()))
    keys = list(zip(*(columns[name].tolist() for name in groups), strict=True))
    rows = first_of_each(keys, TABLE_ROWS)
    cells = [_cells(column[list(rows)]) for column in columns.values()]
    numbers = [column.dtype != np.object_ for column in columns.values()]
    said = shown(len(rows), count, "rows", file, per="run")
    return said + table(list(columns), list(zip(*cells, strict=True)), numbers)


def shown(rows: int, count: int, what: str, file: str, per: str = "") -> str:
    """Say how many of how many are shown, and where the rest is."""
    if rows == count:
        return paragraph(f"All {count:,} {what} of {file}.", "note")
    first = f", the first of each {per}" if per else ", the first ones"
    return paragraph(
        f"Shown are {rows:,} of {count:,} {what}{first}; {file} has all of them.",
        "note",
    )


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[bool]
) -> str:
    """Make a table that can be sorted by each column.

    Parameters
    ----------
    head, rows
        Cells, plain text.
    numbers
        Which columns are sorted as numbers: by the first number in a cell.
    """
    classes = [' class="number"' if one else "" for one in numbers]
    top = "".join(
        f'<th scope="col"{of}>{text(name)}</th>'
        for name, of in zip(head, classes, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f"<td{of}>{text(cell)}</td>" for cell, of in zip(row, classes, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="rows" tabindex="0"><table class="sortable">\n'
        f"<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _cells(column: Array) -> list[str]:
    if column.dtype == np.object_:
        return [str(value) for value in column.tolist()]
    if column.dtype == np.float64:
        return [decimal(value) for value in column.tolist()]
    return ["" if value < 0 else str(value) for value in column.tolist()]


def decimal(value: float) -> str:
    """Format a number to a millionth, such as a microsecond; NaN is an empty cell."""
    if np.isnan(value):
        return ""
    return f"{round(value, 6) + 0.0:.6f}".rstrip("0").rstrip(".")
