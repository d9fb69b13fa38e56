"""Construct a schedule round by round or model by model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solvers.core.limit import UNLIMITED, Limit
from solvers.core.tables import Floats, PlannedRound
from solvers.greedy.sides import Backward, Side
from solvers.greedy.waiting import Loads, Waiting

# Loads that differ by less than this fraction of the largest count as equal.
EQUAL = 1e-9


@dataclass(frozen=True)
class Rule:
    """A rule for scoring rounds.

    ``uplink_weight`` is the weight of a second of the band against a second of the GPU.
    ``spread`` selects how a load is charged: ``"round"`` to the round alone,
    ``"model"`` to all waiting users of the model, ``"holders"`` each block to all
    waiting users of the models that hold it. With ``urgent``, users queue by deadline
    rather than by demand. ``haste`` weighs a round's deadline: a round due earlier by a
    fraction f of the latest deadline counts as exp(haste · f) rounds.
    """

    uplink_weight: float
    spread: str
    urgent: bool = False
    haste: float = 0.0


def grow(
    loads: Loads, side: Side, waiting: Waiting, rule: Rule, limit: Limit = UNLIMITED
) -> None:
    """Add the round with the best score until no round fits, or the limit has passed.

    A round's score is its number of users divided by the weighted sum of the GPU and
    band seconds that it adds.

    Notes
    -----
    O(rounds · (models · batch limit + models · shared atoms)).
    """
    tables = loads.tables
    # A schedule that is built backwards places its last round first.
    sign = -1.0 if isinstance(side, Backward) else 1.0
    latest_s = float(tables.deadline_s.max(initial=0.0)) or 1.0
    # With one deadline, no releases and users in order of demand, a user that does not
    # fit never blocks one that does.
    drops = tables.common_deadline_s is None or not tables.releases_zero
    weight = rule.uplink_weight
    while not limit.passed():
        missing_s = side.missing_s()
        load_s = loads.of_models(missing_s)
        while drops and waiting.drop(side.late(waiting, load_s)):
            pass
        fits, gpu_s = side.offer(waiting, load_s)
        if not fits.any():
            if drops and waiting.skip():
                continue
            return
        charge_s = _charge_s(loads, rule, waiting, missing_s, load_s)
        gpu_s += charge_s - load_s[waiting.model]
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            score = waiting.size / (weight * waiting.upload_s + (1 - weight) * gpu_s)
            if rule.haste:
                score *= np.exp(-sign * rule.haste * waiting.deadline_s / latest_s)
        score[~fits] = -np.inf
        best = int(score.argmax())
        model, size = int(waiting.model[best]), int(waiting.size[best])
        side.place(PlannedRound(model, waiting.take(model, size)))


def _charge_s(
    loads: Loads,
    rule: Rule,
    waiting: Waiting,
    missing_s: Floats,
    load_s: Floats,
) -> Floats:
    """Load charged to a round of each entry, (E,)."""
    load = load_s[waiting.model]
    if rule.spread == "round":
        return load
    users = np.maximum(waiting.count, 1)
    if rule.spread == "model":
        per_user_s = load_s / users
    else:
        of_shared = np.maximum(waiting.count @ loads.holds, 1)
        per_user_s = missing_s[loads.own] / users
        per_user_s += loads.holds @ (missing_s[loads.shared] / of_shared)
    charge: Floats = np.minimum(per_user_s[waiting.model] * waiting.size, load)
    return charge


def tour(
    loads: Loads,
    side: Side,
    waiting: Waiting,
    key: Floats,
    limit: Limit = UNLIMITED,
) -> None:
    """Visit each model once, next the model with most of its load already resident.

    In a forest this is a depth-first order, which loads each block once. Each visit is
    divided into the batches that end earliest (``dynamic``) or that compute least.

    Parameters
    ----------
    loads, side, waiting
        The loads of all models, the schedule so far and the users to serve.
    key
        Breaks ties between models, least first, shape (M,).
    limit
        No further model is visited after it.

    Notes
    -----
    O(rounds · (models · batch limit + models · shared atoms) + K · batch limit).
    """
    left = waiting.count > 0
    unit_s = (float(loads.load_s.max(initial=0.0)) or 1.0) * EQUAL
    while left.any() and not limit.passed():
        load_s = loads.of_models(side.missing_s())
        found = np.round((loads.load_s - load_s) / unit_s)
        found[~left] = -np.inf
        most = np.flatnonzero(found == found.max())
        model = int(most[np.argmin(key[most])])
        left[model] = False
        for planned in side.batches(waiting, model, load_s):
            load_s = loads.of_models(side.missing_s())
            fits = side.offer(waiting, load_s)[0][waiting.entries(model)]
            sizes = np.flatnonzero(fits[:planned])
            if not len(sizes):
                break
            size = int(sizes[-1]) + 1
            side.place(PlannedRound(model, waiting.take(model, size)))
