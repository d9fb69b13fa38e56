"""The overhead of a round beyond its load and its batch."""

from __future__ import annotations

import time

import torch

from edgesim.profile.values import Timing
from edgesim.profiling.device import Device
from edgesim.profiling.sampling import Sampling, timing

_BYTES = 4096
_LOOP = 20


def measure_empty_round(device: Device, sampling: Sampling) -> Timing:
    """Time rounds of one tiny copy and one tiny computation, less these two.

    The remainder is launching work on the device, waiting for it and reading its clock,
    once for the load and once for the batch, as in a replay; a plan adds it to every
    round. Rounds are timed in loops of :data:`_LOOP` by the host's clock.

    Parameters
    ----------
    device
        Where rounds run.
    sampling
        The number of loops, equal to its repeats.
    """
    tier = device.tiers[0]
    host = device.host_buffer(_BYTES, tier)
    target, numbers = device.device_buffer(_BYTES), device.device_buffer(_BYTES)

    def load() -> None:
        target.copy_(host, non_blocking=True)

    def compute() -> None:
        torch.add(numbers, 1, out=numbers)

    def rounds() -> float:
        inside_s = 0.0
        start_s = time.perf_counter()
        for _ in range(_LOOP):
            inside_s += device.timed([load])[0]
            inside_s += device.timed([compute])[0]
            device.synchronise()
        return (time.perf_counter() - start_s - inside_s) / _LOOP

    device.wake()
    rounds()
    return timing([max(0.0, rounds()) for _ in range(sampling.repeats)])
