"""What it takes to hand work to the device's thread and to hear of its end."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean, median

from edgesim.engine.clock import ClockEnvironment
from edgesim.engine.memory import GpuMemory
from edgesim.engine.worker import WallClock, Worker
from edgesim.live.device import PoolDevice
from solvers.core.tables import Tables

ROUNDS = 64
"""Most rounds to be timed: each loads a model, if it is missing, and runs a batch."""

LEAST = 8
"""Fewest rounds, however long they take."""

LONGEST_S = 5.0
"""No further round begins after this time."""


def measure_dispatch(
    pool: PoolDevice,
    tables: Tables,
    prepare: Callable[[], None],
    overhead_s: float = 0.0,
) -> float:
    """Measure what loads and batches take beyond themselves, in seconds.

    The library's models are run one after another, a batch of one each, on the device
    of a live run and by its thread, with nothing else to do. What each load and each
    batch takes beyond itself lies between its beginning and its end being heard of.

    Parameters
    ----------
    pool, tables
        The device, and the library and the GPU.
    prepare
        Prepares the device's thread.
    overhead_s
        What the profile adds to each batch for that, which is not counted again.

    Returns
    -------
    float
        The mean of the medians of loads and batches, at least 0; 0 if no model fits.
    """
    clock = WallClock()
    env = ClockEnvironment(clock)
    memory = GpuMemory(tables)
    models = [model for model, most in enumerate(memory.most) if most]
    beyond: dict[str, list[float]] = {"loads": [], "batches": []}
    with Worker(clock, prepare) as worker:
        pool.connect(env, worker, memory)
        began_s = clock.now_s()
        for number in range(ROUNDS if models else 0):
            if number >= LEAST and clock.now_s() - began_s > LONGEST_S:
                break
            model = models[number % len(models)]
            memory.enter(model, 1)
            before_s = clock.now_s()
            load = pool.load(number, model, 0.0)
            if load is not None:
                beyond["loads"].append(_beyond(clock, before_s))
            before_s = clock.now_s()
            pool.compute(number, model, 1, 0.0)
            beyond["batches"].append(_beyond(clock, before_s))
    pool.reset()
    if not beyond["batches"]:
        return 0.0
    means = [median(beyond["batches"]) - overhead_s]
    if beyond["loads"]:
        means.append(median(beyond["loads"]))
    return max(0.0, fmean(means))


def _beyond(clock: WallClock, before_s: float) -> float:
    """Hear of the end of work; return what it took since then beyond itself."""
    end = clock.next_end(math.inf)
    assert end is not None
    if end.error is not None:
        raise end.error
    return clock.now_s() - before_s - end.took_s
