"""Solvers of one's own: held to the rules, timed, verified and bounded as ours are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from solvers import (
    UPLINKS,
    ArgumentError,
    Block,
    EdgesimError,
    Model,
    Options,
    OwnSolverError,
    Problem,
    RefusalError,
    Uplink,
    User,
    solve,
    verify,
)
from solvers.own_solver import Answer
from tests.solvers.strategies import problems

FEW = settings(max_examples=60, suppress_health_check=list(HealthCheck))


def _problem(**changes: Any) -> Problem:
    """Cats and dogs on one backbone, two users each, in time if one round a model."""
    users = [
        User(
            id=f"u{k}", model=model, input_bits=1e6, spectral_efficiency=4.0,
            deadline_s=0.15,
        )
        for k, model in enumerate(("cats", "dogs", "cats", "dogs"))
    ]  # fmt: skip
    return Problem(
        name="pets",
        bandwidth_hz=20e6,
        blocks={
            "backbone": Block(bytes=9, load_s=0.09),
            "cats": Block(bytes=1, load_s=0.008),
            "dogs": Block(bytes=1, load_s=0.008),
        },
        models={
            name: Model(blocks=("backbone", name), latency_s=(0.003, 0.004))
            for name in ("cats", "dogs")
        },
        users=tuple(users),
        **changes,
    )


def by_model(
    problem: Problem, uplink: Uplink, options: Options
) -> list[tuple[str, list[str]]]:
    """Serve each model once, its users in order."""
    users: dict[str, list[str]] = {model: [] for model in problem.models}
    for user in problem.users:
        users[user.model].append(user.id)
    return [(model, ids) for model, ids in users.items() if ids]


class Answers:
    """Gives an answer, whatever is asked, and keeps what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[Problem, Uplink, Options]] = []

    def __call__(self, problem: Problem, uplink: Uplink, options: Options) -> Any:
        """Answer."""
        self.asked.append((problem, uplink, options))
        return self.answer


def test_a_function_is_a_solver() -> None:
    """Its rounds, in its order, under its name, with our bound."""
    found = solve(_problem(), by_model)
    assert (found.served, found.bound, found.status) == (4, 4, "optimal")
    assert found.schedule.solver == "by_model"
    assert [(r.model, r.users) for r in found.schedule.rounds] == [
        ("cats", ("u0", "u2")),
        ("dogs", ("u1", "u3")),
    ]


def test_it_is_told_what_ours_are_told() -> None:
    """The problem itself, the discipline, and the limits; its class names it."""
    solver = Answers([])
    problem = _problem()
    found = solve(
        problem, solver, uplink="static", time_limit_s=2.5, seed=7, iterations=9
    )
    ((given_problem, uplink, options),) = solver.asked
    assert given_problem == problem
    assert (uplink, options.time_limit_s, options.seed) == ("static", 2.5, 7)
    assert options.iterations == 9
    assert (found.served, found.schedule.solver) == (0, "Answers")
    assert found.bound > 0


@FEW
@given(problems(deadlines="any", releases=True))
def test_the_rounds_of_another_solver_give_its_schedule(problem: Problem) -> None:
    """Timed alike to the last bit, with a bound that the optimum keeps to."""
    late = any(user.release_s for user in problem.users)
    for uplink in ("dynamic",) if late else UPLINKS:
        theirs = solve(problem, "greedy", uplink=uplink)
        rounds = [(r.model, r.users) for r in theirs.schedule.rounds]
        ours = solve(problem, Answers(rounds), uplink=uplink)
        assert ours.schedule.rounds == theirs.schedule.rounds
        assert ours.schedule.bandwidth == theirs.schedule.bandwidth
        oracle = solve(problem, "exhaustive", uplink=uplink)
        assert ours.bound >= oracle.served


def test_cache_and_overlap_are_for_it_to_take() -> None:
    """Under a cache the backbone stays, whatever lies between."""
    problem = _problem(residency="cache", overlap=True)
    found = solve(problem, Answers([("cats", ["u0"]), ("dogs", ["u1"])]))
    assert found.schedule.rounds[1].loaded_blocks == ("dogs",)


CATS = ("cats", ["u0"])


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (None, "its answer must be a list, found None"),
        ("cats", "its answer must be a list, found 'cats'"),
        ([7], "round 0 must be a list, found 7"),
        ([("cats",)], r"round 0 must be a pair \(model, \[user ids\]\)"),
        ([("lions", ["u0"])], "round 0: there is no model 'lions'"),
        ([("cats", "u0")], "round 0: its users must be a list, found 'u0'"),
        ([CATS, ("dogs", ["u9"])], "round 1: there is no user 'u9'"),
        ([("cats", ["u1"])], "round 0: user 'u1' wants 'dogs', not 'cats'"),
        ([CATS, CATS], "round 1: user 'u0' is in round 0 already"),
        ([("cats", ["u0", "u0"])], "round 0: user 'u0' is in round 0 already"),
        ([("cats", [])], "round 0: must serve a user, found none"),
        (list, "its answer must be a list, found <class 'list'>"),
        ([(["cats"], ["u0"])], r"round 0: there is no model \['cats'\]"),
        ([({}, ["u0"])], r"round 0: there is no model {}"),
        ([("cats", [["u0"]])], r"round 0: there is no user \['u0'\]"),
        ([("cats", [0])], "round 0: there is no user 0"),
        ([("cats", 0)], "round 0: its users must be a list, found 0"),
    ],
)
def test_a_broken_rule_is_named(answer: Any, rule: str) -> None:
    """With the round that breaks it, whatever stands where names should."""
    with pytest.raises(OwnSolverError, match=f"^Answers: {rule}") as caught:
        solve(_problem(), Answers(answer))
    assert isinstance(caught.value, EdgesimError)
    assert isinstance(caught.value, ValueError)


def test_a_model_may_come_again() -> None:
    """Rounds that keep all rules are no error."""
    rounds = [CATS, ("dogs", ["u1"]), ("cats", ["u2"]), ("dogs", ["u3"])]
    assert solve(_problem(), Answers(rounds)).served == 4


def test_answers_may_come_in_any_form() -> None:
    """From a generator, as the pairs of a dictionary, or as arrays of names."""

    def one_by_one(problem: Problem, uplink: Uplink, options: Options) -> Answer:
        yield from by_model(problem, uplink, options)

    def as_arrays(problem: Problem, uplink: Uplink, options: Options) -> Any:
        found = by_model(problem, uplink, options)
        return {model: np.array(ids) for model, ids in found}.items()

    for solver in (one_by_one, as_arrays):
        assert solve(_problem(), solver).served == 4


def test_a_batch_that_is_too_large_is_named() -> None:
    """Three users in a batch of two."""
    problem = _problem()
    more = User(
        id="u4", model="cats", input_bits=1e6, spectral_efficiency=4.0, deadline_s=0.15
    )
    problem = problem.model_copy(update={"users": (*problem.users, more)})
    with pytest.raises(OwnSolverError, match="holds at most 2 users, found 3"):
        solve(problem, Answers([("cats", ["u0", "u2", "u4"])]))


def test_a_batch_that_does_not_fit_in_memory_is_named() -> None:
    """It is not late: two activations and the weights are more than there is."""
    problem = _problem(gpu_memory_bytes=13)
    models = {
        name: model.model_copy(update={"activation_bytes": (3, 4)})
        for name, model in problem.models.items()
    }
    problem = problem.model_copy(update={"models": models})
    assert solve(problem, Answers([CATS])).served == 1
    with pytest.raises(
        OwnSolverError,
        match=r"^Answers: round 0: a batch of 2 of 'cats' does not fit in GPU memory "
        r"\(13 bytes\)$",
    ):
        solve(problem, Answers([("cats", ["u0", "u2"])]))


def test_a_user_without_a_link_is_named() -> None:
    """Whose upload would never end is not just late."""
    problem = _problem()
    first, *others = problem.users
    cut_off = first.model_copy(update={"spectral_efficiency": 0.0})
    problem = problem.model_copy(update={"users": (cut_off, *others)})
    with pytest.raises(
        OwnSolverError,
        match=r"^Answers: round 0: user 'u0' has no link \(spectral_efficiency 0\)$",
    ):
        solve(problem, Answers([CATS]))


@pytest.mark.parametrize("uplink", UPLINKS)
def test_a_round_that_is_too_late_is_named(uplink: Uplink) -> None:
    """Loading as much twice does not fit: it is the second round that cannot be."""
    problem = _problem()
    models = dict(problem.models)
    models["dogs"] = Model(blocks=("dogs", "other"), latency_s=(0.003, 0.004))
    blocks = {**problem.blocks, "other": Block(bytes=9, load_s=0.09)}
    problem = problem.model_copy(update={"models": models, "blocks": blocks})
    rounds = [("cats", ["u0"]), ("dogs", ["u1"])]
    with pytest.raises(OwnSolverError, match="round 1: a batch of 1 of 'dogs' cannot"):
        solve(problem, Answers(rounds), uplink=uplink)


def test_without_sharing_each_model_has_a_block_of_its_own() -> None:
    """It is asked about those, and its rounds load whole models, by its twin's name."""
    solver = Answers([CATS])
    problem = _problem(residency="cache")
    found = solve(problem, solver, sharing=False)
    ((asked, _, _),) = solver.asked
    assert {name: model.blocks for name, model in asked.models.items()} == {
        "cats": ("cats",),
        "dogs": ("dogs",),
    }
    assert asked.blocks["cats"] == Block(bytes=10, load_s=0.098)
    assert asked.users == problem.users
    assert asked.residency == "cache"
    (planned,) = found.schedule.rounds
    assert planned.loaded_blocks == ("backbone", "cats")
    assert found.schedule.solver == "Answers-noshare"


@FEW
@given(problems(deadlines="any", releases=True, extensions=True))
def test_without_sharing_rounds_are_timed_as_those_of_our_twin(
    problem: Problem,
) -> None:
    """The rounds of ``greedy-noshare`` give its schedule, and are what it was shown."""
    theirs = solve(problem, "greedy-noshare").schedule
    rounds = [(r.model, r.users) for r in theirs.rounds]
    solver = Answers(rounds)
    ours = solve(problem, solver, name="mine:solve-noshare", sharing=False).schedule
    assert ours.rounds == theirs.rounds
    assert ours.solver == "mine:solve-noshare"
    # With nothing shared it makes no difference any more whether sharing is on.
    ((asked, _, _),) = solver.asked
    whole = solve(asked, Answers(rounds)).schedule
    assert [(r.load_start_s, r.end_s) for r in whole.rounds] == [
        (r.load_start_s, r.end_s) for r in ours.rounds
    ]


@settings(max_examples=200)
@given(problems(deadlines="any", releases=True, extensions=True), st.data())
def test_any_rounds_are_taken_or_refused_by_name(
    problem: Problem, data: st.DataObject
) -> None:
    """Whatever a solver answers, it is judged: a rule is named, or it is all right."""
    late = any(user.release_s for user in problem.users)
    uplink = data.draw(st.sampled_from(("dynamic",) if late else UPLINKS))
    odd = st.sampled_from([None, 3, "x", ["a"], {}, ("m0", 1)])
    models = st.sampled_from([*problem.models]) | odd
    ids = st.sampled_from([user.id for user in problem.users])
    users = st.lists(ids, max_size=3) | st.lists(ids | odd, max_size=2) | odd
    # Rounds that are right but for their times, too: else hardly any would be taken.
    wanting = [
        (user.model, [user.id]) for user in data.draw(st.permutations(problem.users))
    ]
    answer = data.draw(
        st.integers(0, len(wanting)).map(lambda most: wanting[:most])
        | st.lists(st.tuples(models, users) | odd, max_size=3)
        | odd
    )
    sharing = data.draw(st.booleans())
    try:
        found = solve(problem, Answers(answer), uplink=uplink, sharing=sharing)
    except OwnSolverError as error:
        event(str(error).split(": ")[1][:9])
    else:
        event("taken")
        verify(problem, found.schedule, sharing=sharing)
        assert found.served == sum(len(users) for _, users in answer)


@pytest.mark.parametrize("changes", [{"name": "mine"}, {"sharing": False}])
def test_ours_have_their_names(changes: dict[str, Any]) -> None:
    """The twin of ``dp`` is ``dp-noshare``."""
    with pytest.raises(ValueError, match="name and sharing are for a solver of"):
        solve(_problem(), "dp", **changes)


def test_what_it_raises_is_passed_on() -> None:
    """Its own words, with its own traceback; a refusal is one of ours."""

    def fails(problem: Problem, uplink: Uplink, options: Options) -> Sequence[Any]:
        raise RefusalError("fails: needs laminar sharing")

    with pytest.raises(RefusalError, match="needs laminar"):
        solve(_problem(), fails)


def test_what_is_no_solver_is_refused() -> None:
    """Neither a name nor callable."""
    with pytest.raises(ArgumentError, match="must be a name or a callable, found 3"):
        solve(_problem(), 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"time_limit_s": "x"}, "time_limit_s must be > 0, found 'x'"),
        ({"iterations": 1.5}, "iterations must be an integer >= 1, found 1.5"),
        ({"seed": -1}, "seed must be an integer >= 0, found -1"),
        ({"seed": 0.5}, "seed must be an integer >= 0, found 0.5"),
    ],
)
def test_limits_that_are_none_are_refused(limit: dict[str, Any], said: str) -> None:
    """By whatever solver: not all would look at them."""
    with pytest.raises(ArgumentError, match=f"^{said}"):
        solve(_problem(), "edf", **limit)
