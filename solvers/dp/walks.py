"""Walks along an order: forward in time for ``dynamic``, backward for ``static``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from solvers.bounds.prices import Prices
from solvers.core.forest import Forest
from solvers.core.limit import UNLIMITED, Limit
from solvers.core.tables import Floats, Ints, PlannedRound, Tables
from solvers.dp.labels import (
    NOTHING_SERVED,
    POTENTIAL_TOLERANCE,
    Labels,
    Log,
    Stop,
    join,
    prune,
    start,
    stops,
)
from solvers.dp.visits import HALF_TOLERANCE, Goal, Visiting, remaining_worth, visit
from solvers.uplink import Uplink


@dataclass(frozen=True)
class Search:
    """The data common to all orders of one problem, and what makes visits."""

    tables: Tables
    forest: Forest
    prices: Prices
    uplink: Uplink
    deadline_s: float
    visit: Visiting = visit


@dataclass(frozen=True)
class Walk:
    """The result of walking one order.

    Parameters
    ----------
    order
        The order, starting with the first visit.
    users
        Maximum number of users served along it; −1 if below the target.
    value
        That number, plus the worth of the remaining time and spectrum.
    steps
        (model, users) of each step of the walk in that schedule, last step first.
    states
        Labels, length of the log and best so far before each stop of the walk.
    log
        The log of visits.
    """

    order: tuple[int, ...]
    users: int
    value: float
    steps: tuple[tuple[int, int], ...]
    states: tuple[tuple[Labels, int, _Best], ...]
    log: Log


# Users, value and log entry of the best schedule so far.
_Best = tuple[int, float, int]
NONE_FOUND: _Best = (-1, 0.0, 0)


def walk(
    search: Search,
    order: Sequence[int],
    *,
    target: int,
    width: int,
    base: Walk | None = None,
    limit: Limit = UNLIMITED,
) -> Walk:
    """Serve the maximum number of users along an order.

    Parameters
    ----------
    search
        The problem and the prices of its resources.
    order
        A depth-first order of the active models, starting with the first visit.
    target
        Schedules that serve fewer users are discarded.
    width
        Maximum number of labels kept after each stop.
    base
        A walk with the same target and width; the stops that both orders begin with are
        reused.
    limit
        No further stop is made after it, but one; such a walk is no base of others.
    """
    backwards = search.uplink == "static"
    there = list(reversed(order)) if backwards else list(order)
    walk_stops = stops(
        search.tables, search.forest, search.prices, there, owing=backwards
    )
    first = 0
    states: list[tuple[Labels, int, _Best]] = []
    log = Log()
    labels = start(-search.deadline_s if backwards else 0.0)
    best = NONE_FOUND
    if base is not None:
        old = base.order[::-1] if backwards else base.order
        while first < len(old) - 1 and old[first] == there[first]:
            first += 1
        states = list(base.states[:first])
        labels, length, best = base.states[first]
        log = base.log.copy(length)
    advance = _backwards if backwards else _forwards
    for number, stop in enumerate(walk_stops[first:]):
        if number and limit.passed():
            break
        states.append((labels, len(log), best))
        labels, best = advance(search, stop, labels, log, best, target, width)
    users, value, entry = best
    return Walk(tuple(order), users, value, tuple(log.trace(entry)), tuple(states), log)


def planned(search: Search, found: Walk) -> list[PlannedRound]:
    """Convert the schedule of a walk to rounds."""
    if search.uplink == "static":
        return _rounds_backwards(search.tables, found.steps)
    return _rounds_forwards(search.tables, found.steps[::-1])


def _best_of(new: Labels, value: Floats, best: _Best) -> _Best:
    """Choose the label with the most users, then the highest value."""
    if not len(new.users):
        return best
    most = int(np.lexsort((-value, -new.users))[0])
    found = (int(new.users[most]), float(value[most]), int(new.entry[most]))
    return found if found[:2] > best[:2] else best


def _forwards(
    search: Search,
    stop: Stop,
    labels: Labels,
    log: Log,
    best: _Best,
    target: int,
    width: int,
) -> tuple[Labels, _Best]:
    """Extend every label by a visit at its end; time is the end of the last round.

    ``spectrum`` is the upload time of all users served. In a visit that starts after
    uploads P, serving k users takes f(k) = min over b of
    max(f(k − b), P + their demand) + latency[b].
    """
    tables, prices = search.tables, search.prices
    labels = labels._replace(depth=np.minimum(labels.depth, stop.shared))
    load = np.where(
        labels.depth == NOTHING_SERVED,
        tables.load_s(None, stop.model),
        stop.load_s[np.maximum(labels.depth, 0)],
    )
    upload = np.cumsum(tables.demand_s[tables.users_of[stop.model]])
    limit_s = search.deadline_s + HALF_TOLERANCE
    end, _ = visit_ends(
        labels.time_s + load,
        labels.spectrum,
        upload,
        tables.latency_s[stop.model],
        limit_s,
    )
    row, extra = np.nonzero(end[:, 1:] <= limit_s)
    end_s = end[row, extra + 1]
    sent_s = labels.spectrum[row] + upload[extra]
    users = labels.users[row] + extra + 1
    value = users + _remaining_worth(prices, search.deadline_s, end_s, sent_s)
    # Labels that cannot reach the target are not recorded.
    hopeful = np.flatnonzero(
        value + stop.value_to_go[-1] >= target - POTENTIAL_TOLERANCE
    )
    row, extra = row[hopeful], extra[hopeful]
    new = Labels(
        users[hopeful],
        np.full(len(row), stop.depth),
        end_s[hopeful],
        sent_s[hopeful],
        log.add(labels.entry[row], stop.model, extra + 1),
    )
    value = value[hopeful]
    done = np.flatnonzero(new.users >= target)
    best = _best_of(new.take(done), value[done], best)
    old = labels.users + _remaining_worth(
        prices, search.deadline_s, labels.time_s, labels.spectrum
    )
    labels = join([labels, new])
    potential = np.concatenate((old, value)) + stop.value_to_go[labels.depth + 1]
    return prune(labels, potential, target, width), best


def _remaining_worth(
    prices: Prices, deadline_s: float, time_s: Floats, sent_s: Floats
) -> Floats:
    """Worth of the remaining GPU time and band."""
    gpu = prices.gpu_worth[-1] * (1 - time_s / deadline_s)
    return np.asarray(gpu + prices.band_worth * (prices.band_limit - sent_s))


def visit_ends(
    loaded_s: Floats,
    uploaded_s: Floats,
    upload_s: Floats,
    latency_s: Floats,
    limit_s: float = np.inf,
) -> tuple[Floats, Ints]:
    """Compute the earliest end of k users of one model, for k = 0, 1, … and each label.

    Parameters
    ----------
    loaded_s, uploaded_s
        When the model is loaded and earlier uploads have ended, shape (n,).
    upload_s
        Upload time of the first k + 1 users, shape (K,).
    latency_s
        Compute time by batch size, shape (B+1,).
    limit_s
        Ends beyond this are not required.

    Returns
    -------
    end_s, batch
        Earliest end and size of the last batch, shape (n, k+1), k up to the largest
        count within the limit.
    """
    users, most = len(upload_s), len(latency_s) - 1
    end = np.empty((users + 1, len(loaded_s)))
    batch = np.zeros((users + 1, len(loaded_s)), dtype=np.int64)
    end[0] = loaded_s
    reached = 0
    for k in range(1, users + 1):
        sizes = min(most, k)
        options = np.maximum(end[k - sizes : k][::-1], uploaded_s + upload_s[k - 1])
        options += latency_s[1 : sizes + 1, None]
        best = options.argmin(axis=0)
        end[k] = options[best, np.arange(len(best))]
        batch[k] = best + 1
        if (end[k] <= limit_s).any():
            reached = k
        elif k - reached >= most:
            # Every path to more users passes through one of these counts.
            break
    return end[: reached + 1].T, batch[: reached + 1].T


def _rounds_forwards(
    tables: Tables, visits: Sequence[tuple[int, int]]
) -> list[PlannedRound]:
    """Divide each visit into the batches that end it earliest."""
    rounds: list[PlannedRound] = []
    time_s = uploaded_s = 0.0
    before: int | None = None
    for model, count in visits:
        users = tables.users_of[model][:count]
        upload = np.cumsum(tables.demand_s[users])
        loaded = time_s + tables.load_s(before, model)
        end, batch = visit_ends(
            np.array([loaded]), np.array([uploaded_s]), upload, tables.latency_s[model]
        )
        left, sizes = count, []
        while left:
            sizes.append(int(batch[0, left]))
            left -= sizes[-1]
        done = 0
        for size in reversed(sizes):
            chosen = users[done : done + size]
            rounds.append(PlannedRound(model, tuple(chosen.tolist())))
            done += size
        time_s, uploaded_s = float(end[0, count]), uploaded_s + float(upload[-1])
        before = model
    return rounds


def _backwards(
    search: Search,
    stop: Stop,
    labels: Labels,
    log: Log,
    best: _Best,
    target: int,
    width: int,
) -> tuple[Labels, _Best]:
    """Extend every label by a visit at its beginning.

    Time is when the resident path must be loaded, negated; spectrum is the sum of w/s
    over the users served, as a share of the band.
    """
    tables, prices = search.tables, search.prices
    # Nodes that this stop does not hold must be loaded after it, so before the time.
    left = stop.left_load_s[np.maximum(labels.depth, 0)]
    labels = labels._replace(
        depth=np.minimum(labels.depth, stop.shared), time_s=labels.time_s + left
    )
    entering = labels._replace(depth=np.full(len(labels.users), stop.depth))
    goal = Goal(stop.value_to_go[-1], target, width)
    new = search.visit(tables, prices, stop.model, entering, goal, log)
    if len(new.users):
        load_s = tables.load_s(None, stop.model)
        value = new.users + remaining_worth(prices, new, load_s)
        done = np.flatnonzero(
            (-new.time_s >= load_s - HALF_TOLERANCE) & (new.users >= target)
        )
        best = _best_of(new.take(done), value[done], best)
        labels = join([labels, new])
    leaving = stop.leaving_s[labels.depth + 1]
    potential = labels.users + remaining_worth(prices, labels, leaving)
    potential += stop.value_to_go[labels.depth + 1]
    return prune(labels, potential, target, width), best


def _rounds_backwards(
    tables: Tables, steps: Sequence[tuple[int, int]]
) -> list[PlannedRound]:
    """List the batches of a backward walk, first round first."""
    rounds: list[PlannedRound] = []
    placed: dict[int, int] = {}
    for model, size in steps:
        first = placed.get(model, 0)
        users = tables.users_of[model][first : first + size]
        rounds.append(PlannedRound(model, tuple(users.tolist())))
        placed[model] = first + size
    return rounds
