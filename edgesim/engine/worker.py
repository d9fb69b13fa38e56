"""The wall clock, and the thread that works a device and reports to it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import TypeAlias

from edgesim.engine.clock import End, Work

Job: TypeAlias = Callable[[], float]
"""Does some work and returns its duration in seconds, as measured by the device."""

_LONGEST_WAIT_S = 3600.0
"""Longer waits are made of several: systems refuse very long ones."""


class WallClock:
    """The system's monotonic clock, with a queue that receives the ends of work.

    Parameters
    ----------
    limit_s
        When the run is over, whatever is left to do.

    Attributes
    ----------
    stopped
        Whether :meth:`stop` was called, or the limit has passed.
    """

    def __init__(self, limit_s: float = math.inf) -> None:
        self.stopped = False
        self._limit_s = limit_s
        self._origin_s = time.perf_counter()
        self._ends: SimpleQueue[End | None] = SimpleQueue()

    def start(self) -> None:
        """Let the time be 0 now."""
        self._origin_s = time.perf_counter()

    def now_s(self) -> float:
        """Return the time since the start; resolution below 1 µs."""
        return time.perf_counter() - self._origin_s

    def report(self, end: End) -> None:
        """Report an end, from any thread."""
        self._ends.put(end)

    def stop(self) -> None:
        """End the run soon, from any thread or a handler of signals."""
        self._ends.put(None)

    def next_end(self, until_s: float) -> End | None:
        """Sleep until an end is reported, the time has come, or the run is over."""
        while True:
            left_s = min(until_s, self._limit_s) - self.now_s()
            try:
                if left_s > 0:
                    end = self._ends.get(timeout=min(left_s, _LONGEST_WAIT_S))
                else:
                    end = self._ends.get_nowait()
            except Empty:
                now_s = self.now_s()
                self.stopped |= now_s >= self._limit_s
                if self.stopped or now_s >= until_s:
                    return None
                continue
            self.stopped |= end is None
            return end


class Worker:
    """A thread that does one job after another, and reports each end to a clock.

    Parameters
    ----------
    clock
        Stamps the ends.
    prepare
        Called by the thread before anything else; waited for.

    Raises
    ------
    BaseException
        What ``prepare`` raises.
    """

    def __init__(
        self, clock: WallClock, prepare: Callable[[], None] = lambda: None
    ) -> None:
        self._clock = clock
        self._prepare = prepare
        self._jobs: SimpleQueue[tuple[Work, Job] | None] = SimpleQueue()
        self._prepared = SimpleQueue[BaseException | None]()
        self._thread = Thread(target=self._work, name="edgesim-device", daemon=True)
        self._thread.start()
        try:
            failed = self._prepared.get()
        except BaseException:  # an interrupt: the thread is not to wait for jobs
            self._jobs.put(None)
            raise
        if failed is not None:
            raise failed

    def begin(self, work: Work, job: Job) -> None:
        """Begin a job once those before it have ended."""
        self._jobs.put((work, job))

    def close(self) -> None:
        """End the thread, after the job in hand."""
        self._jobs.put(None)
        self._thread.join()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _work(self) -> None:
        try:
            self._prepare()
        except BaseException as error:
            self._prepared.put(error)  # raised where the thread was made
            return
        self._prepared.put(None)
        while (found := self._jobs.get()) is not None:
            work, job = found
            took_s, failed = 0.0, None
            try:
                took_s = job()
            except BaseException as error:
                failed = error  # raised where the end is heard of
            self._clock.report(End(work, self._clock.now_s(), took_s, failed))
