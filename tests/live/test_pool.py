"""Blocks lie in one buffer: first fit, and together when need be."""

from __future__ import annotations

import random

import pytest

from edgesim.live.pool import Piece, Pool


def _pool(size: int) -> tuple[Pool[str], list[tuple[Piece, int]]]:
    moves: list[tuple[Piece, int]] = []
    return Pool(size, lambda piece, offset: moves.append((piece, offset))), moves


def test_a_block_goes_to_the_lowest_piece_that_is_large_enough() -> None:
    """Multiples of 512 bytes; a hole that is too small is passed over."""
    pool, moves = _pool(4096)
    assert pool.place("a", 100).offset == 0
    assert pool.place("b", 513).offset == 512
    assert pool.place("c", 10).offset == 1536
    pool.free("a")
    assert pool.place("d", 600).offset == 2048
    assert pool.place("e", 512).offset == 0
    assert pool.in_order() == ["e", "b", "c", "d"]
    assert moves == []
    assert pool.counts.most_held == 513 + 10 + 600 + 512


def test_free_bytes_in_several_pieces_are_counted_and_put_together() -> None:
    """The blocks that stay move down, in order; what moved is told."""
    pool, moves = _pool(2048)
    for name in "abcd":
        pool.place(name, 512)
    pool.free("a")
    pool.free("c")
    assert pool.place("e", 1000) == Piece(1024, 1000)
    assert moves == [(Piece(512, 512), 0), (Piece(1536, 512), 512)]
    counts = pool.counts
    assert (counts.most_scattered, counts.compactions, counts.moved) == (512, 1, 1024)
    assert pool["d"] == Piece(512, 512)


def test_what_does_not_fit_is_refused() -> None:
    """With the bytes that are free."""
    pool, _ = _pool(1024)
    pool.place("a", 512)
    with pytest.raises(MemoryError, match="513 bytes, 512 are free"):
        pool.place("b", 513)


def test_no_two_blocks_overlap_whatever_happens() -> None:
    """Random blocks come and go; contents follow their blocks."""
    rng = random.Random(5)
    memory = bytearray(8192)

    def move(piece: Piece, offset: int) -> None:
        content = bytes(memory[piece.offset : piece.offset + piece.bytes])
        memory[offset : offset + piece.bytes] = content

    pool: Pool[int] = Pool(len(memory), move)
    held: dict[int, int] = {}
    for number in range(2000):
        size = rng.randint(1, 2000)
        used = sum(-(-other // 512) * 512 for other in held.values())
        if used + -(-size // 512) * 512 <= len(memory) and number < 250:
            piece = pool.place(number, size)
            memory[piece.offset : piece.offset + size] = bytes([number]) * size
            held[number] = size
        elif held:
            gone = rng.choice(list(held))
            pool.free(gone)
            del held[gone]
        for key, size in held.items():
            at = pool[key].offset
            assert memory[at : at + size] == bytes([key]) * size
    assert pool.counts.compactions > 3
