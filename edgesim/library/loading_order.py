"""Sequential loading of all models: the savings of sharing, and the best order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from edgesim.library.sharing import (
    HasBlocks,
    clusters,
    holders,
    is_laminar,
    sharing_graph,
)

NEAREST_STARTS = 256
"""Maximum number of models of a cluster from which nearest neighbour is started."""


@dataclass(frozen=True)
class LoadingOrder:
    """An order in which to load every model once.

    Parameters
    ----------
    models
        The order.
    loaded_bytes
        Bytes loaded in this order, starting with nothing resident.
    proven
        Whether the order is proven to load the fewest bytes.
    """

    models: tuple[str, ...]
    loaded_bytes: int
    proven: bool


def loaded_blocks(library: HasBlocks, order: Iterable[str]) -> list[tuple[str, ...]]:
    """List the blocks that each model of a sequence must load.

    Only the previous model's blocks are resident, and none before the first one.
    O(blocks of all models).
    """
    resident: frozenset[str] = frozenset()
    loads = []
    for name in order:
        blocks = library.models[name].blocks
        loads.append(tuple(block for block in blocks if block not in resident))
        resident = frozenset(blocks)
    return loads


def loaded_bytes(library: HasBlocks, order: Iterable[str]) -> int:
    """Sum the bytes that models load in sequence."""
    return sum(
        library.blocks[block].bytes
        for load in loaded_blocks(library, order)
        for block in load
    )


def best_order(library: HasBlocks) -> LoadingOrder:
    """Find an order of all models that loads few bytes.

    Clusters share nothing with each other, so each is ordered separately. If sharing is
    laminar, a depth-first order of the forest loads every block once, which is optimal
    (``docs/mathematics.md``, section 3). If blocks cross, the optimum is a shortest
    path through all models, which is NP-hard to find: the order is the best of the
    given one and of nearest neighbour (always continue with the model that shares the
    most bytes with the last) from up to ``NEAREST_STARTS`` models, a heuristic without
    guarantee. It is still proven optimal if it loads every block once.

    Notes
    -----
    O(blocks of all models) for laminar clusters, O(starts · models²) for others.
    """
    order: list[str] = []
    for cluster in clusters(library):
        members = set(cluster)
        given = [name for name in library.models if name in members]
        laminar = is_laminar(library, given)
        order += _depth_first(library, given) if laminar else _nearest(library, given)
    found = loaded_bytes(library, order)
    distinct = sum(
        library.blocks[block].bytes
        for group in holders(library).values()
        for block in group
    )
    return LoadingOrder(tuple(order), found, found == distinct)


def _depth_first(library: HasBlocks, models: Sequence[str]) -> list[str]:
    """Order models depth first below their shared blocks, most widely held first."""
    paths: Mapping[str, list[int]] = {name: [] for name in models}
    groups = sorted(holders(library, models), key=len, reverse=True)
    for number, group in enumerate(groups):
        for name in group:
            paths[name].append(number)
    return sorted(models, key=paths.__getitem__)


def _nearest(library: HasBlocks, models: Sequence[str]) -> list[str]:
    index = {name: place for place, name in enumerate(models)}
    shared = np.zeros((len(models), len(models)), dtype=np.int64)
    for one, other, edge in sharing_graph(library, models).edges(data=True):
        row, column = index[one], index[other]
        shared[row, column] = shared[column, row] = edge["shared_bytes"]
    best = list(range(len(models)))
    most = sum(int(shared[a, b]) for a, b in pairwise(best))
    for start in range(min(len(models), NEAREST_STARTS)):
        walk = [start]
        left = np.ones(len(models), dtype=bool)
        left[start] = False
        kept = 0
        while len(walk) < len(models):
            gains = np.where(left, shared[walk[-1]], -1)
            following = int(gains.argmax())  # ties: the first
            kept += int(gains[following])
            walk.append(following)
            left[following] = False
        if kept > most:
            best, most = walk, kept
    return [models[place] for place in best]


def crossing_bytes(library: HasBlocks) -> int:
    """Sum the bytes of blocks that cross with another block; 0 if laminar.

    O(distinct holder sets² · models), as matrix products.
    """
    groups = {group: blocks for group, blocks in holders(library).items() if group}
    index = {name: place for place, name in enumerate(library.models)}
    held = np.zeros((len(groups), len(index)), dtype=np.float32)
    for row, group in enumerate(groups):
        held[row, [index[name] for name in group]] = 1
    count = held.sum(axis=1)
    total = 0
    for row, blocks in enumerate(groups.values()):
        both = held @ held[row]
        if np.any((both > 0) & (both < np.minimum(count, count[row]))):
            total += sum(library.blocks[block].bytes for block in blocks)
    return total
