"""Grow a schedule: round by round, or model by model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solvers.core.tables import Floats, PlannedRound
from solvers.greedy.sides import Backward, Side
from solvers.greedy.waiting import Loads, Waiting

# Loads that differ by less than this share of the largest count as equal.
EQUAL = 1e-9


@dataclass(frozen=True)
class Rule:
    """One way to score a round.

    ``uplink_weight`` is what a second of the band counts beside a second of the GPU.
    ``spread`` says who pays for a load: ``"round"`` the round alone, ``"model"`` all
    users of the model that still wait, ``"holders"`` each block all waiting users of
    models that hold it. ``urgent`` offers users by deadline rather than by demand.
    ``haste`` weighs a round's deadline: a round that is due earlier by a share f of
    the latest deadline counts as exp(haste · f) rounds.
    """

    uplink_weight: float
    spread: str
    urgent: bool = False
    haste: float = 0.0


def grow(loads: Loads, side: Side, waiting: Waiting, rule: Rule) -> None:
    """Add rounds while some round fits, the best score first.

    The score of a round is its users over the seconds it adds, of the GPU and,
    weighted, of the band.

    Notes
    -----
    O(rounds · (models · batch limit + models · shared atoms)).
    """
    tables = loads.tables
    # What is placed first lies last in a schedule that is built backwards.
    sign = -1.0 if isinstance(side, Backward) else 1.0
    latest_s = float(tables.deadline_s.max(initial=0.0)) or 1.0
    # With one deadline and no releases, least demand first, nobody who does not fit
    # keeps out anybody who does.
    drops = tables.common_deadline_s is None or not tables.releases_zero
    weight = rule.uplink_weight
    while True:
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
    """Say how much of its model's load a round of each entry answers for, (E,)."""
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


def tour(loads: Loads, side: Side, waiting: Waiting, key: Floats) -> None:
    """Visit each model once, the one that finds most of itself resident next.

    In a forest that is a depth-first order, which loads each block once. Each visit
    is cut into the batches that end first (``dynamic``) or compute least.

    Parameters
    ----------
    loads, side, waiting
        What is there, the schedule so far and the users to be served.
    key
        Decides, the least first, among models that find as much, shape (M,).

    Notes
    -----
    O(rounds · (models · batch limit + models · shared atoms) + K · batch limit).
    """
    left = waiting.count > 0
    unit_s = (float(loads.load_s.max(initial=0.0)) or 1.0) * EQUAL
    while left.any():
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
