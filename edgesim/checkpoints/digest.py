"""Hashing tensors: one digest of type, shape and raw bytes, in bounded memory."""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

CHUNK_BYTES = 1 << 20
"""Bytes hashed at once. Larger chunks exceed the processor's cache."""

THREADS = 4
"""Tensors hashed in parallel: hashing and reading both release the interpreter lock."""

Chunks = Callable[[memoryview], Iterator[memoryview]]


@dataclass(frozen=True)
class RawTensor:
    """A tensor whose bytes can be read in chunks.

    Parameters
    ----------
    name, dtype, shape, bytes
        As in :class:`edgesim.checkpoints.files.TensorRecord`.
    chunks
        Given a buffer of ``CHUNK_BYTES``, which it may use, yields the raw bytes in
        order, at most that many at once. Each chunk is valid until the next is
        requested. Tensors with the identical function have the same bytes, which are
        read once.
    quantisation
        The parameters that map the bytes of a quantised tensor to its values; part of
        its identity.
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
    """Hash tensors in parallel: SHA-256 of type, shape and raw bytes, in hex.

    Checkpoints are not trusted, so a weaker hash would not do: a collision would make
    two models share weights that they do not share. SHA-256 is also the fastest such
    hash in ``hashlib`` on processors with instructions for it.

    Parameters
    ----------
    tensors
        The tensors to hash; read in this order, so give those of a file in file order.
    done
        Called in this thread with the bytes of each hashed tensor.

    Returns
    -------
    list
        One digest per tensor, 64 hexadecimal digits.

    Raises
    ------
    Exception
        Any exception raised while reading a tensor; tensors not yet begun are then
        skipped.
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
    # The length comes first, so that no tensor bytes can be taken for part of a header.
    state = hashlib.sha256(len(head).to_bytes(8, "little") + head)
    for chunk in tensor.chunks(buffer):
        state.update(chunk)
    return state.hexdigest()
