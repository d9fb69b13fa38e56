"""Loops over the grid of the path bound, compiled where numba is there.

They have twins in numpy (in :mod:`solvers.bounds.path_gains` and
:mod:`solvers.bounds.path_network`), which do the same sums in the same order: no bound
depends on whether numba is installed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.bounds.path_memory import Flags
from solvers.core.compiling import compiled
from solvers.core.tables import Floats, Ints


@compiled
def worths(
    value: Floats,
    prices: Floats,
    kind: Ints,
    demand_s: Floats,
    sigma_s: Floats,
    user_model: Ints,
    arrival_s: Floats,
    earliest: Ints,
    latest: Ints,
    banned: Flags,
) -> Floats:
    """Worth of each user in batches of each size by step, −inf if not allowed.

    ``arrival_s`` are the least ``sigma_s`` of a batch that takes a user; other names
    are those of :class:`solvers.bounds.path_gains.FreeGains` and of
    :class:`solvers.bounds.path_network.Network`. Shape (B, K, last+1).
    """
    steps, sizes, _ = sigma_s.shape
    found = np.full((sizes, len(value), steps), -np.inf)
    for k in range(len(value)):
        if banned[k]:
            continue
        m = user_model[k]
        for size in range(sizes):
            for i in range(max(earliest[k], 0), min(latest[k] + 1, steps)):
                if arrival_s[k] <= sigma_s[i, size, m]:
                    price = prices[kind[k], i, size, m]
                    found[size, k, i] = value[k] - price * demand_s[k]
    return found


@compiled
def fill_batches(
    table: Floats,
    worth: Floats,
    cost: float,
    arcs: Ints,
    barred: Flags,
    kept: int,
    last: bool,
    total: bool,
) -> None:
    """Enter the values of all batches of one model and size in a table.

    Parameters
    ----------
    table
        Value of each arc by step, shape (last+1, A+1); the last column is for no arc.
    worth
        Worth of each user by step, shape (users, last+1), −inf where it may not be.
    cost
        Price of a batch.
    arcs
        Arc by place to and place from, A if there is none, shape (P, P).
    barred
        Whether a place bars a user, shape (users, P).
    kept, last, total
        How many users a batch takes besides its last one; whether it takes one, and
        whether each user bars all before it.
    """
    users, steps = worth.shape
    places = arcs.shape[0]
    ranks = kept + 1 if last and not total else kept
    best = np.empty((places, max(ranks, 1)))
    summed = np.empty(places)
    for i in range(steps):
        best[:] = 0.0
        summed[:] = 0.0
        for k in range(users):
            here = worth[k, i]
            if last:
                for source in range(k + 1):
                    table[i, arcs[k + 1, source]] = summed[source] + (here - cost)
                if not total:
                    more = summed[k + 1] + best[k + 1, kept]
                    table[i, arcs[k + 1, k + 1]] = more - cost
            for place in range(k + 1 if total else places):
                entering = here
                if barred[k, place]:
                    entering = -np.inf
                for rank in range(ranks):
                    there = best[place, rank]
                    if entering > there:
                        if rank < kept:
                            summed[place] += entering - there
                        best[place, rank] = entering
                        entering = there
        if not last:
            table[i, arcs[0, 0]] = summed[0] - cost


class Grid(NamedTuple):
    """The arcs of a network, and the values of longest paths on it, by row.

    Other names are those of :class:`solvers.bounds.path_network.Network`.

    Parameters
    ----------
    table
        Value of the batches that end at each step, shape (last+1, A) or more columns.
    change
        Value of each change of model, shape (M, M), −inf on the diagonal.
    begun, arrived
        Value of each model as the first one, and on arrival at it, shape (last+1, M).
    first_arc
        First of the arcs that lead to each column, and A, shape (C+1,).
    from_nobody
        Arcs from nobody, which may also follow a user who bars no longer, shape (A,).
    bars_until, is_user
        Last step until which the user of a column bars others, and whether a column
        stands for a user, shape (C,).
    served, entered, left
        After a batch by column, after a batch or on arrival, and the best by model;
        ``pad`` rows before step 0 are −inf.
    """

    table: Floats
    batch_steps: Ints
    load_steps: Ints
    change: Floats
    begun: Floats
    first_arc: Ints
    arc_size: Ints
    arc_source: Ints
    arc_model: Ints
    from_nobody: Flags
    column: Ints
    bars_until: Ints
    is_user: Flags
    served: Floats
    entered: Floats
    left: Floats
    arrived: Floats


@compiled
def walk(grid: Grid) -> None:
    """Fill in the values of longest paths, step by step."""
    (
        table,
        batch_steps,
        load_steps,
        change,
        begun,
        first_arc,
        arc_size,
        arc_source,
        arc_model,
        from_nobody,
        column,
        bars_until,
        is_user,
        served,
        entered,
        left,
        arrived,
    ) = grid
    sizes, models = batch_steps.shape
    columns = len(is_user)
    steps = len(arrived)
    pad = len(served) - steps
    forgotten = np.empty((sizes, models))
    forgets = from_nobody.any()
    for i in range(steps):
        row = pad + i
        if forgets:
            for m in range(models):
                for size in range(sizes):
                    most = -np.inf
                    for c in range(column[m], column[m + 1]):
                        if bars_until[c] < i:
                            most = max(most, served[row - batch_steps[size, m], c])
                    forgotten[size, m] = most
        for c in range(columns):
            most = served[row - 1, c] if i else -np.inf
            for a in range(first_arc[c], first_arc[c + 1]):
                size, m = arc_size[a], arc_model[a]
                before = entered[row - batch_steps[size, m], arc_source[a]]
                if from_nobody[a]:
                    before = max(before, forgotten[size, m])
                most = max(most, before + table[i, a])
            served[row, c] = most
        for m in range(models):
            most = -np.inf
            for c in range(column[m], column[m + 1]):
                most = max(most, served[row, c])
            left[row, m] = most
        for m in range(models):
            most = begun[i, m]
            for a in range(models):
                most = max(most, left[row - load_steps[a, m], a] + change[a, m])
            arrived[i, m] = most
            for c in range(column[m], column[m + 1]):
                entered[row, c] = served[row, c]
                if not is_user[c]:
                    entered[row, c] = max(served[row, c], most)


class Arcs(NamedTuple):
    """The arcs of a network by the column they lead from.

    Other names are those of :class:`Grid`.

    Parameters
    ----------
    arc_column
        Column that each arc leads to, shape (A,).
    by_source, first_from
        Arcs by the column they lead from, and the first of each column there, and A,
        shapes (A,) and (C+1,).
    """

    batch_steps: Ints
    load_steps: Ints
    arc_size: Ints
    arc_column: Ints
    arc_model: Ints
    from_nobody: Flags
    by_source: Ints
    first_from: Ints
    column: Ints
    bars_until: Ints
    is_user: Flags


@compiled
def walk_back(
    arcs: Arcs, table: Floats, change: Floats, found: Floats, begins: Floats
) -> None:
    """Fill in what the rest of a path is worth.

    Parameters
    ----------
    arcs, table, change
        As in a :class:`Grid`; the diagonal of the last is not looked at.
    found
        Worth after a batch, by its step and column, shape (last+1, C).
    begins
        Worth if a batch of a model begins at a step or later, shape (last+1, M).
    """
    (
        batch_steps,
        load_steps,
        arc_size,
        arc_column,
        arc_model,
        from_nobody,
        by_source,
        first_from,
        column,
        bars_until,
        is_user,
    ) = arcs
    steps, columns = found.shape
    models = batch_steps.shape[1]
    goes_on = np.empty(columns)
    entered = np.full((steps, models), -np.inf)
    for i in range(steps - 1, -1, -1):
        for m in range(models):
            begins[i, m] = begins[i + 1, m] if i + 1 < steps else -np.inf
        for c in range(columns):
            most = -np.inf
            for at in range(first_from[c], first_from[c + 1]):
                a = by_source[at]
                ends = i + batch_steps[arc_size[a], arc_model[a]]
                if ends < steps:
                    most = max(most, table[ends, a] + found[ends, arc_column[a]])
            goes_on[c] = most
            if most > -np.inf:
                m = arc_model[by_source[first_from[c]]]
                begins[i, m] = max(begins[i, m], most)
                if not is_user[c]:
                    entered[i, m] = max(entered[i, m], most)
        for m in range(models):
            most_leaving = 0.0
            for other in range(models):
                at = i + load_steps[m, other]
                if other != m and at < steps:
                    worth = change[m, other] + entered[at, other]
                    most_leaving = max(most_leaving, worth)
            nobody = column[m]
            for c in range(column[m], column[m + 1]):
                most = max(most_leaving, goes_on[c])
                if i + 1 < steps:
                    most = max(most, found[i + 1, c])
                if is_user[c]:
                    for at in range(first_from[nobody], first_from[nobody + 1]):
                        a = by_source[at]
                        ends = i + batch_steps[arc_size[a], m]
                        if from_nobody[a] and ends < steps and bars_until[c] < ends:
                            worth = table[ends, a] + found[ends, arc_column[a]]
                            most = max(most, worth)
                found[i, c] = most


@compiled
def first_best(values: Floats) -> int:
    """First of the greatest values."""
    found = 0
    for k in range(1, len(values)):
        if values[k] > values[found]:
            found = k
    return found


@compiled
def trace(grid: Grid) -> tuple[Ints, Ints, int]:
    """Follow a longest path back from its end.

    Returns
    -------
    tuple
        Last step and arc of each batch, shape (batches, 2), model before and model of
        each visit, −1 for the start, shape (visits, 2), both from the last; and the
        step by which the first load has to start.
    """
    (
        table,
        batch_steps,
        load_steps,
        change,
        begun,
        first_arc,
        arc_size,
        arc_source,
        arc_model,
        from_nobody,
        column,
        bars_until,
        is_user,
        served,
        entered,
        left,
        arrived,
    ) = grid
    models = batch_steps.shape[1]
    steps = len(arrived)
    pad = len(served) - steps
    batches = np.empty((steps + 1, 2), dtype=np.int64)
    visits = np.empty((steps + 1, 2), dtype=np.int64)
    done, visited = 0, 0
    step = steps - 1
    c = first_best(served[pad + step])
    while True:
        while step > 0 and served[pad + step - 1, c] == served[pad + step, c]:
            step -= 1
        chosen, best, source = -1, -np.inf, -1
        for a in range(first_arc[c], first_arc[c + 1]):
            row = pad + step - batch_steps[arc_size[a], arc_model[a]]
            before, by = entered[row, arc_source[a]], arc_source[a]
            if from_nobody[a]:
                for k in range(column[arc_model[a]] + 1, column[arc_model[a] + 1]):
                    if bars_until[k] < step and served[row, k] > before:
                        before, by = served[row, k], k
            if chosen < 0 or before + table[step, a] > best:
                chosen, best, source = a, before + table[step, a], by
        batches[done, 0] = step
        batches[done, 1] = chosen
        done += 1
        m = arc_model[chosen]
        step -= batch_steps[arc_size[chosen], m]
        c = source
        if is_user[c] or served[pad + step, c] >= arrived[step, m]:
            continue
        came = arrived[step, m]
        from_model = models
        if begun[step, m] < came:
            for a in range(models - 1, -1, -1):
                if left[pad + step - load_steps[a, m], a] + change[a, m] == came:
                    from_model = a
        visits[visited, 0] = from_model if from_model < models else -1
        visits[visited, 1] = m
        visited += 1
        step -= load_steps[from_model, m]
        if from_model == models:
            return batches[:done], visits[:visited], step
        span = served[pad + step, column[from_model] : column[from_model + 1]]
        c = int(column[from_model]) + first_best(span)
