"""How much memory the host has, and what page-locked buffers take of it."""

from __future__ import annotations

from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")
_MEMORY_INFO = Path("/proc/meminfo")


def free_host_bytes() -> int | None:
    """Return the memory that this process can still get, in bytes.

    What the system says is available, or what the limit of the process's control group
    leaves, if that is less. None where the system does not say.
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
    except OSError:  # no control group, or one of another kind
        return free
    if limit == "max":
        return free
    # Pages of files that nobody uses are given back before the limit is felt.
    reclaimable = int(parts.get("inactive_file", 0))
    return max(0, min(free, int(limit) - used + reclaimable))


def locked_bytes(size: int) -> int:
    """Tell what torch takes for a page-locked buffer: the next power of two, bytes."""
    return 1 << (size - 1).bit_length()
