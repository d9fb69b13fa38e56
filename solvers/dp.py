"""Dynamic programming for laminar (bottom-layer) sharing and a common deadline."""

from __future__ import annotations

import numpy as np

from solvers.bound import upper_bound
from solvers.forest import Crossing, Forest, build_forest
from solvers.knapsack import batch_costs, batches, tree_knapsack, visit_rounds
from solvers.labels import along_dynamic, along_static
from solvers.orders import depth_first, depth_first_orders
from solvers.outcome import Found, Options, RefusalError
from solvers.schedule import Uplink
from solvers.tables import PlannedRound, Tables
from solvers.timing import TIME_TOLERANCE_S, rank


def solve(tables: Tables, uplink: Uplink, options: Options) -> Found:
    """Serve the most users of a laminar library before one common deadline.

    ``upfront`` is solved to the optimum over every sequence of rounds: a tree knapsack
    over the sharing forest in O(Σ blocks + K·depth + K²). ``dynamic`` and ``static``
    are solved by label setting along depth-first orders of the forest; how good they
    are is told by the λ-bound.

    Raises
    ------
    RefusalError
        When sharing crosses, deadlines differ, or a release is not 0.

    Notes
    -----
    After Qu, Chen, Chen, Huang and Fang, arXiv 2503.22982, of which only the abstract
    was at hand: the recursion here is this project's own.
    """
    del options
    if not tables.active:
        return Found([], proven=True)
    forest = build_forest(tables)
    if isinstance(forest, Crossing):
        raise RefusalError(f"dp: {forest}; use greedy or ilp")
    deadline_s = tables.common_deadline_s
    if deadline_s is None:
        raise RefusalError("dp: deadlines differ between users; use greedy or ilp")
    if not tables.releases_zero:
        raise RefusalError("dp: some releases are not 0; use greedy or ilp")
    if uplink == "upfront":
        return Found(_upfront(tables, forest, deadline_s), proven=True)
    orders = depth_first_orders(tables, forest)
    bound = upper_bound(tables, uplink)
    search = along_dynamic if uplink == "dynamic" else along_static
    best: list[PlannedRound] = []
    for order in orders:
        found = search(tables, forest, order, deadline_s)
        best = min(best, found, key=lambda rounds: rank(tables, rounds, uplink))
        if sum(len(users) for _, users in best) == bound:
            break
    return Found(best, bound=bound)


def _upfront(tables: Tables, forest: Forest, deadline_s: float) -> list[PlannedRound]:
    """Choose users and models at least Σw/W + ΣL + ΣC, then visit them depth first.

    A depth-first order loads every block once, which no order beats. Blocks of the
    resident model are free only for the model of the first round and whatever follows
    it while they stay, so each set of blocks that a first model can find is tried.
    Starting from the visited model that holds most of that set, all of it that is used
    is indeed found: the set lies on one path of the forest.
    """
    compute = {}
    cost = {}
    for m in tables.active:
        users = tables.users_of[m]
        compute_s, first_batch = batch_costs(tables.latency_s[m], len(users))
        compute[m] = first_batch
        upload_s = np.concatenate(([0.0], np.cumsum(tables.demand_s[users])))
        cost[m] = compute_s + upload_s
    best_key = (0, 0.0)
    best: list[PlannedRound] = []
    for found in _found_at_start(tables):
        node_load = np.array(
            [tables.loads_s(set(atoms) - found) for atoms in forest.atoms]
        )
        part = tree_knapsack(forest, node_load, cost)
        in_time = np.flatnonzero(part.cost <= deadline_s + TIME_TOLERANCE_S / 2)
        most = int(in_time[-1])
        key = (-most, float(part.cost[most]))
        if key < best_key:
            counts = part.choose(most)
            order = depth_first(forest, tables, first=found)
            best_key = key
            best = [
                planned
                for m in order
                if m in counts
                for planned in visit_rounds(tables, m, batches(compute[m], counts[m]))
            ]
    return best


def _found_at_start(tables: Tables) -> list[frozenset[int]]:
    """List the sets of resident atoms that a first model can use, largest only."""
    sets = {tables.initial_atoms & tables.atoms_of[m] for m in tables.active}
    return sorted((s for s in sets if not any(s < other for other in sets)), key=sorted)
