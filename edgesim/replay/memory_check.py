"""Check that host memory, device memory and the disk can hold a replay."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from edgesim.errors import InputError
from edgesim.profile.model_match import NetworkSpec
from edgesim.profile.values import Profile, Tier
from edgesim.profiling.device import Device
from edgesim.profiling.memory import aligned, free_host_bytes, locked_bytes
from edgesim.replay.plan import ReplayPlan


@dataclass(frozen=True)
class Need:
    """Memory and disk space that a replay needs, in bytes."""

    host: int
    device: int
    disk: int


def need(plan: ReplayPlan, profile: Profile, tier: Tier, *, own_memory: bool) -> Need:
    """Sum the memory that a replay needs; activations only if the profile states them.

    Networks are counted by the bytes of the profile's blocks; those made by a function
    are built on the host before they move to a GPU.

    Parameters
    ----------
    plan, profile
        The plan to replay, and its profile.
    tier
        The tier that blocks are loaded from.
    own_memory
        Whether the device is a GPU with its own memory. Torch rounds page-locked
        buffers up to a power of two.
    """
    locked = own_memory and tier != "pageable"
    sizes = plan.blocks.values()
    host = sum(map(aligned, sizes))
    host = locked_bytes(host) if locked else host
    networks: dict[NetworkSpec, int] = {}
    activations = [0]
    for round_, planned in zip(plan.rounds, plan.schedule.rounds, strict=True):
        base = plan.matches[planned.model].base
        if round_.batch is None or base is None:
            continue
        entry = profile.models[base]
        networks[round_.batch.network] = sum(block.bytes for block in entry.blocks)
        activations.append(
            (entry.activation_bytes or {}).get(str(round_.batch.size), 0)
        )
    moved = [size for network, size in networks.items() if network.is_factory]
    device = plan.buffer_bytes + sum(networks.values()) + max(activations)
    return Need(
        host=host + (max(moved, default=0) if own_memory else device),
        device=device if own_memory else 0,
        disk=sum(sizes) if tier == "disk" else 0,
    )


def check_room(need: Need, device: Device, folder: Path) -> None:
    """Reject a replay that host memory, device memory or the disk cannot hold now.

    Parameters
    ----------
    need
        The space needed.
    device
        The device whose memory is checked.
    folder
        A folder on the disk that would hold the blocks.

    Raises
    ------
    InputError
        Stating how much is needed and how much is free.
    """
    _check("host memory", need.host, free_host_bytes())
    if need.device:
        _check("device memory", need.device, device.free_bytes())
    if need.disk:
        _check("the disk", need.disk, shutil.disk_usage(folder).free)


def _check(what: str, needed: int, free: int | None) -> None:
    if free is not None and needed > free:
        raise InputError(
            "SCHEDULE",
            f"its replay needs {needed:,} bytes of {what}, free are {free:,}",
        )
