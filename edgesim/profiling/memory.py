"""Free host memory, the size of page-locked buffers in it, and alignment."""

from __future__ import annotations

from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")
_MEMORY_INFO = Path("/proc/meminfo")

ALIGN_BYTES = 512
"""Blocks start at multiples of this, as separate buffers on a GPU would."""


def free_host_bytes() -> int | None:
    """Return the memory still available to this process, in bytes.

    The memory that the system reports as available, or what remains of the limit of the
    process's control group if that is less. None if the system does not report it.
    """
    if not _MEMORY_INFO.is_file():
        return None
    fields = dict(
        line.split(":", 1) for line in _MEMORY_INFO.read_text().splitlines() if line
    )
    free = int(fields["MemAvailable"].split()[0]) * 1024
    try:
        limit = (_GROUP / "memory.max").read_text().strip()
        used = int((_GROUP / "memory.current").read_text())
        parts = dict(
            line.split() for line in (_GROUP / "memory.stat").read_text().splitlines()
        )
    except OSError:  # no control group, or another version
        return free
    if limit == "max":
        return free
    # Inactive file pages are reclaimed before the limit takes effect.
    reclaimable = int(parts.get("inactive_file", 0))
    return max(0, min(free, int(limit) - used + reclaimable))


def locked_bytes(size: int) -> int:
    """Return the bytes torch takes for a page-locked buffer: the next power of two."""
    return 1 << (size - 1).bit_length()


def aligned(size: int) -> int:
    """Round a size in bytes up to a multiple of ``ALIGN_BYTES``."""
    return -(-size // ALIGN_BYTES) * ALIGN_BYTES
