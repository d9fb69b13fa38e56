"""Means of independent values with Student's confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev


def mean_interval(
    values: Sequence[float], level: float = 0.95
) -> tuple[float, float | None]:
    """Return the mean of independent repeats and the half-width of its interval.

    Confidence interval by Student's t: half-width = t · s / √n with n − 1 degrees of
    freedom.

    Parameters
    ----------
    values
        One value per repeat, at least one.
    level
        Confidence level, between 0 and 1.

    Returns
    -------
    tuple of float and (float or None)
        None for a single value: one repeat gives no information on the spread.

    Raises
    ------
    ValueError
        Without values.
    """
    if not values:
        raise ValueError("a mean needs at least one value, found none")
    mean = fmean(values)
    if len(values) == 1:
        return mean, None
    t = student_t(level, len(values) - 1)
    return mean, t * stdev(values) / math.sqrt(len(values))


def student_t(level: float, df: int) -> float:
    """Two-sided critical value of Student's t, which |t| exceeds with 1 − ``level``.

    Up to 1,000 degrees of freedom the finite sums of Abramowitz and Stegun, 26.7.3 and
    26.7.4, are inverted by bisection; above, their expansion 26.7.5 in 1/df is used,
    whose error is then below 1e-9. O(df).

    Parameters
    ----------
    level
        The probability, between 0 and 1.
    df
        Degrees of freedom, ≥ 1.
    """
    if not 0 < level < 1 or df < 1:
        raise ValueError(
            f"level must be between 0 and 1 and df at least 1, found {level!r}, {df!r}"
        )
    if df > 1000:
        return _expansion(NormalDist().inv_cdf((1 + level) / 2), df)
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        if _inside(middle, df) < level:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(df)


def _inside(angle: float, df: int) -> float:
    """Probability that |t| ≤ √df · tan(angle)."""
    odd = df % 2
    cosine = math.cos(angle)
    term = (cosine if odd else 1.0) * math.sin(angle) if df > 1 else 0.0
    total = term
    for k in range(2 + odd, df - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return (angle + total) * 2 / math.pi if odd else total


def _expansion(z: float, df: int) -> float:
    return (
        z
        + (z**3 + z) / (4 * df)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * df**3)
    )
