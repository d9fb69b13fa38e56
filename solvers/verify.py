"""Verify that a schedule is feasible for a problem.

This module reads the problem and the schedule as written and shares no code with the
timing or with any solver, so that a mistake there cannot go unnoticed here.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from solvers.errors import VerificationError
from solvers.tolerance import SPECTRUM_TOLERANCE, TIME_TOLERANCE_S

if TYPE_CHECKING:
    from solvers.problem import Problem
    from solvers.schedule import Allocation, Round, Schedule, Segment


def verify(
    problem: Problem, schedule: Schedule, *, sharing: bool | None = None
) -> None:
    """Accept a feasible schedule and report every violation of an infeasible one.

    The tolerance is 1e-9 s on times and 1e-9 relative on spectrum; a user's uploads may
    overlap others for 1e-9 s in total, however many segments they have. A round may
    load more than it must (the baselines without sharing do), never less. The rounds,
    with the problem's residency and eviction, determine what stays in memory and
    whether memory allows a load to overlap the previous round.

    Parameters
    ----------
    problem, schedule
        The problem, and the schedule to verify.
    sharing
        If false, apply the rules of the baselines without sharing: every model has
        private copies of its blocks, which stay resident or are evicted as a whole. If
        None, what the schedule says.

    Raises
    ------
    VerificationError
        Listing every violated rule.
    """
    found = list(violations(problem, schedule, sharing=sharing))
    if found:
        raise VerificationError("; ".join(found))


def violations(
    problem: Problem, schedule: Schedule, *, sharing: bool | None = None
) -> Iterator[str]:
    """Yield a sentence for every rule that a schedule violates; nothing if feasible.

    O(K log K) for K users, and O(R G log G) for R rounds and G groups of blocks with a
    cache.
    """
    if schedule.instance != problem.name:
        yield f"the schedule is for {schedule.instance!r}, not {problem.name!r}"
    yield from _claims(problem, schedule)
    known = schedule.sharing if sharing is None else sharing
    yield from _rounds(problem, schedule, known)
    yield from _spectrum(problem, schedule)


def _claims(problem: Problem, schedule: Schedule) -> Iterator[str]:
    served = [user for round_ in schedule.rounds for user in round_.users]
    if len(set(served)) < len(served):
        yield "a user is served twice"
    unknown = set(served) - {user.id for user in problem.users}
    if unknown:
        yield f"users {sorted(unknown)} are not in the problem"
    if schedule.served != len(served):
        yield f"served says {schedule.served}, the rounds serve {len(served)}"
    if schedule.bound < schedule.served:
        yield f"bound {schedule.bound} is below served {schedule.served}"
    if schedule.bound > len(problem.users):
        yield f"bound {schedule.bound} is above the {len(problem.users)} users"
    gap = (schedule.bound - schedule.served) / schedule.bound if schedule.bound else 0
    if not math.isclose(schedule.gap, gap, abs_tol=1e-12):
        yield f"gap says {schedule.gap}, it is {gap}"
    if schedule.status == "optimal" and schedule.bound != schedule.served:
        yield "status says optimal, but the bound is not met"


def _rounds(problem: Problem, schedule: Schedule, sharing: bool) -> Iterator[str]:
    users = {user.id: user for user in problem.users}
    for r, round_ in enumerate(schedule.rounds):
        if round_.model not in problem.models:
            yield f"round {r}: no model {round_.model!r}"
            return
    needs = _needs(problem, schedule.rounds, sharing)
    for r, (round_, need) in enumerate(zip(schedule.rounds, needs, strict=True)):
        yield from _load(problem, r, round_, need.missing)
        yield from _order(problem, r, schedule.rounds, need.beside)
        model = problem.models[round_.model]
        batch = len(round_.users)
        if not problem.fits(round_.model, batch):
            yield f"round {r}: a batch of {batch} is beyond its limit or the memory"
        elif not _same(round_.compute_s, model.latency_s[batch - 1]):
            yield f"round {r}: compute_s is not the latency of a batch of {batch}"
        if not _same(round_.end_s, round_.compute_start_s + round_.compute_s):
            yield f"round {r}: end_s is not compute_start_s + compute_s"
        for user in round_.users:
            if user not in users:
                continue
            if users[user].model != round_.model:
                yield f"round {r}: user {user!r} wants another model"
            if round_.end_s > users[user].deadline_s + TIME_TOLERANCE_S:
                yield f"round {r}: user {user!r} is late"
    if schedule.slack_s is not None:
        beside = [need.beside for need in needs]
        yield from _slack(problem, schedule, schedule.slack_s, beside)


def _slack(
    problem: Problem, schedule: Schedule, said_s: float, beside: Sequence[bool]
) -> Iterator[str]:
    """Check how far the rounds are ahead of their latest possible starts.

    Going backwards, a batch ends by its deadlines, by the next batch, and by the next
    load unless that runs beside it; a load ends by its batch and by the next load.
    """
    if schedule.uplink != "static":
        yield f"slack_s is for static, not {schedule.uplink}"
        return
    deadlines = {user.id: user.deadline_s for user in problem.users}
    next_load_s = next_start_s = later_load_s = math.inf
    next_beside = False
    slack_s = 0.0
    for round_, here in reversed(list(zip(schedule.rounds, beside, strict=True))):
        due_s = min(deadlines.get(user, math.inf) for user in round_.users)
        end_s = min(due_s, next_start_s, later_load_s)
        if not next_beside:
            end_s = min(end_s, next_load_s)
        start_s = end_s - round_.compute_s
        slack_s = max(slack_s, start_s - round_.compute_start_s)
        loaded_s = min(start_s, next_load_s) if next_beside else start_s
        # What loads beside the next batch waits for this one.
        later_load_s = next_load_s if next_beside else math.inf
        next_load_s, next_start_s = loaded_s - round_.load_s, start_s
        next_beside = here
    # The deadlines themselves have a tolerance, and so have the starts.
    rounding_s = 1e-12 * max((round_.end_s for round_ in schedule.rounds), default=0.0)
    if abs(said_s - slack_s) > 2 * TIME_TOLERANCE_S + rounding_s:
        yield f"slack_s says {said_s}, it is {slack_s}"


def _order(
    problem: Problem, r: int, rounds: Sequence[Round], beside: bool
) -> Iterator[str]:
    """Check a round against its two predecessors, on one copy engine and one GPU."""
    this = rounds[r]
    if this.compute_start_s < this.load_start_s + this.load_s - TIME_TOLERANCE_S:
        yield f"round {r}: it computes before it is loaded"
    if r == 0:
        return
    before = rounds[r - 1]
    if this.compute_start_s < before.end_s - TIME_TOLERANCE_S:
        yield f"round {r}: it computes before the round before it ends"
    load_start_s = this.load_start_s + TIME_TOLERANCE_S
    if load_start_s >= before.end_s:
        return
    if not problem.overlap:
        yield f"round {r}: its load starts before the round before it ends"
        return
    if not beside:
        yield f"round {r}: memory does not hold it beside the round before it"
    if load_start_s < before.load_start_s + before.load_s:
        yield f"round {r}: its load starts before the load before it ends"
    if r > 1 and load_start_s < rounds[r - 2].end_s:
        yield f"round {r}: its load starts before the round two before it ends"


def _load(
    problem: Problem, r: int, round_: Round, missing: frozenset[str]
) -> Iterator[str]:
    needed = set(problem.models[round_.model].blocks)
    loaded = set(round_.loaded_blocks)
    if len(loaded) < len(round_.loaded_blocks):
        yield f"round {r}: a block is loaded twice"
    if not loaded <= needed:
        yield f"round {r}: loads blocks that are not of model {round_.model!r}"
        return
    if not missing <= loaded:
        yield f"round {r}: blocks {sorted(missing - loaded)} are not there"
    if not _same(round_.load_s, sum(problem.blocks[b].load_s for b in loaded)):
        yield f"round {r}: load_s is not the sum of its blocks' load times"
    if round_.loaded_bytes != sum(problem.blocks[b].bytes for b in loaded):
        yield f"round {r}: loaded_bytes is not the sum of its blocks' bytes"


# Blocks that are loaded and evicted together, numbered: the same models hold them.
_Group: TypeAlias = int


class _Need(NamedTuple):
    """What the memory rules require of a round.

    ``missing``: blocks that are not resident when it starts. ``beside``: whether memory
    can hold its model while the previous round computes.
    """

    missing: frozenset[str]
    beside: bool


def _groups(problem: Problem, sharing: bool) -> dict[str, dict[_Group, set[str]]]:
    """Group each model's blocks by their holders; by the model itself if not shared."""
    holders: dict[str, list[str]] = {}
    for name, model in problem.models.items():
        for block in model.blocks:
            holders.setdefault(block, []).append(name)
    numbers: dict[tuple[str, ...], _Group] = {}
    shared = {
        block: numbers.setdefault(tuple(names), len(numbers))
        for block, names in holders.items()
    }
    grouped: dict[str, dict[_Group, set[str]]] = {}
    for own, (name, model) in enumerate(problem.models.items()):
        grouped[name] = {}
        for block in model.blocks:
            group = shared[block] if sharing else own
            grouped[name].setdefault(group, set()).add(block)
    return grouped


def _needs(problem: Problem, rounds: Sequence[Round], sharing: bool) -> list[_Need]:
    """Track memory through the rounds.

    A round's batch fits beside what stays resident, and so does its load beside the
    previous batch if ``beside``: rounds that follow these rules never exceed memory.
    """
    grouped = _groups(problem, sharing)
    size = {
        group: sum(problem.blocks[block].bytes for block in blocks)
        for groups in grouped.values()
        for group, blocks in groups.items()
    }
    limit = math.inf if problem.gpu_memory_bytes is None else problem.gpu_memory_bytes
    eviction_ranks = _eviction_ranks(
        problem, [grouped[round_.model] for round_ in rounds]
    )
    number = {group: n for n, group in enumerate(size)}
    # Groups in memory, and the last round that used each.
    used: dict[_Group, int] = {}
    if problem.resident_model is not None:
        used = dict.fromkeys(grouped[problem.resident_model], -1)
    before: Mapping[_Group, object] = {}
    batch_before = 0
    needs = []
    for r, round_ in enumerate(rounds):
        needed = grouped[round_.model]
        missing = [blocks for group, blocks in needed.items() if group not in used]
        both = sum(size[group] for group in {**before, **needed}) + batch_before
        beside = problem.overlap and r > 0 and both <= limit
        needs.append(_Need(frozenset().union(*missing), beside))
        stay: list[_Group] = []
        if problem.residency == "cache":
            stay = [group for group in used if group not in needed]
            rank = eviction_ranks[r]
            stay.sort(key=lambda g: (rank.get(g, -math.inf), used[g], number[g]))
        if beside:
            others = [group for group in stay if group not in before]
            others = _drop_until_fits(others, size, limit - both)
            stay = [group for group in stay if group in before or group in others]
        batch = _activation_bytes(problem, round_)
        room = limit - problem.weight_bytes(round_.model) - batch
        stay = _drop_until_fits(stay, size, room)
        used = {group: used[group] for group in stay} | dict.fromkeys(needed, r)
        before, batch_before = needed, batch
    return needs


def _eviction_ranks(
    problem: Problem, used: Sequence[Mapping[_Group, object]]
) -> list[dict[_Group, float]]:
    """Rank groups by next use, furthest lowest, where eviction depends on it.

    Groups that are not used again, or under another eviction rule, have no rank.
    """
    rank: list[dict[_Group, float]] = [{} for _ in used]
    if problem.eviction == "furthest-next-use":
        for r in reversed(range(len(used) - 1)):
            rank[r] = rank[r + 1] | dict.fromkeys(used[r + 1], -float(r + 1))
    return rank


def _activation_bytes(problem: Problem, round_: Round) -> int:
    given = problem.models[round_.model].activation_bytes or ()
    batch = len(round_.users)
    return given[batch - 1] if batch <= len(given) else 0


def _drop_until_fits(
    groups: Sequence[_Group], size: Mapping[_Group, int], limit: float
) -> list[_Group]:
    """Drop leading groups until the rest fits within a size."""
    total = sum(size[group] for group in groups)
    for given_up, group in enumerate(groups):
        if total <= limit:
            return list(groups[given_up:])
        total -= size[group]
    return []


def _same(left_s: float, right_s: float) -> bool:
    return abs(left_s - right_s) <= TIME_TOLERANCE_S


def _spectrum(problem: Problem, schedule: Schedule) -> Iterator[str]:
    users = {user.id: user for user in problem.users}
    round_of = {user: round_ for round_ in schedule.rounds for user in round_.users}
    holders = {allocation.user for allocation in schedule.bandwidth}
    if holders != round_of.keys() or len(holders) != len(schedule.bandwidth):
        yield "bandwidth does not hold exactly one entry for every served user"
        return
    uploads: dict[str, tuple[Segment, ...]] = {}
    for allocation in schedule.bandwidth:
        user = users.get(allocation.user)
        if user is None:
            continue
        round_ = round_of[user.id]
        carried = 0.0
        for segment in allocation.segments:
            if segment.end_s < segment.start_s:
                yield f"user {user.id!r}: a segment ends before it starts"
            if segment.start_s < user.release_s - TIME_TOLERANCE_S:
                yield f"user {user.id!r}: uploads before its release"
            if segment.end_s > round_.compute_start_s + TIME_TOLERANCE_S:
                yield f"user {user.id!r}: uploads after its batch has started"
            carried += segment.hz * (segment.end_s - segment.start_s)
        uploads[user.id] = allocation.segments
        rounding = max(s.hz for s in allocation.segments) * TIME_TOLERANCE_S
        if carried < user.demand_hz_s * (1 - SPECTRUM_TOLERANCE) - rounding:
            yield f"user {user.id!r}: its spectrum does not carry its input"
    yield from _band(problem, uploads)
    yield from _discipline(problem, schedule, round_of)


def _band(problem: Problem, uploads: Mapping[str, Sequence[Segment]]) -> Iterator[str]:
    """Check that the users hold no more than the band at once.

    No segment may be wider than the band. Together they may be, where one begins as
    another ends, but nobody for more than the tolerance in total.
    """
    segments = [segment for held in uploads.values() for segment in held]
    events = sorted(
        event for s in segments for event in ((s.start_s, s.hz), (s.end_s, -s.hz))
    )
    at_s = [time_s for time_s, _ in events]
    held_hz = list(accumulate(hz for _, hz in events))
    # A running sum of n terms accumulates up to about n rounding errors.
    rounding = len(events) * 2.3e-16
    limit_hz = problem.bandwidth_hz * (1 + SPECTRUM_TOLERANCE + rounding)
    peak_hz = max([segment.hz for segment in segments], default=0.0)
    # For how long before each time too much was held.
    over_s = list(
        accumulate(
            (
                (until_s - from_s) * (hz > limit_hz)
                for (from_s, until_s), hz in zip(pairwise(at_s), held_hz, strict=False)
            ),
            initial=0.0,
        )
    )
    for held in uploads.values() if over_s[-1] else ():
        beyond_s = sum(
            over_s[bisect_left(at_s, s.end_s)] - over_s[bisect_left(at_s, s.start_s)]
            for s in held
        )
        if beyond_s > TIME_TOLERANCE_S:
            peak_hz = max(held_hz)
            break
    if peak_hz > limit_hz:
        yield f"the users hold {peak_hz:g} Hz at once of {problem.bandwidth_hz:g} Hz"


def _discipline(
    problem: Problem, schedule: Schedule, round_of: dict[str, Round]
) -> Iterator[str]:
    if schedule.uplink == "dynamic" or not schedule.bandwidth:
        return
    if any(user.release_s for user in problem.users):
        yield f"{schedule.uplink} needs all releases 0"
    if not all(map(_is_single, schedule.bandwidth)):
        yield f"{schedule.uplink}: a user does not hold one band from time 0"
    ends = {a.user: a.segments[-1].end_s for a in schedule.bandwidth}
    if schedule.uplink == "static":
        if any(
            not _same(end, round_of[user].compute_start_s) for user, end in ends.items()
        ):
            yield "static: a band is not held until the round's compute start"
    else:
        if max(ends.values()) - min(ends.values()) > TIME_TOLERANCE_S:
            yield "upfront: uploads do not end together"
        if schedule.rounds[0].load_start_s < max(ends.values()) - TIME_TOLERANCE_S:
            yield "upfront: the GPU starts before the uploads have ended"


def _is_single(allocation: Allocation) -> bool:
    return len(allocation.segments) == 1 and allocation.segments[0].start_s == 0
