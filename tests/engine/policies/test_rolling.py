"""Rolling plans: what they serve, when they are made, and what they are made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesim.engine.policies import rolling
from edgesim.engine.policies.helpers import UNMEETABLE
from edgesim.engine.policies.in_order import Edf
from edgesim.engine.policies.planning import Wanted
from edgesim.engine.policies.rolling import Rolling
from edgesim.engine.policy import PolicyError
from edgesim.engine.records import IN_TIME
from edgesim.engine.request import ActiveRequest, Arrival
from edgesim.engine.server import Server, simulate
from edgesim.engine.settings import Settings
from edgesim.errors import InputError
from solvers import Options, Problem, Uplink, solve
from solvers.core.tables import Tables
from solvers.own_solver import Answer
from tests.engine.policy_cases import library, outcomes, rounds_of, run
from tests.solvers.strategies import problems


def at_hand(problem: Problem) -> Problem:
    """Put users in order of their deadlines, with inputs that take no spectrum."""
    # Online, no batch is larger than one that does not fit.
    alone = [user for user in problem.users if problem.fits(user.model, 1)]
    users = sorted(alone, key=lambda user: user.deadline_s)
    there = [
        user.model_copy(update={"input_bits": 1e-12, "spectral_efficiency": 1e18})
        for user in users
    ]
    models = {}
    for name, model in problem.models.items():
        fits = [problem.fits(name, b + 1) for b in range(len(model.latency_s))]
        most = [*fits, False].index(False) or len(fits)
        models[name] = model.model_copy(
            update={
                "latency_s": model.latency_s[:most],
                "activation_bytes": model.activation_bytes
                and model.activation_bytes[:most],
            }
        )
    changes = {"users": tuple(there), "models": models, "eviction": "lru"}
    return problem.model_copy(update=changes)


def served(problem: Problem, policy: Rolling) -> int:
    """Let all users arrive at 0 and count those in time."""
    number = {name: m for m, name in enumerate(problem.models)}
    arrivals = [
        Arrival(0.0, k, number[user.model], 0.0, user.deadline_s)
        for k, user in enumerate(problem.users)
    ]
    tables = Tables(problem.model_copy(update={"users": ()}))
    found = simulate(tables, arrivals, policy, Settings(late="drop"))
    return int((found.requests.outcome == IN_TIME).sum())


@settings(max_examples=25)
@given(
    problem=problems(deadlines="own", min_users=1), follow=st.sampled_from([1, 2, 100])
)
def test_with_all_arrivals_known_an_exact_solver_serves_the_optimum(
    problem: Problem, follow: int
) -> None:
    """Whether its plan is followed or made again after each round, nothing is lost."""
    known = at_hand(problem)
    policy = Rolling(solver="exhaustive", most=12, follow=follow, horizon_s=1.0)
    assert served(known, policy) == solve(known, "exhaustive").served


class Promised(Rolling):
    """Notes how many requests the first plan serves."""

    promised: int | None = None

    def _solved(
        self, server: Server, start_s: float, wanted: Sequence[Wanted]
    ) -> list[list[ActiveRequest]]:
        rounds = super()._solved(server, start_s, wanted)
        if self.promised is None:
            self.promised = sum(map(len, rounds))
        return rounds


@settings(max_examples=50)
@given(problem=problems(deadlines="own", min_users=2, extensions=True))
def test_a_plan_that_is_followed_serves_what_it_promised(problem: Problem) -> None:
    """With all arrivals known, the first plan is run to its end, and nobody is late.

    Without a plan everybody is served who could be: no fewer than a plan would.
    """
    known = at_hand(problem)
    policy = Promised(most=100, follow=100, horizon_s=1.0)
    found = served(known, policy)
    if policy.promised is None:
        assert found >= solve(known, "greedy").served
    else:
        assert found >= policy.promised


CROWD = library(
    {"big": ({"big": 8.0}, [1.0]), "a": ({"a": 1.0}, [1.0]), "b": ({"b": 1.0}, [1.0])}
)
# At 2 s, the most urgent would take until 11 s; then nobody else is in time.
TORN = [(0.0, "a", 50.0), (1.5, "big", 11.0), (1.6, "a", 11.5), (1.7, "b", 11.6)]


@pytest.mark.parametrize(
    "solver", ["greedy", "dp", "ilp", "local-search", "exhaustive"]
)
def test_a_plan_gives_up_the_urgent_one_that_costs_two_others(solver: str) -> None:
    """Edf serves request 1 alone, a plan requests 2 and 3 in its place."""
    urgent = run(CROWD, Edf(), TORN, late="drop")
    assert outcomes(urgent)[1:] == ["in time", "too late", "too late"]
    policy = Rolling(solver=solver, most=12)
    planned = run(CROWD, policy, TORN, late="drop")
    assert outcomes(planned) == ["in time", UNMEETABLE, "in time", "in time"]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Problem]:
    """Note every problem that is planned."""
    seen: list[Problem] = []
    real: Callable[..., Any] = rolling.solve

    def solve_it(problem: Problem, *args: Any, **kwargs: Any) -> Any:
        seen.append(problem)
        assert kwargs["quick"]
        return real(problem, *args, **kwargs)

    monkeypatch.setattr(rolling, "solve", solve_it)
    return seen


def test_no_plan_is_made_where_everybody_is_in_time_anyway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With ample deadlines, models are visited by their load a request."""
    seen = counted(monkeypatch)
    asked = [(0.0, "a", 50.0), (1.5, "big", 50.0), (1.6, "b", 50.0), (1.7, "a", 50.0)]
    assert rounds_of(run(CROWD, Rolling(), asked)) == [[0], [3], [2], [1]]
    assert not seen


@pytest.mark.parametrize(("follow", "plans"), [(1, 2), (2, 1)])
def test_as_many_rounds_are_followed_as_asked(
    monkeypatch: pytest.MonkeyPatch, follow: int, plans: int
) -> None:
    """Two rounds of two models, each in need of a plan while ``big`` stays hopeful."""
    seen = counted(monkeypatch)
    # Until 3 s the one of big could be in time, alone; with any other it could not.
    asked = [(0.0, "a", 50.0), (1.5, "big", 12.5), (1.6, "a", 13.0), (1.7, "b", 13.1)]
    found = run(CROWD, Rolling(follow=follow), asked, late="drop")
    assert outcomes(found)[2:] == ["in time", "in time"]
    assert len(seen) == plans


def test_a_plan_is_made_of_what_is_asked_for_and_what_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Models that nobody wants are left out; what is resident is named."""
    seen = counted(monkeypatch)
    run(CROWD, Rolling(), TORN, late="drop")
    problem = seen[0]
    assert set(problem.models) == {"big", "a", "b", problem.resident_model}
    assert problem.resident_model is not None
    there = problem.models[problem.resident_model].blocks
    assert there == problem.models["a"].blocks
    assert [user.deadline_s for user in problem.users] == [9.0, 9.5, 9.6]
    assert Problem.model_validate(problem.model_dump()) == problem


def test_a_solver_without_a_cache_plans_with_what_is_cached_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At 2 s, block a is there: it loads in no time, and dp sees no cache."""
    seen = counted(monkeypatch)
    rules = CROWD.problem.model_copy(update={"residency": "cache"})
    found = run(Tables(rules), Rolling(solver="dp"), TORN, late="drop")
    assert outcomes(found)[2:] == ["in time", "in time"]
    problem = seen[0]
    assert problem.residency == "previous"
    loads_s = {
        name: sum(problem.blocks[block].load_s for block in model.blocks)
        for name, model in problem.models.items()
    }
    assert loads_s == {"big": 8.0, "a": 0.0, "b": 1.0}


def test_without_sharing_plans_load_whole_models(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A relative shares 6 s of 8 s; a plan without sharing knows nothing of it."""
    models = {
        "a": ({"s": 6.0, "a": 2.0}, [1.0]),
        "r": ({"s": 6.0, "r": 2.0}, [1.0]),
    }
    seen = counted(monkeypatch)
    asked = [(0.0, "a", 90.0), (8.5, "a", 11.0), (8.5, "r", 12.5)]
    shared = run(library(models), Rolling(), asked, late="drop")
    assert outcomes(shared) == ["in time", "in time", UNMEETABLE]
    asked = [(0.0, "a", 90.0), (8.5, "a", 11.0), (8.5, "r", 18.5)]
    whole = run(library(models, sharing=False), Rolling(), asked, late="drop")
    assert outcomes(whole) == ["in time", "in time", UNMEETABLE]
    loads_s = [
        sorted(sum(p.blocks[b].load_s for b in p.models[m].blocks) for m in "ar")
        for p in seen
    ]
    assert loads_s == [[8.0, 8.0]] * 2
    assert len(seen[0].blocks) == 3
    assert len(seen[1].blocks) == 2


def test_dp_leaves_out_the_earliest_deadline_while_it_serves_nobody() -> None:
    """One alone takes 5 s, so nobody is served by 4 s: the plan is for 20 s."""
    tables = library({"a": ({"a": 1.0}, [5.0, 1.0]), "b": ({"b": 1.0}, [1.0])})
    asked = [(0.0, "b", 50.0), (1.5, "a", 4.0), (1.6, "b", 20.0)]
    found = run(tables, Rolling(solver="dp"), asked)
    assert rounds_of(found) == [[0], [2], [1]]
    assert outcomes(found) == ["in time", "late", "in time"]


def test_late_requests_are_served_by_deadline_where_nobody_is_dropped() -> None:
    """At 2 s, nobody can be in time: the one with the earlier deadline is first."""
    asked = [(0.0, "a", 50.0), (1.5, "b", 2.2), (1.6, "a", 2.5)]
    found = run(CROWD, Rolling(), asked)
    assert rounds_of(found) == [[0], [1], [2]]
    assert outcomes(found) == ["in time", "late", "late"]


def test_a_solver_that_refuses_says_so() -> None:
    """Blocks that cross are not for dp: one line says what to use instead."""
    tables = library(
        {
            "a": ({"x": 1.0, "a": 1.0}, [1.0]),
            "b": ({"x": 1.0, "y": 1.0}, [1.0]),
            "c": ({"y": 1.0, "c": 1.0}, [1.0]),
        }
    )
    asked = [(0.0, "a", 50.0)] + [(2.5, model, 8.0) for model in "abcabc"]
    with pytest.raises(
        InputError, match=r"online.rolling: solver: dp: .*cross.*greedy"
    ):
        run(tables, Rolling(solver="dp"), asked)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"solver": "best"}, "solver must be one of dp, greedy"),
        ({"solver": "greedy-noshare"}, "rolling-noshare"),
        ({"solver": 3}, "solver must be one of"),
        ({"horizon_s": -1.0}, "horizon_s must be finite and >= 0"),
        ({"horizon_s": float("inf")}, "horizon_s must be finite"),
        ({"horizon_s": "1"}, "horizon_s must be a number"),
        ({"time_limit_s": 0}, "time_limit_s must be finite"),
        ({"most": 0}, "most must be a whole number >= 1"),
        ({"most": 2.5}, "most must be a whole number"),
        ({"follow": True}, "follow must be a whole number"),
        ({"iterations": 0}, "iterations must be a whole number"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
        ({"solver": "dp", "horizon_s": 1.0}, "takes no releases"),
        ({"solver": "exhaustive"}, "most must be at most 12"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], said: str) -> None:
    """Each wrong option is named, with what is allowed."""
    with pytest.raises(ValueError, match=said):
        Rolling(**options)


def by_greedy(problem: Problem, uplink: Uplink, options: Options) -> Answer:
    """Answer as ``greedy`` does."""
    found = solve(problem, "greedy", uplink=uplink, seed=options.seed)
    return [(r.model, r.users) for r in found.schedule.rounds]


@settings(max_examples=20)
@given(problems(deadlines="own", min_users=1, extensions=True))
def test_a_function_plans_as_the_solver_that_it_stands_for(problem: Problem) -> None:
    """It is given what ``greedy`` is, a cache and overlap among it."""
    known = at_hand(problem)
    ours = served(known, Rolling(solver="greedy", horizon_s=1.0, seed=3))
    assert served(known, Rolling(solver=by_greedy, horizon_s=1.0, seed=3)) == ours


# Not all of b can be in time after those of a: there is something to plan.
LATE = [(0.0, name, {"a": 0.16, "b": 0.259}[name]) for name in ("a", "b", "a", "b")]
TWO = {
    "a": ({"x": 0.1}, (0.02, 0.03)),
    "b": ({"y": 0.1}, (0.02, 0.03)),
}


def test_what_a_function_raises_is_told_with_its_line() -> None:
    """As of a policy of one's own."""

    def fails(problem: Problem, uplink: Uplink, options: Options) -> Answer:
        raise KeyError("nothing")

    line = inspect.getsourcelines(fails)[1] + 1
    said = f"choose raised KeyError: .*nothing.*, at test_rolling.py:{line}$"
    with pytest.raises(PolicyError, match=said):
        run(library(TWO), Rolling(solver=fails), LATE)


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        ([("b", ["1"]), ("b", ["1"])], "round 1: user '1' is in round 0 already"),
        ([("c", ["1"])], "round 0: there is no model 'c'"),
        ([("b", ["1"]), ("b", ["3"])], "round 1: a batch of 1 of 'b' cannot end"),
    ],
)
def test_a_rule_that_a_function_breaks_is_an_error_of_the_policy(
    answer: list[tuple[str, list[str]]], rule: str
) -> None:
    """Named, with the function."""

    def wrong(problem: Problem, uplink: Uplink, options: Options) -> Answer:
        return answer

    with pytest.raises(PolicyError, match=f"^wrong: {rule}"):
        run(library(TWO), Rolling(solver=wrong), LATE)
