"""Insert unserved users into a plan until none fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from solvers.core.insertion import Criterion, Insertion, Insertions
from solvers.core.places import Bools
from solvers.core.plan import Plan, Times

# Additions are made from one evaluation of a plan while they cost at most this many
# times as much as the first.
SPREAD = 2.0


def fill(
    insertions: Insertions,
    plan: Plan,
    waiting: Bools,
    criterion: Criterion,
    rng: np.random.Generator,
    *,
    tries: int,
    goes_on: Callable[[int], bool],
) -> tuple[Plan, Times]:
    """Let users join rounds of their model or open rounds anywhere, while any fit.

    The cheapest addition comes first. Others that cost little more, as evaluated before
    it, follow at once if they still fit.

    Parameters
    ----------
    insertions
        Finds additions.
    plan
        A feasible plan.
    waiting
        Mask of the users that may be inserted, shape (K,); who is inserted is removed.
    criterion, rng
        Rank the additions.
    tries
        Additions are given up after this many that did not fit.
    goes_on
        Is told the number of rounds before each evaluation; filling ends if false.

    Returns
    -------
    tuple
        A feasible plan that serves the same users and possibly more, and its times.
    """
    clock = insertions.clock
    times = clock.time(plan)
    while goes_on(len(plan)):
        around = insertions.around(plan, times, waiting, criterion, rng)
        for found in (around.candidates(), around.alone()):
            before = plan
            plan, times = _add(insertions, plan, times, waiting, found, tries)
            if plan is not before:
                break
        else:
            break
    return plan, times


def _add(
    insertions: Insertions,
    plan: Plan,
    times: Times,
    waiting: Bools,
    found: Iterator[Insertion],
    tries: int,
) -> tuple[Plan, Times]:
    """Make the first additions that fit."""
    clock = insertions.clock
    before = plan
    opened: list[int] = []
    most = np.inf
    for addition in found:
        if addition.cost > most or not tries:
            break
        if not all(waiting[k] for k in addition.users):
            continue
        # Positions are those of the plan that was evaluated.
        shift = sum(place <= addition.place for place in opened)
        moved = addition._replace(place=addition.place + shift)
        longer = moved.into(plan, clock)
        if not clock.feasible(longer):
            tries -= 1
            continue
        if not np.isfinite(most):
            most = SPREAD * addition.cost
        if addition.opens:
            opened.append(addition.place)
        plan = longer
        waiting[list(addition.users)] = False
    return plan, times if plan is before else clock.time(plan)
