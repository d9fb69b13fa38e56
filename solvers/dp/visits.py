"""Visits of a walk backward in time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.bounds.prices import Prices
from solvers.core import compiling
from solvers.core.tables import Floats, Ints, Tables
from solvers.dp.labels import POTENTIAL_TOLERANCE, Labels, Log, join, prune
from solvers.dp.visit_kernels import Visit, Worths, visits
from solvers.tolerance import TIME_TOLERANCE_S

HALF_TOLERANCE = TIME_TOLERANCE_S / 2


def kept() -> bool:
    """Whether the loops were compiled before."""
    return compiling.COMPILED and compiling.kept(visits)


class Goal(NamedTuple):
    """What labels must come to, and how many are kept."""

    value_to_go: float
    target: int
    width: int


def visit(
    tables: Tables,
    prices: Prices,
    model: int,
    entering: Labels,
    goal: Goal,
    log: Log,
    *,
    loops: bool,
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
    loops
        Whether to go through compiled loops, which find the same.
    """
    if not len(entering.users):
        return entering
    users = tables.users_of[model]
    demand_s = np.concatenate(([0.0], np.cumsum(tables.demand_s[users])))
    latency_s = tables.latency_s[model]
    sizes = np.flatnonzero(np.isfinite(latency_s))[1:]
    cost = prices.model_cost[model]
    if not loops:
        return _visit(
            *(demand_s, latency_s, sizes, cost, prices, model, entering, goal, log)
        )
    this = Visit(
        demand_s=demand_s,
        latency_s=latency_s,
        sizes=sizes,
        cost=cost,
        value_to_go=float(goal.value_to_go),
        depth=int(entering.depth[0]),
        target=float(goal.target),
        tolerance=POTENTIAL_TOLERANCE,
        most_band=1 + HALF_TOLERANCE,
        width=goal.width,
    )
    worths = Worths(
        np.asarray(prices.gpu_time_s),
        np.asarray(prices.gpu_worth),
        float(prices.band_worth),
        float(prices.band_limit),
    )
    made = visits(
        *(this, worths, entering.users, entering.time_s, entering.spectrum),
        *(entering.entry, log.count),
    )
    numbers = log.add(made.parent, model, made.size)
    whole = np.flatnonzero(made.left == 0)
    return Labels(
        made.users[whole],
        np.full(len(whole), this.depth),
        made.time_s[whole],
        made.spectrum[whole],
        numbers[whole],
    )


def _visit(
    demand_s: Floats,
    latency_s: Floats,
    sizes: Ints,
    cost: Floats,
    prices: Prices,
    model: int,
    entering: Labels,
    goal: Goal,
    log: Log,
) -> Labels:
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


def remaining_worth(
    prices: Prices, labels: Labels, load_s: Floats | float = 0.0
) -> Floats:
    """Worth of the GPU time and band that remain, after a load."""
    gpu = prices.worth(-labels.time_s - load_s)
    return gpu + prices.band_worth * (prices.band_limit - labels.spectrum)
