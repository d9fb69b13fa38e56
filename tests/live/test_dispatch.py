"""What it takes to hand work to the device's thread."""

from __future__ import annotations

import threading

from edgesim.live.dispatch import measure_dispatch


def test_dispatch_takes_time_and_leaves_no_thread() -> None:
    """A median above 0."""
    before = threading.active_count()
    assert measure_dispatch(20) > 0
    assert threading.active_count() == before
