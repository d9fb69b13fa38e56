"""Numbers at both ends of the floats, in every numeric field of every format."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

from tests.fuzz.contents import Content, Document, Table
from tests.fuzz.extremes import Raw
from tests.fuzz.formats import Example

ENDS = (
    *(-0.0, 5e-324, -5e-324, 1e-300, 1.7976931348623157e308, -1e300, 2**63 - 1, 2**63),
    *(Raw("1e999"), Raw("inf"), Raw("nan"), Raw("NaN"), Raw("1" * 5000)),
)


def at_both_ends(content: Content) -> Iterator[tuple[str, Content]]:
    """Put each end into each number of a content, one at a time.

    Yields
    ------
    tuple
        Where it is put, and the content.
    """
    if isinstance(content, Document):
        for path in _numbers(content.value):
            for end in ENDS:
                value = deepcopy(content.value)
                place = value
                for part in path[:-1]:
                    place = place[part]
                place[path[-1]] = end
                yield f"{path}: {end}", replace(content, value=value)
    elif isinstance(content, Table):
        rows = [line.split(",") for line in content.text.splitlines()]
        for r, row in enumerate(rows[1:3], 1):
            for c, cell in enumerate(row):
                if cell.replace(".", "").isdigit():
                    for end in ENDS:
                        new = [list(one) for one in rows]
                        new[r][c] = str(end)
                        text = "".join(f"{','.join(one)}\n" for one in new)
                        yield f"row {r}, column {c}: {end}", Table(text)


def _numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Find the numbers of a document; of a list those of its first items."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, (*path, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value[:2]):
            yield from _numbers(inner, (*path, position))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def ends_of(example: Example) -> Iterator[tuple[str, tuple[str, Content]]]:
    """Yield where an end stands, the file, and its content with it."""
    for name in example.damaged:
        for where, content in at_both_ends(example.files[name]):
            yield f"{name} {where}", (name, content)
