"""Depth-first orders of the sharing forest, in which every block is loaded once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import permutations, product

import numpy as np

from solvers.core.forest import Forest
from solvers.core.tables import Ints, Tables

MAX_ORDERS = 24

# A child of a node: one of its models, or a whole subtree.
Child = tuple[str, int]


def depth_first(
    forest: Forest,
    tables: Tables,
    *,
    first: frozenset[int] = frozenset(),
    key: Callable[[Child], float] | None = None,
) -> list[int]:
    """List the active models in a depth-first order.

    Parameters
    ----------
    forest, tables
        The sharing forest and its problem.
    first
        Atoms resident at the start: the child that uses most of them comes first.
    key
        Sort key for the children of a node; by number if None.
    """

    def rank(child: Child) -> tuple[float, float, str, int]:
        found = _resident_below(forest, tables, child, first)
        return (-found, key(child) if key else 0.0, *child)

    return _traverse(lambda node: sorted(_children(forest, node), key=rank))


def _children(forest: Forest, node: int) -> list[Child]:
    models = [("model", m) for m in forest.models[node]]
    return models + [("node", child) for child in forest.children[node]]


def _traverse(ordered: Callable[[int], list[Child]]) -> list[int]:
    order = []
    stack: list[Child] = [("node", 0)]
    while stack:
        kind, number = stack.pop()
        if kind == "model":
            order.append(number)
        else:
            stack.extend(reversed(ordered(number)))
    return order


def _resident_below(
    forest: Forest, tables: Tables, child: Child, first: frozenset[int]
) -> float:
    """Load time saved below a child by the atoms resident at the start."""
    if not first or child[0] == "model":
        return 0.0
    return max(
        tables.loads_s(tables.atoms_of[m] & first) for m in models_below(forest, child)
    )


def models_below(forest: Forest, child: Child) -> list[int]:
    """Return the models below a child, or the child itself if it is a model."""
    if child[0] == "model":
        return [child[1]]
    below: list[int] = []
    stack = [child[1]]
    while stack:
        node = stack.pop()
        below.extend(forest.models[node])
        stack.extend(forest.children[node])
    return below


def depth_first_orders(tables: Tables, forest: Forest) -> list[list[int]]:
    """List every depth-first order if there are few, otherwise several good ones.

    The good ones sort the children of each node as the jobs of a two-machine flow shop
    (uplink, then GPU): least upload first, least load first, most users per unit of
    time first, and Johnson's rule (Johnson 1954) on the subtrees' totals.

    Returns
    -------
    list of list of int
        Distinct orders of all active models.
    """
    if few_orders(forest):
        return list(_all_orders(forest))
    orders = [
        depth_first(forest, tables, first=tables.initial_atoms, key=key)
        for key in _keys(tables, forest)
    ]
    orders += [order[::-1] for order in orders[:2]]
    return [list(order) for order in dict.fromkeys(map(tuple, orders))]


def few_orders(forest: Forest) -> bool:
    """Whether there are at most ``MAX_ORDERS`` depth-first orders."""
    fan = [len(_children(forest, node)) for node in range(len(forest.parent))]
    return math.prod(math.factorial(min(n, 10)) for n in fan) <= MAX_ORDERS


def _all_orders(forest: Forest) -> Iterator[list[int]]:
    choices = [
        list(permutations(_children(forest, node)))
        for node in range(len(forest.parent))
    ]
    for choice in product(*choices):
        yield _traverse(lambda node, choice=choice: list(choice[node]))  # type: ignore[misc]


def _keys(tables: Tables, forest: Forest) -> list[Callable[[Child], float]]:
    """Build the sort keys of the good orders from the totals of each subtree."""
    totals: dict[Child, tuple[float, float, int]] = {}

    def total(child: Child) -> tuple[float, float, int]:
        """Upload and GPU time of everything below a child, and its users."""
        if child not in totals:
            models = models_below(forest, child)
            users = sum(len(tables.users_of[m]) for m in models)
            upload_s = sum(
                float(tables.demand_s[tables.users_of[m]].sum()) for m in models
            )
            atoms = set().union(*(tables.atoms_of[m] for m in models))
            gpu_s = tables.loads_s(atoms) + sum(
                len(tables.users_of[m])
                * float((tables.latency_s[m][1:] / _sizes(tables, m)).min())
                for m in models
            )
            totals[child] = (upload_s, gpu_s, users)
        return totals[child]

    def least_upload(child: Child) -> float:
        upload_s, _, users = total(child)
        return upload_s / users

    def least_gpu(child: Child) -> float:
        _, gpu_s, users = total(child)
        return gpu_s / users

    def least_both(child: Child) -> float:
        upload_s, gpu_s, users = total(child)
        return (upload_s + gpu_s) / users

    def johnson(child: Child) -> float:
        upload_s, gpu_s, _ = total(child)
        # Johnson's rule: if upload < GPU time, early and by increasing upload;
        # otherwise late and by decreasing GPU time.
        return -1 / (upload_s + 1e-12) if upload_s < gpu_s else 1 / (gpu_s + 1e-12)

    return [least_upload, least_gpu, least_both, johnson]


def _sizes(tables: Tables, model: int) -> Ints:
    return np.arange(1, len(tables.latency_s[model]))
