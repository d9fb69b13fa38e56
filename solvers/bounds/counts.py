"""How many users of each model both the uplink and the GPU have time for.

With one deadline T and releases 0 every schedule has Σw ≤ T − min C and ΣL + ΣC ≤ T.
The λ-bound looks at one weighted sum of the two at a time; here both hold at once.
``docs/mathematics.md``, section 6, has the proof.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from solvers.bounds.prices import (
    Charges,
    Weightings,
    fill_gaps,
    slope,
    weighted_tree_costs,
)
from solvers.core.limit import UNLIMITED, Limit
from solvers.core.tables import Floats, Ints, Tables
from solvers.tolerance import granted

# Labels kept of all models below a node that have been looked at. Of more, those that
# lose least are.
MOST_LABELS = 500

# Sets of resident atoms that a first model may find; if there are more, none is tried.
MOST_BUDGETS = 8

# Upload weights λ that are tried: so far from that of the λ-bound, then so often those
# halfway from the best to the next on either side. Rows are the best, and those of the
# first whose bound is so many users above the least of them at most.
STEPS = np.array([-0.15, -0.05, 0.0, 0.05, 0.15])
ZOOMS = 2
NEAR = 3.0

# Costs are computed up to this multiple of the budget: less than for the λ-bound, which
# prices more users.
REACH = 1.05

# A label is not dropped for this many users: sums of doubles are rounded.
ROUNDING = 1e-6


class Budgets(NamedTuple):
    """Time for uploads and for the GPU, given the atoms that the first model finds.

    ``node_load_s`` are the loads of the forest's nodes without ``resident`` atoms,
    shape (nodes,).
    """

    resident: frozenset[int]
    upload_s: float
    gpu_s: float
    node_load_s: Floats


class Rows(NamedTuple):
    """Weighted sums of both times, and what a second of each is worth, shape (R,) each.

    ``weight`` is that of uploads, ``worth`` is in users. The first row bounds best.
    """

    weight: Floats
    worth: Floats

    def cost(self, upload_s: Floats, gpu_s: Floats) -> Floats:
        """Cost in users, by row: shape (L, R)."""
        sums = np.multiply.outer(upload_s, self.weight)
        found: Floats = (sums + np.multiply.outer(gpu_s, 1 - self.weight)) * self.worth
        return found


@dataclass(frozen=True, eq=False)
class Labels:
    """L ways to serve users of some models.

    Parameters
    ----------
    users, upload_s, gpu_s
        How many they are, and how much time they need, shape (L,).
    lost
        How much less than the best way they are worth in each row, shape (L, R).
    model
        The model, if it is a single one.
    merged, source
        Else the two parts that these are put together from, and which labels of theirs,
        shape (2, L).
    """

    users: Ints
    upload_s: Floats
    gpu_s: Floats
    lost: Floats
    model: int | None = None
    merged: tuple[Labels, Labels] | None = None
    source: Ints | None = None

    def take(self, which: Ints) -> Labels:
        """Take some of the labels."""
        return replace(
            self,
            users=self.users[which],
            upload_s=self.upload_s[which],
            gpu_s=self.gpu_s[which],
            lost=self.lost[which],
            source=None if self.source is None else self.source[:, which],
        )

    def counts(self, label: int) -> dict[int, int]:
        """Count the users of each model that a label serves, if there are any."""
        found: dict[int, int] = {}
        stack = [(self, label)]
        while stack:
            part, at = stack.pop()
            if part.model is not None and part.users[at]:
                found[part.model] = int(part.users[at])
            if part.merged is not None and part.source is not None:
                stack += zip(part.merged, part.source[:, at].tolist(), strict=True)
        return found


def budgets(tables: Tables, charges: Charges) -> list[Budgets]:
    """List budgets of which every schedule keeps one, the most lenient loads first.

    Of the atoms that are resident at the start only those which the first model holds
    are not loaded. Its first batch, and the GPU with it, waits for an upload. There are
    as many as sets of resident atoms that a model holds, less those that another one
    allows anyway: it holds more, and waits no longer.
    """
    latest_s = granted(float(tables.deadline_s[tables.users].max()))
    least_s = float(tables.least_latency_s[list(tables.active)].min())
    waits_s: dict[frozenset[int], float] = {}
    for m in tables.active:
        there = tables.initial_atoms & tables.atoms_of[m]
        upload_s = float(tables.demand_s[tables.users_of[m]].min())
        wait_s = max(upload_s - tables.load_s(None, m), 0.0)
        waits_s[there] = min(waits_s.get(there, np.inf), wait_s)
    found = []
    for there in sorted(waits_s, key=lambda atoms: (-len(atoms), sorted(atoms))):
        wait_s = waits_s[there]
        if any(there < more and waits_s[more] <= wait_s for more in waits_s):
            continue
        loads = [tables.loads_s(set(atoms) - there) for atoms in charges.forest.atoms]
        gpu_s = latest_s - wait_s
        found.append(Budgets(there, latest_s - least_s, gpu_s, np.array(loads)))
    return found


def weighted(
    charges: Charges, limits: Budgets, around: float, limit: Limit = UNLIMITED
) -> Rows:
    """Choose weighted sums that bound the users well, and the worth of their time.

    ``around`` is the weight of uploads in the λ-bound. Any sums and any worth are
    valid, so after the limit no more are tried.
    """
    charges = replace(charges, node_load_s=limits.node_load_s)
    weight = np.unique(np.clip(around + STEPS, 0.0, 1.0))
    worth, users = _hulls(charges, limits, weight)
    near = weight[users < users.min() + NEAR]
    for _ in range(ZOOMS):
        if limit.passed():
            break
        at = int(users.argmin())
        beside = weight[max(at - 1, 0) : at + 2]
        between = np.setdiff1d((beside[1:] + beside[:-1]) / 2, weight)
        more = _hulls(charges, limits, between)
        order = np.argsort(np.concatenate((weight, between)))
        weight, worth, users = (
            np.concatenate(pair)[order]
            for pair in ((weight, between), (worth, more[0]), (users, more[1]))
        )
    best = weight[users.argmin()]
    chosen = np.concatenate(([best], near[near != best]))
    return Rows(chosen, worth[np.searchsorted(weight, chosen)])


def least_bound(
    tables: Tables,
    charges: Charges,
    around: float,
    bound: int,
    limit: Limit = UNLIMITED,
) -> int:
    """Lower a bound on the users of ``dynamic`` while there is no time for as many.

    Parameters
    ----------
    tables, charges
        A problem of one deadline and releases 0, with residency ``"previous"``, without
        overlap, and with laminar sharing.
    around, bound
        The weight of uploads in the λ-bound, and the bound.
    limit
        The bound is not lowered after it.

    Notes
    -----
    :func:`weighted` and :func:`counts_within` for one of the :func:`budgets`, and for
    all of them for each user that the bound is lowered by. The bound stays if there are
    more than ``MOST_BUDGETS``.
    """
    each = budgets(tables, charges)
    if len(each) > MOST_BUDGETS:
        return bound
    rows: dict[int, Rows] = {}
    while bound > 0:
        for number, limits in enumerate(each):
            if number not in rows:
                rows[number] = weighted(charges, limits, around, limit)
            labels, complete = counts_within(
                charges, limits, rows[number], bound, limit
            )
            if len(labels.users) or not complete:
                return bound
        bound -= 1
    return bound


def _hulls(charges: Charges, limits: Budgets, weight: Floats) -> tuple[Floats, Floats]:
    """Give the worth of time under some weights, and the users it bounds, (R,) each."""
    budget_s = weight * limits.upload_s + (1 - weight) * limits.gpu_s
    sums = Weightings(weight, 1 - weight, 1 - weight, budget_s)
    costs = weighted_tree_costs(charges, sums, REACH)
    worth, users = np.empty((2, len(weight)))
    for row, (cost, limit_s) in enumerate(zip(costs, budget_s, strict=True)):
        y = slope(cost, max(float(limit_s), 0.0))
        reached = np.flatnonzero(np.isfinite(cost))
        worth[row] = y
        users[row] = (reached - y * cost[reached]).max() + y * limit_s
    return worth, users


def counts_within(
    charges: Charges, limits: Budgets, rows: Rows, target: int, limit: Limit
) -> tuple[Labels, bool]:
    """Find ways to serve so many users within both budgets.

    Parameters
    ----------
    charges
        The models, of one deadline, releases 0 and laminar sharing.
    limits, rows
        Both budgets, and weighted sums of them.
    target
        Minimum number of users, at least 1.
    limit
        Ends the search.

    Returns
    -------
    Labels, bool
        The ways; and whether none is left out but such as need no less time of either
        kind than another one with as many users.

    Notes
    -----
    A label goes if, in some row, it loses more than the best way of serving anybody has
    above the target: no way of completing it makes up for that. O((nodes + models) ·
    L · max(L, users of a model) · R), L being ``MOST_LABELS``; if there are more, some
    are left out.
    """
    forest = charges.forest
    best = [np.zeros(len(rows.worth)) for _ in forest.parent]
    parts = [_nobody(len(rows.worth)) for _ in forest.parent]
    singles = {m: _single(charges, rows, m) for m in charges.compute_s}
    load = rows.cost(np.zeros(len(best)), limits.node_load_s)
    for node in range(len(best) - 1, -1, -1):
        for m in forest.models[node]:
            best[node] += singles[m].lost[0]
        if node:
            best[node] -= load[node]
            best[forest.parent[node]] += np.maximum(best[node], 0.0)
    budget = rows.cost(np.array([limits.upload_s]), np.array([limits.gpu_s]))[0]
    most = best[0] + budget - target + ROUNDING
    complete = True

    def add(to: int, part: Labels) -> None:
        nonlocal complete
        parts[to], whole = _merge(parts[to], part, limits, most)
        complete &= whole

    for node in range(len(parts) - 1, -1, -1):
        if limit.passed():
            return _nobody(len(rows.worth)).take(np.arange(0)), False
        for m in forest.models[node]:
            add(node, singles[m])
        if node:
            part = parts[node]
            served = part.users > 0
            lost = np.where(
                served[:, None],
                part.lost + np.maximum(-best[node], 0.0),
                np.maximum(best[node], 0.0),
            )
            gpu_s = part.gpu_s + served * limits.node_load_s[node]
            add(forest.parent[node], replace(part, gpu_s=gpu_s, lost=lost))
    return parts[0].take(np.flatnonzero(parts[0].users >= target)), complete


def _nobody(rows: int) -> Labels:
    return Labels(
        np.zeros(1, dtype=np.int64), np.zeros(1), np.zeros(1), np.zeros((1, rows))
    )


def _single(charges: Charges, rows: Rows, model: int) -> Labels:
    """List the counts of one model; nobody loses what the best of them is worth."""
    upload_s = charges.upload_s[model]
    gpu_s = fill_gaps(charges.compute_s[model])
    users = np.arange(len(upload_s))
    value = users[:, None] - rows.cost(upload_s, gpu_s)
    return Labels(users, upload_s, gpu_s, value.max(axis=0) - value, model)


def _merge(
    left: Labels, right: Labels, limits: Budgets, most: Floats
) -> tuple[Labels, bool]:
    """Put all pairs of labels together, without those that cannot be of use.

    Returns
    -------
    Labels, bool
        By users, then upload time; and whether there were not too many.
    """
    wanted = (right.lost <= most).all(axis=1) | (right.users == 0)
    right = right.take(np.flatnonzero(wanted))
    pairs = np.arange(len(left.users) * len(right.users))
    one, other = np.divmod(pairs, max(len(right.users), 1))
    users = left.users[one] + right.users[other]
    upload_s = left.upload_s[one] + right.upload_s[other]
    gpu_s = left.gpu_s[one] + right.gpu_s[other]
    lost = left.lost[one] + right.lost[other]
    within = (upload_s <= limits.upload_s) & (gpu_s <= limits.gpu_s)
    # What it loses to serve nobody below a node is known only with the node's load.
    kept = np.flatnonzero(within & ((lost <= most).all(axis=1) | (users == 0)))
    kept = kept[np.lexsort((gpu_s[kept], upload_s[kept], users[kept]))]
    # Of as many users, one that needs as much of both as another goes. Ranks of GPU
    # times are put apart by users, for the times themselves would be rounded.
    rank = np.unique(gpu_s[kept], return_inverse=True)[1]
    apart = rank - users[kept] * (len(kept) + 1)
    least = np.minimum.accumulate(apart)
    better = np.ones(len(kept), dtype=bool)
    better[1:] = apart[1:] < least[:-1]
    kept = kept[better]
    whole = len(kept) <= MOST_LABELS
    if not whole:
        first = np.where(users[kept] == 0, -1.0, lost[kept, 0])
        kept = kept[np.sort(np.argsort(first, kind="stable")[:MOST_LABELS])]
    merged = Labels(
        users[kept],
        upload_s[kept],
        gpu_s[kept],
        lost[kept],
        merged=(left, right),
        source=np.array([one[kept], other[kept]]),
    )
    return merged, whole
