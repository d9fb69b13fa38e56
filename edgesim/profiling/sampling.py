"""Repeated timing of the same steps, and the statistics kept of the samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgesim.profile.values import Timing
from edgesim.profiling.device import Device, Step

WARM_UP = 3
"""Passes before samples count; only one if a single pass takes all of the time."""

COLD_WARM_UP = 1
"""Warm-up for passes that start with cold files, where nothing gets warm."""

LEAST_REPEATS = 3
DECILES_FROM = 10
"""With fewer samples than this, a timing holds only the median."""

CLOCK_DIGITS = 9
"""Timings are in whole nanoseconds: no device's clock is finer."""


@dataclass(frozen=True)
class Sampling:
    """How often each quantity is measured.

    Parameters
    ----------
    repeats
        Passes after warm-up.
    seconds
        No new pass starts once this much time was measured, provided there are at least
        :data:`LEAST_REPEATS` passes.
    """

    repeats: int = 30
    seconds: float = 2.0

    def passes(self, pass_s: float) -> int:
        """Predict the number of passes, including warm-up."""
        if pass_s <= 0:
            return self.repeats + WARM_UP
        enough = max(LEAST_REPEATS, math.ceil(self.seconds / pass_s))
        return min(self.repeats, enough) + (1 if pass_s > self.seconds else WARM_UP)


def sample(
    device: Device,
    steps: Sequence[Step],
    sampling: Sampling,
    before: Callable[[], None] | None = None,
    warm_up: int = WARM_UP,
) -> list[Timing]:
    """Time steps over repeated passes; each pass runs all of them in order.

    Parameters
    ----------
    device
        The device whose clock is used.
    steps
        The steps to time, each separately.
    sampling
        The number of passes.
    before
        Called before each pass, outside the timed part.
    warm_up
        Passes before samples count.

    Returns
    -------
    list of Timing
        One per step: median, and 10th and 90th percentile (linear between samples) of
        :data:`DECILES_FROM` samples or more, in whole nanoseconds.
    """

    def once() -> list[float]:
        if before is not None:
            before()
        return device.timed(steps)

    for _ in range(warm_up):
        if sum(once()) > sampling.seconds:
            break
    samples: list[list[float]] = []
    spent_s = 0.0
    while len(samples) < sampling.repeats and (
        spent_s < sampling.seconds or len(samples) < LEAST_REPEATS
    ):
        samples.append(once())
        spent_s += sum(samples[-1])
    return [timing(column) for column in zip(*samples, strict=True)]


def timing(seconds: Sequence[float]) -> Timing:
    """Summarise samples, in seconds."""
    low, median, high = (
        round(float(value), CLOCK_DIGITS)
        for value in np.percentile(seconds, (10, 50, 90))
    )
    if len(seconds) < DECILES_FROM:
        return Timing(median_s=median)
    return Timing(median_s=median, p10_s=low, p90_s=high)
