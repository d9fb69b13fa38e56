"""Visits of a walk backward in time, in compiled loops."""

from __future__ import annotations

import numpy as np

from solvers.bounds.prices import Prices
from solvers.core import compiling
from solvers.core.tables import Tables
from solvers.dp.labels import POTENTIAL_TOLERANCE, Labels, Log
from solvers.dp.visit_kernels import Visit, Worths, visits
from solvers.dp.visits import HALF_TOLERANCE, Goal, batches_of


def kept() -> bool:
    """Whether the loops were compiled before."""
    return compiling.COMPILED and compiling.kept(visits)


def visit(
    tables: Tables,
    prices: Prices,
    model: int,
    entering: Labels,
    goal: Goal,
    log: Log,
) -> Labels:
    """Do what :func:`solvers.dp.visits.visit` does, to the last bit."""
    if not len(entering.users):
        return entering
    demand_s, latency_s, sizes = batches_of(tables, model)
    this = Visit(
        demand_s=demand_s,
        latency_s=latency_s,
        sizes=sizes,
        cost=prices.model_cost[model],
        value_to_go=float(goal.value_to_go),
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
    made = compiling.call(
        *(visits, this, worths, entering.users, entering.time_s, entering.spectrum),
        *(entering.entry, log.count),
    )
    numbers = log.add(made.parent, model, made.size)
    whole = np.flatnonzero(made.left == 0)
    return Labels(
        made.users[whole],
        np.full(len(whole), entering.depth[0]),
        made.time_s[whole],
        made.spectrum[whole],
        numbers[whole],
    )
