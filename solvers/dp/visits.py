"""Visits of a walk backward in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias, cast

import numpy as np

from solvers.bounds.prices import Prices
from solvers.core.kept_loops import kept_loops
from solvers.core.tables import Floats, Ints, Tables
from solvers.dp.labels import POTENTIAL_TOLERANCE, Labels, Log, join, prune
from solvers.tolerance import TIME_TOLERANCE_S

HALF_TOLERANCE = TIME_TOLERANCE_S / 2

# Loading the loops takes some 0.3 s, as long as walks of so many users.
LEAST_USERS = 100
LEAST_S = 0.3


class Goal(NamedTuple):
    """What labels must come to, and how many are kept."""

    value_to_go: float
    target: int
    width: int


Visiting: TypeAlias = Callable[[Tables, Prices, int, Labels, Goal, Log], Labels]
"""Extends labels by a visit: :func:`visit`, or its twin in loops."""


def choose(tables: Tables, left_s: float | None) -> Visiting:
    """Choose what makes visits of a problem, with a time limit or none.

    That is loops where they were compiled before, and it pays to load them; they find
    the same.
    """
    if len(tables.users) < LEAST_USERS or (left_s is not None and left_s < LEAST_S):
        return visit
    loops = kept_loops("solvers.dp.visit_loops")
    return visit if loops is None else cast("Visiting", loops.visit)


def visit(
    tables: Tables,
    prices: Prices,
    model: int,
    entering: Labels,
    goal: Goal,
    log: Log,
) -> Labels:
    """Extend every label by a visit at its beginning, batch by batch from the last.

    Parameters
    ----------
    tables, prices
        The problem, and the prices of its resources.
    model
        The model that is visited. Its users that are not yet in the visit are those of
        least demand.
    entering
        The labels, which have as many nodes resident. Time is when these must be
        loaded, negated; spectrum the sum of w/s over the users served, as a share of
        the band.
    goal
        What labels must come to.
    log
        Records the batches.
    """
    demand_s, latency_s, sizes = batches_of(tables, model)
    cost = prices.model_cost[model]
    value_to_go, target, width = goal
    most = len(demand_s) - 1
    # Indexed by the number of users to be served that are not yet in the visit.
    waiting: list[list[Labels]] = [[] for _ in range(most + 1)]
    enters = entering.users + remaining_worth(prices, entering) + value_to_go
    for count in range(most, 0, -1):
        hopeful = enters + count - cost[count] >= target - POTENTIAL_TOLERANCE
        arriving = entering.take(np.flatnonzero(hopeful))
        arriving = arriving._replace(users=arriving.users + count)
        here = join([*waiting[count], arriving])
        if not len(here.users):
            continue
        potential = (
            here.users + remaining_worth(prices, here) + value_to_go - cost[count]
        )
        here = prune(here, potential, target, width)
        fit = sizes[sizes <= count]
        begin_s = -here.time_s - latency_s[fit, None]
        share = (demand_s[count] - demand_s[count - fit])[:, None] / np.where(
            begin_s > 0, begin_s, np.inf
        )
        band = here.spectrum + share
        row, which = np.nonzero((begin_s > 0) & (band <= 1 + HALF_TOLERANCE))
        if not len(row):
            continue
        size = fit[row]
        made = Labels(
            here.users[which],
            here.depth[which],
            -begin_s[row, which],
            band[row, which],
            log.add(here.entry[which], model, size),
        )
        # Rows are sorted by size.
        ends = np.searchsorted(row, np.arange(len(fit) + 1))
        for i, b in enumerate(fit.tolist()):
            if ends[i + 1] > ends[i]:
                part = slice(int(ends[i]), int(ends[i + 1]))
                waiting[count - b].append(made.take(part))
    return join(waiting[0]) if waiting[0] else entering.take(slice(0, 0))


def batches_of(tables: Tables, model: int) -> tuple[Floats, Floats, Ints]:
    """Demand of the first n users, time by batch size, and sizes that can be used."""
    users = tables.users_of[model]
    demand_s = np.concatenate(([0.0], np.cumsum(tables.demand_s[users])))
    latency_s = tables.latency_s[model]
    return demand_s, latency_s, np.flatnonzero(np.isfinite(latency_s))[1:]


def remaining_worth(
    prices: Prices, labels: Labels, load_s: Floats | float = 0.0
) -> Floats:
    """Worth of the GPU time and band that remain, after a load."""
    gpu = prices.worth(-labels.time_s - load_s)
    return gpu + prices.band_worth * (prices.band_limit - labels.spectrum)
