"""Bytes that the rounds of a run would have loaded without parameter sharing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from edgesim.engine.records import Ints
from solvers.core import residency
from solvers.core.tables import PlannedRound, Tables


def whole_bytes(tables: Tables, model: Ints, batch: Ints) -> Ints:
    """Count the bytes that rounds load if every model has its own copies of its blocks.

    Parameters
    ----------
    tables
        Library, memory and residency; with or without sharing makes no difference.
    model, batch
        Model and batch of the rounds, in order, shape (R,): memory was reserved for
        batches of that size.

    Returns
    -------
    array
        Bytes by round, shape (R,).

    Notes
    -----
    The rules are those of ``solvers.core.residency`` without sharing. There, a model is
    one atom, so the cache is a list of models, and a round takes O(1) plus O(1) per
    evicted model.
    """
    problem = tables.problem
    whole = Tables(problem, sharing=False)
    size = whole.atom_bytes
    if problem.residency == "previous":
        first = -1 if tables.resident is None else tables.resident
        before = np.concatenate([[first], model])[:-1]
        return np.where(model == before, 0, np.array(size, dtype=np.int64)[model])
    if problem.eviction == "lru":
        return _cached(tables, size, model.tolist(), batch.tolist())
    # Only the number of users of a round matters.
    rounds = [
        PlannedRound(m, tuple(range(b)))
        for m, b in zip(model.tolist(), batch.tolist(), strict=True)
    ]
    loaded = [
        sum(size[atom] for atom in step.loaded)
        for step in residency.steps(whole, rounds)
    ]
    return np.array(loaded, dtype=np.int64)


def _cached(
    tables: Tables, size: Sequence[int], models: list[int], batches: list[int]
) -> Ints:
    """Simulate a cache of whole models, evicting the least recently used first."""
    problem = tables.problem
    capacity = problem.gpu_memory_bytes
    activations = [
        [0, *(tables.activation_bytes(m, b) for b in range(1, len(table)))]
        for m, table in enumerate(tables.latency_s)
    ]
    resident: OrderedDict[int, None] = OrderedDict()
    if tables.resident is not None:
        resident[tables.resident] = None
    held = sum(size[m] for m in resident)
    before: int | None = None
    before_activations = 0
    loaded = []
    for model, batch in zip(models, batches, strict=True):
        new = 0 if model in resident else size[model]
        loaded.append(new)
        resident[model] = None
        resident.move_to_end(model)
        held += new
        needed = activations[model][batch]
        if capacity is not None:
            if problem.overlap and before is not None:
                both = size[model] + (size[before] if before != model else 0)
                if both + before_activations <= capacity:
                    limit = capacity - before_activations
                    held -= _evict(resident, (before, model), held - limit, size)
            held -= _evict(resident, (model,), held - (capacity - needed), size)
        before, before_activations = model, needed
    return np.array(loaded, dtype=np.int64)


def _evict(
    resident: OrderedDict[int, None],
    pinned: tuple[int, ...],
    missing_bytes: int,
    size: Sequence[int],
) -> int:
    """Evict models until enough bytes are free, or none may go; return bytes freed."""
    evicted: list[int] = []
    freed = 0
    if missing_bytes > 0:
        for model in resident:
            if model not in pinned:
                evicted.append(model)
                freed += size[model]
                if freed >= missing_bytes:
                    break
        for model in evicted:
            del resident[model]
    return freed
