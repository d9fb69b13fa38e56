"""Copies into device memory, from pinned or pageable memory or from a cold file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from edgesim.profiling.device import Step

FILL_SEED = 20_240_229
FILL_PERIOD_BYTES = 32 * 2**20


@dataclass(frozen=True, eq=False)
class HostBlock:
    """The host's copy of some bytes, ready to be loaded.

    Parameters
    ----------
    host
        uint8, contiguous; the buffer that a file, if any, is read into.
    file, offset
        The file that holds the bytes, and their offset in it, for the tier ``disk``.
    """

    host: torch.Tensor
    file: Path | None = None
    offset: int = 0

    @cached_property
    def pinned(self) -> bool:
        """Whether host memory is page-locked; cached, since the driver is slow."""
        return self.host.is_pinned()

    def load(self, target: torch.Tensor) -> None:
        """Copy into a device buffer of the same size; pinned copies are asynchronous.

        Raises
        ------
        OSError
            If the file cannot be read, or is shorter than the block.
        """
        if self.file is not None:
            _read_into(self.file, self.host, self.offset)
        target.copy_(self.host, non_blocking=self.pinned)


def write_through(path: Path, content: torch.Tensor) -> None:
    """Write bytes (uint8, contiguous, on the host) and wait until they are on disk.

    :func:`make_cold` cannot drop dirty pages.
    """
    with path.open("wb") as file:
        file.write(content.numpy().data)
        file.flush()
        os.fsync(file.fileno())


def make_cold(blocks: Iterable[HostBlock]) -> None:
    """Ask the system to drop the blocks' files from its page cache.

    Linux does so (``POSIX_FADV_DONTNEED``, if the files are written out). On systems
    without this call nothing happens; see :func:`can_be_cold`.
    """
    if not can_be_cold():
        return
    for path in {block.file for block in blocks if block.file is not None}:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def can_be_cold() -> bool:
    """Whether this system can drop a file from its page cache."""
    return hasattr(os, "posix_fadvise")


def loads(blocks: Sequence[HostBlock], targets: Sequence[torch.Tensor]) -> list[Step]:
    """Pair blocks with buffers: one timed step per block."""

    def step(block: HostBlock, target: torch.Tensor) -> Step:
        block.pinned  # noqa: B018 - asked now: the driver's answer takes its time
        return lambda: block.load(target)

    return [step(b, t) for b, t in zip(blocks, targets, strict=True)]


def fill(buffer: torch.Tensor, seed: int = FILL_SEED) -> None:
    """Fill a host buffer (uint8) with random bytes, the same each time.

    They repeat after 32 MiB, beyond the window of anything that compresses data in
    transit: drawing all of them would take minutes for large models.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = min(buffer.numel(), FILL_PERIOD_BYTES)
    pattern = torch.randint(0, 256, (drawn,), dtype=torch.uint8, generator=generator)
    for start in range(0, buffer.numel(), FILL_PERIOD_BYTES):
        part = buffer[start : start + FILL_PERIOD_BYTES]
        part.copy_(pattern[: part.numel()])


def _read_into(path: Path, buffer: torch.Tensor, offset: int) -> None:
    view = buffer.numpy().data
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        done = 0
        while done < len(view):
            count = file.readinto(view[done:])
            if not count:
                raise OSError(
                    f"{path} ends after {offset + done} of {offset + len(view)} bytes"
                )
            done += count
