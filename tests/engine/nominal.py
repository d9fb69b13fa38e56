"""A clock that steps to the next event, and devices that take nominal times."""

from __future__ import annotations

import time
from dataclasses import fields
from heapq import heappop, heappush

import numpy as np

from edgesim.engine.clock import ClockEnvironment, End, Work
from edgesim.engine.faults import Faults
from edgesim.engine.records import Run
from edgesim.engine.worker import Worker


class NominalClock:
    """Goes on to whatever comes next, and stands still while the engine works."""

    def __init__(self) -> None:
        self.stopped = False
        self.ends: list[tuple[float, int, Work, float]] = []
        self._now_s = -1.0

    def start(self) -> None:
        """Begin at 0."""
        self._now_s = 0.0

    def now_s(self) -> float:
        """Return where it stands."""
        return self._now_s

    def next_end(self, until_s: float) -> End | None:
        """Step to the next end, or to the time if that comes first."""
        if self.ends and self.ends[0][0] <= until_s:
            end_s, _, work, took_s = heappop(self.ends)
            self._now_s = max(self._now_s, end_s)
            return End(work, end_s, took_s)
        self._now_s = max(self._now_s, until_s)
        return None


class NominalDevice:
    """Reports to the clock that each load and batch took its nominal time."""

    def __init__(self, env: ClockEnvironment, clock: NominalClock) -> None:
        self.env, self.clock = env, clock

    def load(self, number: int, model: int, nominal_s: float) -> Work | None:
        """Begin to load, unless that takes no time."""
        return self._begin(nominal_s) if nominal_s else None

    def compute(self, number: int, model: int, batch: int, nominal_s: float) -> Work:
        """Begin to compute."""
        return self._begin(nominal_s)

    def _begin(self, nominal_s: float) -> Work:
        work = self.env.begin()
        # To the last bit what the simulated device makes of it.
        took_s = Faults().gpu_s(self.env.now, nominal_s)
        end_s = self.env.now + took_s
        heappush(self.clock.ends, (end_s, work.order, work, took_s))
        return work


class SleepingDevice:
    """Sleeps the nominal time of each load and batch, on the worker's thread."""

    def __init__(self, env: ClockEnvironment, worker: Worker) -> None:
        self.env, self.worker = env, worker

    def load(self, number: int, model: int, nominal_s: float) -> Work | None:
        """Sleep as long as a load takes."""
        return self._begin(nominal_s) if nominal_s else None

    def compute(self, number: int, model: int, batch: int, nominal_s: float) -> Work:
        """Sleep as long as a batch takes."""
        return self._begin(nominal_s)

    def _begin(self, nominal_s: float) -> Work:
        def job() -> float:
            before_s = time.perf_counter()
            time.sleep(nominal_s)
            return time.perf_counter() - before_s

        work = self.env.begin()
        self.worker.begin(work, job)
        return work


def assert_same(one: Run, other: Run) -> None:
    """Check that two runs are the same event for event, to the last bit."""
    assert one.reasons == other.reasons
    assert np.array_equal(one.busy_s, other.busy_s)
    for records in ("requests", "rounds", "bands"):
        ours, theirs = getattr(one, records), getattr(other, records)
        for column in fields(ours):
            a, b = getattr(ours, column.name), getattr(theirs, column.name)
            equal = np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
            assert equal, (records, column.name)
