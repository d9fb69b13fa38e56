"""The λ-bound: how many users any schedule at all can serve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from solvers.bounds.prices import (
    COARSE,
    MANY_USERS,
    WEIGHTS,
    Library,
    Prices,
    Weighted,
    bought,
    least_slope,
    library,
    model_costs,
    tree_rows,
)
from solvers.bounds.visit_prices import visit_prices
from solvers.core.tables import Tables
from solvers.schedule import Uplink

# How far beyond the budget costs are worked out, to know what one more user costs.
REACH = 1.25


def upper_bound(tables: Tables, uplink: Uplink) -> int:
    """Bound the users that any schedule can serve, whatever the sharing.

    Let T be the latest deadline. The GPU loads and computes one thing at a time, so
    ΣL + ΣC ≤ T; the last upload ends before the last batch starts, so
    Σw/W ≤ T − min C. Every convex combination of the two holds as well; for each, the
    tree knapsack with that scalar cost bounds the users, and the least bound is taken.
    ``upfront`` schedules obey Σw/W + ΣL + ΣC ≤ T, one knapsack. For ``static`` the
    bound of :mod:`solvers.bounds.visit_prices` is taken where it is less.

    Each block used must be loaded once at least, unless it is resident at the start.
    Where sharing crosses, a block used by some of its h holders costs each of them
    load / h, which never adds up to more than the load. With overlap loads run beside
    batches: ΣC ≤ T, and ΣL ≤ T − min C, each by itself.

    Parameters
    ----------
    tables, uplink
        The problem, with or without sharing, and the discipline.

    Returns
    -------
    int
        At most the number of users that can be scheduled at all.

    Notes
    -----
    O(K²) for each of the 21 weights; 13 above ``MANY_USERS`` users.
    """
    if not tables.active:
        return 0
    held = library(tables)
    most = min(_try(held, rows)[0] for rows in _weightings(tables, uplink))
    plain = tables.problem.residency == "previous" and not tables.problem.overlap
    if most and uplink == "static" and plain:
        most = min(most, visit_prices(tables, held).bound)
    return most


def prices(tables: Tables, uplink: Uplink) -> Prices:
    """Find the prices behind :func:`upper_bound` for ``dynamic`` or ``static``.

    Parameters
    ----------
    tables
        A problem with users, without overlap, residency ``"previous"``.
    uplink
        ``"dynamic"`` or ``"static"``.
    """
    held = library(tables)
    (rows,) = _weightings(tables, uplink)
    most, chosen, y = _try(held, rows)
    if uplink == "static" and most:
        found = visit_prices(tables, held)
        return replace(found, bound=min(found.bound, most))
    latest_s = float(tables.deadline_s[tables.users].max())
    return Prices(
        bound=most,
        gpu_time_s=np.array([0.0, latest_s]),
        gpu_worth=np.array([0.0, y * float(chosen.compute[0]) * latest_s]),
        band_worth=y * float(chosen.upload[0]),
        # None is left, not less than none, where no batch fits before the deadline.
        band_limit=max(0.0, latest_s - _least_compute_s(tables)),
        node_cost=y * float(chosen.load[0]) * held.node_load_s,
        model_cost={m: y * cost[0] for m, cost in model_costs(held, chosen).items()},
    )


def _weightings(tables: Tables, uplink: Uplink) -> list[Weighted]:
    """List sums that no schedule's uploads, batches and loads exceed."""
    latest_s = float(tables.deadline_s[tables.users].max())
    least_compute_s = _least_compute_s(tables)
    if uplink == "upfront":
        upload = gpu = np.ones(1)
        limit_s = np.full(1, latest_s)
    else:
        upload, gpu = WEIGHTS, 1 - WEIGHTS
        limit_s = latest_s - upload * least_compute_s
    if not tables.problem.overlap:
        return [Weighted(upload, gpu, gpu, limit_s)]
    # The last load has ended when the last batch starts.
    load_limit_s = np.full(len(upload), latest_s - least_compute_s)
    nothing = np.zeros(len(upload))
    return [
        Weighted(upload, gpu, nothing, limit_s),
        Weighted(upload, nothing, gpu, load_limit_s),
    ]


def _least_compute_s(tables: Tables) -> float:
    return min(float(tables.latency_s[m][1:].min()) for m in tables.active)


def _try(held: Library, rows: Weighted) -> tuple[int, Weighted, float]:
    """Bound the users by each weighting.

    Returns
    -------
    most, best, slope
        The least bound, the weighting that bounds best, users per unit of its cost.
    """
    most = sum(len(upload) - 1 for upload in held.upload_s.values())
    if most > MANY_USERS and len(rows.limit_s) > 1:
        coarse = rows.take(np.arange(0, len(rows.limit_s), COARSE))
        costs = tree_rows(held, coarse, REACH)
        most = int(bought(costs, coarse.limit_s).min())
        near = COARSE * least_slope(costs, coarse.limit_s)[0]
        there_are = np.arange(len(rows.limit_s))
        rows = rows.take(there_are[abs(there_are - near) < COARSE])
    costs = tree_rows(held, rows, REACH)
    best, y = least_slope(costs, rows.limit_s)
    most = min(most, int(bought(costs, rows.limit_s).min()))
    return most, rows.take(np.array([best])), y
