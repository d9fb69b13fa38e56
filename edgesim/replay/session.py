"""A complete replay: allocate memory, place blocks, warm up, execute repeatedly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgesim.profile.values import Profile, Tier
from edgesim.profiling.builder import Build, builder
from edgesim.profiling.device import Device, out_of_memory_refused
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
from edgesim.replay.memory_check import check_room, need
from edgesim.replay.plan import ReplayPlan
from solvers.temporary import temporary_folder


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
    build: Build | None = None,
) -> list[list[RoundTime]]:
    """Execute a plan and return the times of every round, by repeat.

    A pass without waits comes first and is not counted; after it, the bytes of every
    resident block are compared with the host's. The device is woken before each repeat.

    Parameters
    ----------
    plan, profile
        The plan to execute, and the profile that gives the sizes of networks.
    device, tier
        The target device, and the tier to load from.
    repeats
        Number of repeats, at least one.
    seed
        Seed of the content of blocks.
    paced
        Whether rounds wait for their inputs.
    scratch
        Folder for temporary files of the tier ``disk``; if it does not exist, its
        nearest existing parent.
    check_memory
        Whether to reject a plan for which the system currently lacks memory.
    done
        Called after every pass with the number of passes done and the total.
    clock, build
        The clock, and the builder of networks.

    Raises
    ------
    InputError
        If memory or the disk cannot hold it, or a network cannot be built.
    """
    if not plan.rounds:
        return [[] for _ in range(repeats)]
    # The results folder is not created before there are results.
    above = (scratch, *scratch.absolute().parents)
    place = next(folder for folder in above if folder.is_dir())
    own_memory = device.device.type != "cpu"
    if check_memory:
        check_room(need(plan, profile, tier, own_memory=own_memory), device, place)
    clock = WallClock() if clock is None else clock
    with (
        temporary_folder("replay", place) as folder,
        out_of_memory_refused("SCHEDULE", "its replay"),
    ):
        stage = Stage(
            hosts=host_blocks(plan, device, tier, folder, seed),
            buffer=device.device_buffer(plan.buffer_bytes),
            batches=networks.batch_steps(
                plan.batches,
                device,
                builder(device) if build is None else build,
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
