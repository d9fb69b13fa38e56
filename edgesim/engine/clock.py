"""Time from outside: an environment that a clock drives, and what it waits for.

In a simulation the next event is the one that occurs first. With a clock, arrivals,
uploads and whatever else is known beforehand keep their times, and are handled once
the clock has got there; work of a device occurs when the device reports that it has
ended. Between events the engine sleeps on the clock, it never polls.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from heapq import heappush
from typing import NamedTuple, ParamSpec, Protocol, TypeVar

from simpy import Environment, Event
from simpy.events import NORMAL

P = ParamSpec("P")
R = TypeVar("R")


class Work(Event):
    """Work that a device has begun; occurs when it has ended.

    ``order`` is its place among the events of one moment: that of its beginning, as if
    its end had been known then.
    """

    def __init__(self, env: Environment, order: int) -> None:
        super().__init__(env)
        self.order = order


class End(NamedTuple):
    """The end of some work: when, how long it took, and what failed, if anything.

    ``took_s`` is measured by the device and lies within the time since its beginning.
    """

    work: Work
    end_s: float
    took_s: float
    error: BaseException | None = None


class Clock(Protocol):
    """A clock, which also delivers the ends of work that a device has begun.

    Attributes
    ----------
    stopped
        Whether the run is over, whatever is left to do.
    """

    stopped: bool

    def start(self) -> None:
        """Let the time be 0 now."""
        ...

    def now_s(self) -> float:
        """Return the time since the start."""
        ...

    def next_end(self, until_s: float) -> End | None:
        """Wait for the end of some work, at most until a time, which may be infinite.

        Returns
        -------
        End or None
            None if the time has come first, or the run was stopped.
        """
        ...


class ClockEnvironment(Environment):
    """An environment driven by a clock.

    Parameters
    ----------
    clock
        The clock.

    Attributes
    ----------
    working
        Number of works under way: begun, and their end not yet heard of.
    busy_s
        Time in which any work was under way.
    both_s
        Time in which two works were, a load and a batch.
    idle_s
        Time in which the clock was waited for while no work was under way.
    wall_s
        Time from the start to the end of the run.
    lateness_s
        How late the engine came to each moment that was known beforehand.
    handover_s
        How late the engine came to the end of each work, after the device's stamp.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.working = 0
        self.busy_s = self.both_s = self.idle_s = self.wall_s = 0.0
        self.lateness_s = array("d")
        self.handover_s = array("d")
        self._busy_since_s = self._both_since_s = 0.0

    def begin(self) -> Work:
        """Make the event of work that begins now."""
        if not self.working:
            self._busy_since_s = self.clock.now_s()
        else:
            self._both_since_s = self.clock.now_s()
        self.working += 1
        return Work(self, next(self._eid))

    def run_by_clock(self) -> None:
        """Handle events until there is nothing left to come, or the clock stops.

        Raises
        ------
        BaseException
            What a device has raised in its work.
        """
        clock = self.clock
        clock.start()
        while not clock.stopped:
            next_s = self.peek()
            if next_s == math.inf and not self.working:
                break
            idle, before_s = not self.working, clock.now_s()
            end = clock.next_end(next_s)
            if idle:
                self.idle_s += clock.now_s() - before_s
            if end is not None:
                self._end(end)
            elif not clock.stopped:
                if next_s > self.now and not isinstance(self._queue[0][3], Work):
                    self.lateness_s.append(clock.now_s() - next_s)
                self.step()
        self.wall_s = clock.now_s()
        if self.working:
            self.busy_s += self.wall_s - self._busy_since_s
        if self.working > 1:
            self.both_s += self.wall_s - self._both_since_s

    def _end(self, end: End) -> None:
        """Let work occur when it ended; an event handled meanwhile is not undone."""
        now_s = self.clock.now_s()
        self.working -= 1
        if not self.working:
            self.busy_s += now_s - self._busy_since_s
        else:
            self.both_s += now_s - self._both_since_s
        if end.error is not None:
            raise end.error
        work = end.work
        self.handover_s.append(now_s - end.end_s)
        work._ok, work._value = True, end.took_s
        time_s = max(self.now, end.end_s)
        # As Environment.schedule does, but at the very time and in the place reserved.
        heappush(self._queue, (time_s, NORMAL, work.order, work))


class Stopwatch:
    """Measures what a policy takes to answer.

    Parameters
    ----------
    env
        The run, with its clock.

    Attributes
    ----------
    choose_s
        Duration of each call that asks for the next round.
    other_s
        Total duration of all other calls.
    alone_s
        The part of all calls in which no work was under way: the device waited.
    """

    def __init__(self, env: ClockEnvironment) -> None:
        self.choose_s = array("d")
        self.other_s = 0.0
        self.alone_s = 0.0
        self._env = env

    @property
    def total_s(self) -> float:
        """Total duration of all calls."""
        return math.fsum(self.choose_s) + self.other_s

    def choosing(self, call: Callable[P, R]) -> Callable[P, R]:
        """Measure the calls that ask for the next round, one by one."""

        def timed(*args: P.args, **options: P.kwargs) -> R:
            before_s = self._env.clock.now_s()
            answer = call(*args, **options)
            self.choose_s.append(self._since(before_s))
            return answer

        return timed

    def other(self, call: Callable[P, R]) -> Callable[P, R]:
        """Measure other calls, in total."""

        def timed(*args: P.args, **options: P.kwargs) -> R:
            before_s = self._env.clock.now_s()
            answer = call(*args, **options)
            self.other_s += self._since(before_s)
            return answer

        return timed

    def _since(self, before_s: float) -> float:
        """Return the time since then; no call of a policy begins or ends work."""
        took_s = self._env.clock.now_s() - before_s
        if not self._env.working:
            self.alone_s += took_s
        return took_s
