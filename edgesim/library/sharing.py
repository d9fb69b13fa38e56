"""Sharing in a model library: graph, clusters, crossings and bytes saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import networkx as nx
import numpy as np


class HasBytes(Protocol):
    """A parameter block with a size."""

    @property
    def bytes(self) -> int:
        """Its size."""


class NamesBlocks(Protocol):
    """A model with named blocks."""

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of its blocks, each once."""


class HasBlocks(Protocol):
    """Anything with blocks and models: a library, a problem, checkpoints."""

    @property
    def blocks(self) -> Mapping[str, HasBytes]:
        """Parameter blocks by name."""

    @property
    def models(self) -> Mapping[str, NamesBlocks]:
        """Models by name, each a list of block names."""


@dataclass(frozen=True)
class ModelBlocks:
    """A model of a :class:`View`."""

    blocks: tuple[str, ...]


Held = TypeVar("Held", bound=HasBytes, covariant=True)


@dataclass(frozen=True)
class View(Generic[Held]):
    """A minimal value with blocks and models, for use in place of a library."""

    blocks: Mapping[str, Held]
    models: Mapping[str, ModelBlocks]


class Crossing(NamedTuple):
    """Two blocks whose sets of holders overlap without being nested.

    One model holds both blocks, one only the first, one only the second.
    """

    first_block: str
    second_block: str
    first_only: str
    both: str
    second_only: str

    def __str__(self) -> str:
        return (
            f"blocks {self.first_block!r} (models {self.first_only}, {self.both}) "
            f"and {self.second_block!r} (models {self.both}, {self.second_only}) cross"
        )


def holders(
    library: HasBlocks, models: Iterable[str] | None = None
) -> dict[frozenset[str], list[str]]:
    """Group blocks by the set of models that hold them.

    Everything here works on these sets, which are far fewer than the blocks.

    Parameters
    ----------
    library
        Blocks and models.
    models
        Models to consider, such as those with users; all if not given. A name that is
        not in the library raises ``KeyError``.

    Returns
    -------
    dict
        Set of holders to block names, in the order in which the models name them.
        Blocks that none of the models holds are left out.
    """
    held: dict[str, list[str]] = {}
    for name in _chosen(library, models):
        for block in library.models[name].blocks:
            held.setdefault(block, []).append(name)
    groups: dict[frozenset[str], list[str]] = {}
    for block, names in held.items():
        groups.setdefault(frozenset(names), []).append(block)
    return groups


def sharing_graph(
    library: HasBlocks, models: Iterable[str] | None = None
) -> nx.Graph[str]:
    """Build the sharing graph: models, with edges between those that share blocks.

    Every node has the attribute ``bytes`` (its weights), every edge ``shared_bytes``
    (the blocks that both models hold).

    Parameters
    ----------
    library, models
        As for :func:`holders`.

    Notes
    -----
    O(blocks + distinct holder sets · models²), the square as one matrix product.
    """
    names = _chosen(library, models)
    index = {name: position for position, name in enumerate(names)}
    shared = {
        group: sum(library.blocks[block].bytes for block in blocks)
        for group, blocks in holders(library, names).items()
        if len(group) > 1
    }
    held = np.zeros((len(shared), len(names)), dtype=np.int64)
    for row, group in enumerate(shared):
        held[row, [index[name] for name in group]] = 1
    sizes = np.fromiter(shared.values(), dtype=np.int64, count=len(shared))
    matrix = held.T @ (held * sizes[:, np.newaxis])

    graph: nx.Graph[str] = nx.Graph()
    for name in names:
        graph.add_node(name, bytes=model_bytes(library, name))
    for row, column in np.argwhere(np.triu(matrix, k=1)):
        graph.add_edge(names[row], names[column], shared_bytes=int(matrix[row, column]))
    return graph


def clusters(
    library: HasBlocks, models: Iterable[str] | None = None
) -> list[list[str]]:
    """Partition the models into clusters that share nothing with one another.

    Returns
    -------
    list
        The components of the sharing graph, each sorted, ordered by first name. A model
        that shares nothing forms its own cluster.
    """
    graph: nx.Graph[str] = nx.Graph()
    names = _chosen(library, models)
    graph.add_nodes_from(names)
    for group in holders(library, names):
        nx.add_path(graph, sorted(group))  # a path connects them like all pairs would
    return sorted(sorted(component) for component in nx.connected_components(graph))


def crossing(
    library: HasBlocks, models: Iterable[str] | None = None
) -> Crossing | None:
    """Find two blocks whose sets of holders cross; None if sharing is laminar.

    Returns
    -------
    Crossing or None
        A witness; its ``str()`` is a clause for a message, as in ``blocks 'x' (models
        a, b) and 'y' (models b, c) cross``.

    Notes
    -----
    From the largest set to the smallest, each model records the last set that contains
    it. If the sets so far are laminar, the next one keeps them laminar if and only if
    all its models record the same set. O(sum of the sizes of the distinct holder sets).
    """
    groups = holders(library, models)
    order = sorted((group for group in groups if len(group) > 1), key=len, reverse=True)
    last: dict[str, int] = {}
    for position, group in enumerate(order):
        parents = {name: last.get(name, -1) for name in sorted(group)}
        latest = max(parents.values())
        if min(parents.values()) < latest:
            # Some members are outside the latest parent, which is at least as large as
            # this set and differs from it, so it has a member outside this set.
            parent = order[latest]
            return Crossing(
                first_block=groups[parent][0],
                second_block=groups[group][0],
                first_only=min(parent - group),
                both=min(parent & group),
                second_only=min(group - parent),
            )
        last.update(dict.fromkeys(group, position))
    return None


def is_laminar(library: HasBlocks, models: Iterable[str] | None = None) -> bool:
    """Whether the sets of holders are pairwise nested or disjoint."""
    return crossing(library, models) is None


def bytes_total(library: HasBlocks, models: Iterable[str] | None = None) -> int:
    """Bytes of all models if each keeps private copies of its blocks."""
    return sum(model_bytes(library, name) for name in _chosen(library, models))


def bytes_distinct(library: HasBlocks, models: Iterable[str] | None = None) -> int:
    """Bytes of all models if each block is kept once."""
    return sum(
        library.blocks[block].bytes
        for blocks in holders(library, models).values()
        for block in blocks
    )


def saving_ratio(library: HasBlocks, models: Iterable[str] | None = None) -> float:
    """Fraction of bytes saved by sharing: 1 − distinct / total, 0 without models."""
    chosen = _chosen(library, models)
    total = bytes_total(library, chosen)
    return 1 - bytes_distinct(library, chosen) / total if total else 0.0


def shared_bytes(library: HasBlocks) -> dict[str, int]:
    """Bytes of each model's blocks that another model holds too."""
    groups = holders(library)
    shared = {
        block: library.blocks[block].bytes
        for group, blocks in groups.items()
        if len(group) > 1
        for block in blocks
    }
    return {
        name: sum(shared.get(block, 0) for block in model.blocks)
        for name, model in library.models.items()
    }


def _chosen(library: HasBlocks, models: Iterable[str] | None) -> list[str]:
    return list(library.models if models is None else dict.fromkeys(models))


def model_bytes(library: HasBlocks, name: str) -> int:
    """Bytes of a model's blocks."""
    return sum(library.blocks[block].bytes for block in library.models[name].blocks)
