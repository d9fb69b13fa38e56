"""Signed errors of simulated against measured times, summarised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np


@dataclass(frozen=True)
class Errors:
    """Signed errors, and percentiles of their magnitude, linearly interpolated.

    In seconds, or as ratios to the simulated time.
    """

    mean: float
    p50: float
    p90: float
    p99: float
    size_p90: float
    size_p99: float


def errors(values: Sequence[float]) -> Errors:
    """Summarise at least one signed error."""
    signed = np.percentile(values, [50, 90, 99]).tolist()
    size = np.percentile(np.abs(values), [90, 99]).tolist()
    return Errors(fmean(values), *signed, *size)
