"""Columns of numbers that would be too long for memory, in files without a name.

They lie in the system's folder for temporary files. As they have no name, nothing is
left of them, however the process ends. A column is mapped anew whenever it is asked
for: memory holds of it what is looked at, for as long as the array is kept.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgesim.storage.files import writing

Array: TypeAlias = NDArray[Any]
Columns: TypeAlias = Mapping[str, Array]

IN_MEMORY_ROWS = 1 << 17
"""Rows from which on columns go to files; a shorter table is held in memory."""

_BLOCK_ROWS = 1 << 12
_TURNED_ROWS = 1 << 15


class _File:
    """A file without a name, closed with the last reference to it.

    Raises
    ------
    WriteError
        If it cannot be made, or written.
    """

    def __init__(self) -> None:
        with _writing(), tempfile.TemporaryFile(prefix="edgesim-") as file:
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)

    def write(self, first_byte: int, values: Array) -> None:
        """Write all numbers from a byte on."""
        left = memoryview(values.tobytes())
        with _writing():
            os.lseek(self._descriptor, first_byte, os.SEEK_SET)
            while left:
                left = left[os.write(self._descriptor, left) :]

    def read(self, first_byte: int, count: int) -> bytes:
        """Read so many bytes, or what there is of them."""
        os.lseek(self._descriptor, first_byte, os.SEEK_SET)
        parts = []
        while count and (part := os.read(self._descriptor, count)):
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def mapped(self, first_byte: int, dtype: np.dtype[Any], count: int) -> Array:
        """Map numbers, read-only; memory holds those that are looked at."""
        if not count:  # nothing can be mapped
            return np.empty(0, dtype)
        skipped = first_byte % mmap.ALLOCATIONGRANULARITY
        pages = mmap.mmap(
            self._descriptor,
            skipped + count * dtype.itemsize,
            access=mmap.ACCESS_READ,
            offset=first_byte - skipped,
        )
        return np.frombuffer(pages, dtype, count, skipped)


class _Place(NamedTuple):
    """Where the numbers of a column lie: in which file, from which byte on."""

    file: _File
    dtype: np.dtype[Any]
    first_byte: int


class StoredColumns(Mapping[str, Array]):
    """Columns of equal length in files, by name; read-only.

    Parameters
    ----------
    places
        Where each column lies.
    length
        Number of rows.
    """

    def __init__(self, places: Mapping[str, _Place], length: int) -> None:
        self._places = places
        self._length = length

    def __getitem__(self, name: str) -> Array:
        file, dtype, first_byte = self._places[name]
        return file.mapped(first_byte, dtype, self._length)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def part(self, first: int, after: int) -> StoredColumns:
        """Keep the rows from ``first`` up to ``after``, which is excluded."""
        first, after, _ = slice(first, after).indices(self._length)
        places = {
            name: place._replace(
                first_byte=place.first_byte + first * place.dtype.itemsize
            )
            for name, place in self._places.items()
        }
        return StoredColumns(places, max(0, after - first))

    @staticmethod
    def joined(parts: Sequence[StoredColumns]) -> StoredColumns:
        """Put columns of equal length together, as :func:`joined`."""
        places: dict[str, _Place] = {}
        for part in reversed(parts):
            places |= part._places
        return StoredColumns(places, parts[0]._length)

    def only(self, names: Iterable[str]) -> StoredColumns:
        """Keep some columns."""
        return StoredColumns({n: self._places[n] for n in names}, self._length)


def rows_between(columns: Columns, first: int, after: int) -> Columns:
    """Keep some rows of columns in memory or in files."""
    if isinstance(columns, StoredColumns):
        return columns.part(first, after)
    return {name: values[first:after] for name, values in columns.items()}


def chosen(columns: Columns, names: Iterable[str]) -> Columns:
    """Keep some columns in memory or in files, in the order given."""
    if isinstance(columns, StoredColumns):
        return columns.only(names)
    return {name: columns[name] for name in names}


def joined(*parts: Columns) -> Columns:
    """Put columns of equal length together; of two of one name, the first counts."""
    stored = [part for part in parts if isinstance(part, StoredColumns)]
    if len(stored) == len(parts):
        return StoredColumns.joined(stored)
    return {name: values for part in reversed(parts) for name, values in part.items()}


class GrowingColumns:
    """Columns that grow block by block, in files once they are long.

    Parameters
    ----------
    dtypes
        Type of each column, by name.

    Raises
    ------
    WriteError
        From every method, if there is no room for the files.
    """

    def __init__(self, dtypes: Mapping[str, type[np.generic]]) -> None:
        self._dtypes = {name: np.dtype(dtype) for name, dtype in dtypes.items()}
        self._blocks: list[Columns] = []
        self._files: dict[str, _File] = {}
        self._length = self._stored = 0

    def __len__(self) -> int:
        return self._length

    def append(self, block: Columns) -> None:
        """Add rows: arrays of equal length, of the columns' types."""
        self._length += len(next(iter(block.values())))
        self._blocks.append(block)
        if self._length > IN_MEMORY_ROWS:
            self._store()

    def columns(self) -> Columns:
        """Return the columns as they are now."""
        if not self._files:
            return {
                name: np.concatenate(
                    [np.empty(0, dtype), *(block[name] for block in self._blocks)]
                )
                for name, dtype in self._dtypes.items()
            }
        places = {
            name: _Place(file, self._dtypes[name], 0)
            for name, file in self._files.items()
        }
        return StoredColumns(places, self._length)

    def _store(self) -> None:
        if not self._files:
            self._files = {name: _File() for name in self._dtypes}
        for block in self._blocks:
            for name, dtype in self._dtypes.items():
                values = block[name].astype(dtype, copy=False)
                self._files[name].write(self._stored * dtype.itemsize, values)
            self._stored += len(values)
        self._blocks.clear()


class RowFile:
    """Rows of numbers in a file, each put in its place, in any order.

    Parameters
    ----------
    width
        Numbers in a row.

    Raises
    ------
    WriteError
        From every method, if there is no room for the files.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._length = 0
        self._file = _File()

    def __len__(self) -> int:
        return self._length

    def put(self, number: NDArray[np.int64], rows: NDArray[np.float64]) -> None:
        """Put rows in their places; those between that were never put are 0.

        O(n log n), and the rows of each block of 4,096 in which there is a place.

        Parameters
        ----------
        number
            Place of each row, shape (n,), n >= 1.
        rows
            Shape (n, width).
        """
        order = np.argsort(number, kind="stable")
        number, rows = number[order], rows[order]
        edges = np.flatnonzero(np.diff(number // _BLOCK_ROWS)) + 1
        for places, some in zip(
            np.split(number, edges), np.split(rows, edges), strict=True
        ):
            self._put(places, some)
        self._length = max(self._length, int(number[-1]) + 1)

    def _put(self, number: NDArray[np.int64], rows: NDArray[np.float64]) -> None:
        first, after = int(number[0]), int(number[-1]) + 1
        if after - first > len(rows):
            whole = self._read(first, after)
            whole[number - first] = rows
            rows = whole
        self._file.write(8 * self._width * first, rows)

    def _read(self, first: int, after: int) -> NDArray[np.float64]:
        rows = np.zeros((after - first, self._width))
        content = self._file.read(8 * self._width * first, rows.nbytes)
        found = np.frombuffer(content, np.float64)
        rows.reshape(-1)[: len(found)] = found
        return rows

    def columns(self, dtypes: Mapping[str, type[np.generic]]) -> StoredColumns:
        """Turn the rows to columns: names and types of 8 bytes, one for each number."""
        length, file = self._length, _File()
        for some in blocks_of(length, _TURNED_ROWS):
            rows = self._read(some.start, some.stop)
            for at, dtype in enumerate(dtypes.values()):
                file.write(8 * (at * length + some.start), rows[:, at].astype(dtype))
        places = {
            name: _Place(file, np.dtype(dtype), 8 * at * length)
            for at, (name, dtype) in enumerate(dtypes.items())
        }
        return StoredColumns(places, length)


class LongColumn:
    """Numbers added and taken away at the end, in a file once there are many."""

    def __init__(self) -> None:
        self._recent = array("d")
        self._most = IN_MEMORY_ROWS
        self._file: _File | None = None
        self._stored = 0

    def __len__(self) -> int:
        return self._stored + len(self._recent)

    @property
    def last(self) -> float:
        """The number at the end; NaN without any."""
        return self._recent[-1] if self._recent else math.nan

    def append(self, value: float) -> None:
        """Add a number."""
        self._recent.append(value)
        if len(self._recent) > self._most:
            self._store()

    def pop(self) -> None:
        """Take the last number away: one that was added since the last was taken."""
        self._recent.pop()

    def values(self) -> NDArray[np.float64]:
        """Return all numbers."""
        if self._file is None:
            return np.array(self._recent, dtype=np.float64)
        if self._recent:
            self._write(len(self._recent))
        return self._file.mapped(0, np.dtype(np.float64), self._stored)

    def _store(self) -> None:
        """Move all but the last number to the file."""
        self._write(len(self._recent) - 1)

    def _write(self, count: int) -> None:
        if self._file is None:
            self._file = _File()
        values = np.array(self._recent[:count], dtype=np.float64)
        self._file.write(8 * self._stored, values)
        self._stored += count
        del self._recent[:count]


def blocks_of(length: int, rows: int) -> Iterable[slice]:
    """Divide rows 0 to ``length`` into slices of at most ``rows``."""
    return (slice(first, min(first + rows, length)) for first in range(0, length, rows))


def _writing() -> Any:
    return writing(Path(tempfile.gettempdir()))
