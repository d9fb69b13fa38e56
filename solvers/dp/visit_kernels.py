"""Visits of a walk backward in time, in loops.

A twin of :func:`solvers.dp.visits.visit`, to the last bit: the same labels in the same
order. Only where it is compiled is it the quicker one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.core.compiling import compiled
from solvers.core.tables import Floats, Ints

# Labels that there is room for at first.
ROOM = 1024


class Worths(NamedTuple):
    """What GPU time and band are worth, as in :class:`solvers.bounds.prices.Prices`."""

    gpu_time_s: Floats
    gpu_worth: Floats
    band_worth: float
    band_limit: float


class Visit(NamedTuple):
    """A visit of one model.

    Parameters
    ----------
    demand_s
        Demand of its first n users, shape (K+1,).
    latency_s
        Compute time by batch size.
    sizes
        Batch sizes that can be used, ascending.
    cost
        Price of its first n users, shape (K+1,).
    value_to_go
        What later visits can add.
    target
        Users that a schedule must serve.
    tolerance
        By how much a potential may be below that.
    most_band
        Sum of shares of the band that is accepted.
    width
        Maximum number of labels that are gone on from.
    """

    demand_s: Floats
    latency_s: Floats
    sizes: Ints
    cost: Floats
    value_to_go: float
    target: float
    tolerance: float
    most_band: float
    width: int


class Made(NamedTuple):
    """Labels that a visit makes, each batch one, in the order in which they are made.

    ``parent`` is the entry of the label that it goes on from, ``size`` the batch, and
    ``left`` counts users of the visit that are to be served before it; the visit is
    whole where it is 0. Others are as in :class:`solvers.dp.labels.Labels`.
    """

    users: Ints
    time_s: Floats
    spectrum: Floats
    parent: Ints
    size: Ints
    left: Ints


@compiled
def visits(
    visit: Visit,
    worths: Worths,
    users: Ints,
    time_s: Floats,
    spectrum: Floats,
    entry: Ints,
    first_entry: int,
) -> Made:
    """Extend labels by a visit, batch by batch from the last.

    Parameters
    ----------
    visit, worths
        The visit, and what prices say.
    users, time_s, spectrum, entry
        The labels that enter it, shape (n,).
    first_entry
        Entry of the first label that is made.
    """
    most = len(visit.demand_s) - 1
    made, count = _room(ROOM), 0
    # Labels that wait for the batch before, by users left: a list for each.
    following = np.empty(ROOM, dtype=np.int64)
    head = np.full(most + 1, -1)
    tail = np.full(most + 1, -1)
    waiting = np.zeros(most + 1, dtype=np.int64)
    enters = np.empty(len(users))
    for i in range(len(users)):
        worth = _remaining_worth(worths, time_s[i], spectrum[i])
        enters[i] = users[i] + worth + visit.value_to_go
    for left in range(most, 0, -1):
        room = waiting[left] + len(users)
        here = _room(room)
        entries = np.empty(room, dtype=np.int64)
        size = 0
        at = head[left]
        while at >= 0:
            here.users[size] = made.users[at]
            here.time_s[size] = made.time_s[at]
            here.spectrum[size] = made.spectrum[at]
            entries[size] = first_entry + at
            size += 1
            at = following[at]
        for i in range(len(users)):
            if enters[i] + left - visit.cost[left] >= visit.target - visit.tolerance:
                here.users[size] = users[i] + left
                here.time_s[size] = time_s[i]
                here.spectrum[size] = spectrum[i]
                entries[size] = entry[i]
                size += 1
        if not size:
            continue
        potential = np.empty(size)
        for i in range(size):
            worth = _remaining_worth(worths, here.time_s[i], here.spectrum[i])
            potential[i] = here.users[i] + worth + visit.value_to_go - visit.cost[left]
        kept = _pruned(visit, here, potential)
        needed = count + len(kept) * len(visit.sizes)
        if needed > len(following):
            made = _grown(made, count, 2 * needed)
            longer = np.empty(2 * needed, dtype=np.int64)
            longer[:count] = following[:count]
            following = longer
        for b in visit.sizes:
            if b > left:
                break
            more_s = visit.demand_s[left] - visit.demand_s[left - b]
            for i in kept:
                begin_s = -here.time_s[i] - visit.latency_s[b]
                if not begin_s > 0:
                    continue
                band = here.spectrum[i] + more_s / begin_s
                if not band <= visit.most_band:
                    continue
                made.users[count] = here.users[i]
                made.time_s[count] = -begin_s
                made.spectrum[count] = band
                made.parent[count] = entries[i]
                made.size[count] = b
                made.left[count] = left - b
                following[count] = -1
                if waiting[left - b]:
                    following[tail[left - b]] = count
                else:
                    head[left - b] = count
                tail[left - b] = count
                waiting[left - b] += 1
                count += 1
    return _grown(made, count, count)


@compiled
def _room(count: int) -> Made:
    """Room for labels."""
    return Made(
        np.empty(count, dtype=np.int64),
        np.empty(count),
        np.empty(count),
        np.empty(count, dtype=np.int64),
        np.empty(count, dtype=np.int64),
        np.empty(count, dtype=np.int64),
    )


@compiled
def _grown(made: Made, count: int, room: int) -> Made:
    """Copy the first labels to where there is room for so many."""
    more = _room(room)
    more.users[:count] = made.users[:count]
    more.time_s[:count] = made.time_s[:count]
    more.spectrum[:count] = made.spectrum[:count]
    more.parent[:count] = made.parent[:count]
    more.size[:count] = made.size[:count]
    more.left[:count] = made.left[:count]
    return more


@compiled
def _remaining_worth(worths: Worths, time_s: float, spectrum: float) -> float:
    """Worth of the GPU time and band that remain: as ``np.interp`` has it."""
    at = -time_s
    times_s, worth = worths.gpu_time_s, worths.gpu_worth
    last = len(times_s) - 1
    if at >= times_s[last]:
        gpu = worth[last]
    elif at < times_s[0]:
        gpu = worth[0]
    else:
        j = np.searchsorted(times_s, at, side="right") - 1
        slope = (worth[j + 1] - worth[j]) / (times_s[j + 1] - times_s[j])
        gpu = worth[j]
        if at > times_s[j]:
            gpu = slope * (at - times_s[j]) + worth[j]
    found: float = gpu + worths.band_worth * (worths.band_limit - spectrum)
    return found


@compiled
def _pruned(visit: Visit, here: Made, potential: Floats) -> Ints:
    """Return the labels to keep, in order: twin of ``labels.prune``."""
    hopeful = np.flatnonzero(potential >= visit.target - visit.tolerance)
    if len(hopeful) < 2:
        return hopeful
    order = hopeful[np.argsort(here.spectrum[hopeful], kind="mergesort")]
    order = order[np.argsort(here.time_s[order], kind="mergesort")]
    order = order[np.argsort(here.users[order], kind="mergesort")]
    kept = np.empty(len(order), dtype=np.int64)
    count = 0
    least = np.inf
    for n in range(len(order)):
        i = order[n]
        if n and here.users[i] != here.users[order[n - 1]]:
            least = np.inf
        if here.spectrum[i] < least:
            least = here.spectrum[i]
            kept[count] = i
            count += 1
    kept = kept[:count]
    if count <= visit.width:
        return kept
    # The best for each number of users, then each second best, and so on.
    order = kept[np.argsort(-potential[kept], kind="mergesort")]
    order = order[np.argsort(here.users[order], kind="mergesort")]
    rank = np.zeros(count, dtype=np.int64)
    for n in range(1, count):
        if here.users[order[n]] == here.users[order[n - 1]]:
            rank[n] = rank[n - 1] + 1
    by = np.argsort(-potential[order], kind="mergesort")
    order, rank = order[by], rank[by]
    return order[np.argsort(rank, kind="mergesort")][: visit.width]
