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


class Hashing:
    """Hashes tensors in parallel: SHA-256 of type, shape and raw bytes, in hex.

    Checkpoints are not trusted, so a weaker hash would not do: a collision would make
    two models share weights that they do not share. SHA-256 is also the fastest such
    hash in ``hashlib`` on processors with instructions for it.

    To be used in a ``with`` statement; on leaving it, tensors not yet begun are
    skipped.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS)
        self._buffers: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        for _ in range(THREADS):
            self._buffers.put(memoryview(bytearray(CHUNK_BYTES)))

    def __enter__(self) -> Hashing:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def begin(self, tensors: Sequence[RawTensor]) -> list[Future[str]]:
        """Begin to hash tensors, in this order, so give those of a file in file order.

        Parameters
        ----------
        tensors
            The tensors of a model; those of one content are read once.

        Returns
        -------
        list
            One digest per tensor, 64 hexadecimal digits, or the exception raised while
            reading it.
        """
        running: dict[object, Future[str]] = {}
        for tensor in tensors:
            if _same(tensor) not in running:
                running[_same(tensor)] = self._pool.submit(self._hashed, tensor)
        return [running[_same(tensor)] for tensor in tensors]

    def _hashed(self, tensor: RawTensor) -> str:
        buffer = self._buffers.get()
        try:
            return _digest(tensor, buffer)
        finally:
            self._buffers.put(buffer)


def digests(tensors: Sequence[RawTensor]) -> list[str]:
    """Hash tensors, one digest each, as :class:`Hashing` does."""
    with Hashing() as hashing:
        return [running.result() for running in hashing.begin(tensors)]


def _same(tensor: RawTensor) -> object:
    return tensor.dtype, tensor.shape, tensor.quantisation, tensor.chunks


def _digest(tensor: RawTensor, buffer: memoryview) -> str:
    head = repr((tensor.dtype, tensor.shape, tensor.quantisation)).encode()
    # The length comes first, so that no tensor bytes can be taken for part of a header.
    state = hashlib.sha256(len(head).to_bytes(8, "little") + head)
    for chunk in tensor.chunks(buffer):
        state.update(chunk)
    return state.hexdigest()
