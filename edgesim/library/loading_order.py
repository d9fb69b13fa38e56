"""Loading all models one after another: what sharing saves, and in which order."""

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
"""Most models of a cluster that nearest neighbour is started from."""


@dataclass(frozen=True)
class LoadingOrder:
    """An order in which to load every model once.

    Parameters
    ----------
    models
        The order.
    loaded_bytes
        What is loaded in it, nothing being resident at first.
    proven
        Whether no other order loads less.
    """

    models: tuple[str, ...]
    loaded_bytes: int
    proven: bool


def loaded_blocks(library: HasBlocks, order: Iterable[str]) -> list[tuple[str, ...]]:
    """List the blocks that each model of a sequence has to load.

    Only what the model before holds is resident, and before the first one nothing.
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
    """Add up the bytes that models load one after another."""
    return sum(
        library.blocks[block].bytes
        for load in loaded_blocks(library, order)
        for block in load
    )


def best_order(library: HasBlocks) -> LoadingOrder:
    """Find an order of all models in which little is loaded.

    Clusters share nothing, so each is ordered for itself. Where sharing is laminar a
    depth-first order of the forest loads every block once, and no order loads any less
    (``docs/mathematics.md``, section 3). Where blocks cross, the least is that of a
    shortest path through all models, which is NP-hard to find: the order is the best of
    the one given and of nearest neighbour (always on to the model that shares the most
    bytes with the last) from up to ``NEAREST_STARTS`` models, a heuristic that comes
    with no promise. It is proven best all the same if it loads every block once.

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
    """Order models as they hang below the blocks they share, from the widest down."""
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
            following = int(gains.argmax())  # the first of the largest
            kept += int(gains[following])
            walk.append(following)
            left[following] = False
        if kept > most:
            best, most = walk, kept
    return [models[place] for place in best]


def crossing_bytes(library: HasBlocks) -> int:
    """Add up the bytes of blocks that cross with some other block; 0 if laminar.

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
