"""A device whose clock says what a test wrote down."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from edgesim.profile.values import Tier
from edgesim.profiling.device import CpuDevice, Step
from edgesim.profiling.hardware import Facts


class ScriptedDevice(CpuDevice):
    """Runs steps for real and returns scripted seconds.

    Parameters
    ----------
    seconds
        Given the number of the call (0, 1, …) and of steps in it, the seconds of each
        step.
    tiers
        What the device claims to have; pinned memory is ordinary here.
    """

    def __init__(
        self,
        seconds: Callable[[int, int], Sequence[float]],
        tiers: tuple[Tier, ...] = ("pinned", "pageable", "disk"),
    ) -> None:
        super().__init__(torch.device("cpu"))
        self.tiers = tiers
        self.calls = 0
        self._seconds = seconds

    def host_buffer(self, size: int, tier: Tier) -> torch.Tensor:
        """Make ordinary memory, whatever is asked."""
        return torch.zeros(size, dtype=torch.uint8)

    def timed(self, steps: Sequence[Step]) -> list[float]:
        """Run the steps; tell the script's seconds."""
        for step in steps:
            step()
        seconds = list(self._seconds(self.calls, len(steps)))
        assert len(seconds) == len(steps)
        self.calls += 1
        return seconds

    def facts(self) -> Facts:
        """Name a device that nobody has."""
        return Facts("scripted", "none", {"torch": "0"})
