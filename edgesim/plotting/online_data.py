"""Plot data of an online run: small, so that the run need not be kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgesim.engine.records import DROPPED, Floats, Ints
from edgesim.measures.account import Account
from edgesim.measures.measure import Measures
from edgesim.measures.series import Series

# 200 points per decade: the horizontal error of a curve is at most 1.2 %.
LATENCY_GRID_S: Floats = np.geomspace(1e-6, 1e7, 13 * 200 + 1)
# With more, the curves of ten policies are an unreadable tangle of noise.
_MOST_STEPS = 40


@dataclass(frozen=True, eq=False)
class Drawn:
    """Data of one run that the figures show.

    Attributes
    ----------
    measures
        Its measures over the span.
    step_s
        Length of a step.
    arrived, in_time
        Requests that arrive in each step, from step 0, and those of them that end in
        time, shape (n,).
    latency_share
        Share of the span's requests that finish within each latency of
        ``LATENCY_GRID_S``.
    deadlines_s
        Shortest and longest time from arrival to deadline of these requests; None
        without any.
    """

    measures: Measures
    step_s: float
    arrived: Ints
    in_time: Ints
    latency_share: Floats
    deadlines_s: tuple[float, float] | None


def keep_for_plots(
    account: Account,
    measures: Measures,
    series: Series,
    span_s: tuple[float, float],
) -> Drawn:
    """Extract the data of a run that the figures need.

    Parameters
    ----------
    account
        The run.
    measures
        Its measures over the span.
    series
        The run over time.
    span_s
        Start and end of the arrivals that are measured, the end excluded.
    """
    requests = account.run.requests
    first, last = np.searchsorted(requests.arrival_s, span_s).tolist()
    finished = requests.outcome[first:last] < DROPPED
    latency_s = (requests.end_s[first:last] - requests.arrival_s[first:last])[finished]
    within = np.searchsorted(np.sort(latency_s), LATENCY_GRID_S, side="right")
    allowed_s = requests.deadline_s[first:last] - requests.arrival_s[first:last]
    # Policies end at different times, but have the same arrivals.
    steps = max(1, math.ceil(math.nextafter(span_s[1], 0) / series.step_s))
    if series.arrived[steps : steps + 1].any():
        steps += 1
    together = math.ceil(steps / _MOST_STEPS)
    return Drawn(
        measures=measures,
        step_s=series.step_s * together,
        arrived=_summed(series.arrived[:steps], together),
        in_time=_summed(series.in_time[:steps], together),
        latency_share=within / max(1, last - first),
        deadlines_s=(float(allowed_s.min()), float(allowed_s.max()))
        if len(allowed_s)
        else None,
    )


def _summed(counts: Ints, together: int) -> Ints:
    return np.add.reduceat(counts, np.arange(0, len(counts), together), dtype=np.int64)
