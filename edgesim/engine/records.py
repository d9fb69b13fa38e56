"""The records of a run, as columns.

One row per request and one per round, in arrays of numbers: about 100 bytes each, so
that a day of requests fits in memory and every measure is computed from all of them
afterwards.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

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
    the request was dropped; ``round`` is −1 for requests never computed.
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


@dataclass(frozen=True, eq=False)
class RoundLog:
    """Every round: arrays of shape (R,), in order.

    ``chosen`` is the number of requests when the load began; some may have been dropped
    since, and others joined, so that ``batch`` were computed. ``batch`` may be 0: a
    model was loaded in vain. GPU memory has room for the larger of the two, so the
    rounds (model, max(chosen, batch)) load the same by ``solvers.core.residency``.
    Times are actual times, noise and faults included. The load may begin before the
    preceding round ends (only with overlap).
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


class Log:
    """Collects records while the simulation runs."""

    def __init__(self) -> None:
        self._reasons: dict[str, int] = {reason: i for i, reason in enumerate(REASONS)}
        self.rounds = 0
        self._clear()

    def reason(self, text: str) -> int:
        """Return the outcome code of a drop reason."""
        return DROPPED + self._reasons.setdefault(text, len(self._reasons))

    def round(self, row: tuple[float, ...]) -> None:
        """Record a round: its values in the order of :class:`RoundLog`."""
        self._round(row)
        self.rounds += 1

    def run(
        self,
        busy_s: Sequence[float],
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
        rounds = _rounds(self._rounds)
        rows = np.frombuffer(self._requests, dtype=np.float64).reshape(-1, 10)
        number = rows[:, 0].astype(np.int64)
        order = np.argsort(number)
        if not np.array_equal(number[order], np.arange(len(number))):
            raise AssertionError("a request has no outcome, or two")

        # Column by column: the log is as large as all of them together.
        def whole(column: int) -> Ints:
            values: Ints = rows[order, column].astype(np.int64)
            return values

        requests = RequestLog(
            user=whole(1),
            model=whole(2),
            arrival_s=rows[order, 3],
            deadline_s=rows[order, 4],
            upload_start_s=rows[order, 5],
            upload_end_s=rows[order, 6],
            round=whole(7),
            end_s=rows[order, 8],
            outcome=whole(9),
        )
        self._clear()
        return Run(
            requests,
            rounds,
            tuple(self._reasons),
            _periods(busy_s),
            _bands(bands),
            _periods(stalls_s),
        )

    def _clear(self) -> None:
        self._requests = array("d")
        self._rounds = array("d")
        # Bound once: they are called for every request.
        self.request = self._requests.extend
        self._round = self._rounds.extend


def _rounds(numbers: array[float]) -> RoundLog:
    rows = np.frombuffer(numbers, dtype=np.float64).reshape(-1, 10)

    def whole(column: int) -> Ints:
        return rows[:, column].astype(np.int64)

    return RoundLog(
        model=whole(0),
        chosen=whole(1),
        batch=whole(2),
        loaded_bytes=whole(3),
        reused_bytes=whole(4),
        load_start_s=rows[:, 5].copy(),
        load_s=rows[:, 6].copy(),
        compute_start_s=rows[:, 7].copy(),
        compute_s=rows[:, 8].copy(),
        end_s=rows[:, 9].copy(),
    )


def _periods(busy_s: Sequence[float]) -> Floats:
    return np.array(busy_s, dtype=np.float64).reshape(-1, 2)


def _bands(rows: Sequence[tuple[int, float, float, float]]) -> BandLog:
    columns = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    request, start_s, end_s, hz = columns
    return BandLog(request.astype(np.int64), start_s.copy(), end_s.copy(), hz.copy())
