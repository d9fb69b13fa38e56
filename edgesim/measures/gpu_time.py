"""Activity of the GPU over time: loading, computing, waiting for inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edgesim.engine.records import Floats, Ints, RoundLog
from edgesim.storage.column_files import GrowingColumns

_BLOCK = 1 << 16  # edges of periods accumulated at a time


@dataclass(frozen=True, eq=False)
class Cover:
    """Cumulative time covered by periods, a piecewise linear function of time.

    Overlapping periods count once each.

    Parameters
    ----------
    edges_s, covered_s
        Breakpoints of the function, and its values at them, shape (n,), n ≥ 1.
    """

    edges_s: Floats
    covered_s: Floats

    def up_to(self, at_s: Floats) -> Floats:
        """Return the time covered before each of some times."""
        return np.interp(at_s, self.edges_s, self.covered_s)

    def between(self, start_s: float, end_s: float) -> float:
        """Return the time covered between two times."""
        before_s, after_s = self.up_to(np.array([start_s, end_s])).tolist()
        return float(after_s - before_s)


def cover(starts_s: Floats, ends_s: Floats, weight: Floats | None = None) -> Cover:
    """Accumulate periods.

    Parameters
    ----------
    starts_s, ends_s
        Shape (n,), in any order; periods that end no later than they start are ignored.
    weight
        Weight of each period, shape (n,); 1 if not given.

    Notes
    -----
    O(n log n); the time between two edges is counted once for all periods active there,
    so large values are never subtracted.
    """
    nonempty = ends_s > starts_s
    if not nonempty.any():
        return Cover(np.zeros(1), np.zeros(1))
    starts_s, ends_s = starts_s[nonempty], ends_s[nonempty]
    if weight is None:
        return _unweighted(starts_s, ends_s)
    edges_s = np.concatenate([starts_s, ends_s])
    order = np.argsort(edges_s, kind="stable")
    edges_s = edges_s[order]
    active_weight = np.cumsum(
        np.concatenate([weight[nonempty], -weight[nonempty]])[order]
    )
    covered_s = np.concatenate(
        [[0.0], np.cumsum(active_weight[:-1] * np.diff(edges_s))]
    )
    return Cover(edges_s, covered_s)


def _unweighted(starts_s: Floats, ends_s: Floats) -> Cover:
    """Accumulate periods of weight 1 block by block, which may go to files."""
    starts_s.sort()
    ends_s.sort()
    found = GrowingColumns({"edges_s": np.float64, "covered_s": np.float64})
    active, last_s, covered_s = 0, float(starts_s[0]), 0.0
    for begun_s, ended_s in _merged(starts_s, ends_s):
        edges_s = np.concatenate([begun_s, ended_s])
        order = np.argsort(edges_s, kind="stable")
        edges_s = edges_s[order]
        actives = active + np.cumsum(np.where(order < len(begun_s), 1, -1))
        lengths_s = np.diff(edges_s, prepend=last_s)
        grown_s = np.concatenate([[active], actives[:-1]]) * lengths_s
        # Added one by one, as if all were one block.
        sums_s = np.cumsum(np.concatenate([[covered_s], grown_s]))[1:]
        found.append({"edges_s": edges_s, "covered_s": sums_s})
        active, last_s = int(actives[-1]), float(edges_s[-1])
        covered_s = float(sums_s[-1])
    columns = found.columns()
    return Cover(columns["edges_s"], columns["covered_s"])


def _merged(starts_s: Floats, ends_s: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Divide sorted starts and ends into blocks of one span of time each."""
    begun = ended = 0
    while begun < len(starts_s) or ended < len(ends_s):
        until_s = min(
            times_s[at + _BLOCK] if at + _BLOCK < len(times_s) else np.inf
            for times_s, at in ((starts_s, begun), (ends_s, ended))
        )
        next_begun = int(np.searchsorted(starts_s, until_s, side="right"))
        next_ended = int(np.searchsorted(ends_s, until_s, side="right"))
        yield starts_s[begun:next_begun], ends_s[ended:next_ended]
        begun, ended = next_begun, next_ended


class GpuTime(NamedTuple):
    """Time loading, computing and waiting; they never overlap, and the rest is idle."""

    load: Cover
    compute: Cover
    wait: Cover


def gpu_time(rounds: RoundLog, stalls_s: Floats | None = None) -> GpuTime:
    """Split the time of the GPU by activity.

    Parameters
    ----------
    rounds
        The rounds.
    stalls_s
        Start and end of each stall, shape (n, 2), in order: a load or a batch that is
        under way does not go on, and the GPU is idle.

    Notes
    -----
    A load counts while the batch of the preceding round is not computing. A round waits
    from when it is loaded and the preceding round has ended until its batch starts,
    less the part during which the next round loads. With at most two rounds in flight,
    no other pair of rounds overlaps.
    """
    load_start_s, load_end_s = rounds.load_start_s, rounds.load_start_s + rounds.load_s
    start_s, end_s = rounds.compute_start_s, rounds.end_s
    before_start_s = _shifted(start_s, 1, -np.inf)
    before_end_s = _shifted(end_s, 1, -np.inf)
    wait_start_s = loaded_until_s(rounds)
    next_start_s = _shifted(load_start_s, -1, np.inf)
    next_end_s = _shifted(load_end_s, -1, np.inf)
    loads_s = (
        np.concatenate([load_start_s, np.maximum(load_start_s, before_end_s)]),
        np.concatenate([np.minimum(load_end_s, before_start_s), load_end_s]),
    )
    return GpuTime(
        load=cover(*_outside(*loads_s, stalls_s)),
        compute=cover(*_outside(start_s, end_s, stalls_s)),
        wait=cover(
            np.concatenate([wait_start_s, np.maximum(wait_start_s, next_end_s)]),
            np.concatenate([np.minimum(start_s, next_start_s), start_s]),
        ),
    )


def _outside(
    starts_s: Floats, ends_s: Floats, stalls_s: Floats | None
) -> tuple[Floats, Floats]:
    """Cut some periods out of others."""
    for start_s, end_s in () if stalls_s is None else stalls_s.tolist():
        cut = (starts_s < end_s) & (ends_s > start_s)
        starts_s, ends_s = (
            np.concatenate(
                [starts_s[~cut], starts_s[cut], np.maximum(starts_s[cut], end_s)]
            ),
            np.concatenate(
                [ends_s[~cut], np.minimum(ends_s[cut], start_s), ends_s[cut]]
            ),
        )
    return starts_s, ends_s


def gpu_split(rounds: RoundLog) -> tuple[float, float, float, float]:
    """Sum over a whole run: seconds loading, computing, waiting and idle.

    Split as by :func:`gpu_time`; summed round by round, so rounding is that of one sum.
    Idle is the time between a round's end and the next load.
    """
    load_start_s, load_end_s = rounds.load_start_s, rounds.load_start_s + rounds.load_s
    start_s = rounds.compute_start_s
    before_start_s = _shifted(start_s, 1, -np.inf)
    before_end_s = _shifted(rounds.end_s, 1, 0.0)
    waiting_s = wait_s(rounds)
    before_wait_s = _shifted(start_s - waiting_s, 1, -np.inf)
    return (
        math.fsum(
            rounds.load_s
            - _common_s(load_start_s, load_end_s, before_start_s, before_end_s)
        ),
        math.fsum(rounds.compute_s),
        math.fsum(
            waiting_s
            - _common_s(load_start_s, load_end_s, before_wait_s, before_start_s)
        ),
        math.fsum(np.maximum(0.0, load_start_s - before_end_s)),
    )


def wait_s(rounds: RoundLog, number: Ints | None = None) -> Floats:
    """Time that each loaded round waited for inputs after the preceding round ended.

    Of all rounds, or of those of some numbers.
    """
    if number is None:
        loaded_s = loaded_until_s(rounds)
    else:
        before_end_s = np.where(number > 0, rounds.end_s[number - 1], -np.inf)
        rounds = rounds.rows(number)
        loaded_s = np.maximum(rounds.load_start_s + rounds.load_s, before_end_s)
    waited: Floats = np.maximum(0.0, rounds.compute_start_s - loaded_s)
    return waited


def _common_s(
    start_s: Floats, end_s: Floats, other_start_s: Floats, other_end_s: Floats
) -> Floats:
    """Overlap of intervals, pair by pair."""
    common: Floats = np.minimum(end_s, other_end_s) - np.maximum(start_s, other_start_s)
    return np.maximum(0.0, common)


def loaded_until_s(rounds: RoundLog) -> Floats:
    """When each round is loaded and the preceding one has ended, shape (R,)."""
    load_end_s = rounds.load_start_s + rounds.load_s
    return np.maximum(load_end_s, _shifted(rounds.end_s, 1, -np.inf))


def _shifted(values: Floats, by: int, fill: float) -> Floats:
    """Assign each round the value of the preceding (1) or following (−1) round."""
    shifted = np.full_like(values, fill)
    if by > 0:
        shifted[1:] = values[:-1]
    else:
        shifted[:-1] = values[1:]
    return shifted
