"""Look at every sequence of rounds that may serve more than is to be refuted.

Labels are sequences of rounds, made a round at a time. Of those that have served the
same users only the best are kept, and of these only such as may still serve enough: the
path bound tells what may come. ``docs/mathematics.md``, section 10, has the proof.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from solvers.bounds.path_bound import Priced, Relaxation
from solvers.bounds.path_memory import Flags
from solvers.bounds.path_network import Part
from solvers.branch.label_kernels import (
    WORD,
    Labels,
    Masks,
    Rules,
    compare,
    expand,
    expand_back,
)
from solvers.core.compiling import call
from solvers.core.tables import Floats, Ints, PlannedRound, Rounds
from solvers.core.timing import time_rounds
from solvers.tolerance import granted
from solvers.uplink import Uplink

# Labels that are made, labels that are gone on from, and batches that are tried before
# the time is looked at. Where one label needs more batches, all is given up.
ROOM = 200_000
SLICE = 500
TRIES = 500_000


class Outcome(NamedTuple):
    """What came of looking at all sequences of rounds.

    ``refuted`` says that the schedule which is looked for is not in the part, or serves
    too few; ``rounds`` serve enough, if such were found, in the part or not. If
    neither, there were too many. ``tries`` counts batches, those tried again too.
    """

    refuted: bool
    rounds: Rounds | None
    tries: int


class _Layer(NamedTuple):
    """Labels that serve as many users; ``offset`` is the number of the first one."""

    offset: int
    labels: Labels


def may_label(relaxed: Relaxation) -> bool:
    """Whether labels can be made for a problem: memory is what the last model left."""
    problem = relaxed.network.tables.problem
    return problem.residency == "previous" and not problem.overlap


def look_at_all(
    relaxed: Relaxation,
    uplink: Uplink,
    multipliers: Floats,
    part: Part,
    target: int,
    *,
    most_tries: int,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Look for a schedule that serves so many users in a part of all schedules.

    What is looked for is the best schedule of the whole problem that serves those users
    of least demand, and of them in the best order (``docs/mathematics.md``, section
    10). If no part has it, none serves so many. Another schedule of the part may be
    passed over.

    Parameters
    ----------
    relaxed, uplink, multipliers
        The relaxation of the problem, for which :func:`may_label` holds, the discipline
        and any multipliers; the better they are, the fewer labels there are.
    part
        The schedules, told apart by the users that they serve alone.
    target
        Number of users.
    most_tries
        Maximum number of batches to try.
    out_of_time
        Ends the search early.

    Notes
    -----
    Exponential in the worst case; O(K + n²) a batch, n the users of its model.
    """
    rules = _rules(relaxed, uplink, relaxed.priced(multipliers, part))
    users = len(rules.deadline_s)
    words = (users + WORD - 1) // WORD
    later_s, elsewhere_s = _later_s(rules)
    further = expand_back if rules.static else expand
    waiting: list[list[Labels]] = [[] for _ in range(users + 1)]
    waiting[0].append(_none(words, rules))
    done: list[_Layer] = []
    room = _room(words, ROOM)
    offset, tries = 0, 0
    for served, parts in enumerate(waiting):
        if not parts:
            continue
        labels = _kept(parts, later_s, elsewhere_s)
        parts.clear()
        done.append(_Layer(offset, labels))
        whole = _whole(rules, labels)
        if served >= target and len(whole):
            rounds = _rounds(relaxed, done, offset + int(whole[0]))
            if rules.static:
                rounds = rounds[::-1]
            timed = time_rounds(relaxed.network.tables, rounds, uplink)
            # It may be in time by what only proofs grant.
            return Outcome(False, None if timed is None else rounds, tries)
        for start in range(0, len(labels.model), SLICE):
            some = _taken(labels, slice(start, start + SLICE))
            at = 0
            while at < len(some.model):
                at, count, tried = call(further, rules, some, at, target, TRIES, room)
                tries += tried
                if at < 0 or tries > most_tries or out_of_time():
                    return Outcome(False, None, tries)
                _sort_out(room, count, offset + start, waiting)
        offset += len(labels.model)
    return Outcome(True, None, tries)


def _rules(relaxed: Relaxation, uplink: Uplink, priced: Priced) -> Rules:
    network, part = relaxed.network, priced.part
    tables = network.tables
    users = len(network.users)
    upfront = uplink == "upfront"
    deadline_s = granted(tables.deadline_s[network.users])
    release_s = tables.release_s[network.users]
    bars = np.zeros((users, users), dtype=bool)
    for m, memory in enumerate(network.memories):
        span = slice(network.first[m], network.first[m + 1])
        bars[span, span] = memory.bars
    np.fill_diagonal(bars, val=False)
    yields = relaxed.yields.copy()
    np.fill_diagonal(yields, val=False)
    gains, rate = relaxed.gains(priced), 0.0
    if uplink == "static":
        rest, with_one = network.before(
            gains, priced.between, priced.first, priced.start
        )
    else:
        rest, with_one = network.rest(gains, priced.between)
    if upfront:
        rate = float(priced.start[1] - priced.start[0])
        rest, with_one = (
            np.maximum.accumulate((worth + priced.start[:, None])[::-1])[::-1].copy()
            for worth in (rest, with_one)
        )
    latency_s = network.latency_s
    return Rules(
        upfront=upfront,
        static=uplink == "static",
        first=network.first,
        deadline_s=deadline_s,
        release_s=release_s,
        demand_s=network.demand_s,
        until_s=np.full(users, np.inf) if upfront else deadline_s,
        late_first=np.argsort(-release_s, kind="stable"),
        bars=bars,
        yields=yields,
        worse=_worse(relaxed),
        forced=part.forced,
        banned=part.banned,
        latency_s=latency_s,
        least_s=np.minimum.accumulate(latency_s[::-1])[::-1].copy(),
        load_s=network.load_s,
        value=priced.value,
        prices=np.ascontiguousarray(priced.prices),
        kind=relaxed.band.kind,
        cost=priced.cost,
        between=priced.between,
        begun=priced.first,
        column=network.column,
        remembers=np.array([memory.places > 1 for memory in network.memories]),
        rest=rest + priced.constant,
        with_one=np.ascontiguousarray(with_one + priced.constant),
        batch_steps=network.batch_steps,
        step_s=network.step_s,
        rate=rate,
    )


def _worse(relaxed: Relaxation) -> Flags:
    """Whether each user asks for no less than each other one and comes no earlier.

    They are not the same in both. Of one model, the other one can take its place in
    every round that is in time for it.
    """
    network = relaxed.network
    demand_s = network.demand_s
    release_s = network.tables.release_s[network.users]
    no_less = (demand_s[:, None] >= demand_s) & (release_s[:, None] >= release_s)
    found: Flags = no_less & ~no_less.T
    return found


def _later_s(rules: Rules) -> tuple[Floats, Floats]:
    """How much more time loads may take with one model than with another, (M, M) each.

    Those after it; those before it, the first round's included, under ``static``. Once
    all of them, once all but those of the other model itself.
    """
    load_s = rules.load_s.copy()
    np.fill_diagonal(load_s, 0.0)
    load_s = load_s.T if rules.static else load_s[:-1]
    more_s = load_s[:, None, :] - load_s[None, :, :]
    later_s: Floats = more_s.max(axis=2)
    models = np.arange(len(load_s))
    more_s[:, models, models] = -np.inf
    return later_s, more_s.max(axis=2)


def _whole(rules: Rules, labels: Labels) -> Ints:
    """Labels that are a schedule as they are."""
    if not rules.static:
        return np.arange(len(labels.model))
    loads_s = np.append(rules.load_s[-1], 0.0)[labels.model]
    return np.flatnonzero(loads_s <= granted(-labels.time_s))


def _room(words: int, length: int) -> Labels:
    return Labels(
        served=np.zeros((length, words), dtype=np.uint64),
        model=np.full(length, -1),
        last=np.full(length, -1),
        time_s=np.zeros(length),
        slack=np.zeros(length),
        value=np.zeros(length),
        parent=np.full(length, -1),
        stays=np.zeros(length, dtype=bool),
    )


def _taken(labels: Labels, which: slice | Ints | Flags) -> Labels:
    """Take some labels."""
    return Labels(
        served=labels.served[which],
        model=labels.model[which],
        last=labels.last[which],
        time_s=labels.time_s[which],
        slack=labels.slack[which],
        value=labels.value[which],
        parent=labels.parent[which],
        stays=labels.stays[which],
    )


def _none(words: int, rules: Rules) -> Labels:
    """Make the label of no rounds."""
    if rules.static:
        never, band = np.full(1, -np.inf), np.full(1, granted(1.0))
        return _room(words, 1)._replace(time_s=never, slack=band)
    return _room(words, 1)._replace(slack=np.full(1, np.inf))


def _sort_out(
    room: Labels, count: int, offset: int, waiting: list[list[Labels]]
) -> None:
    """Put new labels with those that serve as many users."""
    if not count:
        return
    made = _taken(room, slice(count))
    bits = np.unpackbits(made.served.view(np.uint8), axis=1)
    number = bits.sum(axis=1, dtype=np.int64)
    for served in np.unique(number).tolist():
        here = number == served
        part = _taken(made, here)
        waiting[served].append(part._replace(parent=part.parent + offset))


def _kept(parts: list[Labels], later_s: Floats, elsewhere_s: Floats) -> Labels:
    """Join labels that serve as many users, without those that others dominate."""
    joined = Labels(
        served=np.concatenate([part.served for part in parts]),
        model=np.concatenate([part.model for part in parts]),
        last=np.concatenate([part.last for part in parts]),
        time_s=np.concatenate([part.time_s for part in parts]),
        slack=np.concatenate([part.slack for part in parts]),
        value=np.concatenate([part.value for part in parts]),
        parent=np.concatenate([part.parent for part in parts]),
        stays=np.concatenate([part.stays for part in parts]),
    )
    keys = (-joined.slack, joined.time_s, joined.model, *joined.served.T)
    order = np.lexsort(keys)
    joined = _taken(joined, order)
    if len(order) == 1:
        return joined
    return _taken(joined, ~call(compare, joined, later_s, elsewhere_s))


def _rounds(relaxed: Relaxation, done: list[_Layer], number: int) -> Rounds:
    """Follow a label of the last layer back to that of no rounds."""
    network = relaxed.network
    starts = [layer.offset for layer in done]
    after: Flags | None = None
    model = -1
    rounds: list[PlannedRound] = []
    while number >= 0:
        layer = done[int(np.searchsorted(starts, number, side="right")) - 1]
        at = number - layer.offset
        here = _users(layer.labels.served[at])[: len(network.users)]
        if after is not None:
            users = network.users[after & ~here].tolist()
            rounds.append(PlannedRound(network.models[model], tuple(users)))
        after, model = here, int(layer.labels.model[at])
        number = int(layer.labels.parent[at])
    return rounds[::-1]


def _users(mask: Masks) -> Flags:
    """Give the users of a set as flags."""
    bits = (mask[:, None] >> np.arange(WORD, dtype=np.uint64)) & np.uint64(1)
    found: Flags = bits.reshape(-1) > 0
    return found
