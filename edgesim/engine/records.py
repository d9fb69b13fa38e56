"""The records of a run, as columns.

One row per request and one per round, from which every measure is computed afterwards.
Of a long run they go to files as they end: memory holds the requests that are there.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgesim.storage.column_files import (
    IN_MEMORY_ROWS,
    Columns,
    RowFile,
    StoredColumns,
    blocks_of,
)

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

IN_TIME, LATE = 0, 1
# Outcome codes from here on are drops: the index of the reason in ``reasons`` +
# DROPPED.
DROPPED = 2

NO_LINK = "no link"
NEVER_FITS = "never fits in GPU memory"
QUEUE_FULL = "queue full"
TOO_LATE = "too late"
NEVER_CHOSEN = "never chosen"
UPLOAD_NEVER_ENDED = "upload never ended"
NEVER_STARTED = "batch never started"
REASONS = (
    NO_LINK,
    NEVER_FITS,
    QUEUE_FULL,
    TOO_LATE,
    NEVER_CHOSEN,
    UPLOAD_NEVER_ENDED,
    NEVER_STARTED,
)


@dataclass(frozen=True, eq=False)
class RequestLog:
    """The outcome of every request: arrays of shape (K,), in order of arrival.

    Times of events that never happened are NaN. ``end_s`` is when the round ended or
    the request was dropped; ``round`` is −1 for requests never computed. Of a long run,
    each is read from its file when it is asked for.
    """

    user: Ints
    model: Ints
    arrival_s: Floats
    deadline_s: Floats
    upload_start_s: Floats
    upload_end_s: Floats
    round: Ints
    end_s: Floats
    outcome: Ints

    def rows(self, which: slice | Ints) -> RequestLog:
        """Return some of the rows, in memory."""
        return RequestLog(**_rows_of(self, which, copy=True))


@dataclass(frozen=True, eq=False)
class RoundLog:
    """Every round: arrays of shape (R,), in order.

    ``chosen`` is the number of requests when the load began; some may have been dropped
    since, and others joined, so that ``batch`` were computed. ``batch`` may be 0: a
    model was loaded in vain. GPU memory has room for the larger of the two, so the
    rounds (model, max(chosen, batch)) load the same by ``solvers.core.residency``.
    Times are actual times, noise and faults included. The load may begin before the
    preceding round ends (only with overlap). Of a long run, each column is read from
    its file when it is asked for.
    """

    model: Ints
    chosen: Ints
    batch: Ints
    loaded_bytes: Ints
    reused_bytes: Ints
    load_start_s: Floats
    load_s: Floats
    compute_start_s: Floats
    compute_s: Floats
    end_s: Floats

    def rows(self, which: slice | Ints) -> RoundLog:
        """Return some of the rows, in memory."""
        return RoundLog(**_rows_of(self, which, copy=True))


def _rows_of(
    log: RequestLog | RoundLog, which: slice | Ints, *, copy: bool = False
) -> dict[str, Any]:
    rows = {column.name: getattr(log, column.name)[which] for column in fields(log)}
    if copy and isinstance(which, slice):  # other rows are a copy already
        return {name: values.copy() for name, values in rows.items()}
    return rows


@dataclass(frozen=True, eq=False)
class BandLog:
    """Bands held by uploads over time: arrays of shape (B,), by start and end.

    ``request`` is the number of the upload's request, whether or not the upload ended.
    A rule that passes the whole band between uploads does not record them individually.
    """

    request: Ints
    start_s: Floats
    end_s: Floats
    hz: Floats


def _no_bands() -> BandLog:
    return _bands(())


@dataclass(frozen=True, eq=False)
class Run:
    """The run of one policy on a stream of requests.

    Parameters
    ----------
    requests, rounds
        The records.
    reasons
        Reasons for drops, by outcome code − ``DROPPED``.
    busy_s
        Start and end of the periods in which the band was in use, shape (n, 2), in
        order.
    bands
        Bands held, if the uplink is that of a plan.
    stalls_s
        Start and end of the periods in which the GPU was stalled, shape (n, 2), in
        order.
    """

    requests: RequestLog
    rounds: RoundLog
    reasons: tuple[str, ...]
    busy_s: Floats
    bands: BandLog = field(default_factory=_no_bands)
    stalls_s: Floats = field(default_factory=lambda: _periods(()))

    def at_hand(self) -> Run:
        """Return it with every column open, to look at rows one by one."""
        whole = slice(None)
        return replace(
            self,
            requests=RequestLog(**_rows_of(self.requests, whole)),
            rounds=RoundLog(**_rows_of(self.rounds, whole)),
        )


class _Stored:
    """The columns of a log that are in files, by name."""

    def __init__(self, columns: Columns) -> None:
        object.__setattr__(self, "_columns", columns)

    def __getattr__(self, name: str) -> Any:
        columns = self.__dict__.get("_columns", {})
        if name in columns:
            return columns[name]
        raise AttributeError(name)


class _StoredRequestLog(_Stored, RequestLog):
    """Requests in files."""


class _StoredRoundLog(_Stored, RoundLog):
    """Rounds in files."""


_REQUEST_TYPES: dict[str, type[np.generic]] = {
    "user": np.int64,
    "model": np.int64,
    "arrival_s": np.float64,
    "deadline_s": np.float64,
    "upload_start_s": np.float64,
    "upload_end_s": np.float64,
    "round": np.int64,
    "end_s": np.float64,
    "outcome": np.int64,
}

_ROUND_TYPES: dict[str, type[np.generic]] = {
    "model": np.int64,
    "chosen": np.int64,
    "batch": np.int64,
    "loaded_bytes": np.int64,
    "reused_bytes": np.int64,
    "load_start_s": np.float64,
    "load_s": np.float64,
    "compute_start_s": np.float64,
    "compute_s": np.float64,
    "end_s": np.float64,
}

_WIDTH = 10
"""Numbers in a row of either log: a request has its own number first."""


class _Rows:
    """Rows that are recorded one by one, in a file once there are many.

    Parameters
    ----------
    numbered
        Whether rows begin with their number, from 0, and may come in any order; if
        not, their order is their number.
    """

    def __init__(self, *, numbered: bool) -> None:
        self._numbered = numbered
        self._most = _WIDTH * IN_MEMORY_ROWS
        self._clear()

    def _clear(self) -> None:
        self._recent = array("d")
        self._extend = self._recent.extend
        self._stored = 0
        self._file: RowFile | None = None

    def add(self, row: tuple[float, ...]) -> None:
        """Record a row."""
        self._extend(row)
        if len(self._recent) >= self._most:
            self._store()

    def take(self, dtypes: dict[str, type[np.generic]]) -> Columns:
        """Return the columns, without the number, and forget the rows.

        Raises
        ------
        AssertionError
            If a number is missing, or stands twice.
        """
        if self._file is None:
            columns = self._in_memory(dtypes)
        else:
            if self._recent:
                self._store()
            columns = self._from_file(self._file, dtypes)
        self._clear()
        return columns

    def _in_memory(self, dtypes: dict[str, type[np.generic]]) -> Columns:
        rows = np.frombuffer(self._recent, dtype=np.float64).reshape(-1, _WIDTH)
        if self._numbered:
            number = rows[:, 0].astype(np.int64)
            order = np.argsort(number)
            _check_numbers(number[order])
            rows = rows[order, 1:]
        return {
            name: rows[:, at].astype(dtype)
            for at, (name, dtype) in enumerate(dtypes.items())
        }

    def _store(self) -> None:
        """Move the recent rows to the file."""
        if self._file is None:
            self._file = RowFile(_WIDTH)
        rows = np.frombuffer(self._recent, dtype=np.float64).reshape(-1, _WIDTH).copy()
        del self._recent[:]
        number = np.arange(self._stored, self._stored + len(rows))
        if self._numbered:
            number = rows[:, 0].astype(np.int64)
            rows[:, 0] += 1  # a place that is never filled has 0
        self._file.put(number, rows)
        self._stored += len(rows)

    def _from_file(self, file: RowFile, dtypes: dict[str, type[np.generic]]) -> Columns:
        if not self._numbered:
            return file.columns(dtypes)
        columns = file.columns({"": np.int64, **dtypes})
        for rows in blocks_of(len(file), IN_MEMORY_ROWS):
            _check_numbers(columns[""][rows] - 1, rows.start)
        if self._stored != len(file):
            raise AssertionError("a request has no outcome, or two")
        return columns


def _check_numbers(number: Ints, first: int = 0) -> None:
    if not np.array_equal(number, np.arange(first, first + len(number))):
        raise AssertionError("a request has no outcome, or two")


class Log:
    """Collects records while the simulation runs."""

    def __init__(self) -> None:
        self._reasons: dict[str, int] = {reason: i for i, reason in enumerate(REASONS)}
        self.rounds = 0
        self._requests = _Rows(numbered=True)
        self._rounds = _Rows(numbered=False)
        # Bound once: it is called for every request.
        self.request = self._requests.add

    def reason(self, text: str) -> int:
        """Return the outcome code of a drop reason."""
        return DROPPED + self._reasons.setdefault(text, len(self._reasons))

    def round(self, row: tuple[float, ...]) -> None:
        """Record a round: its values in the order of :class:`RoundLog`."""
        self._rounds.add(row)
        self.rounds += 1

    def run(
        self,
        busy_s: Sequence[float] | Floats,
        bands: Sequence[tuple[int, float, float, float]] = (),
        stalls_s: Sequence[float] = (),
    ) -> Run:
        """Convert the records to columns, and check that no request is missing.

        Parameters
        ----------
        busy_s
            Times at which the band alternately began and ceased to be in use.
        bands
            Request, start, end and Hz of every band held, in order.
        stalls_s
            Start and end of every stall of the GPU, in order.

        The log is empty afterwards: the simulation that refers to it lives on until its
        reference cycles are collected, and must not hold all this twice.

        Raises
        ------
        AssertionError
            If a request has no outcome, or two.
        """
        rounds = self._rounds.take(_ROUND_TYPES)
        requests = self._requests.take(_REQUEST_TYPES)
        return Run(
            _StoredRequestLog(requests)
            if isinstance(requests, StoredColumns)
            else RequestLog(**requests),
            _StoredRoundLog(rounds)
            if isinstance(rounds, StoredColumns)
            else RoundLog(**rounds),
            tuple(self._reasons),
            _periods(busy_s),
            _bands(bands),
            _periods(stalls_s),
        )


def _periods(times_s: Sequence[float] | Floats) -> Floats:
    return np.asarray(times_s, dtype=np.float64).reshape(-1, 2)


def _bands(rows: Sequence[tuple[int, float, float, float]]) -> BandLog:
    columns = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    request, start_s, end_s, hz = columns
    return BandLog(request.astype(np.int64), start_s.copy(), end_s.copy(), hz.copy())
