"""An online run over time: queues and shares, at a fixed step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgesim.engine.records import DROPPED, IN_TIME, Floats, Ints
from edgesim.errors import InputError
from edgesim.measures.account import Account

MOST_SAMPLES = 1_000_000
"""The longest series that is made: more rows than this are refused."""


@dataclass(frozen=True, eq=False)
class Series:
    """A run at the multiples of a step from 0 on: arrays of shape (n,).

    Step k lasts from ``time_s[k]`` until the next one, that one excluded.

    Attributes
    ----------
    step_s
        The step.
    time_s
        When.
    waiting
        Requests whose input is there and whose batch has not started, at that time.
    uploading
        Requests whose input is on its way, at that time.
    arrived
        Requests that arrive in the step.
    in_time
        Those of them that end in time, whenever that is.
    finished
        Requests whose round ends in the step.
    load_share, compute_share, wait_share, idle_share
        Shares of the step that the GPU loads, computes, waits and is idle, as the
        measures count them; they add up to 1.
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
        """``in_time`` / ``arrived``; NaN in steps in which nobody arrives."""
        ratio = np.full(len(self.arrived), np.nan)
        np.divide(self.in_time, self.arrived, out=ratio, where=self.arrived > 0)
        return ratio


def check_samples(run_s: float, step_s: float) -> None:
    """Refuse a step that gives more than ``MOST_SAMPLES`` rows.

    Raises
    ------
    InputError
        Naming the step and what is allowed.
    """
    if run_s / step_s >= MOST_SAMPLES:
        raise InputError(
            "online.sample_s",
            f"must give at most {MOST_SAMPLES} rows a run, "
            f"found {step_s:g} s for a run of {run_s:g} s",
        )


def sample_series(account: Account, step_s: float) -> Series:
    """Follow a run to its last outcome.

    Parameters
    ----------
    account
        The run.
    step_s
        Time between two rows, > 0.

    Raises
    ------
    InputError
        When there would be more than ``MOST_SAMPLES`` rows.

    Notes
    -----
    O(n log n) in requests, rounds and rows.
    """
    check_samples(account.last_s, step_s)
    rows = int(account.last_s / step_s) + 1
    edges_s: Floats = np.arange(rows + 1, dtype=np.float64) * step_s
    time_s = edges_s[:-1]
    requests = account.run.requests
    waiting_from_s, waiting_to_s = account.waiting_s
    uploaded = ~np.isnan(requests.upload_end_s)
    upload_left_s = np.where(uploaded, requests.upload_end_s, requests.end_s)
    shares = [np.diff(kind.up_to(edges_s)) / step_s for kind in account.gpu]
    load, compute, wait = shares
    return Series(
        step_s=step_s,
        time_s=time_s,
        waiting=_there(waiting_from_s, waiting_to_s, time_s),
        uploading=_there(requests.arrival_s, upload_left_s, time_s),
        arrived=_in_steps(requests.arrival_s, edges_s),
        in_time=_in_steps(requests.arrival_s[requests.outcome == IN_TIME], edges_s),
        finished=_in_steps(requests.end_s[requests.outcome < DROPPED], edges_s),
        load_share=load,
        compute_share=compute,
        wait_share=wait,
        # Rounding may leave less than nothing.
        idle_share=np.maximum(0.0, 1.0 - load - compute - wait),
    )


def _there(starts_s: Floats, ends_s: Floats, at_s: Floats) -> Ints:
    """How many have begun by some times, those moments included, and not ended."""
    begun = np.searchsorted(np.sort(starts_s), at_s, side="right")
    ended = np.searchsorted(np.sort(ends_s), at_s, side="right")
    return np.subtract(begun, ended, dtype=np.int64)


def _in_steps(times_s: Floats, edges_s: Floats) -> Ints:
    """How many of some times lie in each step."""
    before = np.searchsorted(np.sort(times_s), edges_s, side="left")
    return np.diff(before).astype(np.int64)
