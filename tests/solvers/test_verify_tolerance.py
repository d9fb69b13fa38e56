"""The judge's tolerances: what is off by less is accepted, by more refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from solvers import Problem, Schedule, verify
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import make_schedule
from solvers.tolerance import TIME_TOLERANCE_S
from tests.solvers.changed_schedules import (
    CACHED,
    PROBLEM,
    ROUNDS,
    base,
    cached,
    changed,
    complaints,
    later,
    listed,
    plus,
    times,
    to,
)


def slivers(count: int, hz: float) -> dict[str, Any]:
    """Upload in many segments of a nanosecond each, all while others upload."""
    width_s = 1e-9
    return {
        "bandwidth.3.segments": to(
            [
                {"start_s": 3 * r * width_s, "end_s": (3 * r + 1) * width_s, "hz": hz}
                for r in range(count)
            ]
        )
    }


def test_the_tolerance_on_spectrum_does_not_add_up():
    """Slivers of a nanosecond carry nothing for free, however many they are."""
    schedule = listed(base("dynamic"))
    # The user needs 4 Hz·s of a band of 10 Hz that others hold from the start.
    problem = changed(PROBLEM, {"users.2.input_bits": to(2e-3)})
    said = complaints(problem, changed(schedule, slivers(100_001, 10.0)))
    assert said == "the users hold 20 Hz at once of 10 Hz"


@pytest.mark.parametrize(("seconds", "late"), [(5e-10, False), (3e-9, True)])
def test_tolerance_on_times(seconds, late):
    """A nanosecond late is in time, three are not."""
    problem = Problem.model_validate(PROBLEM)
    schedule = listed(base("dynamic"))
    end_s = schedule["rounds"][2]["end_s"]
    problem = changed(PROBLEM, {"users.2.deadline_s": to(end_s - seconds)})
    if late:
        assert "round 2: user 'b0' is late" in complaints(problem, schedule)
    else:
        verify(Problem.model_validate(problem), Schedule.model_validate(schedule))


@pytest.mark.parametrize(("excess", "refused"), [(5e-10, False), (5e-9, True)])
def test_tolerance_on_spectrum(excess, refused):
    """The band may be exceeded by 1e-9 of it, not by more."""
    schedule = listed(base("upfront"))
    problem = changed(PROBLEM, {"bandwidth_hz": times(1 - excess)})
    if refused:
        assert "of 10 Hz" in complaints(problem, schedule)
    else:
        verify(Problem.model_validate(problem), Schedule.model_validate(schedule))


def exactly(bound: Callable[[float], float], wanted: float) -> float:
    """Find the time for which a bound, such as time + tolerance, is as wanted."""
    found = wanted + (wanted - bound(wanted))
    near = [found + step * math.ulp(wanted) / 2 for step in range(-8, 9)]
    return next(time_s for time_s in near if bound(time_s) == wanted)


def earlier(time_s: float) -> float:
    """Compute the time that is a time once the tolerance is added."""
    return exactly(lambda found_s: found_s + TIME_TOLERANCE_S, time_s)


# A time that is off by the tolerance exactly, under a cache and overlap or not.
AT_THE_TOLERANCE: dict[str, Any] = {
    "late": ({"users.2.deadline_s": to(earlier(2.5))}, {}, CACHED),
    "computes before it is loaded": (
        {},
        {
            "rounds.2.compute_start_s": to(2.95 + 0.125 - TIME_TOLERANCE_S),
            "rounds.2.end_s": plus(-TIME_TOLERANCE_S),
        },
        PROBLEM,
    ),
    "computes before the batch before ends": (
        {},
        {
            "rounds.3.load_start_s": to(2.5 - TIME_TOLERANCE_S),
            "rounds.3.compute_start_s": to(2.5 - TIME_TOLERANCE_S),
            "rounds.3.end_s": plus(-TIME_TOLERANCE_S),
        },
        CACHED,
    ),
    "loads before the round before ends": (
        {},
        {"rounds.1.load_start_s": to(earlier(0.7))},
        PROBLEM,
    ),
    "loads before the load before ends": (
        {},
        {"rounds.2.load_start_s": to(earlier(0.75))},
        CACHED,
    ),
    "loads before the round two before ends": (
        {},
        {"rounds.2.load_start_s": to(0.8), "rounds.3.load_start_s": to(earlier(1.8))},
        CACHED,
    ),
    "load of nothing": ({}, {"rounds.0.load_s": to(TIME_TOLERANCE_S)}, PROBLEM),
    "released after it uploads": (
        {"users.3.release_s": to(TIME_TOLERANCE_S)},
        {},
        PROBLEM,
    ),
    "uploads into its batch": (
        {},
        {"bandwidth.3.segments.0.end_s": to(3.075 + TIME_TOLERANCE_S)},
        PROBLEM,
    ),
}


@pytest.mark.parametrize("case", AT_THE_TOLERANCE)
def test_the_tolerance_itself_is_allowed(case):
    """What is off by a nanosecond exactly, by floats too, is accepted."""
    changes, schedule, problem = AT_THE_TOLERANCE[case]
    made = cached() if problem is CACHED else listed(base("dynamic"))
    verify(
        Problem.model_validate(changed(problem, changes)),
        Schedule.model_validate(changed(made, schedule)),
    )


def test_an_empty_segment_is_allowed():
    """It carries nothing and takes no time."""
    more = {"start_s": 1.0, "end_s": 1.0, "hz": 1.0}
    schedule = changed(
        listed(base("dynamic")),
        {"bandwidth.3.segments": lambda segments: [*segments, more]},
    )
    verify(Problem.model_validate(PROBLEM), Schedule.model_validate(schedule))


def limit_hz(events: int) -> float:
    """Compute what may be held of the band of 10 Hz, with so many starts and ends."""
    return 10.0 * (1 + 1e-9 + events * 2.3e-16)


OVERLAP_S = 6e-10

OVERLAPPING = {
    "a user and the next": {"bandwidth.2.segments.0.end_s": plus(OVERLAP_S)},
    "only others": {"bandwidth.0.segments.0.end_s": plus(OVERLAP_S)},
    "while the band is full": {
        "bandwidth.2.segments.0.end_s": plus(OVERLAP_S),
        "bandwidth.3.segments.0.hz": to(limit_hz(8)),
    },
    "none, all the band": {"bandwidth.3.segments.0.hz": to(limit_hz(8))},
}


@pytest.mark.parametrize("case", OVERLAPPING)
def test_uploads_may_overlap_within_the_tolerance(case):
    """For less than a nanosecond in total, however long the band is full."""
    schedule = changed(listed(base("dynamic")), OVERLAPPING[case])
    verify(Problem.model_validate(PROBLEM), Schedule.model_validate(schedule))


def test_many_segments_round_more():
    """Each start and each end adds a rounding error to what is held."""
    empty = {"start_s": 1.0, "end_s": 1.0, "hz": 1.0}
    wide = {"bandwidth.3.segments.0.hz": to(10.0 * (1 + 1e-9 + 1e-12))}
    schedule = changed(listed(base("dynamic")), wide)
    assert complaints(PROBLEM, schedule) == "the users hold 10 Hz at once of 10 Hz"
    more = {"bandwidth.0.segments": lambda segments: [*segments, *[empty] * 5000]}
    more["bandwidth.0.segments.0.end_s"] = to(0.4)
    late = {f"users.{k}.deadline_s": to(30.0) for k in range(5)}
    schedule = changed(schedule, {**more, **later(0, 1.0), **later(1, 1.0)})
    schedule = changed(schedule, later(2, 1.0))
    problem = changed(PROBLEM, late)
    verify(Problem.model_validate(problem), Schedule.model_validate(schedule))


def nothing_served(slack_s: float) -> dict[str, Any]:
    """Build a static schedule of no round."""
    return changed(
        listed(base("static")),
        {
            **{name: to([]) for name in ("rounds", "bandwidth")},
            **{name: to(0) for name in ("served", "bound", "gap")},
            "slack_s": to(slack_s),
        },
    )


def test_nobody_uploads():
    """Then no band is too narrow."""
    problem = Problem.model_validate({**PROBLEM, "bandwidth_hz": 0.5})
    verify(problem, Schedule.model_validate(nothing_served(2e-9)))


def test_tolerance_on_the_slack():
    """Two nanoseconds, and a bit for rounding at the last end, not at the first."""
    problem = Problem.model_validate(PROBLEM)
    verify(problem, Schedule.model_validate(nothing_served(2e-9)))
    found = complaints(PROBLEM, nothing_served(2.0005e-9))
    assert found.startswith("slack_s says ")
    # The first round ends within a second, and the last after eleven days.
    users = [{**user, "deadline_s": 1e6} for user in PROBLEM["users"]]
    users[3]["deadline_s"] = 20.0
    days = {**PROBLEM, "users": users}
    tables = Tables(Problem.model_validate(days))
    made = make_schedule(tables, ROUNDS, "static", solver="test", bound=None)
    schedule = listed(made.model_dump())
    assert schedule["rounds"][0]["end_s"] < 1.0
    for seconds in (-5e-7, 5e-7):
        rounded = changed(schedule, {"slack_s": plus(seconds)})
        verify(Problem.model_validate(days), Schedule.model_validate(rounded))
    assert "slack_s" in complaints(days, changed(schedule, {"slack_s": plus(2e-6)}))


def test_upfront_ends_together_within_the_tolerance():
    """A nanosecond apart is together, and the GPU waits for the last but for one."""
    problem = Problem.model_validate(PROBLEM)
    schedule = listed(base("upfront"))
    starts = {"rounds.0.load_start_s": to(1.6 - TIME_TOLERANCE_S)}
    verify(problem, Schedule.model_validate(changed(schedule, starts)))
    starts = {"rounds.0.load_start_s": to(1.6 - 5e-10)}
    verify(problem, Schedule.model_validate(changed(schedule, starts)))
    longer = {"bandwidth.2.segments.0.end_s": to(1.6 + 9e-10)}
    said = complaints(PROBLEM, changed(schedule, {**starts, **longer}))
    assert said == "upfront: the GPU starts before the uploads have ended"


def test_upfront_ends_a_nanosecond_apart():
    """By floats exactly, as only uploads of nanoseconds can."""
    problem = {**PROBLEM, "bandwidth_hz": 1e10}
    rounds = [PlannedRound(2, (3,)), PlannedRound(0, (0,))]
    tables = Tables(Problem.model_validate(problem))
    made = make_schedule(tables, rounds, "upfront", solver="test", bound=None)
    ends = {f"bandwidth.{k}.segments.0.end_s": to((k + 1) * 1e-9) for k in range(2)}
    bands = {f"bandwidth.{k}.segments.0.hz": to(4e9 / (k + 1)) for k in range(2)}
    schedule = changed(listed(made.model_dump()), ends | bands | later(0, 1.0))
    schedule = changed(schedule, later(1, 1.0))
    verify(Problem.model_validate(problem), Schedule.model_validate(schedule))
