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
from solvers.core.tables import Floats, Tables, count_users
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


def test_waiting_by_what_proofs_grant_refutes_nothing() -> None:
    """Where seconds are many, a grant is wider than what a grid rounds away.

    User j may only be served once k, who bars it, has no claim any more; the users
    after it are due at the ends of steps.
    """
    last_s = 9.9e5
    step_s = last_s / 4999
    first_s = (100 + 1.3e-9) * step_s
    load_s = (4000 + 1.1e-9) * step_s - first_s
    third_s, fourth_s = (100 - 1.74e-8) * step_s, (100 + 5e-9) * step_s
    due_s = load_s + 2 * first_s
    users = [
        ("k", "a", 2e-12, (4100 - 1.1e-9) * step_s),
        ("j", "a", 1e-12, due_s),
        ("i", "b", 1e-12, due_s + third_s),
        ("l", "c", 1e-12, due_s + third_s + fourth_s),
        ("z", "d", 2 * last_s, last_s),
    ]
    latencies_s = {"a": first_s, "b": third_s, "c": fourth_s, "d": last_s / 4997.5}
    problem = Problem.model_validate(
        {
            "name": "waits",
            "bandwidth_hz": 1.0,
            "blocks": {"x": {"bytes": 1, "load_s": load_s}},
            "models": {
                name: {"blocks": ["x"], "latency_s": [latency_s]}
                for name, latency_s in latencies_s.items()
            },
            "users": [
                {
                    "id": name,
                    "model": model,
                    "input_bits": bits,
                    "spectral_efficiency": 1.0,
                    "deadline_s": deadline_s,
                }
                for name, model, bits, deadline_s in users
            ],
        }
    )
    relaxed = relaxation(Tables(problem), "dynamic")
    assert relaxed is not None
    everything = relaxed.everything()
    multipliers = relaxed.tune(
        relaxed.start(3), 3, everything, iterations=300, out_of_time=lambda: False
    ).multipliers
    assert solve(problem, "exhaustive", uplink="dynamic").served == 4
    assert not looked(relaxed, "dynamic", multipliers, everything, 4).refuted


def test_it_ends_when_too_much_was_tried() -> None:
    """Then nothing is known."""
    problem = seeded_problem(
        np.random.default_rng(6), sharing="laminar", users=12, models=4
    )
    relaxed = relaxation(Tables(problem), "dynamic")
    assert relaxed is not None
    arguments = (relaxed, "dynamic", relaxed.start(3), relaxed.everything(), 12)
    found = look_at_all(*arguments, most_tries=5)
    assert (found.refuted, found.rounds) == (False, None)
    found = look_at_all(*arguments, most_tries=10**6, out_of_time=lambda: True)
    assert (found.refuted, found.rounds) == (False, None)


def test_they_are_made_in_as_many_turns_as_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With little room, or few batches at a time; not where one label has too many."""
    problem = seeded_problem(
        np.random.default_rng(7),
        sharing="crossing",
        users=10,
        models=3,
        deadlines="own",
    )
    relaxed = relaxation(Tables(problem), "dynamic")
    assert relaxed is not None
    most = solve(problem, "exhaustive", uplink="dynamic").served

    def look(name: str, least: int) -> Outcome:
        with monkeypatch.context() as patch:
            patch.setattr(labels, name, least)
            return look_at_all(
                relaxed,
                "dynamic",
                np.zeros_like(relaxed.start(most)),
                relaxed.everything(),
                most + 1,
                most_tries=1000,
            )

    once = look("SLICE", 500)
    assert once.refuted
    assert look("SLICE", 3) == once
    for name, few in (("ROOM", 6), ("TRIES", 10)):
        again = look(name, few)
        assert again.refuted
        assert again.tries > once.tries  # some are tried again
    assert not look("ROOM", 1).refuted
    assert not look("TRIES", 2).refuted


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
