"""The judge: every broken rule is caught, and named."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import solvers
from solvers import UPLINKS, Problem, Schedule, verify
from solvers.core.tables import Tables
from solvers.core.timing import make_schedule
from tests.solvers.changed_schedules import (
    PROBLEM,
    base,
    changed,
    complaints,
    later,
    listed,
    plus,
    times,
    to,
)
from tests.solvers.strategies import seeded_plan

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
    "too much band for longer than can be added up": (
        {
            "bandwidth.3.segments": to(
                [{"start_s": 0.0, "end_s": 1.7e308, "hz": 20.0}] * 2
            )
        },
        "Hz at once of 10 Hz",
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


def test_names_every_rule_that_is_broken():
    """One message tells all that is wrong."""
    schedule = changed(listed(base("dynamic")), {"instance": to("x"), **later(2, 20.0)})
    message = complaints(PROBLEM, schedule)
    assert "the schedule is for 'x'" in message
    assert "; round 2: user 'b0' is late" in message


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
