"""Laminar sharing as a forest of prefixes, or a witness that it is not laminar."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from solvers.core.tables import Tables


@dataclass(frozen=True)
class Crossing:
    """Two blocks whose sets of holders overlap without being nested.

    Of the models named, ``only_first`` holds just the first block, ``both`` holds both
    and ``only_second`` just the second.
    """

    first_block: str
    second_block: str
    only_first: str
    both: str
    only_second: str

    def __str__(self) -> str:
        return (
            f"blocks {self.first_block!r} (models {self.only_first}, {self.both}) and "
            f"{self.second_block!r} (models {self.both}, {self.only_second}) cross"
        )


@dataclass(frozen=True)
class Forest:
    """Active models attached below the parameter atoms that they share.

    Node 0 is a root without atoms; every other node's parent has a smaller number. The
    atoms on the path from the root to a model's node are exactly the model's atoms.

    Parameters
    ----------
    parent
        Parent of each node, −1 for the root.
    atoms
        Atoms of each node: a compressed path of the trie.
    models
        Models whose path ends at each node.
    node_of
        Node of each active model, by model number.
    """

    parent: tuple[int, ...]
    atoms: tuple[tuple[int, ...], ...]
    models: tuple[tuple[int, ...], ...]
    node_of: dict[int, int]

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Children of each node, in ascending order."""
        below: list[list[int]] = [[] for _ in self.parent]
        for node, parent in enumerate(self.parent):
            if parent >= 0:
                below[parent].append(node)
        return tuple(map(tuple, below))

    def path(self, model: int) -> tuple[int, ...]:
        """Nodes from just below the root down to the model's own node."""
        nodes = []
        node = self.node_of[model]
        while node > 0:
            nodes.append(node)
            node = self.parent[node]
        return tuple(reversed(nodes))


def build_forest(tables: Tables) -> Forest | Crossing:
    """Sort each model's atoms by number of holders into a forest of prefixes.

    Only active models count as holders. O(Σ atoms of models).

    Returns
    -------
    Forest or Crossing
        A :class:`Crossing` if the sets of holders are not pairwise nested or disjoint.
    """
    holders: dict[int, list[int]] = {}
    for model in tables.active:
        for atom in tables.atoms_of[model]:
            holders.setdefault(atom, []).append(model)
    # Atoms whose holders differ only in models without users share one node here.
    groups: dict[tuple[int, ...], list[int]] = {}
    for atom in sorted(holders):
        groups.setdefault(tuple(holders[atom]), []).append(atom)
    parent: list[int] = [-1]
    atoms: list[tuple[int, ...]] = [()]
    node_of = dict.fromkeys(tables.active, 0)
    for held_by in sorted(groups, key=lambda g: (-len(g), g)):
        above = {node_of[model] for model in held_by}
        if len(above) > 1:
            return _witness(tables, held_by, groups, atoms, node_of)
        parent.append(above.pop())
        atoms.append(tuple(groups[held_by]))
        for model in held_by:
            node_of[model] = len(parent) - 1
    models: list[list[int]] = [[] for _ in parent]
    for model in tables.active:
        models[node_of[model]].append(model)
    return Forest(tuple(parent), tuple(atoms), tuple(map(tuple, models)), node_of)


def _witness(
    tables: Tables,
    held_by: tuple[int, ...],
    groups: dict[tuple[int, ...], list[int]],
    atoms: list[tuple[int, ...]],
    node_of: dict[int, int],
) -> Crossing:
    """Find a set of holders that overlaps ``held_by`` without containing it."""
    mine = set(held_by)
    placed = {group: members for members in groups for group in groups[members]}
    for model in held_by:
        for atom in atoms[node_of[model]]:
            theirs = set(placed[atom])
            if not mine <= theirs:
                return Crossing(
                    first_block=tables.atom_blocks[atom][0],
                    second_block=tables.atom_blocks[groups[held_by][0]][0],
                    only_first=tables.model_names[min(theirs - mine)],
                    both=tables.model_names[model],
                    only_second=tables.model_names[min(mine - theirs)],
                )
    raise AssertionError("holders below different nodes must cross")


def star(tables: Tables) -> Forest:
    """Attach every active model directly below the root, without atoms."""
    node_of = {model: i + 1 for i, model in enumerate(tables.active)}
    count = len(node_of)
    return Forest(
        parent=(-1, *[0] * count),
        atoms=((),) * (count + 1),
        models=((), *((model,) for model in tables.active)),
        node_of=node_of,
    )
