"""A whole replay: make room, place blocks, warm up, execute again and again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from edgesim.profile.values import Profile, Tier
from edgesim.profiling.device import Device
from edgesim.replay import networks
from edgesim.replay.comparison import RoundTime
from edgesim.replay.execute import (
    Clock,
    Stage,
    WallClock,
    host_blocks,
    run_once,
    wrong_blocks,
)
from edgesim.replay.memory_check import check_room, need, out_of_memory_refused
from edgesim.replay.plan import ReplayPlan


def replay(
    plan: ReplayPlan,
    profile: Profile,
    device: Device,
    tier: Tier,
    *,
    repeats: int,
    seed: int,
    paced: bool,
    scratch: Path,
    check_memory: bool = True,
    done: Callable[[int, int], None] = lambda _done, _total: None,
    clock: Clock | None = None,
    build: networks.Build | None = None,
) -> list[list[RoundTime]]:
    """Execute a plan and return what every round took, repeat by repeat.

    A pass without waits comes first and is not counted; after it the bytes of every
    block that is resident are compared with the host's. The device is woken before
    each repeat.

    Parameters
    ----------
    plan, profile
        What is executed; the profile tells how large networks are.
    device, tier
        Where to, and where from.
    repeats
        How often, at least once.
    seed
        Of the content of blocks.
    paced
        Whether rounds wait for their inputs.
    scratch
        The folder in which files of the tier ``disk`` lie for the while; if it is not
        there, the nearest above it.
    check_memory
        Whether a plan is refused that the system has no room for now.
    done
        Told after every pass how many there were, and how many there are in all.
    clock, build
        The clock, and what makes networks.

    Raises
    ------
    InputError
        If memory or the disk cannot hold it, or a network cannot be built.
    """
    if not plan.rounds:
        return [[] for _ in range(repeats)]
    # The folder of the results is not made before there are any.
    above = (scratch, *scratch.absolute().parents)
    place = next(folder for folder in above if folder.is_dir())
    own_memory = device.device.type != "cpu"
    if check_memory:
        check_room(need(plan, profile, tier, own_memory=own_memory), device, place)
    clock = WallClock() if clock is None else clock
    with (
        tempfile.TemporaryDirectory(prefix=".replay-", dir=place) as name,
        out_of_memory_refused(),
    ):
        stage = Stage(
            hosts=host_blocks(plan, device, tier, Path(name), seed),
            buffer=device.device_buffer(plan.buffer_bytes),
            batches=networks.batch_steps(
                plan.batches,
                device,
                networks.builder(device) if build is None else build,
            ),
        )
        device.wake()
        run_once(plan, stage, device, clock, paced=False)
        wrong = wrong_blocks(stage, plan.rounds[-1].resident)
        if wrong:
            raise RuntimeError(f"blocks {wrong} did not arrive as they were sent")
        done(1, repeats + 1)
        times = []
        for repeat in range(repeats):
            device.wake()
            times.append(run_once(plan, stage, device, clock, paced=paced))
            done(repeat + 2, repeats + 1)
    return times
