"""How many models fit into a memory at once, without and with sharing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgesim.library.sharing import HasBlocks, clusters, holders, model_bytes

EXACT_MODELS = 16
"""All subsets of a cluster whose sharing crosses are tried up to this size."""

GREEDY_STARTS = 64
"""Maximum number of models of a cluster from which a greedy choice is started."""

Sizes = npt.NDArray[np.int64]
"""Bytes by number of models, from 0 models on."""

_UNREACHED = np.iinfo(np.int64).max


@dataclass(frozen=True)
class LeastBytes:
    """The fewest bytes that any n models of a library take, for every n.

    Parameters
    ----------
    whole
        If each model is a copy of its own: the sum of the n smallest.
    proven
        If each block is kept once: no n models take fewer bytes.
    attained
        Some n models take this many; equal to ``proven`` where the optimum is known.
    """

    whole: Sizes
    proven: Sizes
    attained: Sizes


class Fit(NamedTuple):
    """How many models fit into a memory.

    Parameters
    ----------
    memory_bytes
        The memory.
    whole
        The most models that fit as copies of their own.
    shared
        Models that fit if each block is kept once.
    shared_at_most
        No more than this fit then; equal to ``shared`` where that is the most.
    """

    memory_bytes: int
    whole: int
    shared: int
    shared_at_most: int


class _Bounds(NamedTuple):
    proven: Sizes
    attained: Sizes


def fit(least: LeastBytes, memory_bytes: int) -> Fit:
    """Count the models that fit into a memory: weights only, no activations.

    Parameters
    ----------
    least
        From :func:`least_bytes`.
    memory_bytes
        Bytes that the weights may take.
    """
    whole, most, found = (
        int(np.searchsorted(sizes, memory_bytes, side="right")) - 1
        for sizes in (least.whole, least.proven, least.attained)
    )
    return Fit(memory_bytes, whole, found, most)


def least_bytes(library: HasBlocks) -> LeastBytes:
    """Find the fewest bytes that n models take, for every n.

    Clusters share nothing with each other, so each is treated separately. Where
    sharing is laminar, a dynamic program over the forest of holder sets is exact: what
    k models below a node take is the least over all splits of k between its children,
    plus the node's own blocks if k > 0. Where blocks cross, finding the fewest bytes is
    NP-hard (minimum k-union): clusters of up to ``EXACT_MODELS`` models are enumerated,
    and larger ones are bounded from both sides. From above, the best of greedy choices
    (always add the model that adds the fewest bytes) and of the dynamic program in
    which crossing blocks are private copies; from below, the dynamic program in which
    each holder pays an equal part of them.

    Notes
    -----
    O(models²) for laminar clusters, O(2^models · holder sets) for small crossing ones,
    O(starts · models² · holder sets) for others.
    """
    sizes = sorted(model_bytes(library, name) for name in library.models)
    parts = [_cluster(library, names) for names in clusters(library)]
    nothing = np.zeros(1, dtype=np.int64)
    return LeastBytes(
        whole=np.concatenate([nothing, np.cumsum(sizes, dtype=np.int64)]),
        proven=reduce(_merged, (part.proven for part in parts), nothing),
        attained=reduce(_merged, (part.attained for part in parts), nothing),
    )


def _cluster(library: HasBlocks, names: Sequence[str]) -> _Bounds:
    groups = {
        group: sum(library.blocks[block].bytes for block in blocks)
        for group, blocks in holders(library, names).items()
    }
    laminar = _laminar_part(groups)
    if len(laminar) == len(groups):
        exact = _by_forest(names, groups)
        return _Bounds(exact, exact)
    if len(names) <= EXACT_MODELS:
        exact = _by_enumeration(names, groups)
        return _Bounds(exact, exact)
    # The holders of a block pay at most the block if each pays a part, rounded down.
    parts, copies = dict(laminar), dict(laminar)
    for group in groups.keys() - laminar.keys():
        for name in group:
            alone = frozenset({name})
            parts[alone] = parts.get(alone, 0) + groups[group] // len(group)
            copies[alone] = copies.get(alone, 0) + groups[group]
    attained = np.minimum(_by_forest(names, copies), _by_greed(names, groups))
    return _Bounds(_by_forest(names, parts), attained)


def _laminar_part(groups: Mapping[frozenset[str], int]) -> dict[frozenset[str], int]:
    """Keep the heaviest sets of holders that are nested or disjoint."""
    kept: dict[frozenset[str], int] = {}
    for group in sorted(groups, key=lambda g: (-groups[g], sorted(g))):
        if all(
            group <= other or other <= group or group.isdisjoint(other)
            for other in kept
        ):
            kept[group] = groups[group]
    return kept


def _by_forest(names: Iterable[str], groups: Mapping[frozenset[str], int]) -> Sizes:
    """Solve the knapsack on a forest, from the smallest sets of holders up."""
    tree = {name: name for name in names}
    least = {name: np.zeros(2, dtype=np.int64) for name in tree}
    for group in sorted(groups, key=len):
        inside = sorted({tree[name] for name in group})
        sizes = reduce(_merged, (least.pop(part) for part in inside))
        sizes[1:] += groups[group]
        least[inside[0]] = sizes
        tree.update(dict.fromkeys(group, inside[0]))
    return reduce(_merged, least.values())


def _merged(one: Sizes, other: Sizes) -> Sizes:
    """Split n models between two parts in every way; the least sum for every n."""
    short, long = sorted((one, other), key=len)
    found = np.full(len(one) + len(other) - 1, _UNREACHED)
    for models, size in enumerate(short):
        there = found[models : models + len(long)]
        np.minimum(there, long + size, out=there)
    return found


def _by_enumeration(
    names: Sequence[str], groups: Mapping[frozenset[str], int]
) -> Sizes:
    subsets = np.arange(1 << len(names), dtype=np.int64)
    place = {name: 1 << number for number, name in enumerate(names)}
    taken = np.zeros(len(subsets), dtype=np.int64)
    for group, size in groups.items():
        taken[(subsets & sum(place[name] for name in group)) != 0] += size
    models = sum((subsets >> number) & 1 for number in range(len(names)))
    found = np.full(len(names) + 1, _UNREACHED)
    np.minimum.at(found, models, taken)
    return found


def _by_greed(names: Sequence[str], groups: Mapping[frozenset[str], int]) -> Sizes:
    index = {name: number for number, name in enumerate(names)}
    held = np.zeros((len(names), len(groups)), dtype=bool)
    for column, group in enumerate(groups):
        held[[index[name] for name in group], column] = True
    sizes = np.fromiter(groups.values(), dtype=np.int64, count=len(groups))
    found = np.full(len(names) + 1, _UNREACHED)
    found[0] = 0
    whole = held @ sizes
    for start in np.argsort(whole, kind="stable")[:GREEDY_STARTS]:
        left = sizes.copy()
        added = whole.copy()
        taken = 0
        following = int(start)
        for models in range(1, len(names) + 1):
            taken += int(added[following])
            found[models] = min(found[models], taken)
            news = held[following] & (left > 0)
            added -= held[:, news] @ left[news]
            left[news] = 0
            added[following] = _UNREACHED
            following = int(added.argmin())
    return found
