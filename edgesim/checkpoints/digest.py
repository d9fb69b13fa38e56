"""Hashing tensors: one digest of type, shape and raw bytes, in bounded memory."""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

CHUNK_BYTES = 1 << 20
"""Bytes hashed at once. Larger chunks leave the processor's cache."""

THREADS = 4
"""Tensors hashed at once: hashing and reading both let other threads run."""

Chunks = Callable[[memoryview], Iterator[memoryview]]


@dataclass(frozen=True)
class RawTensor:
    """A tensor whose bytes can be had piece by piece.

    Parameters
    ----------
    name, dtype, shape, bytes
        As in :class:`edgesim.checkpoints.files.TensorRecord`.
    chunks
        Given a buffer of ``CHUNK_BYTES`` to use or to leave, yields the raw bytes in
        order, at most so many at once. Each piece is done with when the next is asked.
        Tensors with the very same function have the same bytes, which are read once.
    quantisation
        What turns the bytes of a quantised tensor into its values; part of its
        identity.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    chunks: Chunks
    quantisation: str = ""


def digests(
    tensors: Sequence[RawTensor], done: Callable[[int], None] | None = None
) -> list[str]:
    """Hash tensors, several at once: SHA-256 of type, shape and raw bytes, in hex.

    Checkpoints are not trusted, so no weaker hash will do: whoever finds two tensors
    with one digest makes two models share what they do not. SHA-256 is also the
    fastest such hash in ``hashlib`` where the processor has instructions for it.

    Parameters
    ----------
    tensors
        What to hash; read in this order, so give those of a file as they lie in it.
    done
        Called in this thread with the bytes of each tensor that is hashed.

    Returns
    -------
    list
        One digest a tensor, 64 hexadecimal digits.

    Raises
    ------
    Exception
        Whatever reading a tensor raises; what has not begun is then left out.
    """
    buffers: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
    for _ in range(THREADS):
        buffers.put(memoryview(bytearray(CHUNK_BYTES)))

    def hashed(tensor: RawTensor) -> str:
        buffer = buffers.get()
        try:
            return _digest(tensor, buffer)
        finally:
            buffers.put(buffer)

    pool = ThreadPoolExecutor(THREADS)
    try:
        running: dict[object, Future[str]] = {}
        for tensor in tensors:
            if _same(tensor) not in running:
                running[_same(tensor)] = pool.submit(hashed, tensor)
        found = []
        for tensor in tensors:
            found.append(running[_same(tensor)].result())
            if done is not None:
                done(tensor.bytes)
        return found
    finally:
        pool.shutdown(cancel_futures=True)


def _same(tensor: RawTensor) -> object:
    return tensor.dtype, tensor.shape, tensor.quantisation, tensor.chunks


def _digest(tensor: RawTensor, buffer: memoryview) -> str:
    head = repr((tensor.dtype, tensor.shape, tensor.quantisation)).encode()
    # Its length first: no bytes of a tensor can then be taken for part of a head.
    state = hashlib.sha256(len(head).to_bytes(8, "little") + head)
    for chunk in tensor.chunks(buffer):
        state.update(chunk)
    return state.hexdigest()
