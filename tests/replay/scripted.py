"""A device and a clock whose times are written down beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from edgesim.profiling.device import CpuDevice, Step


class ScriptedClock:
    """Stands still but for what it is told.

    Parameters
    ----------
    start_s
        Where it begins: no replay may take that for 0.
    """

    def __init__(self, start_s: float = 100.0) -> None:
        self.moment_s = start_s
        self.start_s = start_s
        self.waits_s: list[float] = []

    def now_s(self) -> float:
        """Return the time."""
        return self.moment_s

    def wait_until(self, moment_s: float) -> None:
        """Go on to a moment, and note what was asked for, since the start."""
        self.waits_s.append(moment_s - self.start_s)
        self.moment_s = max(self.moment_s, moment_s)


class ScriptedDevice(CpuDevice):
    """Host memory, with durations of its own.

    Parameters
    ----------
    clock
        Goes on by what steps take, and by ``idle_s`` each time the device is waited
        for.
    seconds
        What each timed step takes, in order; 0 when they are used up.
    """

    def __init__(
        self, clock: ScriptedClock, seconds: Sequence[float] = (), idle_s: float = 0.0
    ) -> None:
        super().__init__(torch.device("cpu"))
        self.clock = clock
        self.left = list(seconds)
        self.idle_s = idle_s
        self.timed_steps = 0

    def synchronise(self) -> None:
        """Take the time that being sure takes."""
        self.clock.moment_s += self.idle_s

    def timed(self, steps: Sequence[Step]) -> list[float]:
        """Run the steps and say what the script says."""
        found = []
        for step in steps:
            step()
            self.timed_steps += 1
            found.append(self.left.pop(0) if self.left else 0.0)
            self.clock.moment_s += found[-1]
        return found
