"""How bursty arrivals are, and what is drawn in their place."""

from __future__ import annotations

import numpy as np
import pytest

from edgesim.trace.interarrival import gamma_shapes, redrawn, within


def test_gamma_shape_by_hand() -> None:
    """Two arrivals, gaps 1/4 and 3/4: v² = 2 (1/16 + 9/16) − 1 = 1/4, k = 3/2.

    Four equal gaps have v² = 0 and the largest shape there is; four arrivals at once
    v² = 3 and the smallest; a single one counts as Poisson, k = 1.
    """
    model = np.array([5, 5, 7, 7, 7, 7, 8, 8, 8, 8, 9])
    times_s = np.array([25.0, 50.0, 0, 25, 50, 75, 30, 30, 30, 30, 60])
    models, shapes = gamma_shapes(model, times_s, (0.0, 100.0))
    assert models.tolist() == [5, 7, 8, 9]
    assert shapes == pytest.approx([1.5, 1e12, 1e-6, 1.0])


def test_equal_gaps_are_drawn_as_equal_gaps() -> None:
    """The largest shape there is leaves chance nothing but where the gaps begin."""
    model = np.repeat([2, 4], [5, 10])
    fitted = np.array([2, 3, 4]), np.array([1e12, 1.0, 1e12])
    rng = np.random.default_rng(1)
    times_s = redrawn(model, fitted, 1.0, (20.0, 30.0), rng)
    assert np.diff(times_s[:5]) == pytest.approx(2.0, abs=1e-4)
    assert np.diff(times_s[5:]) == pytest.approx(1.0, abs=1e-4)
    assert times_s.min() >= 20.0
    assert times_s.max() < 30.0


def test_parts_of_a_span_lie_before_its_end() -> None:
    """Even where the sum rounds to the end; a span without length is its start."""
    parts = np.array([0.0, 0.5, np.nextafter(1.0, 0.0)])
    assert within(parts, (1e6, 1e6 + 1)).max() < 1e6 + 1
    assert within(parts, (0.0, 8.0)).tolist()[:2] == [0.0, 4.0]
    assert within(parts, (3.0, 3.0)).tolist() == [3.0] * 3
