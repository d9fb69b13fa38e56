"""Bytes of a file, read in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgesim.errors import InputError


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes of a file that lie together; equal slices are the same bytes.

    Parameters
    ----------
    path
        The file.
    start, size
        Where they begin and how many they are.
    """

    path: Path
    start: int
    size: int

    def __call__(self, buffer: memoryview) -> Iterator[memoryview]:
        """Yield the bytes in order, at most a buffer at once, which is used again."""
        left = self.size
        # Opened per tensor: threads that share a file disrupt its read-ahead.
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.start)
            while left:
                count = file.readinto(buffer[: min(left, len(buffer))])
                if not count:
                    raise InputError(self.path, "became shorter while it was read")
                yield buffer[:count]
                left -= count

    def read(self) -> bytes:
        """Return all of the bytes."""
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.start)
            found = file.read(self.size)
        if len(found) < self.size:
            raise InputError(self.path, "became shorter while it was read")
        return found
