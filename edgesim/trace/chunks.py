"""Traces of any length, read block by block into columns.

A block of plain lines is parsed as a whole, which is about four times as fast as row by
row. From the first block that contains anything unusual (a quote, say, or an error),
rows are read one by one, so that each error names its line.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgesim.trace.rows import (
    MAX_BYTES,
    RANGES,
    TraceRow,
    number_lines,
    open_bytes,
    parse_requests,
    read_header,
)

BLOCK_BYTES = 1 << 20  # read at a time
BLOCK_ROWS = 1 << 14  # read at a time, where rows are read one by one

Columns = dict[str, NDArray[Any]]

DTYPES: dict[str, type[np.generic]] = {
    "arrival_s": np.float64,
    "user": np.int32,
    "model": np.int32,
    "input_bytes": np.int64,
    "slo_s": np.float64,
    "spectral_efficiency": np.float64,
    "x_m": np.float64,
    "y_m": np.float64,
}
"""Types of the columns of a trace; users and models are numbers."""

_COMMA, _LINE_FEED = b",\n"
_OF_NUMBERS = b"0123456789+-.eE"


class Names(dict[str, int]):
    """Numbers names by first appearance."""

    def __missing__(self, name: str) -> int:
        """Assign the next number to a new name."""
        self[name] = number = len(self)
        return number


def read_columns(path: Path, users: Names, models: Names) -> Iterator[Columns]:
    """Read a trace into columns, a block at a time.

    Parameters
    ----------
    path
        A trace, which may be a pipe: it is read once, from start to end.
    users, models
        Extended by the names that the trace contains.

    Yields
    ------
    dict
        An array for each column of the file, of the types
        ``DTYPES``. First one
        without rows.

    Raises
    ------
    InputError
        As :func:`edgesim.trace.rows.iter_trace` does.
    """
    names = {"user": users, "model": models}
    with open_bytes(path) as file:
        header = read_header(path, number_lines(path, islice(file, 1)))
        yield {name: np.empty(0, DTYPES[name]) for name in header}
        line, before_s = 2, 0.0
        for block in _blocks(file):
            columns = _parse(block, header, names, before_s)
            if columns is None:
                rest = number_lines(path, chain(BytesIO(block), file), line)
                rows = parse_requests(path, header, rest, before_s)
                yield from _batched_rows(rows, header, names)
                return
            yield columns
            line += len(columns["arrival_s"])
            before_s = float(columns["arrival_s"][-1])


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Split a file into blocks of whole lines."""
    while block := file.read(BLOCK_BYTES):
        yield block + file.readline()


def _parse(
    block: bytes, header: list[str], names: dict[str, Names], before_s: float
) -> Columns | None:
    """Parse a block of plain lines; None if it contains anything unusual."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    if not block.endswith(b"\n"):
        block += b"\n"
    if b'"' in block or b"\r" in block or b"\0" in block:
        return None
    letters = np.frombuffer(block, dtype=np.uint8)
    ends = letters[(letters == _COMMA) | (letters == _LINE_FEED)]
    width = len(header)
    if len(ends) % width:
        return None
    ends = ends.reshape(-1, width)
    if not ((ends[:, :-1] == _COMMA).all() and (ends[:, -1] == _LINE_FEED).all()):
        return None
    try:
        fields = block.decode().replace("\n", ",").split(",")
        fields.pop()
        columns = {
            name: _column(name, fields[at::width], names)
            for at, name in enumerate(header)
        }
    except ValueError:  # bytes that are not UTF-8 raise one, too
        return None
    return columns if _is_in_order(columns, before_s) else None


def _column(name: str, fields: list[str], names: dict[str, Names]) -> NDArray[Any]:
    """Convert the fields of one column to numbers, or raise ValueError."""
    if name in names:
        known = names[name]
        codes = list(map(known.__getitem__, fields))
        if "" in known:
            raise ValueError("a name is empty")
        return np.array(codes, dtype=DTYPES[name])
    text = "".join(fields)
    if name == "input_bytes":
        if not (text.isascii() and text.isdigit()):
            raise ValueError("not digits alone")
        sizes = list(map(int, fields))
        if not 0 < min(sizes) <= max(sizes) <= MAX_BYTES:
            raise ValueError("out of range")
        return np.array(sizes, dtype=DTYPES[name])
    # Of texts made only of these characters, float() accepts what the format does.
    if text.encode().translate(None, _OF_NUMBERS):
        raise ValueError("not numbers alone")
    values = np.array(list(map(float, fields)), dtype=DTYPES[name])
    low, high = RANGES[name]
    if not ((values >= low) & (values <= high)).all():
        raise ValueError("out of range")
    return values + 0.0  # no −0.0


def _is_in_order(columns: Columns, before_s: float) -> bool:
    """Whether the arrivals of a block are in order."""
    arrival_s = columns["arrival_s"]
    return bool(arrival_s[0] >= before_s and (arrival_s[1:] >= arrival_s[:-1]).all())


def _batched_rows(
    rows: Iterator[TraceRow], header: list[str], names: dict[str, Names]
) -> Iterator[Columns]:
    """Gather rows into columns, some at a time."""
    while some := list(islice(rows, BLOCK_ROWS)):
        columns = {}
        for name in header:
            values = [getattr(row, name) for row in some]
            if name in names:
                values = list(map(names[name].__getitem__, values))
            columns[name] = np.array(values, dtype=DTYPES[name])
        yield columns
