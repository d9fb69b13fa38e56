"""Time a plan in loops over its rounds.

Twins of :mod:`solvers.core.plan` and :mod:`solvers.core.places`, with the same sums in
the same order. Only where they are compiled are they the quicker ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.core.arrays import DYNAMIC, SLACK_S, STATIC, UPFRONT, Rows, Rules
from solvers.core.compiling import compiled
from solvers.core.memory_kernels import Loads, loads
from solvers.core.places import Bools
from solvers.core.tables import Floats, Ints


class Timed(NamedTuple):
    """When the rounds of a plan run, and what its positions allow.

    Fields are those of :class:`solvers.core.plan.Times` and of
    :class:`solvers.core.places.Places`. ``before_s`` is the end of the round before
    each position. ``ends_s`` is what :meth:`solvers.core.plan.Clock.arrivals` returns;
    it has no rows where all releases are 0. ``there`` is that of
    :class:`solvers.core.memory_kernels.Loads`.
    """

    load_s: Floats
    loaded_s: Floats
    ready_s: Floats
    latest_end_s: Floats
    band: float
    broken: int
    before_s: Floats
    loading_s: Floats
    after_s: Floats
    sent_s: Floats
    upload_slack_s: Floats
    early_slack_s: Floats
    ends_s: Floats
    there: Bools


@compiled
def put(rules: Rules, rows: Rows, row: int, model: int, users: Ints) -> None:
    """Write a round and its totals: twin of :meth:`solvers.core.plan.Clock.batch`."""
    demand_s, deadline_s = 0.0, np.inf
    for b in range(len(users)):
        rows.users[row, b] = users[b]
        demand_s += rules.demand_s[users[b]]
        deadline_s = min(deadline_s, rules.deadline_s[users[b]])
    rows.model[row] = model
    rows.size[row] = len(users)
    rows.demand_s[row], rows.deadline_s[row] = demand_s, deadline_s
    rows.compute_s[row] = rules.latency_s[model, len(users)]


@compiled
def copied(rows: Rows, row: int, into: Rows, other: int) -> None:
    """Write a round to another row, of the same arrays or of others."""
    into.model[other] = rows.model[row]
    size = rows.size[row]
    into.size[other] = size
    into.demand_s[other] = rows.demand_s[row]
    into.deadline_s[other] = rows.deadline_s[row]
    into.compute_s[other] = rows.compute_s[row]
    for b in range(size):
        into.users[other, b] = rows.users[row, b]


@compiled
def in_time(rules: Rules, rows: Rows, rounds: int) -> bool:
    """Whether a plan is feasible: twin of :meth:`solvers.core.plan.Clock.feasible`."""
    # Fields are read once: numba counts references whenever one is read.
    at, of_row, demands_s = rows.at, rows.model, rows.demand_s
    deadlines_s, computes_s, between_s = (
        rows.deadline_s,
        rows.compute_s,
        rules.between_s,
    )
    idle_s = 0.0
    for r in range(rounds):
        if computes_s[at[r]] == np.inf:
            return False
        if rules.uplink == UPFRONT:
            idle_s += demands_s[at[r]]
    memory = loads(rules, rows, 0 if rules.plain else rounds)
    dynamic = rules.uplink == DYNAMIC
    differ = dynamic and not rules.releases_zero
    releases = len(rules.release_grid_s) if differ else 0
    sent_s, new_s = np.zeros(releases), np.zeros(releases)
    works = np.empty(rounds)
    work, free, ready_s = 0.0, idle_s, 0.0
    loaded_s, end_before_s, end_s = idle_s, idle_s, idle_s
    before, count = -1, 0
    for r in range(rounds):
        row = at[r]
        model, compute_s = of_row[row], computes_s[row]
        if differ:
            count = max(count, _send(rules, rows, row, sent_s, new_s))
            ready_s = _arrived(rules.release_grid_s, sent_s, count)
        elif dynamic:
            ready_s += demands_s[row]
        if not rules.plain:
            free_s = max(loaded_s, end_before_s) if memory.ahead[r] else end_s
            loaded_s = free_s + memory.load_s[r]
            end_before_s = end_s
            end_s = max(max(loaded_s, end_s), ready_s) + compute_s
        else:
            work += between_s[before, model] + compute_s
            free = max(free, ready_s - work + compute_s)
            works[r] = work
            end_s = work + free
        if end_s > deadlines_s[row] + SLACK_S:
            return False
        before = model
    if rules.uplink != STATIC:
        return True
    latest_s = _latest(rows, works) if rules.plain else _latest_ahead(rows, memory)
    band = 0.0
    for r in range(rounds):
        row = at[r]
        start_s = latest_s[r] - computes_s[row]
        if start_s <= 0:
            return False
        band += demands_s[row] / start_s
    return band <= 1 + SLACK_S


@compiled
def _latest(rows: Rows, works: Floats) -> Floats:
    """Latest end of every round, given running sums of loads and batches."""
    latest_s = np.empty(len(works))
    least = np.inf
    for r in range(len(works) - 1, -1, -1):
        least = min(least, rows.deadline_s[rows.at[r]] - works[r])
        latest_s[r] = works[r] + least
    return latest_s


@compiled
def _latest_ahead(rows: Rows, memory: Loads) -> Floats:
    """Latest end of every round where loads may overlap: twin of ``plan._latest``."""
    rounds = len(memory.load_s)
    latest_s = np.empty(rounds)
    next_load_s, next_start_s, later_load_s = np.inf, np.inf, np.inf
    next_ahead = False
    for r in range(rounds - 1, -1, -1):
        row = rows.at[r]
        end_s = min(min(rows.deadline_s[row], next_start_s), later_load_s)
        if not next_ahead:
            end_s = min(end_s, next_load_s)
        latest_s[r] = end_s
        start_s = end_s - rows.compute_s[row]
        load_end_s = min(start_s, next_load_s) if next_ahead else start_s
        later_load_s = next_load_s if next_ahead else np.inf
        next_load_s = load_end_s - memory.load_s[r]
        next_start_s = start_s
        next_ahead = memory.ahead[r]
    return latest_s


@compiled
def _send(rules: Rules, rows: Rows, row: int, sent_s: Floats, new_s: Floats) -> int:
    """Add the uploads of a round to those of each release; ``new_s`` stays 0.

    Returns the number of releases up to the latest of the round.
    """
    count = 0
    users, release, demand_s = rows.users, rules.release_index, rules.demand_s
    for b in range(rows.size[row]):
        k = users[row, b]
        new_s[release[k]] += demand_s[k]
        count = max(count, release[k] + 1)
    for b in range(rows.size[row]):
        i = release[users[row, b]]
        sent_s[i] += new_s[i]
        new_s[i] = 0.0
    return count


@compiled
def _arrived(release_grid_s: Floats, sent_s: Floats, count: int) -> float:
    """When uploads of the first releases, one after another, have all arrived."""
    latest_s, from_here_s = -np.inf, 0.0
    for i in range(count - 1, -1, -1):
        from_here_s += sent_s[i]
        if from_here_s > 0:
            latest_s = max(latest_s, release_grid_s[i] + from_here_s)
    return latest_s


@compiled
def timed(rules: Rules, rows: Rows, rounds: int) -> Timed:
    """Time a plan, feasible or not, whose batches fit.

    Twin of :meth:`solvers.core.plan.Clock.time` and of
    :func:`solvers.core.places.places_of`.
    """
    at, of_row, demands_s = rows.at, rows.model, rows.demand_s
    deadlines_s, computes_s, between_s = (
        rows.deadline_s,
        rows.compute_s,
        rules.between_s,
    )
    grid_s = rules.release_grid_s
    idle_s = 0.0
    if rules.uplink == UPFRONT:
        for r in range(rounds):
            idle_s += demands_s[at[r]]
    memory = loads(rules, rows, 0 if rules.plain else rounds)
    dynamic, static = rules.uplink == DYNAMIC, rules.uplink == STATIC
    differ = dynamic and not rules.releases_zero
    releases = len(grid_s) if differ else 0
    ends = np.full((rounds + 1 if differ else 0, releases), -np.inf)
    sent_s, new_s = np.zeros(releases), np.zeros(releases)
    load, loaded = np.empty(rounds), np.empty(rounds)
    ready, works = np.zeros(rounds), np.empty(rounds)
    before, sent = np.empty(rounds + 1), np.zeros(rounds + 1)
    loading = np.empty(rounds + 1)
    before[0] = loading[0] = idle_s
    work, free = 0.0, idle_s
    last = broken = -1
    count = 0
    for r in range(rounds):
        row = at[r]
        compute_s = computes_s[row]
        sent[r + 1] = sent[r] + demands_s[row]
        if differ:
            count = max(count, _send(rules, rows, row, sent_s, new_s))
            from_here_s, arrived_s = 0.0, -np.inf
            for i in range(count - 1, -1, -1):
                from_here_s += sent_s[i]
                if from_here_s > 0:
                    ends[r + 1, i] = grid_s[i] + from_here_s
                    arrived_s = max(arrived_s, ends[r + 1, i])
            ready[r] = arrived_s
        elif dynamic:
            ready[r] = sent[r + 1]
        if not rules.plain:
            load[r] = memory.load_s[r]
            free_s = before[r]
            if memory.ahead[r]:
                free_s = max(loaded[r - 1], before[r - 1])
            loaded[r] = free_s + load[r]
            before[r + 1] = max(max(loaded[r], before[r]), ready[r]) + compute_s
            loading[r + 1] = before[r + 1]
            if rules.overlap:
                loading[r + 1] = max(loaded[r], before[r])
        else:
            load[r] = between_s[last, of_row[row]]
            work += load[r] + compute_s
            free = max(free, max(ready[r] - work + compute_s, idle_s))
            works[r] = work
            loaded[r] = before[r] + load[r]
            before[r + 1] = work + free
            loading[r + 1] = before[r + 1]
        if broken < 0 and before[r + 1] > deadlines_s[row] + SLACK_S:
            broken = r
        last = of_row[row]
    after, upload_slack = np.full(rounds + 1, np.inf), np.full(rounds + 1, np.inf)
    latest = _latest(rows, works) if rules.plain else _latest_ahead(rows, memory)
    for r in range(rounds - 1, -1, -1):
        after[r] = latest[r] - computes_s[at[r]]
        upload_slack[r] = min(upload_slack[r + 1], after[r] - ready[r])
    early_slack = np.full(rounds + 1, np.inf)
    band = 0.0
    for r in range(rounds):
        row = at[r]
        late_s = deadlines_s[row] - before[r + 1]
        early_slack[r + 1] = min(early_slack[r], late_s)
        if static:
            # Once infinite, it stays so.
            band += demands_s[row] / after[r] if after[r] > 0 else np.inf
    return Timed(
        load,
        loaded,
        ready,
        latest,
        band,
        broken,
        before,
        loading,
        after,
        sent,
        upload_slack,
        early_slack,
        ends,
        memory.there,
    )
