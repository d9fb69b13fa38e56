"""What it takes to hand work to the device's thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest
import torch

from edgesim.live.device import PoolDevice, pool_bytes
from edgesim.live.dispatch import measure_dispatch
from edgesim.profiling.device import CpuDevice, Step
from solvers.core.tables import Tables
from tests.live import cases

SLOW_S = 0.004


class SlowlyStarted(CpuDevice):
    """Takes 4 ms to begin work, which the work's own duration does not hold."""

    def timed(self, steps: Sequence[Step]) -> list[float]:
        """Sleep, and time as usual."""
        time.sleep(SLOW_S)
        return super().timed(steps)


def _measured(device: CpuDevice, overhead_s: float = 0.0) -> float:
    tables = Tables(cases.problem())
    buffer = torch.zeros(pool_bytes(tables), dtype=torch.uint8)
    pool = PoolDevice(cases.stage(tables.problem), device, tables, buffer)
    found_s = measure_dispatch(pool, tables, lambda: None, overhead_s)
    assert pool.copied_bytes == 0  # as before a run
    assert list(pool.pool) == []
    return found_s


def test_dispatch_is_what_work_takes_beyond_itself() -> None:
    """All that lies between beginning and end but is no load and no batch."""
    before = threading.active_count()
    none_s = _measured(cases.cpu())
    assert 0 < none_s < SLOW_S
    slow_s = _measured(SlowlyStarted(torch.device("cpu")))
    assert SLOW_S < slow_s < 2 * SLOW_S
    assert threading.active_count() == before


def test_what_the_profile_adds_is_not_counted_twice() -> None:
    """To batches only, so that half of it is taken from the mean; never below 0."""
    slow = SlowlyStarted(torch.device("cpu"))
    assert _measured(slow, SLOW_S) == pytest.approx(
        _measured(slow) - SLOW_S / 2, abs=1e-3
    )
    assert _measured(cases.cpu(), 1.0) == 0.0


def test_a_failure_on_the_device_is_heard_of() -> None:
    """Not waited for without end."""

    class Broken(CpuDevice):
        def timed(self, steps: Sequence[Step]) -> list[float]:
            raise RuntimeError("the device is gone")

    with pytest.raises(RuntimeError, match="the device is gone"):
        _measured(Broken(torch.device("cpu")))
