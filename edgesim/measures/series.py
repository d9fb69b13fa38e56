"""An online run over time: queue lengths and shares at a fixed step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgesim.engine.records import DROPPED, IN_TIME, Floats, Ints, RequestLog
from edgesim.errors import InputError
from edgesim.measures.account import Account

MOST_SAMPLES = 1_000_000
"""Length limit of a series: more rows than this are refused."""


@dataclass(frozen=True, eq=False)
class Series:
    """A run sampled at multiples of a step from 0: arrays of shape (n,).

    Step k lasts from ``time_s[k]`` until the next one, exclusive.

    Attributes
    ----------
    step_s
        Length of a step.
    time_s
        Start of each step.
    waiting
        Requests whose input has arrived and whose batch has not started, at that time.
    uploading
        Requests whose input is being uploaded, at that time.
    arrived
        Requests that arrive in the step.
    in_time
        Those of them that end in time, whenever that is.
    finished
        Requests whose round ends in the step.
    load_share, compute_share, wait_share, idle_share
        Shares of the step in which the GPU loads, computes, waits and is idle, as
        defined for the measures; they add up to 1.
    """

    step_s: float
    time_s: Floats
    waiting: Ints
    uploading: Ints
    arrived: Ints
    in_time: Ints
    finished: Ints
    load_share: Floats
    compute_share: Floats
    wait_share: Floats
    idle_share: Floats

    @property
    def on_time_ratio(self) -> Floats:
        """``in_time`` / ``arrived``; NaN in steps without arrivals."""
        ratio = np.full(len(self.arrived), np.nan)
        np.divide(self.in_time, self.arrived, out=ratio, where=self.arrived > 0)
        return ratio


def check_samples(run_s: float, step_s: float) -> None:
    """Refuse a step that results in more than ``MOST_SAMPLES`` rows.

    Raises
    ------
    InputError
        Naming the step and the limit.
    """
    if run_s / step_s >= MOST_SAMPLES:
        raise InputError(
            "online.sample_s",
            f"must give at most {MOST_SAMPLES} rows a run, "
            f"found {step_s:g} s for a run of {run_s:g} s",
        )


def sample_series(account: Account, step_s: float) -> Series:
    """Sample a run until its last outcome.

    Parameters
    ----------
    account
        The run.
    step_s
        Time between two rows, > 0.

    Raises
    ------
    InputError
        If there would be more than ``MOST_SAMPLES`` rows.

    Notes
    -----
    O(n log n) in requests, rounds and rows.
    """
    check_samples(account.last_s, step_s)
    rows = int(account.last_s / step_s) + 1
    edges_s: Floats = np.arange(rows + 1, dtype=np.float64) * step_s
    time_s = edges_s[:-1]
    requests = account.run.requests
    shares = [np.diff(kind.up_to(edges_s)) / step_s for kind in account.gpu]
    load, compute, wait = shares
    return Series(
        step_s=step_s,
        time_s=time_s,
        waiting=_count_active(*account.waiting_s, time_s),
        uploading=_count_active(requests.arrival_s, _upload_left_s(requests), time_s),
        arrived=_in_steps(requests.arrival_s, edges_s),
        in_time=_in_steps(requests.arrival_s[requests.outcome == IN_TIME], edges_s),
        finished=_in_steps(requests.end_s[requests.outcome < DROPPED], edges_s),
        load_share=load,
        compute_share=compute,
        wait_share=wait,
        # Rounding may leave a negative remainder.
        idle_share=np.maximum(0.0, 1.0 - load - compute - wait),
    )


def _upload_left_s(requests: RequestLog) -> Floats:
    """When each request's upload ended, or it was dropped before."""
    uploaded = ~np.isnan(requests.upload_end_s)
    return np.where(uploaded, requests.upload_end_s, requests.end_s)


def _count_active(starts_s: Floats, ends_s: Floats, at_s: Floats) -> Ints:
    """Count intervals that have begun by the given times, inclusive, and not ended."""
    begun = np.searchsorted(np.sort(starts_s), at_s, side="right")
    ended = np.searchsorted(np.sort(ends_s), at_s, side="right")
    return np.subtract(begun, ended, dtype=np.int64)


def _in_steps(times_s: Floats, edges_s: Floats) -> Ints:
    """Count the times that lie in each step."""
    before = np.searchsorted(np.sort(times_s), edges_s, side="left")
    return np.diff(before).astype(np.int64)
