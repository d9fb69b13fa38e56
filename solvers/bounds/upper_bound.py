"""The λ-bound: an upper bound on the users that any schedule can serve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from solvers.bounds.convex_costs import convex_tree_costs
from solvers.bounds.counts import least_bound
from solvers.bounds.prices import (
    COARSE,
    MANY_USERS,
    WEIGHTS,
    Charges,
    Prices,
    Weightings,
    make_charges,
    model_costs,
    tightest_row,
    users_within,
    weighted_tree_costs,
)
from solvers.bounds.visit_prices import visit_prices
from solvers.core.forest import Forest, build_forest
from solvers.core.limit import UNLIMITED, Limit
from solvers.core.tables import Floats, Tables
from solvers.tolerance import SPECTRUM_TOLERANCE
from solvers.uplink import Uplink

# Costs are computed up to this multiple of the budget, to price one more user.
REACH = 1.25

# Above this many users costs are bounded from below by convex ones, and static by the
# λ-bound alone: bounds a few users looser, in a time that does not grow with K².
CONVEX_USERS = 20_000


def upper_bound(tables: Tables, uplink: Uplink, limit: Limit = UNLIMITED) -> int:
    """Bound the users that any schedule can serve, for any kind of sharing.

    Let T be the latest deadline. The GPU loads and computes one thing at a time, so
    ΣL + ΣC ≤ T; the last upload ends before the last batch starts, so
    Σw/W ≤ T − min C. Every convex combination of the two is valid as well; for each,
    the tree knapsack with that scalar cost bounds the users, and the smallest bound is
    taken. ``upfront`` schedules satisfy Σw/W + ΣL + ΣC ≤ T, a single knapsack. For
    ``static``, the bound of :mod:`solvers.bounds.visit_prices` is taken where it is
    smaller, and for ``dynamic`` with one deadline and laminar sharing that of both sums
    at once (:mod:`solvers.bounds.counts`), up to ``MANY_USERS`` users.

    Each block used must be loaded at least once, unless it is resident at the start. If
    sharing is crossing, a block used by some of its h holders costs each of them
    load / h, which never adds up to more than the load. With overlap, loads run beside
    batches: ΣC ≤ T and ΣL ≤ T − min C hold separately.

    Parameters
    ----------
    tables, uplink
        The problem, with or without sharing, and the discipline.
    limit
        The λ-bound is not lowered after it.

    Returns
    -------
    int
        The bound, at most the number of schedulable users.

    Notes
    -----
    O(K²) for each of the 21 weights, of which 13 are tried above ``MANY_USERS`` users,
    and O(K log K) for each level of the forest above ``CONVEX_USERS`` users, by
    :mod:`solvers.bounds.convex_costs`.
    """
    if not tables.active:
        return 0
    charges = make_charges(tables)
    found = [_bound_by(charges, rows) for rows in _weightings(tables, uplink)]
    most = min(bound for bound, _, _ in found)
    plain = tables.problem.residency == "previous" and not tables.problem.overlap
    if not most or not plain or limit.passed():
        return most
    if uplink == "static" and _few(tables):
        return min(most, visit_prices(tables, charges, limit).bound)
    one = tables.common_deadline_s is not None and tables.releases_zero
    laminar = isinstance(build_forest(tables), Forest)
    if uplink == "dynamic" and one and laminar and len(tables.users) <= MANY_USERS:
        ((_, chosen, _),) = found
        return least_bound(tables, charges, float(chosen.upload[0]), most, limit)
    return most


def _few(tables: Tables) -> bool:
    """Whether costs are computed as they are, not from below."""
    return len(tables.users) <= CONVEX_USERS


def prices(tables: Tables, uplink: Uplink, limit: Limit = UNLIMITED) -> Prices:
    """Compute the prices behind :func:`upper_bound` for ``dynamic`` or ``static``.

    Parameters
    ----------
    tables
        A problem with users, without overlap, residency ``"previous"``.
    uplink
        ``"dynamic"`` or ``"static"``.
    limit
        Prices are not revised after it; those found by then are valid.
    """
    charges = make_charges(tables)
    (rows,) = _weightings(tables, uplink)
    most, chosen, y = _bound_by(charges, rows)
    if uplink == "static" and most and _few(tables) and not limit.passed():
        found = visit_prices(tables, charges, limit)
        return replace(found, bound=min(found.bound, most))
    latest_s = float(tables.deadline_s[tables.users].max())
    # No batch may fit before the deadline: then no spectrum is left.
    band_limit = max(0.0, latest_s - _least_compute_s(tables))
    band_worth = y * float(chosen.upload[0])
    if uplink == "static":
        # Who holds a share of the band until a batch sends no more than it could by
        # the last start.
        band_worth, band_limit = band_worth * band_limit, 1.0
    return Prices(
        bound=most,
        gpu_time_s=np.array([0.0, latest_s]),
        gpu_worth=np.array([0.0, y * float(chosen.compute[0]) * latest_s]),
        band_worth=band_worth,
        band_limit=band_limit,
        node_cost=y * float(chosen.load[0]) * charges.node_load_s,
        model_cost={m: y * cost[0] for m, cost in model_costs(charges, chosen).items()},
    )


def _weightings(tables: Tables, uplink: Uplink) -> list[Weightings]:
    """List the weighted sums of uploads, batches and loads that bound any schedule."""
    latest_s = float(tables.deadline_s[tables.users].max())
    least_compute_s = _least_compute_s(tables)
    if uplink == "upfront":
        upload = gpu = np.ones(1)
        limit_s = np.full(1, latest_s)
    else:
        upload, gpu = WEIGHTS, 1 - WEIGHTS
        limit_s = latest_s - upload * least_compute_s
    if uplink == "static":
        # Bands may exceed the whole by the tolerance, and so may what they carry.
        limit_s = limit_s + SPECTRUM_TOLERANCE * latest_s
    if not tables.problem.overlap:
        return [Weightings(upload, gpu, gpu, limit_s)]
    # The last load has ended when the last batch starts.
    load_limit_s = np.full(len(upload), latest_s - least_compute_s)
    nothing = np.zeros(len(upload))
    return [
        Weightings(upload, gpu, nothing, limit_s),
        Weightings(upload, nothing, gpu, load_limit_s),
    ]


def _least_compute_s(tables: Tables) -> float:
    return min(float(tables.latency_s[m][1:].min()) for m in tables.active)


def _bound_by(charges: Charges, rows: Weightings) -> tuple[int, Weightings, float]:
    """Bound the users by each weighting.

    Returns
    -------
    most, best, slope
        The smallest bound, the weighting with the tightest bound, and users per unit of
        its cost.
    """
    most = sum(len(upload) - 1 for upload in charges.upload_s.values())
    if most > MANY_USERS and len(rows.limit_s) > 1:
        coarse = rows.take(np.arange(0, len(rows.limit_s), COARSE))
        costs = _costs(charges, coarse)
        most = int(users_within(costs, coarse.limit_s).min())
        near = COARSE * tightest_row(costs, coarse.limit_s)[0]
        there_are = np.arange(len(rows.limit_s))
        rows = rows.take(there_are[abs(there_are - near) < COARSE])
    costs = _costs(charges, rows)
    best, y = tightest_row(costs, rows.limit_s)
    most = min(most, int(users_within(costs, rows.limit_s).min()))
    return most, rows.take(np.array([best])), y


def _costs(charges: Charges, rows: Weightings) -> Floats:
    """Cost of n users under each weighting, from below where they are very many."""
    if sum(len(upload) - 1 for upload in charges.upload_s.values()) > CONVEX_USERS:
        return convex_tree_costs(charges, rows)
    return weighted_tree_costs(charges, rows, REACH)
