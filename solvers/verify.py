"""The one judge of whether a schedule is feasible for a problem.

It reads the problem and the schedule as they are written down and shares no code with
the timing or any solver, so that a mistake there cannot hide here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from solvers.problem import Problem
from solvers.schedule import Allocation, Round, Schedule

TIME_TOLERANCE_S = 1e-9
SPECTRUM_TOLERANCE = 1e-9


class VerificationError(ValueError):
    """A schedule breaks a rule of its problem; the message names all of them."""


def verify(problem: Problem, schedule: Schedule) -> None:
    """Accept a feasible schedule, and say what is wrong with any other.

    Tolerance is 1e-9 s on times and 1e-9 relative on spectrum. A round may load more
    than it must (the baselines without sharing do), never less.

    Raises
    ------
    VerificationError
        With every rule that is broken.
    """
    found = list(violations(problem, schedule))
    if found:
        raise VerificationError("; ".join(found))


def violations(problem: Problem, schedule: Schedule) -> Iterator[str]:
    """Yield every rule that a schedule breaks, as a sentence; nothing if feasible.

    O(K log K) for K users.
    """
    if schedule.instance != problem.name:
        yield f"the schedule is for {schedule.instance!r}, not {problem.name!r}"
    yield from _claims(problem, schedule)
    yield from _rounds(problem, schedule)
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
    gap = (schedule.bound - schedule.served) / schedule.bound if schedule.bound else 0
    if not math.isclose(schedule.gap, gap, abs_tol=1e-12):
        yield f"gap says {schedule.gap}, it is {gap}"
    if schedule.status == "optimal" and schedule.bound != schedule.served:
        yield "status says optimal, but the bound is not met"


def _rounds(problem: Problem, schedule: Schedule) -> Iterator[str]:
    users = {user.id: user for user in problem.users}
    resident: set[str] = set()
    if problem.resident_model is not None:
        resident.update(problem.models[problem.resident_model].blocks)
    free_s = 0.0
    for r, round_ in enumerate(schedule.rounds):
        if round_.model not in problem.models:
            yield f"round {r}: no model {round_.model!r}"
            return
        yield from _load(problem, r, round_, resident)
        model = problem.models[round_.model]
        batch = len(round_.users)
        if not problem.fits(round_.model, batch):
            yield f"round {r}: a batch of {batch} is beyond its limit or the memory"
        elif not _same(round_.compute_s, model.latency_s[batch - 1]):
            yield f"round {r}: compute_s is not the latency of a batch of {batch}"
        if round_.load_start_s < free_s - TIME_TOLERANCE_S:
            yield f"round {r}: its load starts before the round before it ends"
        if round_.compute_start_s < (
            round_.load_start_s + round_.load_s - TIME_TOLERANCE_S
        ):
            yield f"round {r}: it computes before it is loaded"
        if not _same(round_.end_s, round_.compute_start_s + round_.compute_s):
            yield f"round {r}: end_s is not compute_start_s + compute_s"
        for user in round_.users:
            if user not in users:
                continue
            if users[user].model != round_.model:
                yield f"round {r}: user {user!r} wants another model"
            if round_.end_s > users[user].deadline_s + TIME_TOLERANCE_S:
                yield f"round {r}: user {user!r} is late"
        resident = set(model.blocks)
        free_s = round_.end_s


def _load(problem: Problem, r: int, round_: Round, resident: set[str]) -> Iterator[str]:
    needed = set(problem.models[round_.model].blocks)
    loaded = set(round_.loaded_blocks)
    if len(loaded) < len(round_.loaded_blocks):
        yield f"round {r}: a block is loaded twice"
    if not loaded <= needed:
        yield f"round {r}: loads blocks that are not of model {round_.model!r}"
        return
    if not needed - resident <= loaded:
        yield f"round {r}: blocks {sorted(needed - resident - loaded)} are not there"
    if not _same(round_.load_s, sum(problem.blocks[b].load_s for b in loaded)):
        yield f"round {r}: load_s is not the sum of its blocks' load times"
    if round_.loaded_bytes != sum(problem.blocks[b].bytes for b in loaded):
        yield f"round {r}: loaded_bytes is not the sum of its blocks' bytes"


def _same(left_s: float, right_s: float) -> bool:
    return abs(left_s - right_s) <= TIME_TOLERANCE_S


def _spectrum(problem: Problem, schedule: Schedule) -> Iterator[str]:
    users = {user.id: user for user in problem.users}
    round_of = {user: round_ for round_ in schedule.rounds for user in round_.users}
    holders = [allocation.user for allocation in schedule.bandwidth]
    if sorted(holders) != sorted(round_of):
        yield "bandwidth does not hold exactly one entry for every served user"
        return
    events: list[tuple[float, float]] = []
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
            events.append((segment.start_s, segment.hz))
            # Segments that touch may overlap by the tolerance.
            end_s = max(segment.start_s, segment.end_s - TIME_TOLERANCE_S)
            events.append((end_s, -segment.hz))
        rounding = max(s.hz for s in allocation.segments) * TIME_TOLERANCE_S
        if carried < user.demand_hz_s * (1 - SPECTRUM_TOLERANCE) - rounding:
            yield f"user {user.id!r}: its spectrum does not carry its input"
    # A segment shorter than the tolerance ends as it starts, and counts by itself.
    peak_hz = max((s.hz for a in schedule.bandwidth for s in a.segments), default=0.0)
    held_hz = 0.0
    for _, hz in sorted(events):
        held_hz += hz
        peak_hz = max(peak_hz, held_hz)
    # A running sum of n terms is off by up to about n rounding errors.
    rounding = len(events) * 2.3e-16
    if peak_hz > problem.bandwidth_hz * (1 + SPECTRUM_TOLERANCE + rounding):
        yield f"the users hold {peak_hz:g} Hz at once of {problem.bandwidth_hz:g} Hz"
    yield from _discipline(problem, schedule, round_of)


def _discipline(
    problem: Problem, schedule: Schedule, round_of: dict[str, Round]
) -> Iterator[str]:
    if schedule.uplink == "dynamic" or not schedule.bandwidth:
        return
    if any(user.release_s for user in problem.users):
        yield f"{schedule.uplink} needs all releases 0"
    starts = [_single(allocation) for allocation in schedule.bandwidth]
    if None in starts:
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


def _single(allocation: Allocation) -> Allocation | None:
    if len(allocation.segments) == 1 and allocation.segments[0].start_s == 0:
        return allocation
    return None
