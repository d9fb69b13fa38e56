"""Statistics of signed errors, by hand."""

from __future__ import annotations

import pytest

from edgesim.measures.errors import errors


def test_percentiles_by_hand() -> None:
    """Of -4, -3, …, 6: order statistics 0 to 10, linear between them.

    p90 is the one at 9, p99 at 9.9. Sizes 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6: p90 is 5,
    p99 5.9.
    """
    found = errors([float(v) for v in range(-4, 7)])
    assert found.mean == 1.0
    assert found.p50 == 1.0
    assert found.p90 == 5.0
    assert found.p99 == pytest.approx(5.9)
    assert found.size_p90 == 5.0
    assert found.size_p99 == pytest.approx(5.9)


def test_a_negative_error_keeps_its_sign_and_its_size() -> None:
    """Of -2 alone: every signed number is -2, every size 2."""
    found = errors([-2.0])
    assert (found.mean, found.p50, found.p90, found.p99) == (-2, -2, -2, -2)
    assert (found.size_p90, found.size_p99) == (2, 2)
