"""Where blocks lie in a device's memory: packed into little, or each in its own place.

Packed blocks are placed by first fit, and moved together when need be.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from edgesim.profiling.memory import aligned

Key = TypeVar("Key", bound=Hashable)


class Piece(NamedTuple):
    """A contiguous piece of memory, in bytes."""

    offset: int
    bytes: int

    @property
    def end(self) -> int:
        """Where the next piece may begin."""
        return self.offset + aligned(self.bytes)


@dataclass
class PoolCounts:
    """What became of a pool.

    Parameters
    ----------
    most_held
        Most bytes of blocks at once.
    most_scattered
        Most bytes that were free but not in one piece, when a block was to be placed.
    compactions, moved
        How often blocks were moved together to make a piece, and the bytes moved.
    """

    most_held: int = 0
    most_scattered: int = 0
    compactions: int = 0
    moved: int = 0


class Pool(Generic[Key]):
    """Places blocks in one buffer, each contiguous and at a multiple of 512 bytes.

    A block goes to the lowest piece that is large enough (first fit). If the free bytes
    would do but are not in one piece, all blocks are moved down first, in their order.

    Parameters
    ----------
    size
        Bytes of the buffer.
    move
        Moves the bytes of a piece to a lower offset of the buffer.
    """

    def __init__(self, size: int, move: Callable[[Piece, int], None]) -> None:
        self.size = size
        self.counts = PoolCounts()
        self._move = move
        self._pieces: dict[Key, Piece] = {}
        self._held = 0

    def __iter__(self) -> Iterator[Key]:
        return iter(self._pieces)

    def __contains__(self, key: Key) -> bool:
        return key in self._pieces

    def __getitem__(self, key: Key) -> Piece:
        return self._pieces[key]

    def in_order(self) -> list[Key]:
        """List the blocks, in the order of their places."""
        return sorted(self._pieces, key=lambda key: self._pieces[key].offset)

    def free(self, key: Key) -> None:
        """Give up a block's piece."""
        self._held -= self._pieces.pop(key).bytes

    def clear(self) -> None:
        """Give up every piece."""
        self._pieces.clear()
        self._held = 0

    def place(self, key: Key, size: int) -> Piece:
        """Find a piece for a block.

        Raises
        ------
        MemoryError
            If the free bytes do not suffice.
        """
        holes = self._holes()
        free = sum(hole.bytes for hole in holes)
        self.counts.most_scattered = max(
            self.counts.most_scattered, free - max((h.bytes for h in holes), default=0)
        )
        hole = next((hole for hole in holes if hole.bytes >= size), None)
        if hole is None:
            if free < aligned(size):
                raise MemoryError(f"a block of {size:,} bytes, {free:,} are free")
            hole = self._compact()
        return self._take(key, Piece(hole.offset, size))

    def _take(self, key: Key, piece: Piece) -> Piece:
        self._pieces[key] = piece
        self._held += piece.bytes
        self.counts.most_held = max(self.counts.most_held, self._held)
        return piece

    def _holes(self) -> list[Piece]:
        """List the free pieces, lowest first."""
        found, at = [], 0
        for piece in sorted(self._pieces.values()):
            if piece.offset > at:
                found.append(Piece(at, piece.offset - at))
            at = piece.end
        if at < self.size:
            found.append(Piece(at, self.size - at))
        return found

    def _compact(self) -> Piece:
        """Move all blocks down; return what is then free."""
        self.counts.compactions += 1
        at = 0
        for key in self.in_order():
            piece = self._pieces[key]
            if piece.offset != at:
                self._move(piece, at)
                self.counts.moved += piece.bytes
                self._pieces[key] = piece = Piece(at, piece.bytes)
            at = piece.end
        return Piece(at, self.size - at)


class OwnPlaces(Pool[Key]):
    """Has one place for each block: it lies there whenever it is in memory.

    What was captured with a block's address stays valid. The buffer holds all blocks at
    once; which of them are in memory is for the run to say.

    Parameters
    ----------
    offsets
        The place of each block.
    size
        Bytes of the buffer.
    """

    def __init__(self, offsets: Mapping[Key, int], size: int) -> None:
        super().__init__(size, _never_moved)
        self._offsets = offsets

    def place(self, key: Key, size: int) -> Piece:
        """Note that a block is in its place, where it may have been before."""
        if key in self._pieces:
            self.free(key)
        return self._take(key, Piece(self._offsets[key], size))


def _never_moved(piece: Piece, offset: int) -> None:
    raise AssertionError(f"{piece} has its own place, and was to be moved to {offset}")
