"""Order statistics and stable sorting of columns that need not fit in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from edgesim.storage.column_files import Array, Columns, GrowingColumns, rows_between

RUN_ROWS = 1 << 20
"""Rows sorted in memory at a time."""

_DIGIT_BITS = 16
_SAMPLE_ROWS = 1 << 10

Pieces = Callable[[], Iterator[Array]]
"""Yields the values of a column some at a time, each time from the first."""


def quantiles(pieces: Pieces, count: int, shares: Sequence[float]) -> list[float]:
    """Find quantiles, linear between order statistics, as ``numpy.quantile`` does.

    Parameters
    ----------
    pieces
        The values: numbers of 8 bytes, none below 0. Each quantile goes through them a
        few times.
    count
        Number of values, at least one.
    shares
        From 0 to 1.
    """
    found = []
    for share in shares:
        at = share * (count - 1)
        below = math.floor(at)
        low = nth(pieces, below)
        high = low if below + 1 >= count or at == below else nth(pieces, below + 1)
        part = at - below
        gap = high - low
        # As numpy rounds it.
        found.append(float(low + gap * part if part < 0.5 else high - gap * (1 - part)))
    return found


def nth(pieces: Pieces, n: int) -> float:
    """Find the value of which ``n`` are before it in order.

    Digit by digit of 16 bits: numbers from 0 are in the order of their bits. O(values),
    at most five times, and memory for one piece.
    """
    prefix, shift = 0, 64
    while shift:
        shift -= _DIGIT_BITS
        counts = np.zeros(1 << _DIGIT_BITS, dtype=np.int64)
        least, most = None, None
        for values in pieces():
            bits = values.view(np.int64)
            if shift + _DIGIT_BITS < 64:
                values = values[bits >> (shift + _DIGIT_BITS) == prefix]
                bits = values.view(np.int64)
            if len(values):
                least = min(values.min(), least) if least is not None else values.min()
                most = max(values.max(), most) if most is not None else values.max()
            digit = (bits >> shift) & ((1 << _DIGIT_BITS) - 1)
            counts += np.bincount(digit, minlength=len(counts))
        assert least is not None
        if least == most:
            return least  # type: ignore[no-any-return]
        before = np.cumsum(counts)
        chosen = int(np.searchsorted(before, n, side="right"))
        n -= int(before[chosen] - counts[chosen])
        prefix = (prefix << _DIGIT_BITS) + chosen
    return np.int64(prefix).view(values.dtype)  # type: ignore[no-any-return]


def is_sorted(values: Array, before: Any = None) -> bool:
    """Whether values do not decrease, nor begin below ``before``."""
    if not len(values):
        return True
    return bool(
        (before is None or before <= values[0]) and (values[1:] >= values[:-1]).all()
    )


def sorted_by(key: str, columns: Columns) -> Columns:
    """Sort rows by a column; rows of equal keys keep their order.

    Runs are sorted in memory, and merged by spans of keys in which there are about as
    many rows as in a run, but all rows of one key.
    """
    length = len(columns[key])
    dtypes = {name: values.dtype.type for name, values in columns.items()}
    sorted_runs = GrowingColumns(dtypes)
    samples: list[Array] = []
    firsts = range(0, length, RUN_ROWS)
    for first in firsts:
        run = dict(rows_between(columns, first, first + RUN_ROWS))
        order = np.argsort(run[key], kind="stable")
        run = {name: values[order] for name, values in run.items()}
        samples.append(run[key][::_SAMPLE_ROWS])
        sorted_runs.append(run)
    runs = sorted_runs.columns()
    if len(firsts) < 2:
        return runs
    cuts = np.unique(np.sort(np.concatenate(samples))[:: RUN_ROWS // _SAMPLE_ROWS])[1:]
    edges = []
    for first in firsts:
        keys = rows_between(runs, first, first + RUN_ROWS)[key]
        inner = np.searchsorted(keys, cuts, side="left")
        edges.append(first + np.concatenate([[0], inner, [len(keys)]]))
    merged = GrowingColumns(dtypes)
    for span in range(len(cuts) + 1):
        parts = [
            dict(rows_between(runs, int(edge[span]), int(edge[span + 1])))
            for edge in edges
        ]
        block = {name: np.concatenate([p[name] for p in parts]) for name in columns}
        order = np.argsort(block[key], kind="stable")
        merged.append({name: values[order] for name, values in block.items()})
    return merged.columns()
