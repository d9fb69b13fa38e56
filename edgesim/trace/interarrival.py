"""Interarrival times: fit a model's burstiness, and draw arrivals of that burstiness.

The formulas and their source are given in :func:`edgesim.trace.scale.scaled`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Shapes of gamma distributions: a coefficient of variation from 1000 down to 1e-6.
_SHAPES = (1e-6, 1e12)


def within(part: Floats, span_s: tuple[float, float]) -> Floats:
    """Map fractions of a span to times before its end.

    Parameters
    ----------
    part
        Fractions in [0, 1), shape (n,).
    span_s
        Start and end of the span.
    """
    low_s, high_s = span_s
    times_s: Floats = low_s + (high_s - low_s) * part
    return np.minimum(times_s, max(low_s, np.nextafter(high_s, low_s)))


def gamma_shapes(
    model: NDArray[Any], times_s: Floats, span_s: tuple[float, float]
) -> tuple[NDArray[Any], Floats]:
    """Fit a gamma process to the arrivals of each model. O(n log n).

    Parameters
    ----------
    model, times_s
        Model and time of each arrival, in order of time, shape (n,).
    span_s
        The interval in which the arrivals were observed.

    Returns
    -------
    models, shapes
        Each model's number, ascending, and the shape of its interarrival times.
    """
    order = np.argsort(model, kind="stable")
    models, first, count = np.unique(
        model[order], return_index=True, return_counts=True
    )
    length_s = span_s[1] - span_s[0]
    if not length_s:
        return models, np.ones(len(models))
    sorted_s = times_s[order] / length_s
    gaps = np.empty_like(sorted_s)
    gaps[:-1] = sorted_s[1:] - sorted_s[:-1]
    last = first + count - 1
    gaps[last] = sorted_s[first] + 1 - sorted_s[last]
    squared_cv = count * np.add.reduceat(gaps**2, first) - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        shapes = ((count - 1) / np.maximum(squared_cv, 0) - 1) / count
    return models, np.clip(np.where(count > 1, shapes, 1.0), *_SHAPES)


def redrawn(
    model: NDArray[Any],
    fitted: tuple[NDArray[Any], Floats],
    cv: float,
    span_s: tuple[float, float],
    rng: np.random.Generator,
) -> Floats:
    """Draw a time for each row: gamma-distributed gaps on a circle. O(n log n).

    Parameters
    ----------
    model
        Model of each row, shape (n,). Rows of a model are assigned their times in
        order.
    fitted
        From :func:`gamma_shapes`, covering all models.
    cv
        Factor on the fitted coefficient of variation.
    span_s
        The interval.
    rng
        Draws the gaps and their starting point.
    """
    times_s = np.empty(len(model))
    order = np.argsort(model, kind="stable")
    models, first, group = np.unique(
        model[order], return_index=True, return_inverse=True
    )
    if not len(models):
        return times_s
    shapes = np.clip(fitted[1] / cv**2, *_SHAPES)[np.searchsorted(fitted[0], models)]
    shape = shapes[group]
    # In logarithms, with G(k) drawn as G(k + 1) · U^(1/k): small shapes underflow.
    log_gap = np.log(rng.standard_gamma(shape + 1))
    log_gap += np.log(1 - rng.random(len(shape))) / shape
    gap = np.exp(log_gap - np.maximum.reduceat(log_gap, first)[group])
    gap /= np.add.reduceat(gap, first)[group]
    covered = np.cumsum(gap)
    covered -= (covered[first] - gap[first])[group]
    part = (covered + rng.random(len(models))[group]) % 1
    # Sorted by model and then by time, so rows of a model keep their order.
    part = part[np.lexsort((part, group))]
    times_s[order] = within(part, span_s)
    return times_s
