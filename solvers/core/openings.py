"""New rounds for unserved users, at every position of a plan.

At a position, the users of a model who can be in time there enter a new round one after
another, by demand or by deadline; every number of them is a candidate. Who cannot be in
time at a position blocks nobody there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.core.places import Bools, Places
from solvers.core.plan import SLACK_S, Clock, Plan, Times
from solvers.core.tables import Floats, Ints


class Openings(NamedTuple):
    """New rounds that fit: cost per user and position, shape (C,) each.

    Round i is for the users ``entrants[first[i]]`` to ``entrants[last[i]]``.
    """

    cost: Floats
    place: Ints
    first: Ints
    last: Ints
    entrants: Ints

    def users(self, i: int) -> list[int]:
        """Users of a round."""
        rows = slice(int(self.first[i]), int(self.last[i]) + 1)
        found: list[int] = self.entrants[rows].tolist()
        return found


class Windows(NamedTuple):
    """A new round of each model at each position, shape (models, R+1) each.

    ``model`` numbers the models, and ``of_row`` says which of them a row of users is
    for. ``start_s`` is when the GPU could start, ``latest_s`` when the round must end
    and ``extra_load_s`` the load time that the plan gains.
    """

    model: Ints
    of_row: Ints
    start_s: Floats
    latest_s: Floats
    extra_load_s: Floats


def openings(
    clock: Clock,
    times: Times,
    places: Places,
    windows: Windows,
    order: Ints,
    *,
    latency_s: Floats,
    uplink_weight: float,
    need_s: Floats,
    alone: bool = False,
) -> Openings | None:
    """Find new rounds that fit a plan.

    Parameters
    ----------
    clock, times, places, windows
        A feasible plan, and what its positions allow.
    order
        Users who may enter, by model and then in the order in which they enter.
    latency_s
        Compute time by model and batch size, inf-padded, shape (M, B+2).
    uplink_weight
        Weighs a second of the band against one of the GPU in the costs.
    need_s
        Compute time of the batch in which users must be in time to enter, by model.
    alone
        Only rounds of one user each, of every user.

    Returns
    -------
    Openings or None
        None if no round fits.

    Notes
    -----
    O(users · R).
    """
    t = clock.tables
    eligible = _eligible(clock, times, places, windows, order, need_s[windows.model])
    # Position by position, and there user by user.
    place, row = np.nonzero(eligible.T)
    if not len(row):
        return None
    entrants, model = order[row], windows.of_row[row]
    demand = t.demand_s[entrants]
    first = last = queue = np.arange(len(row))
    if alone:
        deadline = t.deadline_s[entrants]
    else:
        # A queue is those of one model at one position.
        begins = np.ones(len(row), dtype=bool)
        begins[1:] = (model[1:] != model[:-1]) | (place[1:] != place[:-1])
        queue = begins.cumsum() - 1
        first = np.flatnonzero(begins)[queue]
        total = demand.cumsum()
        demand = total - (total[first] - demand[first])
        # Ranks rather than times: offsets of integers are exact.
        deadline = clock.deadlines_s[_running_min(clock.deadline_rank[entrants], queue)]
    size = last - first + 1
    compute = latency_s[windows.model[model], np.minimum(size, latency_s.shape[1] - 1)]
    start, latest = windows.start_s[model, place], windows.latest_s[model, place]
    latest = np.minimum(deadline, latest)
    extra = windows.extra_load_s[model, place] + compute
    upload = demand
    fits = np.isfinite(compute)
    if clock.uplink == "upfront":
        start = start + demand
        fits &= demand <= places.early_slack_s[place] + SLACK_S
    elif clock.uplink == "static":
        with np.errstate(divide="ignore", invalid="ignore"):
            begin_s = latest - compute
            own = np.where(begin_s > 0, demand / begin_s, np.inf)
            # Derivative of the band when all preceding rounds are pushed.
            slope = np.cumsum(times.demand_s / places.after_s[:-1] ** 2)
        slope = np.concatenate(([0.0], slope))[place]
        fits &= times.band + own <= 1 + SLACK_S
        with np.errstate(invalid="ignore"):
            upload = (own + slope * extra) * clock.horizon_s
    elif places.arrivals is None:
        start = np.maximum(start, places.sent_s[place] + demand)
        fits &= demand <= places.upload_slack_s[place] + SLACK_S
    else:
        release = _running_min(clock.release_index[entrants], queue)
        start = np.maximum(start, places.arrivals.ready_s(place, release, demand))
        fits &= demand <= places.arrivals.room_s[place, release] + SLACK_S
    fits &= start + compute <= latest + SLACK_S
    chosen = np.flatnonzero(fits)
    if not len(chosen):
        return None
    gpu = 1 - uplink_weight
    cost = uplink_weight * upload[chosen] + gpu * extra[chosen]
    return Openings(
        cost=cost / size[chosen],
        place=place[chosen],
        first=first[chosen],
        last=chosen,
        entrants=entrants,
    )


def windows_of(
    clock: Clock, plan: Plan, times: Times, places: Places, model: Ints
) -> Windows:
    """Return what a plan's positions allow new rounds of some models.

    Parameters
    ----------
    clock, plan, times, places
        A feasible plan.
    model
        The model of every user who may enter, ascending.
    """
    is_first = np.ones(len(model), dtype=bool)
    is_first[1:] = model[1:] != model[:-1]
    models = model[is_first]
    before = np.concatenate(([-1], times.models))
    after = np.concatenate((times.models, [-1]))
    between = clock.loads_between_s
    if clock.tables.problem.residency == "cache":
        load = extra = _missing_s(clock, plan)[models]
    else:
        load = between[before, models[:, None]]
        then = between[models[:, None], after]
        extra = load + then - between[before, after]
    if clock.plain:
        latest = places.after_s - then
    else:
        latest = np.repeat(places.after_s[None], len(models), axis=0)
    return Windows(
        model=models,
        of_row=is_first.cumsum() - 1,
        start_s=np.maximum(places.before_s, places.loading_s + load),
        latest_s=latest,
        extra_load_s=extra,
    )


def _missing_s(clock: Clock, plan: Plan) -> Floats:
    """Load of each model at each position of a plan, given the cache there."""
    t = clock.tables
    missing = np.repeat(clock.rounded_s[:, None], len(plan) + 1, axis=1)
    missing[list(t.initial_atoms), 0] = 0.0
    for r, step in enumerate(clock.steps(plan)):
        missing[list(step.memory.atoms), r + 1] = 0.0
    found: Floats = t.holds @ missing
    return found


def _eligible(
    clock: Clock,
    times: Times,
    places: Places,
    windows: Windows,
    order: Ints,
    need_s: Floats,
) -> Bools:
    """Mark where a user may be in time in a batch of a given compute time, (n, R+1).

    Conditions that are necessary, with twice the usual tolerance.
    """
    t, of_row = clock.tables, windows.of_row
    demand, deadline = t.demand_s[order][:, None], t.deadline_s[order][:, None]
    end = windows.start_s + need_s[:, None]
    limit = windows.latest_s - need_s[:, None]
    slack = 2 * SLACK_S
    if clock.uplink == "upfront":
        most = np.minimum(windows.latest_s - end, places.early_slack_s) + slack
        return (demand <= most[of_row]) & (demand - deadline <= (slack - end)[of_row])
    if clock.uplink == "static":
        free = max(1 + slack - times.band, 0.0)
        with np.errstate(invalid="ignore"):
            most = free * limit if free else np.zeros(limit.shape)
        gain = demand - free * deadline <= (slack - free * need_s)[of_row][:, None]
    else:
        sent = places.sent_s + need_s[:, None]
        most = windows.latest_s - sent
        if places.arrivals is None:
            most = np.minimum(most, places.upload_slack_s)
        gain = demand - deadline <= (slack - sent)[of_row]
    most = np.where(end <= windows.latest_s + slack, most + slack, -np.inf)
    return gain & (demand <= most[of_row]) & (deadline >= (end - slack)[of_row])


def _running_min(rank: Ints, group: Ints) -> Ints:
    """Compute the running minimum along each (ascending) group."""
    offset = (int(rank.max(initial=0)) + 1) * group
    least: Ints = np.minimum.accumulate(rank - offset) + offset
    return least
