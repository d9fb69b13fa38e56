"""What a round takes beyond its load and its batch."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgesim.profiling import empty_round
from edgesim.profiling.device import Step
from edgesim.profiling.devices import open_device
from edgesim.profiling.empty_round import measure_empty_round
from edgesim.profiling.sampling import Sampling
from tests.profiling.scripted import ScriptedDevice


class Slow(ScriptedDevice):
    """Takes 5 ms of the host's clock a call, of which it says that 4 were the step's.

    Parameters
    ----------
    clock
        In seconds; goes on by what the device does.
    """

    def __init__(self, clock: list[float]) -> None:
        super().__init__(lambda call, steps: [4e-3] * steps)
        self.clock = clock

    def timed(self, steps: Sequence[Step]) -> list[float]:
        """Let 5 ms pass."""
        self.clock[0] += 5e-3
        return super().timed(steps)

    def synchronise(self) -> None:
        """Let 0.25 ms pass."""
        self.clock[0] += 0.25e-3


def test_an_empty_round_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load and a batch leave 1 ms each, and waiting once takes a quarter: 2.25 ms."""
    clock = [100.0]
    monkeypatch.setattr(empty_round.time, "perf_counter", lambda: clock[0])
    found = measure_empty_round(Slow(clock), Sampling(10))
    assert found.median_s == pytest.approx(2.25e-3)
    assert found.p10_s == pytest.approx(2.25e-3)


def test_a_real_round_takes_something() -> None:
    """On the CPU: more than nothing, and less than a tenth of a second."""
    found = measure_empty_round(open_device("cpu"), Sampling(10))
    assert 0 < found.median_s < 0.1
