"""Peak live bytes of a piece of torch code, counted operator by operator."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Intercepts operators and sums the live storages that they create.

    A storage counts from the operator that returns it until its last tensor is freed;
    views and in-place results create none. Scratch memory inside an operator is not
    counted.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        """Maximum number of live bytes so far."""
        self._alive: dict[int, int] = {}
        self._bytes = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one operator and count the new storages in its result."""
        del types
        options = dict(kwargs or {})
        given = {storage._cdata for storage in _storages((args, options))}
        result = func(*args, **options)
        for storage in _storages(result):
            if storage._cdata not in given and storage._cdata not in self._alive:
                self._add(storage)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        self._alive[storage._cdata] = storage.nbytes()
        self._bytes += storage.nbytes()
        self.peak = max(self.peak, self._bytes)
        gone = weakref.finalize(storage, self._remove, storage._cdata)
        gone.atexit = False

    def _remove(self, key: int) -> None:
        self._bytes -= self._alive.pop(key)


def _storages(values: object) -> list[torch.UntypedStorage]:
    return [
        leaf.untyped_storage()
        for leaf in tree_leaves(values)
        if isinstance(leaf, torch.Tensor) and leaf.layout == torch.strided
    ]
