"""Loops over labels: which rounds may follow, and what may come of them.

Compiled where numba is there; the results are the same without it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvers.bounds.path_bound import ROUNDING
from solvers.bounds.path_memory import Flags
from solvers.core.compiling import compiled
from solvers.core.tables import Floats, Ints

Masks = NDArray[np.uint64]

# Bits in a word of a mask.
WORD = 64

# A step is rounded down from so much less, or more: rounding must not decide.
CLOSE = 1e-9


class Labels(NamedTuple):
    """Sequences of rounds, each by what decides how it may go on.

    The last rounds of a schedule under ``static``, else the first ones.

    Parameters
    ----------
    served
        Users served as bits, shape (L, words).
    model, last
        Model of the round added last, −1 if there is none, and the user of its visit
        that is last in the order of the memory, −1 if nothing is remembered, shape
        (L,).
    time_s
        End of the last round; ``upfront`` GPU time so far; ``static`` the start of the
        first one, negated; shape (L,).
    slack
        ``upfront`` how late the GPU may begin, in s; ``static`` the band left, as a
        share; else 0; shape (L,).
    value
        Worth of the rounds on their path, shape (L,).
    parent
        Number of the label without the round added last, shape (L,).
    stays
        Whether it need only go on with its model, shape (L,).
    """

    served: Masks
    model: Ints
    last: Ints
    time_s: Floats
    slack: Floats
    value: Floats
    parent: Ints
    stays: Flags


class Rules(NamedTuple):
    """What decides which rounds may follow a label. Users and models as in a network.

    Parameters
    ----------
    upfront, static
        Whether this is the discipline; else it is ``dynamic``.
    first
        First user of each model, and K, shape (M+1,).
    deadline_s, release_s, demand_s
        Of each user, with all that a proof grants, shape (K,).
    until_s
        Time until which a user that is served bars others, shape (K,).
    late_first
        Users by release, the latest first, shape (K,).
    bars, yields, worse
        Whether each user bars, yields to, and is no better in demand and release than
        each other one, but not the same, shape (K, K).
    forced, banned
        Users that must be served and that must not, shape (K,).
    latency_s, least_s
        Compute time of each batch, and the least of it and those larger, (B, M).
    load_s
        Load time between models, the last row for the first round, (M+1, M).
    value, prices, kind, cost, between, begun
        As in :class:`solvers.bounds.path_bound.Priced`, with the kind of each user;
        ``begun`` is its ``first``.
    column, remembers
        First column of each model, and whether users are remembered, (M+1,) and (M,).
    rest
        What may come after a batch, with the constant, by step and column,
        shape (last+1, C); ``static`` what may come before one, by step and model.
    with_one
        The same with a batch of each model that begins at a step or later, shape
        (last+1, M); ``static`` that ends by it.
    batch_steps
        Steps of each batch, shape (B, M).
    step_s, rate
        The step of the grid, and the worth of starting the GPU a step later.
    """

    upfront: bool
    static: bool
    first: Ints
    deadline_s: Floats
    release_s: Floats
    demand_s: Floats
    until_s: Floats
    late_first: Ints
    bars: Flags
    yields: Flags
    worse: Flags
    forced: Flags
    banned: Flags
    latency_s: Floats
    least_s: Floats
    load_s: Floats
    value: Floats
    prices: Floats
    kind: Ints
    cost: Floats
    between: Floats
    begun: Floats
    column: Ints
    remembers: Flags
    rest: Floats
    with_one: Floats
    batch_steps: Ints
    step_s: float
    rate: float


@compiled
def has(mask: Masks, k: int) -> bool:
    """Whether user k is in a set, shape (words,)."""
    return bool((mask[k // WORD] >> np.uint64(k % WORD)) & np.uint64(1))


@compiled
def flip(mask: Masks, k: int) -> None:
    """Put user k into a set, or take it out."""
    mask[k // WORD] ^= np.uint64(1) << np.uint64(k % WORD)


@compiled
def uploaded_s(
    mask: Masks, late_first: Ints, release_s: Floats, demand_s: Floats
) -> float:
    """When the uploads of a set can have ended, with the whole band for them."""
    later_s, end_s = 0.0, 0.0
    for k in late_first:
        if has(mask, k):
            later_s += demand_s[k]
            end_s = max(end_s, release_s[k] + later_s)
    return end_s


@compiled
def _close(rules: Rules, mask: Masks, time_s: float, barred_s: Floats) -> int:
    """Find until when each user is barred, inf if it can be served no more.

    Returns
    -------
    int
        How many users can be served in all; −1 if one cannot that must be, or that a
        user who is served yields to.
    """
    first, count = rules.first, 0
    for m in range(len(first) - 1):
        soonest_s = rules.least_s[0, m]
        if not rules.upfront:
            soonest_s += time_s
        for j in range(first[m], first[m + 1]):
            barred_s[j] = -np.inf
            if has(mask, j):
                count += 1
                continue
            for k in range(j + 1, first[m + 1]):
                if rules.bars[k, j] and has(mask, k):
                    barred_s[j] = max(barred_s[j], rules.until_s[k])
            due_s = rules.deadline_s[j]
            if not rules.banned[j] and barred_s[j] < due_s and soonest_s <= due_s:
                count += 1
                continue
            barred_s[j] = np.inf
            if rules.forced[j] or _must_be(rules, mask, m, j):
                return -1
    return count


@compiled
def _must_be(rules: Rules, mask: Masks, m: int, j: int) -> bool:
    """Whether some user of a set yields to user j, of model m."""
    for k in range(rules.first[m], rules.first[m + 1]):
        if rules.yields[k, j] and has(mask, k):
            return True
    return False


@compiled
def _passes_over(rules: Rules, mask: Masks, m: int, k: int) -> bool:
    """Whether user k bars for ever one before it who must be served."""
    for j in range(rules.first[m], k):
        if (
            rules.bars[k, j]
            and rules.until_s[k] >= rules.deadline_s[j]
            and not has(mask, j)
            and (rules.forced[j] or _must_be(rules, mask, m, j))
        ):
            return True
    return False


@compiled
def _gives_way(rules: Rules, mask: Masks, m: int, chosen: Ints, ended_s: float) -> bool:
    """Whether a better user, never served otherwise, can take the place of another."""
    for j in range(rules.first[m], rules.first[m + 1]):
        if ended_s <= rules.deadline_s[j] and not has(mask, j):
            for k in chosen:
                barred = rules.bars[k, j] and rules.until_s[k] >= rules.deadline_s[j]
                if barred and rules.worse[k, j]:
                    return True
    return False


@compiled
def _last_of_visit(rules: Rules, m: int, before: int, chosen: Ints) -> int:
    """User that a path remembers after a batch; ``before`` it, −1 in a new visit."""
    if not rules.remembers[m]:
        return -1
    last = chosen[-1]
    if before > last:
        for k in chosen:
            if rules.bars[before, k]:
                return int(last)  # the one before bars no longer
        return before
    return int(last)


@compiled
def _step(rules: Rules, time_s: float, more: float) -> int:
    """Round a time down to a step of the grid."""
    step = int(np.floor(time_s / rules.step_s + more))
    return min(max(step, 0), len(rules.rest) - 1)


@compiled
def _worth(rules: Rules, m: int, chosen: Ints, end_s: float) -> float:
    """Value a batch by its users and its end."""
    size, step = len(chosen) - 1, _step(rules, end_s, CLOSE)
    found = -rules.cost[size, m]
    for k in chosen:
        price = rules.prices[rules.kind[k], step, size, m]
        found += rules.value[k] - price * rules.demand_s[k]
    return float(found)


@compiled
def _bound(
    rules: Rules,
    table: Floats,
    column: int,
    worth: float,
    time_s: float,
    upload_s: float,
) -> float:
    """Bound the users served by all that may come of a label, by a table of rests."""
    step = _step(rules, time_s, -CLOSE)
    if rules.upfront:
        worth -= rules.rate * step
        step = min(step + _step(rules, upload_s, -CLOSE), len(table) - 1)
    return float(worth + table[step, column]) + ROUNDING


@compiled
def expand(
    rules: Rules,
    labels: Labels,
    begin: int,
    target: int,
    most_tries: int,
    made: Labels,
) -> tuple[int, int, int]:
    """Add every round that may follow to labels, until there is no room.

    Parameters
    ----------
    rules
        What may follow.
    labels
        Those to go on from.
    begin
        The first one.
    target
        Users that must be served in the end.
    most_tries
        Maximum number of batches to try.
    made
        Where new labels are put.

    Returns
    -------
    tuple of int
        The label to go on from, which is L at the end, or −1 if a label alone has too
        many batches, or needs too much room; how many labels were made; and how many
        batches were tried.
    """
    sizes, models = rules.latency_s.shape
    barred_s = np.empty(len(rules.deadline_s))
    chosen = np.empty(sizes, dtype=np.int64)
    due_s = np.full(sizes + 1, np.inf)
    mask = np.empty(labels.served.shape[1], dtype=np.uint64)
    count, tries = 0, 0
    for label in range(begin, len(labels.model)):
        kept = count
        mask[:] = labels.served[label]
        before, slack_s = labels.model[label], labels.slack[label]
        if _close(rules, mask, labels.time_s[label], barred_s) < target:
            continue
        sent_s = uploaded_s(mask, rules.late_first, rules.release_s, rules.demand_s)
        for m in range(models):
            if labels.stays[label] and m != before:
                continue
            ready_s, value, last = labels.time_s[label], labels.value[label], -1
            if before < 0:
                ready_s += rules.load_s[models, m]
                value += rules.begun[m]
            elif m == before:
                last = labels.last[label]
            else:
                ready_s += rules.load_s[before, m]
                value += rules.between[before, m]
            bound = _bound(rules, rules.with_one, m, value, ready_s, sent_s)
            if bound < target:
                continue
            # Every set of users, the first of each before the second.
            size, k = 0, rules.first[m]
            while True:
                if k >= rules.first[m + 1] or size == sizes:
                    if size == 0:
                        break
                    size -= 1
                    flip(mask, chosen[size])
                    k = chosen[size] + 1
                    continue
                if barred_s[k] == np.inf or has(mask, k):
                    k += 1
                    continue
                tries += 1
                if tries > most_tries:
                    return (label if label > begin else -1), kept, tries
                flip(mask, k)
                upload_s = uploaded_s(
                    mask, rules.late_first, rules.release_s, rules.demand_s
                )
                starts_s = ready_s if rules.upfront else max(ready_s, upload_s)
                due = min(due_s[size], rules.deadline_s[k])
                left_s = due - starts_s - rules.least_s[size, m]
                out = upload_s > min(slack_s, left_s) if rules.upfront else left_s < 0
                if out or _passes_over(rules, mask, m, k):
                    flip(mask, k)
                    k += 1
                    continue
                chosen[size] = k
                size += 1
                due_s[size] = due
                k += 1
                batch = chosen[:size]
                end_s = starts_s + rules.latency_s[size - 1, m]
                for user in batch:
                    # It may have to wait until nobody bars it.
                    end_s = max(end_s, barred_s[user])
                slack = min(slack_s, due - end_s) if rules.upfront else 0.0
                if upload_s > slack if rules.upfront else end_s > due:
                    continue
                # ``upfront`` the GPU begins at the slack at the latest.
                if not end_s < np.inf or _gives_way(
                    rules, mask, m, batch, end_s + slack
                ):
                    continue
                user = _last_of_visit(rules, m, last, batch)
                worth = value + _worth(rules, m, batch, end_s)
                column = rules.column[m]
                if user >= 0:
                    column += user - rules.first[m] + 1
                bound = _bound(rules, rules.rest, column, worth, end_s, upload_s)
                if bound < target:
                    continue
                if count == len(made.model):
                    return (label if kept else -1), kept, tries
                made.served[count] = mask
                made.model[count] = m
                made.last[count] = user
                made.time_s[count] = end_s
                made.slack[count] = slack
                made.value[count] = worth
                made.parent[count] = label
                count += 1
    return len(labels.model), count, tries


@compiled
def _close_back(rules: Rules, mask: Masks, dead: Flags) -> int:
    """Find whom no round before those of a label can serve.

    Returns as :func:`_close`.
    """
    first, count = rules.first, 0
    for m in range(len(first) - 1):
        for k in range(first[m], first[m + 1]):
            dead[k] = has(mask, k)
            if dead[k]:
                count += 1
                continue
            out = rules.banned[k] or _bars_served(rules, mask, m, k)
            if not out:
                count += 1
                continue
            dead[k] = True
            if rules.forced[k] or (not rules.banned[k] and _must_be(rules, mask, m, k)):
                return -1
    return count


@compiled
def _bars_served(rules: Rules, mask: Masks, m: int, k: int) -> bool:
    """Whether user k, of model m, bars for ever a user of this round or later."""
    for j in range(rules.first[m], k):
        if (
            rules.bars[k, j]
            and rules.until_s[k] >= rules.deadline_s[j]
            and has(mask, j)
        ):
            return True
    return False


@compiled
def _passes_over_back(rules: Rules, mask: Masks, m: int, k: int) -> bool:
    """Whether one after user k must be served, and cannot be once k is."""
    for j in range(k + 1, rules.first[m + 1]):
        if (
            rules.bars[j, k]
            and rules.until_s[j] >= rules.deadline_s[k]
            and not has(mask, j)
            and not rules.banned[j]
            and (rules.forced[j] or _must_be(rules, mask, m, j))
        ):
            return True
    return False


@compiled
def _misses(
    rules: Rules, mask: Masks, m: int, chosen: Ints, dead: Flags, end_s: float
) -> bool:
    """Whether a user whom no round can serve any more must or could well be served.

    ``end_s`` is when the round of those chosen ends.
    """
    for j in range(rules.first[m], rules.first[m + 1]):
        if has(mask, j) or not (dead[j] or _bars_served(rules, mask, m, j)):
            continue
        if rules.forced[j] or (not rules.banned[j] and _must_be(rules, mask, m, j)):
            return True
        if end_s <= rules.deadline_s[j]:
            for k in chosen:
                if rules.worse[k, j]:
                    return True
    return False


@compiled
def expand_back(
    rules: Rules,
    labels: Labels,
    begin: int,
    target: int,
    most_tries: int,
    made: Labels,
) -> tuple[int, int, int]:
    """Add every round that may come before those of labels, as late as can be.

    As :func:`expand`, for ``static``.
    """
    sizes, models = rules.latency_s.shape
    dead = np.empty(len(rules.deadline_s), dtype=np.bool_)
    chosen = np.empty(sizes, dtype=np.int64)
    due_s = np.full(sizes + 1, np.inf)
    sent_s = np.zeros(sizes + 1)
    mask = np.empty(labels.served.shape[1], dtype=np.uint64)
    count, tries = 0, 0
    for label in range(begin, len(labels.model)):
        kept = count
        mask[:] = labels.served[label]
        after, start_s = labels.model[label], -labels.time_s[label]
        if _close_back(rules, mask, dead) < target:
            continue
        for m in range(models):
            if labels.stays[label] and m != after:
                continue
            before_s, value = start_s, labels.value[label]
            if after >= 0 and m != after:
                before_s -= rules.load_s[m, after]
                value += rules.between[m, after]
            by = min(before_s, rules.step_s * len(rules.rest))
            bound = value + rules.with_one[_step(rules, by, CLOSE), m]
            if bound + ROUNDING < target:
                continue
            low, high = rules.first[m], rules.first[m + 1]
            # Every set of users, the last of each before the second to last.
            size, k = 0, high - 1
            while True:
                if k < low or size == sizes:
                    if size == 0:
                        break
                    size -= 1
                    flip(mask, chosen[size])
                    k = chosen[size] - 1
                    continue
                if dead[k]:
                    k -= 1
                    continue
                tries += 1
                if tries > most_tries:
                    return (label if label > begin else -1), kept, tries
                due = min(due_s[size], rules.deadline_s[k])
                ends_s = min(before_s, due)
                latest_s = ends_s - rules.least_s[size, m]
                sent = sent_s[size] + rules.demand_s[k]
                out = latest_s <= 0 or sent > labels.slack[label] * latest_s
                if out or _passes_over_back(rules, mask, m, k):
                    k -= 1
                    continue
                chosen[size] = k
                flip(mask, k)
                size += 1
                due_s[size] = due
                sent_s[size] = sent
                k -= 1
                batch = chosen[:size]
                starts_s = ends_s - rules.latency_s[size - 1, m]
                if starts_s <= 0:
                    continue
                slack = labels.slack[label] - sent / starts_s
                if slack < 0:
                    continue
                if _misses(rules, mask, m, batch, dead, ends_s):
                    continue
                worth = value + _worth(rules, m, batch, ends_s)
                step = _step(rules, ends_s, CLOSE) - rules.batch_steps[size - 1, m]
                if step < 0 or worth + rules.rest[step, m] + ROUNDING < target:
                    continue
                if count == len(made.model):
                    return (label if kept else -1), kept, tries
                made.served[count] = mask
                made.model[count] = m
                made.last[count] = -1
                made.time_s[count] = -starts_s
                made.slack[count] = slack
                made.value[count] = worth
                made.parent[count] = label
                count += 1
    return len(labels.model), count, tries


@compiled
def _as_good(labels: Labels, excess_s: Floats, one: int, other: int) -> bool:
    """Whether one label is no worse than another, with loads so much longer."""
    more_s = excess_s[labels.model[one], labels.model[other]]
    soon = labels.time_s[one] + more_s <= labels.time_s[other]
    return bool(soon and labels.slack[one] >= labels.slack[other])


@compiled
def compare(labels: Labels, later_s: Floats, elsewhere_s: Floats) -> Flags:
    """Tell which labels are no better than another one of the same users.

    Those are set to stay with their model that are better than none but for that.

    Parameters
    ----------
    labels
        Sorted by users served.
    later_s
        How much longer any load may take with one model than with another, (M, M).
    elsewhere_s
        The same, but for the loads of the other model itself.
    """
    found = np.zeros(len(labels.model), dtype=np.bool_)
    low = 0
    while low < len(found):
        high = low
        while high < len(found) and (labels.served[high] == labels.served[low]).all():
            high += 1
        for k in range(low, high):
            for by in range(low, high):
                if by != k and not found[by] and _as_good(labels, later_s, by, k):
                    found[k] = True
                    break
        # One that stays itself lets no other one stay, or there might be a circle.
        for k in range(low, high):
            for by in range(low, high):
                if found[k] or found[by] or by == k or labels.stays[by]:
                    continue
                if _as_good(labels, elsewhere_s, by, k):
                    labels.stays[k] = True
                    break
        low = high
    return found
