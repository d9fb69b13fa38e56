"""Fill a plan in loops over its rounds.

Twins of :mod:`solvers.core.openings`, :mod:`solvers.core.insertion` and
:mod:`solvers.core.filling`, with the same sums in the same order: to the last bit they
find the same additions at the same costs. Only where they are compiled are they the
quicker ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers.core.arrays import SLACK_S, STATIC, UPFRONT, Rows, Rules
from solvers.core.compiling import compiled
from solvers.core.places import Bools
from solvers.core.plan_kernels import Timed, in_time, put, timed
from solvers.core.tables import Floats, Ints

# Additions that are sorted at once.
AT_ONCE = 32

# Whether only single users open rounds: where no others fit. What takes a constant is
# compiled once for each; what takes an element of a tuple is not.
ALONE = (False, True)


class Filling(NamedTuple):
    """How additions are ranked, and how many are tried.

    As in :class:`solvers.core.insertion.Criterion`.

    Parameters
    ----------
    uplink_weight, noise
        Weight of a second of the band, and the random share of costs.
    need_s, alone_s
        Compute time of the batch in which users of each model must be in time to enter
        a new round, with others and alone, shape (M,).
    tries
        Number of additions that may fail.
    spread
        How many times as much as the first one others may cost.
    order
        Who may be inserted, by model and then in the order in which they enter rounds.
    most_pairs
        Maximum number of pairs of a user and a position in one evaluation.
    overhead, overhead_per_round
        Pairs evaluated in the time of the fixed costs of an evaluation.
    """

    uplink_weight: float
    noise: float
    need_s: Floats
    alone_s: Floats
    tries: int
    spread: float
    order: Ints
    most_pairs: int
    overhead: int
    overhead_per_round: int


class _Additions(NamedTuple):
    """Additions that seem to fit: users ``entrants[first]`` to ``entrants[last]``.

    The first ``joins`` of them join the round at ``place``, others open one there.
    """

    joins: int
    cost: Floats
    place: Ints
    first: Ints
    last: Ints
    entrants: Ints


@compiled
def _arrivals(
    rules: Rules, ends: Floats, after_s: Floats, order: Ints
) -> tuple[Floats, Floats, Floats]:
    """Compute base, beyond and room: twin of ``places._arrivals``.

    Only columns of the releases of some users are filled in.
    """
    grid_s = rules.release_grid_s
    places, releases = ends.shape
    base = np.empty((places, releases))
    beyond = np.empty((places, releases))
    room = np.empty((places, releases))
    asked = np.zeros(releases, dtype=np.bool_)
    if places:
        asked[rules.release_index[order]] = True
    columns = np.flatnonzero(asked)
    for p in range(places):
        greatest, i = -np.inf, 0
        for column in columns:
            while i <= column:
                greatest = max(greatest, ends[p, i])
                i += 1
            released = grid_s[column]
            end_s = ends[p, column]
            sent = end_s - released if np.isfinite(end_s) else 0.0
            base[p, column] = max(greatest, released + sent)
        later, i = -np.inf, releases - 1
        for column in columns[::-1]:
            while i > column:
                later = max(later, ends[p, i])
                i -= 1
            beyond[p, column] = later
    for p in range(places - 1, -1, -1):
        for column in columns:
            least = np.inf
            if p + 1 < places:
                room_s = after_s[p] - base[p + 1, column]
                least = min(room[p + 1, column], room_s)
            room[p, column] = least
    return base, beyond, room


@compiled
def _joined_band(
    demands_s: Floats,
    after_s: Floats,
    chain_s: Floats,
    r: int,
    demand_s: float,
    start_s: float,
) -> float:
    """Twin of ``Insertions._joined_band``, of one user and one round."""
    before, after = 0.0, 0.0
    for j in range(r):
        pushed_s = min(after_s[j], start_s - (chain_s[r] - chain_s[j]))
        if not pushed_s > 0:
            return np.inf
        before += demands_s[j] / pushed_s
    if not start_s > 0:
        return np.inf
    own = (demands_s[r] + demand_s) / start_s
    for j in range(r + 1, len(chain_s)):
        after += demands_s[j] / after_s[j]
    band: float = before + own + after
    return band


@compiled
def _chain(rules: Rules, rows: Rows, times: Timed) -> Floats:
    """End of each round's load if rounds ran without waiting, less an offset."""
    chain_s = np.empty(len(times.load_s))
    work = 0.0
    for r in range(len(chain_s)):
        # A load that overlaps does not push.
        load_s = 0.0 if rules.overlap else times.load_s[r]
        chain_s[r] = work + load_s
        work += rows.compute_s[rows.at[r]] + load_s
    return chain_s


@compiled
def _found(
    rules: Rules,
    rows: Rows,
    rounds: int,
    filling: Filling,
    order: Ints,
    alone: bool,
) -> _Additions:
    """Find additions and their costs: twin of ``Insertions.joins`` and ``openings``."""
    times = timed(rules, rows, rounds)
    arrivals = _arrivals(rules, times.ends_s, times.after_s, order)
    users = len(order)
    most = users * (rounds + 1)
    entrants = np.empty(most + users, dtype=np.int64)
    cost = np.empty(most + users * rounds)
    place = np.empty(len(cost), dtype=np.int64)
    first, last = np.empty_like(place), np.empty_like(place)
    found = 0
    entrants[:users] = order
    into = (cost, place, first, last, entrants)
    if not alone:
        found = _join(rules, rows, times, arrivals, filling, order, into)
    joins = found
    found = _open(rules, rows, times, arrivals, filling, order, alone, found, into)
    return _Additions(
        joins, cost[:found], place[:found], first[:found], last[:found], entrants
    )


@compiled
def _join(
    rules: Rules,
    rows: Rows,
    times: Timed,
    arrivals: tuple[Floats, Floats, Floats],
    filling: Filling,
    order: Ints,
    into: tuple[Floats, Ints, Ints, Ints, Ints],
) -> int:
    """Write down the users that seem to fit into a round of their model."""
    cost, place, first, last, _ = into
    user_model, user_demand_s = rules.user_model, rules.demand_s
    user_deadline_s, release = rules.deadline_s, rules.release_index
    loaded_s, before_s, after_s = times.loaded_s, times.before_s, times.after_s
    latest_end_s, early_slack_s = times.latest_end_s, times.early_slack_s
    upload_slack_s, ready_s = times.upload_slack_s, times.ready_s
    base_s, beyond_s, room_s = arrivals
    upfront, static = rules.uplink == UPFRONT, rules.uplink == STATIC
    rounds = len(ready_s)
    at = rows.at[:rounds]
    models, computes_s, demands_s = (
        rows.model[at],
        rows.compute_s[at],
        rows.demand_s[at],
    )
    grown_s = np.empty(rounds)
    for r in range(rounds):
        grown_s[r] = rules.latency_s[models[r], rows.size[at[r]] + 1]
    chain_s = _chain(rules, rows, times) if static else np.empty(0)
    weight, gpu = filling.uplink_weight, 1 - filling.uplink_weight
    found = 0
    # The rounds that another user fits into, of one model after another.
    begins, there = _rounds_by_model(models, grown_s, len(rules.latency_s))
    for n in range(len(order)):
        k = order[n]
        demand_s = user_demand_s[k]
        for r in there[begins[user_model[k]] : begins[user_model[k] + 1]]:
            start_s = max(loaded_s[r], before_s[r])
            latest_s = min(latest_end_s[r], user_deadline_s[k])
            upload = demand_s
            if upfront:
                if not demand_s <= early_slack_s[r] + SLACK_S:
                    continue
                start_s = start_s + demand_s
            elif static:
                begin_s = latest_s - grown_s[r]
                band = _joined_band(demands_s, after_s, chain_s, r, demand_s, begin_s)
                if not band <= 1 + SLACK_S:
                    continue
                upload = (band - times.band) * rules.horizon_s
            elif rules.releases_zero:
                if not demand_s <= upload_slack_s[r + 1] + SLACK_S:
                    continue
                start_s = max(start_s, ready_s[r] + demand_s)
            else:
                i = release[k]
                if not demand_s <= room_s[r + 1, i] + SLACK_S:
                    continue
                sent_s = base_s[r + 1, i] + demand_s
                start_s = max(start_s, max(beyond_s[r + 1, i], sent_s))
            if start_s + grown_s[r] <= latest_s + SLACK_S:
                cost[found] = weight * upload + gpu * (grown_s[r] - computes_s[r])
                place[found], first[found], last[found] = r, n, n
                found += 1
    return found


@compiled
def _rounds_by_model(models: Ints, grown_s: Floats, count: int) -> tuple[Ints, Ints]:
    """Return where those of each model begin, and rounds that may grow, by model."""
    begins = np.zeros(count + 1, dtype=np.int64)
    for r in range(len(models)):
        begins[models[r] + 1] += np.isfinite(grown_s[r])
    begins = begins.cumsum()
    there = np.empty(begins[-1], dtype=np.int64)
    at = begins.copy()
    for r in range(len(models)):
        if np.isfinite(grown_s[r]):
            there[at[models[r]]] = r
            at[models[r]] += 1
    return begins, there


@compiled
def _missing(rules: Rules, there: Bools) -> Floats:
    """Load of each model at each position, given the cache: ``openings._missing_s``."""
    places = len(there)
    models = len(rules.begins) - 1 if places else 0
    missing_s = np.zeros((models, places))
    for m in range(models):
        for i in range(rules.begins[m], rules.begins[m + 1]):
            a = rules.atoms[i]
            for p in range(places):
                if not there[p, a]:
                    missing_s[m, p] += rules.rounded_s[a]
    return missing_s


class _Queue(NamedTuple):
    """Users ``order[first]`` to ``order[last]``, without that, all of one model.

    ``demand_s`` is their least demand, ``deadline_s`` their latest deadline, and
    ``gap_s`` the least of demand less share times deadline.
    """

    first: int
    last: int
    demand_s: float
    deadline_s: float
    gap_s: float


@compiled
def _queues(rules: Rules, order: Ints, share: float) -> list[_Queue]:
    """Split users by model; ``share`` weighs deadlines."""
    queues = []
    first = 0
    while first < len(order):
        model = rules.user_model[order[first]]
        last = first
        least_s, latest_s, gap_s = np.inf, -np.inf, np.inf
        while last < len(order) and rules.user_model[order[last]] == model:
            demand_s = rules.demand_s[order[last]]
            deadline_s = rules.deadline_s[order[last]]
            least_s = min(least_s, demand_s)
            latest_s = max(latest_s, deadline_s)
            gap_s = min(gap_s, demand_s - share * deadline_s)
            last += 1
        queues.append(_Queue(first, last, least_s, latest_s, gap_s))
        first = last
    return queues


@compiled
def _open(
    rules: Rules,
    rows: Rows,
    times: Timed,
    arrivals: tuple[Floats, Floats, Floats],
    filling: Filling,
    order: Ints,
    alone: bool,
    found: int,
    into: tuple[Floats, Ints, Ints, Ints, Ints],
) -> int:
    """Write down the new rounds that seem to fit, position by position."""
    cost, place, first, last, entrants = into
    user_model, user_demand_s = rules.user_model, rules.demand_s
    user_deadline_s, deadlines_s = rules.deadline_s, rules.deadlines_s
    ranks, releases = rules.deadline_rank, rules.release_index
    latency_s, between_s = rules.latency_s, rules.between_s
    base_s, beyond_s, room_s = arrivals
    needs_s = filling.alone_s if alone else filling.need_s
    band, plain = times.band, rules.plain
    upfront, static = rules.uplink == UPFRONT, rules.uplink == STATIC
    releases_zero, horizon_s = rules.releases_zero, rules.horizon_s
    rounds = len(times.ready_s)
    weight, gpu = filling.uplink_weight, 1 - filling.uplink_weight
    widest = latency_s.shape[1] - 1
    cached, missing_s = rules.cached, _missing(rules, times.there)
    row, total_s, slope = len(order), 0.0, 0.0
    slack = 2 * SLACK_S
    free = max(1 + slack - band, 0.0)
    queues = _queues(rules, order, free if static else 1.0)
    for p in range(rounds + 1):
        if p and static:
            after_s = times.after_s[p - 1]
            slope += rows.demand_s[rows.at[p - 1]] / (after_s * after_s)
        before = rows.model[rows.at[p - 1]] if p else -1
        after = rows.model[rows.at[p]] if p < rounds else -1
        before_s, loading_s = times.before_s[p], times.loading_s[p]
        sent_s = times.sent_s[p]
        early_slack_s, upload_slack_s = times.early_slack_s[p], times.upload_slack_s[p]
        for queue in queues:
            model = user_model[order[queue.first]]
            need_s = needs_s[model]
            closes_s = times.after_s[p]
            if cached:
                load_s = extra_load_s = missing_s[model, p]
            else:
                load_s, then_s = between_s[before, model], between_s[model, after]
                extra_load_s = load_s + then_s - between_s[before, after]
                if plain:
                    closes_s -= then_s
            opens_s = max(before_s, loading_s + load_s)
            # Who may be in time here: twin of ``openings._eligible``.
            end_s = opens_s + need_s
            if upfront:
                most = min(closes_s - end_s, early_slack_s) + slack
            elif static:
                most = free * (closes_s - need_s) if free else 0.0
            else:
                most = closes_s - (sent_s + need_s)
                if releases_zero:
                    most = min(most, upload_slack_s)
            if not upfront:
                most = most + slack if end_s <= closes_s + slack else -np.inf
            least_s = -np.inf if upfront else end_s - slack
            if upfront:
                gap_s = slack - end_s
            elif static:
                gap_s = slack - free * need_s
            else:
                gap_s = slack - (sent_s + need_s)
            if not (
                queue.demand_s <= most
                and queue.deadline_s >= least_s
                and queue.gap_s <= gap_s
            ):
                continue
            begins, offset_s = row, 0.0
            rank, release = len(ranks), len(rules.release_grid_s)
            for n in range(queue.first, queue.last):
                k = order[n]
                demand_s, deadline_s = user_demand_s[k], user_deadline_s[k]
                if not demand_s <= most or not deadline_s >= least_s:
                    continue
                gap = free * deadline_s if static else deadline_s
                if not demand_s - gap <= gap_s:
                    continue
                entrants[row] = k
                if alone:
                    begins, release = row, releases[k]
                else:
                    total_s += demand_s
                    if row == begins:
                        offset_s = total_s - demand_s
                    demand_s = total_s - offset_s
                    rank = min(rank, ranks[k])
                    deadline_s = deadlines_s[rank]
                    release = min(release, releases[k])
                row += 1
                size = row - begins
                compute_s = latency_s[model, min(size, widest)]
                if not np.isfinite(compute_s):
                    continue
                latest_s = min(deadline_s, closes_s)
                extra_s = extra_load_s + compute_s
                start_s, upload = opens_s, demand_s
                if upfront:
                    if not demand_s <= early_slack_s + SLACK_S:
                        continue
                    start_s = start_s + demand_s
                elif static:
                    begin_s = latest_s - compute_s
                    if not begin_s > 0:
                        continue
                    own = demand_s / begin_s
                    if not band + own <= 1 + SLACK_S:
                        continue
                    upload = (own + slope * extra_s) * horizon_s
                elif releases_zero:
                    if not demand_s <= upload_slack_s + SLACK_S:
                        continue
                    start_s = max(start_s, sent_s + demand_s)
                else:
                    if not demand_s <= room_s[p, release] + SLACK_S:
                        continue
                    arrived_s = base_s[p, release] + demand_s
                    start_s = max(start_s, max(beyond_s[p, release], arrived_s))
                if start_s + compute_s <= latest_s + SLACK_S:
                    cost[found] = (weight * upload + gpu * extra_s) / size
                    place[found], first[found], last[found] = p, begins, row - 1
                    found += 1
    return found


@compiled
def fill(
    rules: Rules,
    rows: Rows,
    rounds: int,
    waiting: Bools,
    filling: Filling,
    rng: np.random.Generator,
    effort: float,
    budget: float,
) -> tuple[int, bool, float, float]:
    """Insert users until none fits: twin of ``filling.fill``.

    Parameters
    ----------
    rules, rows, rounds
        The problem and a feasible plan, which is added to.
    waiting
        Mask of the users that may be inserted, shape (K,); who is, waits no longer.
    filling
        Who may be inserted, and how.
    rng
        Perturbs the costs.
    effort
        Pairs of a user and a round that the search may still evaluate.
    budget
        Pairs to evaluate before the time is looked at.

    Returns
    -------
    int, bool, float, float
        The number of rounds then, whether filling has ended, and the effort and the
        budget that are left.
    """
    while budget > 0:
        pairs = filling.overhead + np.count_nonzero(waiting) * (rounds + 1)
        pairs += filling.overhead_per_round * rounds
        effort -= pairs
        if effort <= 0:
            return rounds, True, effort, budget
        budget -= pairs
        order = _sample(rules, filling, waiting, rounds + 1, rng)
        longer, added = rounds, 0
        for alone in ALONE:
            if not added:
                longer, added = _add(
                    rules, rows, rounds, waiting, filling, order, alone, rng
                )
        if not added:
            return rounds, True, effort, budget
        rounds = longer
    return rounds, False, effort, budget


@compiled
def _sample(
    rules: Rules,
    filling: Filling,
    waiting: Bools,
    places: int,
    rng: np.random.Generator,
) -> Ints:
    """Return who waits, of some models: twin of ``Insertions.sample``."""
    order = filling.order[waiting[filling.order]]
    most = max(filling.most_pairs // places, 1)
    if len(order) <= most:
        return order
    model = rules.user_model[order]
    count = np.bincount(model)
    chosen = np.zeros(len(count), dtype=np.bool_)
    taken = 0
    drawn = np.empty(len(count))
    for m in range(len(count)):
        drawn[m] = rng.random()
    for m in np.argsort(drawn):
        taken += count[m]
        chosen[m] = taken <= most
    return order[chosen[model]]


@compiled
def _add(
    rules: Rules,
    rows: Rows,
    rounds: int,
    waiting: Bools,
    filling: Filling,
    order: Ints,
    alone: bool,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Make the first additions that fit, and return the rounds and who was added."""
    if not len(order):
        return rounds, 0
    found = _found(rules, rows, rounds, filling, order, alone)
    cost = found.cost
    if filling.noise and not alone:
        for i in range(len(cost)):
            cost[i] = cost[i] * (1 + filling.noise * rng.random())
    opened = np.empty(len(order), dtype=np.int64)
    opens, added, tries = 0, 0, filling.tries
    most = np.inf
    i = at = -1
    least = np.empty(0, dtype=np.int64)
    while tries:
        at += 1
        if at == len(least):
            least, at = _cheapest(found, waiting, i), 0
            if not len(least):
                break
        i = least[at]
        if cost[i] > most:
            break
        if not _waits(found, waiting, i):
            continue
        p = found.place[i]
        for j in range(opens):
            p += opened[j] <= found.place[i]
        # Positions are those of the plan that was evaluated.
        users = found.entrants[found.first[i] : found.last[i] + 1]
        joined = i < found.joins
        if joined:
            fitted = _joined(rules, rows, rounds, p, users[0])
        else:
            fitted = _opened(rules, rows, rounds, p, users)
        if not fitted:
            tries -= 1
            continue
        if most == np.inf:
            most = filling.spread * cost[i]
        if not joined:
            opened[opens] = found.place[i]
            opens += 1
            rounds += 1
        added += len(users)
        for k in users:
            waiting[k] = False
    return rounds, added


@compiled
def _cheapest(found: _Additions, waiting: Bools, after: int) -> Ints:
    """Return the next additions by cost and number whose users wait, a few at once."""
    cost = found.cost
    most = AT_ONCE
    least = np.empty(most, dtype=np.int64)
    count = 0
    bar = cost[after] if after >= 0 else -np.inf
    for i in range(len(cost)):
        if count == most and not cost[i] < cost[least[-1]]:
            continue
        if cost[i] < bar or (cost[i] == bar and i <= after):
            continue
        if not _waits(found, waiting, i):
            continue
        at = min(count, most - 1)
        while at > 0 and cost[i] < cost[least[at - 1]]:
            least[at] = least[at - 1]
            at -= 1
        least[at] = i
        count = min(count + 1, most)
    return least[:count]


@compiled
def _waits(found: _Additions, waiting: Bools, i: int) -> bool:
    """Whether all users of an addition wait."""
    for e in range(found.first[i], found.last[i] + 1):
        if not waiting[found.entrants[e]]:
            return False
    return True


@compiled
def _joined(rules: Rules, rows: Rows, rounds: int, p: int, k: int) -> bool:
    """Let a user join round p if the plan stays feasible."""
    row = rows.at[p]
    size = rows.size[row]
    was = (rows.demand_s[row], rows.deadline_s[row], rows.compute_s[row])
    rows.users[row, size] = k
    rows.size[row] = size + 1
    rows.demand_s[row] = was[0] + rules.demand_s[k]
    rows.deadline_s[row] = min(was[1], rules.deadline_s[k])
    rows.compute_s[row] = rules.latency_s[rows.model[row], size + 1]
    if in_time(rules, rows, rounds):
        return True
    rows.size[row] = size
    rows.demand_s[row], rows.deadline_s[row], rows.compute_s[row] = was
    return False


@compiled
def _opened(rules: Rules, rows: Rows, rounds: int, p: int, users: Ints) -> bool:
    """Open a round in front of round p if the plan stays feasible.

    It takes the row after those of the plan.
    """
    row = rounds
    put(rules, rows, row, rules.user_model[users[0]], users)
    for r in range(rounds, p, -1):
        rows.at[r] = rows.at[r - 1]
    rows.at[p] = row
    if in_time(rules, rows, rounds + 1):
        return True
    for r in range(p, rounds):
        rows.at[r] = rows.at[r + 1]
    return False
