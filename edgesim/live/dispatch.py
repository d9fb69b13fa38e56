"""What it takes to hand work to the device's thread and to hear of its end."""

from __future__ import annotations

import math
import statistics

from edgesim.engine.clock import ClockEnvironment
from edgesim.engine.worker import WallClock, Worker

REPEATS = 200
"""Jobs that do nothing, of which the median counts."""


def measure_dispatch(repeats: int = REPEATS) -> float:
    """Measure the time of a job that does nothing, in seconds: the median of some."""
    clock = WallClock()
    env = ClockEnvironment(clock)
    found = []
    with Worker(clock) as worker:
        for _ in range(repeats):
            before_s = clock.now_s()
            worker.begin(env.begin(), lambda: 0.0)
            clock.next_end(math.inf)
            found.append(clock.now_s() - before_s)
    return statistics.median(found)
