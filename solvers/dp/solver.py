"""Dynamic programming for laminar (bottom-layer) sharing and a common deadline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from solvers.bounds.prices import Prices
from solvers.bounds.upper_bound import prices
from solvers.core.algorithm import Options, Solution
from solvers.core.forest import Crossing, Forest, build_forest
from solvers.core.knapsack import (
    batch_costs_by_model,
    batches,
    tree_knapsack,
    visit_rounds,
)
from solvers.core.limit import Limit
from solvers.core.orders import depth_first, depth_first_orders
from solvers.core.tables import PlannedRound, Tables, count_users
from solvers.core.timing import time_rounds
from solvers.dp.flow_shop import flow_shop
from solvers.dp.reorder import MIN_GAIN, neighbouring_orders
from solvers.dp.visits import Visiting, choose
from solvers.dp.walks import Search, Walk, planned, walk
from solvers.errors import RefusalError
from solvers.tolerance import TIME_TOLERANCE_S, granted
from solvers.uplink import Uplink

# Maximum number of labels kept after each stop of a walk, those of highest potential;
# an order that never exceeds it loses nothing.
WIDTH = 32

# Limits on the orders walked to improve on the initial ones: this many, a third of the
# number of model pairs, and this many users in total.
MAX_WALKS = 64
PAIRS_PER_WALK = 3
USER_WALKS = 10_000

# Limit on the users of the initial orders in total under static, where each user of a
# walk takes much longer. The last orders are kept: reversed ones, which did best on
# every problem of 1,500 to 10,000 users that was tried.
STATIC_USERS = 15_000

# The share of the time that prices may take: the rest is for walks.
PRICES_SHARE = 0.5

# The share of what the first walks leave of it that the flow shop may take.
FLOW_SHOP_SHARE = 0.5


def solve(tables: Tables, uplink: Uplink, options: Options) -> Solution:
    """Serve the maximum number of users of a laminar library by one common deadline.

    ``upfront`` is solved to optimality over all sequences of rounds: a tree knapsack
    over the sharing forest in O(Σ blocks + K·depth + K²). ``dynamic`` and ``static``
    are solved by label setting along depth-first orders of the forest and orders near
    the best of these; the bound measures their quality. Between the two, ``dynamic`` is
    looked at as a flow shop (:mod:`solvers.dp.flow_shop`). At most ``WIDTH`` labels are
    kept after a stop, and the search near the best order shrinks with the number of
    users: 64 walks up to 156 users, none above 10,000. Under ``static`` fewer initial
    orders are walked above 2,500 users, and one above 7,500.

    Parameters
    ----------
    tables, uplink
        The problem and the discipline.
    options
        ``seed`` seeds the random orders, which come last. The time limit ends the walks
        with the best so far, or with the optimum of ``upfront`` if that serves more;
        ``upfront`` needs none.

    Raises
    ------
    RefusalError
        If sharing is crossing, deadlines differ, or a release is not 0.

    Notes
    -----
    After Qu, Chen, Chen, Huang and Fang, arXiv 2503.22982, of which only the abstract
    was available: the recursion is this project's own.
    """
    supported = check(tables)
    if supported is None:
        return Solution([], proven=True)
    forest, deadline_s = supported
    rounds: list[PlannedRound]
    if uplink == "upfront":
        rounds = _upfront(tables, forest, granted(deadline_s))
        if time_rounds(tables, rounds, uplink) is not None:
            return Solution(rounds, proven=True)
        # Within rounding of the tolerance: a proof must grant what no plan may use.
        bound = count_users(rounds)
        rounds = _upfront(tables, forest, deadline_s + TIME_TOLERANCE_S / 2)
        return Solution(rounds, bound=bound)
    limit = Limit.after(options.time_limit_s)
    found = prices(tables, uplink, Limit.after(limit.left_s(PRICES_SHARE)))
    if not found.bound:
        return Solution([], proven=True)
    search = Search(tables, forest, found, uplink, deadline_s)
    if uplink == "static":
        search = replace(search, visit=choose(tables, limit.left_s()))
    walked = _first_walks(search, limit)
    rounds = planned(search, walked) if walked is not None else []
    if uplink == "dynamic" and count_users(rounds) < found.bound:
        part = Limit.after(limit.left_s(FLOW_SHOP_SHARE))
        other, bound = flow_shop(tables, forest, found, count_users(rounds), part)
        search = replace(search, prices=replace(found, bound=bound))
        rounds = max(rounds, other, key=count_users)
    if walked is not None and count_users(rounds) < search.prices.bound:
        rng = np.random.default_rng(options.seed)
        walked = _improved(search, walked, rng, limit)
        rounds = max(rounds, planned(search, walked), key=count_users)
    if limit.passed():
        rounds = _better(search, rounds)
    return Solution(rounds, bound=search.prices.bound)


def walk_once(tables: Tables, visit: Visiting, known: Prices | None = None) -> Walk:
    """Walk one order of a problem that dp takes, under ``static``, with its prices."""
    supported = check(tables)
    if supported is None:
        raise ValueError("nobody can be served")
    forest, deadline_s = supported
    found = prices(tables, "static") if known is None else known
    search = Search(tables, forest, found, "static", deadline_s, visit)
    order = depth_first_orders(tables, forest)[0]
    return walk(search, order, target=1, width=WIDTH)


def _better(search: Search, rounds: list[PlannedRound]) -> list[PlannedRound]:
    """Take the optimum of ``upfront`` if it serves more: a first walk may be cut short.

    It is feasible under both: all its uploads end together at Σw, before any round
    starts. Under ``dynamic`` none ends later, and under ``static`` each user holds at
    most w/Σw of the band.
    """
    limit_s = search.deadline_s + TIME_TOLERANCE_S / 2
    other = _upfront(search.tables, search.forest, limit_s)
    if count_users(other) <= count_users(rounds):
        return rounds
    timing = time_rounds(search.tables, other, search.uplink)
    return other if timing is not None else rounds


def check(tables: Tables) -> tuple[Forest, float] | None:
    """Return the forest and the common deadline; None if no user can be scheduled.

    Raises
    ------
    RefusalError
        If sharing is crossing, deadlines differ, or a release is not 0.
    """
    if not tables.active:
        return None
    forest = build_forest(tables)
    if isinstance(forest, Crossing):
        raise RefusalError(f"dp: {forest}; use greedy or ilp")
    deadline_s = tables.common_deadline_s
    if deadline_s is None:
        raise RefusalError("dp: deadlines differ between users; use greedy or ilp")
    if not tables.releases_zero:
        raise RefusalError("dp: some releases are not 0; use greedy or ilp")
    return forest, deadline_s


def _first_walks(search: Search, limit: Limit) -> Walk | None:
    """Walk several orders, until one serves as many users as the bound says."""
    orders = depth_first_orders(search.tables, search.forest)
    if search.uplink == "static":
        most = max(1, STATIC_USERS // len(search.tables.users))
        orders = orders[-most:]
    best: Walk | None = None
    last: Walk | None = None
    for number, order in enumerate(orders):
        if number and limit.passed():
            break
        target = 1 if best is None else best.users + 1
        last = walk(search, order, target=target, width=WIDTH, base=last, limit=limit)
        if last.users >= target:
            best = last
        if best is not None and best.users == search.prices.bound:
            break
    return best


def _improved(
    search: Search, best: Walk, rng: np.random.Generator, limit: Limit
) -> Walk:
    """Walk orders near the best one until the budget of walks brings no improvement."""
    users = len(search.tables.users)
    pairs = len(best.order) ** 2
    left = min(MAX_WALKS, pairs // PAIRS_PER_WALK, USER_WALKS // users)
    while left > 0 and not limit.passed():
        rounds = planned(search, best)
        for order in neighbouring_orders(search, rounds, best.order, rng, limit):
            left -= 1
            target = best.users
            found = walk(
                search, order, target=target, width=WIDTH, base=best, limit=limit
            )
            better = (found.users, found.value) > (best.users, best.value + MIN_GAIN)
            if better or left <= 0 or limit.passed():
                break
        if better:
            best = found
        if best.users == search.prices.bound:
            break
    return best


def _upfront(tables: Tables, forest: Forest, limit_s: float) -> list[PlannedRound]:
    """Choose users and models of least Σw/W + ΣL + ΣC, then visit them depth first.

    A depth-first order loads every block once, which no order improves on. Blocks of
    the resident model are free only for the model of the first round and its successors
    for as long as the blocks stay, so each set of blocks that a first model can find
    resident is tried. If the visits start with the model that holds most of that set,
    every used block of the set is indeed found resident: the set lies on one path of
    the forest.
    """
    compute = batch_costs_by_model(tables)
    cost = {}
    for m in tables.active:
        users = tables.users_of[m]
        compute_s, _ = compute[m]
        upload_s = np.concatenate(([0.0], np.cumsum(tables.demand_s[users])))
        cost[m] = compute_s + upload_s
    best_key = (0, 0.0)
    best: list[PlannedRound] = []
    for found in _resident_sets(tables):
        node_load = np.array(
            [tables.loads_s(set(atoms) - found) for atoms in forest.atoms]
        )
        part = tree_knapsack(forest, node_load, cost, limit_s)
        most = len(part.cost) - 1
        key = (-most, float(part.cost[most]))
        if key < best_key:
            sizes = {
                m: batches(compute[m][1], count)
                for m, count in part.choose(most).items()
            }
            order = depth_first(forest, tables, first=found)
            best_key = key
            best = [
                planned
                for m in order
                if m in sizes
                for planned in visit_rounds(tables, m, sizes[m])
            ]
    return best


def _resident_sets(tables: Tables) -> list[frozenset[int]]:
    """List the maximal sets of resident atoms that a first model can use."""
    sets = {tables.initial_atoms & tables.atoms_of[m] for m in tables.active}
    return sorted((s for s in sets if not any(s < other for other in sets)), key=sorted)
