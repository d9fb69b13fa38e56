"""Execute a plan on a device: copies, forward passes, and their timing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import torch

from edgesim.profile.values import Tier
from edgesim.profiling.copies import HostBlock, fill, loads, make_cold, write_through
from edgesim.profiling.device import Device, Step
from edgesim.profiling.memory import aligned
from edgesim.replay.comparison import RoundTime
from edgesim.replay.plan import Batch, ReplayPlan, Slot

_OWN_BYTES = 4096
"""Number of bytes at the start of a block that are drawn for it alone."""

_SPIN_S = 0.002
"""The end of a wait is spent polling the clock, because a sleep ends about 0.1 ms late
on an idle system and later on a busy one."""


class Clock(Protocol):
    """The time source of a replay, in seconds from an arbitrary origin."""

    def now_s(self) -> float:
        """Return the time."""
        ...

    def wait_until(self, moment_s: float) -> None:
        """Return at a given time, immediately if it has passed."""
        ...


class WallClock:
    """The system's monotonic clock."""

    def now_s(self) -> float:
        """Return the time; resolution below 1 µs."""
        return time.perf_counter_ns() / 1e9

    def wait_until(self, moment_s: float) -> None:
        """Sleep for most of the wait, then poll the clock until it is over."""
        left_s = moment_s - self.now_s()
        if left_s > _SPIN_S:
            time.sleep(left_s - _SPIN_S)
        while self.now_s() < moment_s:
            pass


@dataclass(frozen=True, eq=False)
class Stage:
    """The memory and networks on which a plan is executed.

    Parameters
    ----------
    hosts
        The host's copy of every block.
    buffer
        Device memory for all blocks: uint8, shape (plan.buffer_bytes,).
    batches
        The step that computes each batch of the plan.
    """

    hosts: Mapping[str, HostBlock]
    buffer: torch.Tensor
    batches: Mapping[Batch, Step]

    def target(self, slot: Slot) -> torch.Tensor:
        """Return the device memory of a slot: uint8, shape (slot.bytes,)."""
        return self.buffer[slot.offset : slot.offset + slot.bytes]

    def copies(self, slots: Sequence[Slot]) -> list[Step]:
        """Return one step per block, in order."""
        hosts = [self.hosts[slot.block] for slot in slots]
        return loads(hosts, [self.target(slot) for slot in slots])


def host_blocks(
    plan: ReplayPlan, device: Device, tier: Tier, folder: Path, seed: int
) -> dict[str, HostBlock]:
    """Generate the content of every block and place it where the tier loads from.

    The bytes are random and repeat from block to block, except for the start of each.
    Blocks are slices of one host buffer, as they are when a profile is measured.

    Parameters
    ----------
    plan, device, tier
        The plan with the blocks, the target device, and the tier to load from.
    folder
        Folder in which the tier ``disk`` writes its files.
    seed
        Seed of the content.
    """
    sizes = list(plan.blocks.values())
    ends = list(accumulate(map(aligned, sizes)))
    buffer = device.host_buffer(ends[-1] if ends else 0, tier)
    generator = torch.Generator().manual_seed(seed)
    fill(buffer, seed)
    found = {}
    for number, (name, size) in enumerate(plan.blocks.items()):
        start = ends[number] - aligned(size)
        host = buffer[start : start + size]
        # Drawing every byte would take minutes for large models; a misplaced block is
        # recognised by its start.
        host[:_OWN_BYTES].random_(0, 256, generator=generator)
        file = None
        if tier == "disk":
            file = folder / f"{number}.bin"
            write_through(file, host)
        found[name] = HostBlock(host, file)
    return found


def run_once(
    plan: ReplayPlan, stage: Stage, device: Device, clock: Clock, *, paced: bool
) -> list[RoundTime]:
    """Execute a plan once, starting from what is resident before its first round.

    Loads and batches are timed by the device, ends by the clock once the device has
    finished the round. Files are cold whenever a round reads them.

    Parameters
    ----------
    plan, stage, device
        The plan, and the memory, networks and device that execute it.
    clock
        Measures ends, and waits.
    paced
        Whether a batch waits for its inputs, and under ``upfront`` the first load for
        the end of the uploads.
    """
    for copy in stage.copies(plan.initial):
        copy()
    device.synchronise()
    make_cold(stage.hosts.values())
    times = []
    # Prepared before the clock starts, so that it times copies and not list building.
    prepared = [_sequence(stage.copies(round_.loads)) for round_ in plan.rounds]
    again = _reloaded_blocks(plan)
    start_s = clock.now_s()
    for round_, load, warm in zip(plan.rounds, prepared, again, strict=True):
        if warm:
            # The plan's clock is stopped meanwhile.
            before_s = clock.now_s()
            make_cold([stage.hosts[block] for block in warm])
            start_s += clock.now_s() - before_s
        if paced:
            clock.wait_until(start_s + round_.load_after_s)
        load_s = device.timed([load])[0] if round_.loads else 0.0
        compute_s = None
        if round_.batch is not None:
            if paced:
                clock.wait_until(start_s + round_.inputs_at_s)
            compute_s = device.timed([stage.batches[round_.batch]])[0]
        device.synchronise()
        times.append(RoundTime(load_s, compute_s, clock.now_s() - start_s))
    return times


def _reloaded_blocks(plan: ReplayPlan) -> list[list[str]]:
    """List for each round the blocks it loads that an earlier round has loaded."""
    seen: set[str] = set()
    found = []
    for round_ in plan.rounds:
        blocks = [slot.block for slot in round_.loads]
        found.append([block for block in blocks if block in seen])
        seen.update(blocks)
    return found


def _sequence(steps: Sequence[Step]) -> Step:
    def step() -> None:
        for one in steps:
            one()

    return step


def wrong_blocks(stage: Stage, slots: Sequence[Slot]) -> list[str]:
    """Name the blocks whose bytes on the device are not those of the host.

    Parameters
    ----------
    stage
        The memory on which a plan was executed.
    slots
        The blocks expected in memory.
    """
    return [
        slot.block
        for slot in slots
        if not torch.equal(stage.target(slot).cpu(), stage.hosts[slot.block].host)
    ]
