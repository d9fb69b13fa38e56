"""Load times of one model from one tier: by block, by tensor, and as one copy."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, cycle
from pathlib import Path

import torch

from edgesim.profile.values import CopyTime, Overlap, Tier, Timing
from edgesim.profiling.blocks import BlockPlan
from edgesim.profiling.copies import HostBlock, fill, loads, make_cold, write_through
from edgesim.profiling.device import Device, Step
from edgesim.profiling.sampling import (
    CLOCK_DIGITS,
    COLD_WARM_UP,
    DECILES_FROM,
    WARM_UP,
    Sampling,
    sample,
    timing,
)

ALIGNMENT_BYTES = 256
"""Blocks and tensors start at multiples of this, as allocators place them."""

LADDER_BYTES = tuple(4096 * 4**step for step in range(9))
"""Sizes of the plain copies: 4 KiB to 256 MiB."""

CHAIN = 64
"""Number of copies of one size timed back to back, like the blocks of a load."""


@dataclass(frozen=True)
class LoadTimes:
    """Times of loading one model from one tier.

    Parameters
    ----------
    blocks
        Each block, in a pass over all of them.
    by_block, by_tensor, whole
        All blocks in sequence, all tensors in sequence, and one copy of all bytes, each
        timed as one.
    """

    blocks: tuple[Timing, ...]
    by_block: Timing
    by_tensor: Timing
    whole: Timing


def room_bytes(blocks: Sequence[BlockPlan]) -> int:
    """Return the size of the buffer that a model needs on host and device each."""
    return sum(_padded(size) for block in blocks for size in block.tensor_bytes)


def measure_loads(
    device: Device,
    tier: Tier,
    blocks: Sequence[BlockPlan],
    sampling: Sampling,
    folder: Path,
) -> LoadTimes:
    """Measure the load times of a model from one tier.

    One host buffer holds the bytes and one device buffer receives them; block, tensor
    and model copies are slices of these.

    Parameters
    ----------
    device, tier
        Destination and source of the copies.
    blocks
        The model, in loading order.
    sampling
        The number of passes.
    folder
        Folder for the files of the tier ``disk``: first one per block, with tensors as
        parts of it, then one with all bytes. They are deleted here, and dropped from
        the system's page cache before each pass.

    Raises
    ------
    RuntimeError
        If host or device memory does not suffice, as raised by torch.
    OSError
        If a file cannot be written or read.
    """
    sizes = [block.bytes for block in blocks]
    tensors = [size for block in blocks for size in block.tensor_bytes]
    host = device.host_buffer(room_bytes(blocks), tier)
    target = device.device_buffer(host.numel())
    fill(host)
    device.wake()
    by_block, by_tensor = _slices(host, sizes), _slices(host, tensors)
    whole = [HostBlock(host[: sum(sizes)])]

    def timed(parts: Sequence[HostBlock], steps: Sequence[Step]) -> list[Timing]:
        warm_up = COLD_WARM_UP if tier == "disk" else WARM_UP
        return sample(device, steps, sampling, lambda: make_cold(parts), warm_up)

    with tempfile.TemporaryDirectory(dir=folder, prefix="blocks-") as place:
        if tier == "disk":
            by_block = _on_disk(by_block, Path(place))
            by_tensor = _parts(by_tensor, by_block, blocks)
        block_steps = loads(by_block, _targets(target, by_block))
        tensor_steps = loads(by_tensor, _targets(target, by_tensor))
        block_times = timed(by_block, block_steps)
        (by_block_time,) = timed(by_block, [_all(block_steps)])
        (by_tensor_time,) = timed(by_tensor, [_all(tensor_steps)])
    with tempfile.TemporaryDirectory(dir=folder, prefix="whole-") as place:
        if tier == "disk":
            whole = _on_disk(whole, Path(place))
        (whole_time,) = timed(whole, loads(whole, _targets(target, whole)))
    return LoadTimes(tuple(block_times), by_block_time, by_tensor_time, whole_time)


def measure_copies(
    device: Device,
    tiers: Sequence[Tier],
    sampling: Sampling,
    folder: Path,
    sizes: Sequence[int],
) -> tuple[CopyTime, ...]:
    """Measure plain copies of a ladder of sizes from each tier.

    Each size is measured alone and, from memory, in chains of :data:`CHAIN` copies back
    to back if the buffer holds that many: a single copy includes the launch latency of
    the device, which a load of many blocks incurs only once.

    Parameters
    ----------
    device, tiers, sampling, folder
        As in :func:`measure_loads`.
    sizes
        Bytes of each copy, ascending.
    """
    alone: dict[Tier, list[Timing]] = {}
    chained: dict[Tier, list[Timing | None]] = {}
    for tier in tiers:
        host = device.host_buffer(sum(map(_padded, sizes)), tier)
        target = device.device_buffer(host.numel())
        fill(host)
        device.wake()
        if tier == "disk":
            alone[tier] = _from_files(device, host, target, sizes, sampling, folder)
            continue
        alone[tier] = [
            _chained_at_new_offsets(device, host, target, [size], sampling)
            for size in sizes
        ]
        chained[tier] = [
            _chained(device, host, target, size, sampling) for size in sizes
        ]
    copies = []
    for i, size in enumerate(sizes):
        in_chains = {tier: times[i] for tier, times in chained.items()}
        known = {tier: time for tier, time in in_chains.items() if time is not None}
        copies.append(
            CopyTime(
                bytes=size,
                load_s={tier: alone[tier][i] for tier in tiers},
                chained_s=known or None,
            )
        )
    return tuple(copies)


def measure_overlap(
    device: Device, blocks: Sequence[BlockPlan], batch: int, compute: Step
) -> Overlap | None:
    """Measure a copy of a model's bytes concurrent with batches, and both slowdowns.

    The shorter of the two is repeated to last about as long as the other.

    Parameters
    ----------
    device
        Destination of the copy.
    blocks
        The model.
    batch
        Batch size of ``compute``.
    compute
        Runs one batch without waiting for the device.

    Returns
    -------
    Overlap or None
        None if the device has one queue or no pinned tier.
    """
    if "pinned" not in device.tiers:
        return None
    size = sum(block.bytes for block in blocks)
    host = HostBlock(device.host_buffer(size, "pinned"))
    (copy,) = loads([host], [device.device_buffer(size)])
    device.wake()
    if device.beside(copy, compute) is None:
        return None
    brief = Sampling(DECILES_FROM)
    (copy_s,) = sample(device, [copy], brief)
    (once_s,) = sample(device, [compute], brief)
    passes = max(1, round(copy_s.median_s / once_s.median_s))
    copies = max(1, round(passes * once_s.median_s / copy_s.median_s))
    batches, copying = _all([compute] * passes), _all([copy] * copies)
    (batches_s,) = sample(device, [batches], brief)
    (copy_s,) = sample(device, [copying], brief)
    both = [device.beside(copying, batches) for _ in range(DECILES_FROM)]
    times = [one for one in both if one is not None]
    return Overlap(
        batch=batch,
        passes=passes,
        copy_bytes=copies * size,
        copy_s=copy_s.median_s,
        copy_beside_s=timing([one.copy_s for one in times]).median_s,
        batches_s=batches_s.median_s,
        batches_beside_s=timing([one.compute_s for one in times]).median_s,
    )


def _chained(
    device: Device,
    host: torch.Tensor,
    target: torch.Tensor,
    size: int,
    sampling: Sampling,
) -> Timing | None:
    """Time many copies of one size as one; return what each adds to a load."""
    if CHAIN * _padded(size) > host.numel():
        return None
    (start,) = sample(device, [lambda: None], sampling)
    whole = _chained_at_new_offsets(device, host, target, [size] * CHAIN, sampling)
    return Timing(
        **{
            key: max(0.0, round((seconds - start.median_s) / CHAIN, CLOCK_DIGITS))
            for key, seconds in whole.model_dump(exclude_none=True).items()
        }
    )


def _chained_at_new_offsets(
    device: Device,
    host: torch.Tensor,
    target: torch.Tensor,
    sizes: Sequence[int],
    sampling: Sampling,
) -> Timing:
    """Time consecutive copies as one, moving on in the buffers with each pass.

    Repeated copies of the same bytes would come from the processor's caches, which the
    blocks of a model never do.
    """
    span = sum(map(_padded, sizes[:-1])) + sizes[-1]
    room = host.numel() - span
    stride = _padded(max(1, room // (sampling.repeats + WARM_UP)))
    places = cycle(range(0, room + 1, stride))
    chosen: list[Step] = []

    def move() -> None:
        at = next(places)
        parts = _slices(host[at : at + span], sizes)
        chosen[:] = loads(parts, _targets(target[at : at + span], parts))

    def run() -> None:
        for copy in chosen:
            copy()

    return sample(device, [run], sampling, move)[0]


def _from_files(
    device: Device,
    host: torch.Tensor,
    target: torch.Tensor,
    sizes: Sequence[int],
    sampling: Sampling,
    folder: Path,
) -> list[Timing]:
    """Time each size separately, so that the largest does not end all of them early."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="copies-") as place:
        parts = _on_disk(_slices(host, sizes), Path(place))
        steps = loads(parts, _targets(target, parts))
        return [
            sample(device, [step], sampling, partial(make_cold, [part]), COLD_WARM_UP)[
                0
            ]
            for step, part in zip(steps, parts, strict=True)
        ]


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _offsets(sizes: Sequence[int]) -> list[int]:
    return [0, *accumulate(map(_padded, sizes))][: len(sizes)]


def _slices(host: torch.Tensor, sizes: Sequence[int]) -> list[HostBlock]:
    return [
        HostBlock(host[offset : offset + size])
        for offset, size in zip(_offsets(sizes), sizes, strict=True)
    ]


def _targets(
    target: torch.Tensor, parts: Sequence[HostBlock]
) -> tuple[torch.Tensor, ...]:
    sizes = [part.host.numel() for part in parts]
    return tuple(part.host for part in _slices(target, sizes))


def _on_disk(parts: Sequence[HostBlock], folder: Path) -> list[HostBlock]:
    """Write each part to a separate file."""
    placed = []
    for number, part in enumerate(parts):
        path = folder / f"{number}.bin"
        write_through(path, part.host)
        placed.append(HostBlock(part.host, path))
    return placed


def _parts(
    tensors: Sequence[HostBlock],
    block_files: Sequence[HostBlock],
    blocks: Sequence[BlockPlan],
) -> list[HostBlock]:
    """Place tensors consecutively in the files of their blocks."""
    places = [
        (file.file, offset)
        for file, block in zip(block_files, blocks, strict=True)
        for offset in [0, *accumulate(block.tensor_bytes)][:-1]
    ]
    return [
        HostBlock(tensor.host, path, offset)
        for tensor, (path, offset) in zip(tensors, places, strict=True)
    ]


def _all(steps: Sequence[Step]) -> Step:
    def run() -> None:
        for step in steps:
            step()

    return run
