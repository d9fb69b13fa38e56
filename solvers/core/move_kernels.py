"""Random changes to a plan as arrays, and what makes it feasible again, in loops.

Twins of :mod:`solvers.core.moves`: from the same plan, with the same random numbers,
they make the same plan.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.core.arrays import Rows, Rules
from solvers.core.compiling import compiled
from solvers.core.memory_kernels import loads
from solvers.core.places import Bools
from solvers.core.plan_kernels import copied, in_time, put, timed
from solvers.core.tables import Floats, Ints


class Changes(NamedTuple):
    """What moves draw from.

    Parameters
    ----------
    shares
        Probability of each move, in the order of ``moves.Moves.perturb``.
    largest
        Largest batch of each model that fits, shape (M,).
    max_rounds_dropped, max_users_dropped, max_rounds_moved
        As in :mod:`solvers.core.moves`.
    """

    shares: Floats
    largest: Ints
    max_rounds_dropped: int
    max_users_dropped: int
    max_rounds_moved: int


@compiled
def drawn(rng: np.random.Generator, weights: Floats) -> int:
    """Draw an index with probability proportional to its weight."""
    ends = weights.cumsum()
    return int(np.searchsorted(ends / ends[-1], rng.random(), side="right"))


@compiled
def between(rng: np.random.Generator, low: int, high: int) -> int:
    """Draw an integer from ``low`` to ``high``, without that."""
    return int(rng.integers(low, high))


@compiled
def perturb(
    rules: Rules,
    changes: Changes,
    rows: Rows,
    rounds: int,
    into: Rows,
    rng: np.random.Generator,
) -> int:
    """Write a plan after one random move to other rows; it may be infeasible.

    Returns
    -------
    int
        The number of rounds of the new plan, which are rows 0 to that, in order.
    """
    if not rounds:
        return 0
    move = drawn(rng, changes.shares)
    if move == 0:
        return _drop_rounds(rules, changes, rows, rounds, into, rng)
    if move == 1:
        return _drop_users(rules, changes, rows, rounds, into, rng)
    if move == 2:
        return _drop_relatives(rules, rows, rounds, into, rng)
    if move == 3:
        return _move_rounds(changes, rows, rounds, into, rng)
    if move == 4:
        return _swap_rounds(rows, rounds, into, rng)
    if move == 5:
        return _split_round(rules, rows, rounds, into, rng)
    if move == 6:
        return _join_rounds(rules, changes, rows, rounds, into, rng)
    if move == 7:
        return _drop_urgent(rules, rows, rounds, into, rng)
    return _drop_span(rows, rounds, into, rng)


@compiled
def _take(rows: Rows, first: int, last: int, into: Rows, count: int) -> int:
    """Append rounds ``first`` to ``last``, without that, to the first ``count``."""
    for r in range(first, last):
        copied(rows, rows.at[r], into, count)
        into.at[count] = count
        count += 1
    return count


@compiled
def _without(rules: Rules, rows: Rows, rounds: int, gone: Bools, into: Rows) -> int:
    """Drop users, and rounds that become empty."""
    count = 0
    for r in range(rounds):
        row = rows.at[r]
        left = np.empty(rows.size[row], dtype=np.int64)
        size = 0
        for b in range(rows.size[row]):
            k = rows.users[row, b]
            if not gone[k]:
                left[size] = k
                size += 1
        if not size:
            continue
        if size == rows.size[row]:
            copied(rows, row, into, count)
        else:
            put(rules, into, count, rows.model[row], left[:size])
        into.at[count] = count
        count += 1
    return count


@compiled
def _there(rows: Rows, rounds: int) -> Ints:
    """Return all users of a plan, in order."""
    count = 0
    for r in range(rounds):
        count += rows.size[rows.at[r]]
    there = np.empty(count, dtype=np.int64)
    count = 0
    for r in range(rounds):
        row = rows.at[r]
        for b in range(rows.size[row]):
            there[count] = rows.users[row, b]
            count += 1
    return there


@compiled
def _drop_rounds(
    rules: Rules,
    changes: Changes,
    rows: Rows,
    rounds: int,
    into: Rows,
    rng: np.random.Generator,
) -> int:
    """Drop rounds in a row, half of the time from one that takes long per user."""
    if rng.random() < 0.5:
        cost_s = loads(rules, rows, rounds).load_s
        for r in range(rounds):
            row = rows.at[r]
            cost_s[r] = (cost_s[r] + rows.compute_s[row]) / rows.size[row]
        first = drawn(rng, cost_s)
    else:
        first = between(rng, 0, rounds)
    count = between(rng, 1, changes.max_rounds_dropped + 1)
    kept = _take(rows, 0, first, into, 0)
    return _take(rows, first + count, rounds, into, kept)


@compiled
def _drop_users(
    rules: Rules,
    changes: Changes,
    rows: Rows,
    rounds: int,
    into: Rows,
    rng: np.random.Generator,
) -> int:
    """Drop users, those of large demand more often."""
    there = _there(rows, rounds)
    count = min(len(there), between(rng, 1, changes.max_users_dropped + 1))
    drawn_s = np.empty(len(there))
    for i in range(len(there)):
        drawn_s[i] = rules.demand_s[there[i]] * rng.random()
    gone = np.zeros(len(rules.user_model), dtype=np.bool_)
    for _ in range(count):
        most = -1
        for i in range(len(there)):
            if not gone[there[i]] and (most < 0 or drawn_s[i] > drawn_s[most]):
                most = i
        gone[there[most]] = True
    return _without(rules, rows, rounds, gone, into)


@compiled
def _drop_relatives(
    rules: Rules, rows: Rows, rounds: int, into: Rows, rng: np.random.Generator
) -> int:
    """Drop users of a model and of the models that share atoms with it."""
    model = rows.model[rows.at[between(rng, 0, rounds)]]
    share = 0.3 + (1.0 - 0.3) * rng.random()
    gone = np.zeros(len(rules.user_model), dtype=np.bool_)
    held = np.zeros(len(rules.resident), dtype=np.bool_)
    for i in range(rules.begins[model], rules.begins[model + 1]):
        held[rules.atoms[i]] = True
    for r in range(rounds):
        row = rows.at[r]
        other = rows.model[row]
        shared = False
        for i in range(rules.begins[other], rules.begins[other + 1]):
            shared = shared or held[rules.atoms[i]]
        if shared:
            for b in range(rows.size[row]):
                if rng.random() < share:
                    gone[rows.users[row, b]] = True
    return _without(rules, rows, rounds, gone, into)


@compiled
def _drop_urgent(
    rules: Rules, rows: Rows, rounds: int, into: Rows, rng: np.random.Generator
) -> int:
    """Drop all users with a deadline below a cut."""
    there = _there(rows, rounds)
    cut_s = rules.deadline_s[there[between(rng, 0, len(there))]]
    gone = np.zeros(len(rules.user_model), dtype=np.bool_)
    for k in there:
        gone[k] = rules.deadline_s[k] < cut_s
    return _without(rules, rows, rounds, gone, into)


@compiled
def _drop_span(rows: Rows, rounds: int, into: Rows, rng: np.random.Generator) -> int:
    """Drop all rounds of a span of the plan, from its start, its end or between."""
    count = between(rng, 1, max(rounds // 2, 1) + 1)
    anywhere = between(rng, 0, rounds)
    where = between(rng, 0, 3)
    first = anywhere
    if where == 0:
        first = 0
    elif where == 1:
        first = rounds - count
    kept = _take(rows, 0, first, into, 0)
    return _take(rows, first + count, rounds, into, kept)


@compiled
def _move_rounds(
    changes: Changes, rows: Rows, rounds: int, into: Rows, rng: np.random.Generator
) -> int:
    """Move a run of consecutive rounds elsewhere."""
    first = between(rng, 0, rounds)
    last = min(first + between(rng, 1, changes.max_rounds_moved + 1), rounds)
    place = between(rng, 0, rounds - (last - first) + 1)
    # Where the run goes among all rounds.
    if place <= first:
        count = _take(rows, 0, place, into, 0)
        count = _take(rows, first, last, into, count)
        count = _take(rows, place, first, into, count)
        return _take(rows, last, rounds, into, count)
    place += last - first
    count = _take(rows, 0, first, into, 0)
    count = _take(rows, last, place, into, count)
    count = _take(rows, first, last, into, count)
    return _take(rows, place, rounds, into, count)


@compiled
def _swap_rounds(rows: Rows, rounds: int, into: Rows, rng: np.random.Generator) -> int:
    """Swap two rounds."""
    i = between(rng, 0, rounds)
    j = between(rng, 0, rounds)
    count = _take(rows, 0, rounds, into, 0)
    into.at[i], into.at[j] = j, i
    return count


@compiled
def _split_round(
    rules: Rules, rows: Rows, rounds: int, into: Rows, rng: np.random.Generator
) -> int:
    """Split a round in two; the users of least demand keep its position."""
    large = 0
    for r in range(rounds):
        large += rows.size[rows.at[r]] > 1
    if not large:
        return _take(rows, 0, rounds, into, 0)
    left = between(rng, 0, large)
    r = -1
    while left >= 0:
        r += 1
        left -= rows.size[rows.at[r]] > 1
    row = rows.at[r]
    model, size = rows.model[row], rows.size[row]
    users = rows.users[row, :size].copy()
    _sort(users, rules.demand_s, rules.demand_s)
    at = between(rng, 1, size)
    place = between(rng, r + 1, rounds + 1)
    count = _take(rows, 0, r, into, 0)
    count = _append(rules, model, users[:at], into, count)
    count = _take(rows, r + 1, place, into, count)
    count = _append(rules, model, users[at:], into, count)
    return _take(rows, place, rounds, into, count)


@compiled
def _append(rules: Rules, model: int, users: Ints, into: Rows, count: int) -> int:
    """Append a round of some users to the first ``count``."""
    put(rules, into, count, model, users)
    into.at[count] = count
    return count + 1


@compiled
def _sort(users: Ints, first: Floats, second: Floats) -> None:
    """Sort users by two keys in place, and keep the order of equal ones."""
    for i in range(1, len(users)):
        k = users[i]
        j = i
        while j > 0:
            other = users[j - 1]
            if first[other] < first[k]:
                break
            if first[other] == first[k] and second[other] <= second[k]:
                break
            users[j] = other
            j -= 1
        users[j] = k


@compiled
def _join_rounds(
    rules: Rules,
    changes: Changes,
    rows: Rows,
    rounds: int,
    into: Rows,
    rng: np.random.Generator,
) -> int:
    """Join all rounds of a model at one of them, in batches as large as allowed."""
    at = between(rng, 0, rounds)
    model = rows.model[rows.at[at]]
    there = _there(rows, rounds)
    users = there[rules.user_model[there] == model]
    _sort(users, rules.deadline_s, rules.demand_s)
    most = changes.largest[model]
    count = 0
    for r in range(rounds):
        if r == at:
            for first in range(0, len(users), most):
                some = users[first : first + most]
                count = _append(rules, model, some, into, count)
        if rows.model[rows.at[r]] != model:
            count = _take(rows, r, r + 1, into, count)
    return count


@compiled
def repair(rules: Rules, rows: Rows, rounds: int, rng: np.random.Generator) -> int:
    """Drop users until the plan is feasible, and return how many rounds are left.

    The plan takes the first rows, before and after.
    """
    while not in_time(rules, rows, rounds):
        rounds = _relieve(rules, rows, rounds, rng)
    return rounds


@compiled
def _broken(rules: Rules, rows: Rows, rounds: int) -> int:
    """Return the first round that is too large or late, or −1."""
    for r in range(rounds):
        if not np.isfinite(rows.compute_s[rows.at[r]]):
            return r
    return timed(rules, rows, rounds).broken


@compiled
def _relieve(rules: Rules, rows: Rows, rounds: int, rng: np.random.Generator) -> int:
    """Drop one user or round that makes the plan infeasible."""
    broken = _broken(rules, rows, rounds)
    last = broken if broken >= 0 else rounds - 1
    r = last
    if broken < 0 or rng.random() < 0.5:
        r = between(rng, 0, last + 1)
    row = rows.at[r]
    if rng.random() < 0.3 or not np.isfinite(rows.compute_s[row]):
        return _drop(rows, rounds, r)
    urgent = broken == r and rng.random() < 0.5
    size, users = rows.size[row], rows.users
    gone = 0
    for b in range(1, size):
        k, other = users[row, b], users[row, gone]
        if urgent:
            if rules.deadline_s[k] < rules.deadline_s[other]:
                gone = b
        elif rules.demand_s[k] > rules.demand_s[other]:
            gone = b
    if size == 1:
        return _drop(rows, rounds, r)
    left = np.empty(size - 1, dtype=np.int64)
    left[:gone] = users[row, :gone]
    left[gone:] = users[row, gone + 1 : size]
    put(rules, rows, row, rows.model[row], left)
    return rounds


@compiled
def _drop(rows: Rows, rounds: int, r: int) -> int:
    """Drop a round; the last row takes its place."""
    row, last = rows.at[r], rounds - 1
    for s in range(r, last):
        rows.at[s] = rows.at[s + 1]
    if row != last:
        copied(rows, last, rows, row)
        for s in range(last):
            if rows.at[s] == last:
                rows.at[s] = row
    return last
