"""Labels find what the oracle finds, and refute what it refutes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvers import UPLINKS, Problem, Uplink, solve
from solvers.bounds.path_bound import Relaxation, relaxation, tuned, whole
from solvers.bounds.path_network import Part
from solvers.branch import label_kernels, labels
from solvers.branch.labels import Outcome, look_at_all, may_label
from solvers.branch.solver import count_users
from solvers.core.tables import Floats, Tables
from solvers.core.timing import time_rounds
from tests.instances.cases import CASES as INSTANCES
from tests.instances.cases import make
from tests.solvers.brute import MOST_USERS
from tests.solvers.strategies import EXTENDED_KINDS, problems, seeded_problem

KINDS = {
    kind: drawn
    for kind, drawn in EXTENDED_KINDS.items()
    if not {"cache", "overlap"} & {kind, *drawn}
}
CASES = [
    (kind, uplink)
    for kind, drawn in KINDS.items()
    for uplink in UPLINKS
    if uplink == "dynamic" or not drawn.get("releases")
]
MANY = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def parts(relaxed: Relaxation, rng: np.random.Generator) -> list[Part]:
    """All schedules, and those with and without a user and all that go with it."""
    everything = relaxed.everything()
    k = int(rng.integers(len(everything.forced)))
    return [
        everything,
        everything._replace(forced=relaxed.yields[k]),
        everything._replace(banned=relaxed.yields[:, k]),
    ]


def looked(
    relaxed: Relaxation,
    uplink: Uplink,
    multipliers: Floats,
    part: Part,
    target: int,
) -> Outcome:
    """Look for a schedule, and check the one that is found."""
    found = look_at_all(
        relaxed, uplink, multipliers, part, target, most_tries=10_000_000
    )
    if found.rounds is not None:
        assert not found.refuted
        assert count_users(found.rounds) >= target
        assert time_rounds(relaxed.network.tables, found.rounds, uplink) is not None
    return found


@pytest.mark.parametrize(("kind", "uplink"), CASES)
def test_they_decide_as_the_oracle_does(kind: str, uplink: Uplink) -> None:
    """Whatever the multipliers: all, or those that many steps lead to."""

    @MANY
    @given(problems(max_users=MOST_USERS, **KINDS[kind]), st.integers(0, 2**32))
    def check(problem: Problem, seed: int) -> None:
        tables = Tables(problem)
        relaxed = relaxation(tables, uplink) if tables.active else None
        if relaxed is None or not may_label(relaxed):
            return
        rng = np.random.default_rng(seed)
        optimum = solve(problem, "exhaustive", uplink=uplink)
        everything, *two = parts(relaxed, rng)
        tuned = relaxed.tune(
            relaxed.start(optimum.served),
            optimum.served,
            everything,
            iterations=20,
            out_of_time=lambda: False,
        )
        for multipliers in (
            np.zeros_like(tuned.multipliers),
            tuned.multipliers,
            tuned.multipliers * rng.uniform(0.0, 2.0, len(tuned.multipliers)),
        ):
            most = optimum.bound
            assert looked(relaxed, uplink, multipliers, everything, most + 1).refuted
            found = [
                looked(relaxed, uplink, multipliers, part, optimum.served)
                for part in (everything, *two)
            ]
            assert not found[0].refuted
            assert not all(one.refuted for one in found[1:])
            if optimum.status == "optimal":
                assert found[0].rounds is not None

    check()


@pytest.mark.parametrize("uplink", UPLINKS)
def test_they_are_the_same_without_being_compiled(
    uplink: Uplink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loops that no compiler has seen try as much, and find the same."""
    problem = seeded_problem(
        np.random.default_rng(5),
        sharing="crossing",
        users=9,
        models=3,
        deadlines="own",
    )
    relaxed = relaxation(Tables(problem), uplink)
    assert relaxed is not None
    start, everything = relaxed.start(4), relaxed.everything()
    optimum = solve(problem, "exhaustive", uplink=uplink).served
    for target in (optimum, optimum + 1):
        one = looked(relaxed, uplink, start, everything, target)
        with monkeypatch.context() as patch:
            for name, loop in vars(label_kernels).items():
                if hasattr(loop, "py_func"):
                    patch.setattr(label_kernels, name, loop.py_func)
            for name in ("compare", "expand", "expand_back"):
                patch.setattr(labels, name, getattr(label_kernels, name))
            other = looked(relaxed, uplink, start, everything, target)
        assert one == other
        assert one.refuted == (target > optimum)


def test_it_ends_when_too_much_was_tried() -> None:
    """Then nothing is known."""
    problem = seeded_problem(
        np.random.default_rng(6), sharing="laminar", users=12, models=4
    )
    relaxed = relaxation(Tables(problem), "dynamic")
    assert relaxed is not None
    arguments = (relaxed, "dynamic", relaxed.start(3), relaxed.everything(), 3)
    found = look_at_all(*arguments, most_tries=5)
    assert (found.refuted, found.rounds) == (False, None)
    found = look_at_all(*arguments, most_tries=10**6, out_of_time=lambda: True)
    assert (found.refuted, found.rounds) == (False, None)


def test_there_is_room_for_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are made in as many turns as it takes."""
    problem = seeded_problem(
        np.random.default_rng(7), sharing="crossing", users=10, models=3
    )
    relaxed = relaxation(Tables(problem), "static")
    assert relaxed is not None
    arguments = (relaxed, "static", relaxed.start(3), relaxed.everything(), 11)
    once = look_at_all(*arguments, most_tries=10**6)
    monkeypatch.setattr(labels, "ROOM", 40)
    monkeypatch.setattr(labels, "SLICE", 3)
    again = look_at_all(*arguments, most_tries=10**7)
    assert once.refuted
    assert again.refuted


def test_many_users_are_proven_where_deadlines_are_one() -> None:
    """More users than a word has bits: an optimum that no other bound proves."""
    case = next(case for case in INSTANCES if case.name == "measured-09-static")
    tables = Tables(make(case))
    relaxed, found = tuned(tables, case.uplink, 56, 300, lambda: False)
    outcome = look_at_all(
        relaxed,
        case.uplink,
        found.multipliers,
        relaxed.everything(),
        57,
        most_tries=10**7,
    )
    assert outcome.refuted
    assert whole(found.bound) == 57
