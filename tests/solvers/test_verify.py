"""The judge: every broken rule is caught, and named."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

import solvers
from solvers import UPLINKS, Problem, Schedule, VerificationError, solve, verify
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import make_schedule
from solvers.tolerance import TIME_TOLERANCE_S
from solvers.verify import violations
from tests.solvers.strategies import seeded_plan

USER = {"spectral_efficiency": 2.0, "input_bits": 8.0, "deadline_s": 20.0}
PROBLEM: dict[str, Any] = {
    "name": "base",
    "bandwidth_hz": 10.0,
    "gpu_memory_bytes": 100,
    "resident_model": "c",
    "blocks": {
        "stem": {"bytes": 30, "load_s": 0.5},
        "a": {"bytes": 20, "load_s": 0.25},
        "b": {"bytes": 10, "load_s": 0.125},
        "c": {"bytes": 5, "load_s": 0.1},
    },
    "models": {
        "a": {
            "blocks": ["stem", "a"],
            "latency_s": [1.0, 1.5],
            "activation_bytes": [40, 50],
        },
        "b": {"blocks": ["stem", "b"], "latency_s": [0.7]},
        "c": {"blocks": ["c"], "latency_s": [0.3, 0.4]},
    },
    "users": [
        {**USER, "id": "a0", "model": "a"},
        {**USER, "id": "a1", "model": "a"},
        {**USER, "id": "b0", "model": "b"},
        {**USER, "id": "c0", "model": "c"},
        {**USER, "id": "c1", "model": "c"},
    ],
}
# c is resident, so the first round loads nothing; b then keeps the stem of a.
ROUNDS = [
    PlannedRound(2, (3,)),
    PlannedRound(0, (0, 1)),
    PlannedRound(1, (2,)),
]


def base(uplink: str) -> dict[str, Any]:
    """Build a valid schedule with a load, a kept block and a batch of two."""
    tables = Tables(Problem.model_validate(PROBLEM))
    schedule = make_schedule(tables, ROUNDS, uplink, solver="test", bound=None)
    return schedule.model_dump()


def changed(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Change values at dotted paths; functions are given the old value."""
    document = deepcopy(document)
    for path, value in changes.items():
        *way, last = (int(p) if p.isdigit() else p for p in path.split("."))
        place = document
        for step in way:
            place = list(place) if isinstance(place, tuple) else place
            place = place[step]
        place[last] = value(place.get(last) if isinstance(place, dict) else place[last])
    return document


def listed(value: Any) -> Any:
    """Turn tuples into lists all the way down, so that paths can be assigned to."""
    if isinstance(value, dict):
        return {key: listed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [listed(item) for item in value]
    return value


def to(value: Any) -> Any:
    """Make a change that ignores the old value."""
    return lambda _: value


def plus(amount: float) -> Any:
    """Make a change that adds."""
    return lambda old: old + amount


def times(factor: float) -> Any:
    """Make a change that multiplies."""
    return lambda old: old * factor


def later(r: int, seconds: float) -> dict[str, Any]:
    """Move a round."""
    names = ("load_start_s", "compute_start_s", "end_s")
    return {f"rounds.{r}.{name}": plus(seconds) for name in names}


# What is done to a schedule → a sentence that must be said of it.
SCHEDULE_MUTATIONS = {
    "other instance": ({"instance": to("x")}, "the schedule is for 'x', not 'base'"),
    "served too high": ({"served": plus(1)}, "served says 5, the rounds serve 4"),
    "served too low": ({"served": plus(-1)}, "served says 3, the rounds serve 4"),
    "bound too low": ({"bound": to(3)}, "bound 3 is below served 4"),
    "bound above the users": ({"bound": to(6)}, "bound 6 is above the 5 users"),
    "gap too high": ({"gap": to(0.5)}, "gap says 0.5, it is 0.0"),
    "gap forgotten": ({"bound": to(8)}, "gap says 0.0, it is 0.5"),
    "optimal below the bound": (
        {"bound": to(8), "gap": to(0.5)},
        "status says optimal, but the bound is not met",
    ),
    "user twice": ({"rounds.0.users": to(["a0"])}, "a user is served twice"),
    "user twice in a batch": (
        {"rounds.1.users": to(["a0", "a0"])},
        "a user is served twice",
    ),
    "unknown user": (
        {"rounds.0.users": to(["ghost"])},
        "users ['ghost'] are not in the problem",
    ),
    "unknown model": ({"rounds.1.model": to("z")}, "round 1: no model 'z'"),
    "user of another model": (
        {"rounds.0.users": to(["b0"]), "rounds.2.users": to(["c0"])},
        "round 0: user 'b0' wants another model",
    ),
    "block not loaded": (
        {
            "rounds.1.loaded_blocks": to(["stem"]),
            "rounds.1.load_s": to(0.5),
            "rounds.1.loaded_bytes": to(30),
        },
        "round 1: blocks ['a'] are not there",
    ),
    "kept block lost on the way": (
        {"rounds": lambda rounds: [rounds[1], rounds[0], rounds[2]]},
        "round 2: blocks ['stem'] are not there",
    ),
    "block loaded twice": (
        {"rounds.1.loaded_blocks": to(["stem", "a", "a"])},
        "round 1: a block is loaded twice",
    ),
    "foreign block": (
        {"rounds.1.loaded_blocks": to(["stem", "a", "b"])},
        "round 1: loads blocks that are not of model 'a'",
    ),
    "load too short": (
        {"rounds.1.load_s": times(0.5)},
        "round 1: load_s is not the sum of its blocks' load times",
    ),
    "bytes too few": (
        {"rounds.1.loaded_bytes": plus(-1)},
        "round 1: loaded_bytes is not the sum of its blocks' bytes",
    ),
    "compute too short": (
        {"rounds.1.compute_s": plus(-0.5), "rounds.1.end_s": plus(-0.5)},
        "round 1: compute_s is not the latency of a batch of 2",
    ),
    "batch too large": (
        {"rounds.2.users": to(["b0", "c1"])},
        "round 2: a batch of 2 is beyond its limit or the memory",
    ),
    "load before the round before has ended": (
        {"rounds.1.load_start_s": plus(-0.3)},
        "round 1: its load starts before the round before it ends",
    ),
    "rounds overlap": (
        later(2, -0.2),
        "round 2: its load starts before the round before it ends",
    ),
    "computes while it loads": (
        {"rounds.1.load_start_s": lambda _: 19.0},
        "round 1: it computes before it is loaded",
    ),
    "ends too early": (
        {"rounds.2.end_s": plus(-0.1)},
        "round 2: end_s is not compute_start_s + compute_s",
    ),
    "late": (later(2, 20.0), "round 2: user 'b0' is late"),
    "no band for a user": (
        {"bandwidth": lambda entries: entries[:-1]},
        "bandwidth does not hold exactly one entry for every served user",
    ),
    "two entries for a user": (
        {"bandwidth": lambda entries: [*entries, entries[0]]},
        "bandwidth does not hold exactly one entry for every served user",
    ),
    "band for somebody else": (
        {"bandwidth.0.user": to("c1")},
        "bandwidth does not hold exactly one entry for every served user",
    ),
    "too little band": (
        {"bandwidth.3.segments.0.hz": times(0.99)},
        "user 'b0': its spectrum does not carry its input",
    ),
    "too short an upload": (
        {"bandwidth.3.segments.0.end_s": times(0.9)},
        "user 'b0': its spectrum does not carry its input",
    ),
    "too much band": (
        {"bandwidth.3.segments.0.hz": times(30)},
        "of 10 Hz",
    ),
    "all the input in a flash": (
        {
            "bandwidth.3.segments": to(
                [{"start_s": 0.0, "end_s": 5e-10, "hz": 4.0 / 5e-10}]
            )
        },
        "the users hold 8e+09 Hz at once of 10 Hz",
    ),
    "upload after the start": (
        {"bandwidth.0.segments.0.end_s": plus(15.0)},
        "user 'c0': uploads after its batch has started",
    ),
    "segment backwards": (
        {"bandwidth.1.segments.0.start_s": to(50.0)},
        "user 'a0': a segment ends before it starts",
    ),
}

# What is done to the problem under an unchanged schedule.
PROBLEM_MUTATIONS = {
    "renamed": ({"name": to("y")}, "the schedule is for 'base', not 'y'"),
    "nothing resident": (
        {"resident_model": to(None)},
        "round 0: blocks ['c'] are not there",
    ),
    "narrower band": ({"bandwidth_hz": to(0.5)}, "of 0.5 Hz"),
    "earlier deadline": (
        {"users.1.deadline_s": to(1.0)},
        "round 1: user 'a1' is late",
    ),
    "less memory": (
        {"gpu_memory_bytes": to(99)},
        "round 1: a batch of 2 is beyond its limit or the memory",
    ),
    "slower model": (
        {"models.a.latency_s": to([1.0, 1.6])},
        "round 1: compute_s is not the latency of a batch of 2",
    ),
    "slower load": (
        {"blocks.b.load_s": to(0.2)},
        "round 2: load_s is not the sum of its blocks' load times",
    ),
    "larger block": (
        {"blocks.b.bytes": to(11)},
        "round 2: loaded_bytes is not the sum of its blocks' bytes",
    ),
    "another block more": (
        {"models.b.blocks": to(["stem", "b", "c"])},
        "round 2: blocks ['c'] are not there",
    ),
    "released later": (
        {"users.2.release_s": to(19.0)},
        "user 'b0': uploads before its release",
    ),
    "larger input": (
        {"users.0.input_bits": plus(0.1)},
        "user 'a0': its spectrum does not carry its input",
    ),
    "no link": (
        {"users.0.spectral_efficiency": to(0.0)},
        "user 'a0': its spectrum does not carry its input",
    ),
    "user gone": (
        {"users": lambda users: users[:3] + users[4:]},
        "users ['c0'] are not in the problem",
    ),
    "user wants another model": (
        {"users.2.model": to("c")},
        "round 2: user 'b0' wants another model",
    ),
}

# Rules of one discipline.
TWICE = {
    "bandwidth.0.segments": lambda s: [
        {**s[0], "end_s": s[0]["end_s"] / 2},
        {**s[0], "start_s": s[0]["end_s"] / 2},
    ]
}
DISCIPLINE_MUTATIONS = [
    (
        "static",
        {"bandwidth.0.segments.0.start_s": plus(1e-3)},
        "static: a user does not hold one band from time 0",
    ),
    ("static", TWICE, "static: a user does not hold one band from time 0"),
    (
        "static",
        {
            "bandwidth.2.segments.0.hz": times(1 / 0.999),
            "bandwidth.2.segments.0.end_s": times(0.999),
        },
        "static: a band is not held until the round's compute start",
    ),
    (
        "upfront",
        {"bandwidth.0.segments.0.start_s": plus(1e-3)},
        "upfront: a user does not hold one band from time 0",
    ),
    ("upfront", TWICE, "upfront: a user does not hold one band from time 0"),
    (
        "upfront",
        {
            "bandwidth.2.segments.0.hz": times(1 / 0.999),
            "bandwidth.2.segments.0.end_s": times(0.999),
        },
        "upfront: uploads do not end together",
    ),
    (
        "upfront",
        {"rounds.0.load_start_s": plus(-1e-3)},
        "upfront: the GPU starts before the uploads have ended",
    ),
    (
        "dynamic",
        {"bandwidth.3.segments.0.start_s": plus(-0.1)},
        "of 10 Hz",
    ),
]


# With a cache and overlap: c, a and b fit side by side, but a's batch beside b's load
# costs c, which the last round has to load again. Then a finds all its blocks.
CACHED: dict[str, Any] = {**PROBLEM, "residency": "cache", "overlap": True}
CACHED_ROUNDS = [
    PlannedRound(2, (3,)),
    PlannedRound(0, (0,)),
    PlannedRound(1, (2,)),
    PlannedRound(0, (1,)),
    PlannedRound(2, (4,)),
]


def cached(**options: bool) -> dict[str, Any]:
    """Build a valid schedule of them; loads 1, 2 and 4 run beside a batch."""
    tables = Tables(Problem.model_validate(CACHED), **options)
    schedule = make_schedule(
        tables, CACHED_ROUNDS, "dynamic", solver="test", bound=None
    )
    return listed(schedule.model_dump())


def loading(r: int, *blocks: str) -> dict[str, Any]:
    """Let a round load given blocks, with the time and bytes that they take."""
    entries = [PROBLEM["blocks"][block] for block in blocks]
    return {
        f"rounds.{r}.loaded_blocks": to(list(blocks)),
        f"rounds.{r}.load_s": to(sum(entry["load_s"] for entry in entries)),
        f"rounds.{r}.loaded_bytes": to(sum(entry["bytes"] for entry in entries)),
    }


EXTENSION_MUTATIONS = {
    "evicted block not loaded": (
        {},
        loading(4),
        "round 4: blocks ['c'] are not there",
    ),
    "cached block lost": (
        {"residency": to("previous")},
        {},
        "round 3: blocks ['a'] are not there",
    ),
    "overlap without the flag": (
        {"overlap": to(False)},
        {},
        "round 1: its load starts before the round before it ends",
    ),
    "no memory for both": (
        {"gpu_memory_bytes": to(99)},
        {},
        "round 2: memory does not hold it beside the round before it",
    ),
    "two loads at once": (
        {},
        {"rounds.2.load_start_s": to(0.72)},
        "round 2: its load starts before the load before it ends",
    ),
    "three models at once": (
        {},
        {"rounds.3.load_start_s": to(1.0)},
        "round 3: its load starts before the round two before it ends",
    ),
    "two batches at once": (
        {},
        {"rounds.2.compute_start_s": plus(-0.1), "rounds.2.end_s": plus(-0.1)},
        "round 2: it computes before the round before it ends",
    ),
}


def complaints(problem: dict[str, Any], schedule: dict[str, Any]) -> str:
    """Return what the judge says."""
    with pytest.raises(VerificationError) as caught:
        verify(Problem.model_validate(problem), Schedule.model_validate(schedule))
    return str(caught.value)


@pytest.mark.parametrize("uplink", UPLINKS)
def test_accepts_the_schedule_that_is_mutated_below(uplink):
    """The mutations start from something valid."""
    schedule = Schedule.model_validate(listed(base(uplink)))
    verify(Problem.model_validate(PROBLEM), schedule)


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("mutation", SCHEDULE_MUTATIONS)
def test_catches_a_changed_schedule(mutation, uplink):
    """Every change of the schedule breaks a rule, and the rule is named."""
    changes, sentence = SCHEDULE_MUTATIONS[mutation]
    assert sentence in complaints(PROBLEM, changed(listed(base(uplink)), changes))


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("mutation", PROBLEM_MUTATIONS)
def test_catches_a_schedule_of_another_problem(mutation, uplink):
    """Every change of the problem leaves a schedule that no longer fits it."""
    changes, sentence = PROBLEM_MUTATIONS[mutation]
    assert sentence in complaints(changed(PROBLEM, changes), listed(base(uplink)))


@pytest.mark.parametrize(("uplink", "changes", "sentence"), DISCIPLINE_MUTATIONS)
def test_catches_what_a_discipline_forbids(uplink, changes, sentence):
    """The rules of one discipline alone."""
    assert sentence in complaints(PROBLEM, changed(listed(base(uplink)), changes))


def test_accepts_a_cache_and_overlap():
    """The mutations below start from something valid, as worked out by hand."""
    schedule = cached()
    verify(Problem.model_validate(CACHED), Schedule.model_validate(schedule))
    found = [(r["loaded_blocks"], r["load_start_s"]) for r in schedule["rounds"]]
    assert found == [
        ([], 0.0),
        (["stem", "a"], 0.0),
        (["b"], pytest.approx(0.75)),
        ([], pytest.approx(1.8)),
        (["c"], pytest.approx(2.5)),
    ]


@pytest.mark.parametrize("mutation", EXTENSION_MUTATIONS)
def test_catches_what_memory_forbids(mutation):
    """The rules of a cache and of overlap, one broken at a time and named alone."""
    problem, schedule, sentence = EXTENSION_MUTATIONS[mutation]
    said = complaints(changed(CACHED, problem), changed(cached(), schedule))
    assert sentence in said
    assert said == sentence or problem


def test_loading_what_is_cached_is_allowed():
    """A round may load a block again, as long as it is loaded in time."""
    schedule = changed(cached(), loading(3, "a"))
    verify(Problem.model_validate(CACHED), Schedule.model_validate(schedule))


def test_without_sharing_models_have_blocks_to_themselves():
    """Without sharing b needs a stem of its own, and then finds no room beside a."""
    problem = Problem.model_validate(CACHED)
    alone = Schedule.model_validate(cached(sharing=False))
    verify(problem, alone)
    assert alone.rounds[2].loaded_blocks == ("stem", "b")
    assert alone.rounds[2].load_start_s == alone.rounds[1].end_s
    with pytest.raises(VerificationError) as caught:
        verify(problem, Schedule.model_validate(cached()), sharing=False)
    assert "round 2: blocks ['stem'] are not there" in str(caught.value)
    assert "round 2: memory does not hold it beside" in str(caught.value)


@pytest.mark.parametrize("uplink", ["static", "upfront"])
def test_releases_need_dynamic(uplink):
    """A release later than 0 of anybody at all rules the other disciplines out."""
    problem = changed(PROBLEM, {"users.4.release_s": to(1.0)})
    assert f"{uplink} needs all releases 0" in complaints(problem, listed(base(uplink)))


def test_catches_a_slack_that_is_not_there():
    """It says how far the rounds are ahead, and only of static ones."""
    schedule = listed(base("static"))
    assert schedule["slack_s"] > 1
    for change in (-1e-6, 1e-6, 5.0):
        found = complaints(PROBLEM, changed(schedule, {"slack_s": plus(change)}))
        assert found.startswith("slack_s says ")
    found = complaints(PROBLEM, changed(listed(base("dynamic")), {"slack_s": to(0.0)}))
    assert found == "slack_s is for static, not dynamic"
    verify(
        Problem.model_validate(PROBLEM),
        Schedule.model_validate({**schedule, "slack_s": None}),
    )


@pytest.mark.parametrize("seed", range(40))
def test_accepts_the_slack_of_every_plan(seed):
    """With loads that run beside batches, and wherever memory forbids that."""
    tables, rounds = seeded_plan(seed)
    users = tuple(
        user.model_copy(update={"deadline_s": 9.0 + k % 3})
        for k, user in enumerate(tables.problem.users)
    )
    tables = Tables(tables.problem.model_copy(update={"users": users}))
    schedule = make_schedule(tables, rounds, "static", solver="test", bound=None)
    if schedule is None:
        rounds = rounds[:6]
        schedule = make_schedule(tables, rounds, "static", solver="test", bound=None)
    assert schedule.slack_s is not None
    verify(tables.problem, schedule)


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


def test_names_every_rule_that_is_broken():
    """One message tells all that is wrong."""
    schedule = changed(listed(base("dynamic")), {"instance": to("x"), **later(2, 20.0)})
    message = complaints(PROBLEM, schedule)
    assert "the schedule is for 'x'" in message
    assert "; round 2: user 'b0' is late" in message


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


def test_slack_with_loads_beside_batches():
    """By hand: batches end by 17, 18, 18.7, 19.7 and 20 s; no load is in the way."""
    tables = Tables(Problem.model_validate(CACHED))
    made = make_schedule(tables, CACHED_ROUNDS, "static", solver="test", bound=None)
    schedule = listed(made.model_dump())
    starts_s = [round_["compute_start_s"] for round_ in schedule["rounds"]]
    latest_s = [16.7, 17.0, 18.0, 18.7, 19.7]
    slack_s = schedule["slack_s"]
    assert starts_s == pytest.approx([time_s - slack_s for time_s in latest_s])
    ahead = changed(schedule, {"rounds.0.compute_start_s": plus(-0.5)})
    for said_s, wrong in ((slack_s, True), (slack_s + 0.5, False)):
        said = Schedule.model_validate(changed(ahead, {"slack_s": to(said_s)}))
        found = list(violations(Problem.model_validate(CACHED), said))
        assert any(line.startswith("slack_s") for line in found) is wrong


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


def test_a_full_batch_evicts_what_is_cached():
    """Two users of a take the room of c, which then has to be loaded again."""
    problem = changed(CACHED, {"overlap": to(False)})
    rounds = [PlannedRound(2, (3,)), PlannedRound(0, (0, 1)), PlannedRound(2, (4,))]
    tables = Tables(Problem.model_validate(problem))
    made = make_schedule(tables, rounds, "dynamic", solver="test", bound=None)
    schedule = listed(made.model_dump())
    assert schedule["rounds"][2]["loaded_blocks"] == ["c"]
    verify(Problem.model_validate(problem), Schedule.model_validate(schedule))
    said = complaints(problem, changed(schedule, loading(2)))
    assert said == "round 2: blocks ['c'] are not there"


@pytest.mark.parametrize("uplink", UPLINKS)
def test_loading_more_than_needed_is_allowed(uplink):
    """Schedules of the baselines without sharing are valid for the same problem."""
    problem = Problem.model_validate(PROBLEM)
    result = solve(problem, "greedy-noshare", uplink=uplink)
    loaded = [block for r in result.schedule.rounds for block in r.loaded_blocks]
    assert loaded.count("stem") == 2
    verify(problem, result.schedule, sharing=True)


def test_shares_no_code_with_the_timing():
    """A mistake in the timing or a solver cannot hide in the judge."""
    source = Path(solvers.__file__).with_name("verify.py")
    tree = ast.parse(source.read_text(encoding="utf-8"))
    modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {m for m in modules if m.startswith("solvers")} == {
        "solvers.errors",
        "solvers.problem",
        "solvers.schedule",
        "solvers.tolerance",
    }
