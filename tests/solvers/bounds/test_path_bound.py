"""The path bound: never below the optimum, whatever the multipliers and the grid."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvers import UPLINKS, Problem, Uplink, solve
from solvers.bounds import path_grid
from solvers.bounds.path_bound import (
    path_bound,
    relaxation,
    whole,
)
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import time_rounds
from tests.solvers.brute import MOST_USERS, best_served
from tests.solvers.strategies import (
    EXTENDED_KINDS,
    problems,
    seeded_problem,
    without_sharing,
)

FEW = settings(
    max_examples=15,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
KINDS = EXTENDED_KINDS | {
    "cache, overlap and releases": {
        "deadlines": "any",
        "releases": True,
        "extensions": True,
    },
}
CASES = [
    (kind, uplink)
    for kind, drawn in KINDS.items()
    for uplink in UPLINKS
    if uplink == "dynamic" or not drawn.get("releases")
]
# The long campaign compares so many problems of each case.
MANY = 350


def optimum_of(problem: Problem, uplink: Uplink, *, sharing: bool = True) -> int:
    """Return the most users that can be served, by whichever oracle takes that."""
    if problem.overlap or problem.residency == "cache":
        return best_served(problem, uplink, sharing=sharing)
    oracle = problem if sharing else without_sharing(problem)
    return solve(oracle, "exhaustive", uplink=uplink).served


def compare(problem: Problem, uplink: Uplink, number: int, seen: Counter) -> None:
    """Hold tuned and random multipliers on a random grid against the optimum."""
    rng = np.random.default_rng(number)
    sharing = bool(rng.random() < 0.7)
    tables = Tables(problem, sharing=sharing)
    if not tables.active:
        return
    optimum = optimum_of(problem, uplink, sharing=sharing)
    relaxed = relaxation(tables, uplink, int(10 ** rng.uniform(2, 4.5)))
    seen["compared"] += 1
    if relaxed is None:
        assert optimum == 0
        return
    everything = relaxed.everything()
    start = relaxed.start(optimum)
    for served in (optimum, max(optimum - 2, 0)):
        tuned = relaxed.tune(
            start, served, everything, iterations=40, out_of_time=lambda: False
        )
        assert whole(tuned.bound) >= optimum
        seen["tight"] += served == optimum == whole(tuned.bound)
    noise = rng.normal(0, 0.5, (4, len(start))) * relaxed.scale(optimum)
    for change in noise * (rng.random(noise.shape) < 0.5):
        found = relaxed.evaluate(abs(tuned.multipliers + change), everything)
        assert whole(found.bound) >= optimum


def campaign(kind: str, uplink: Uplink, examples: int) -> Counter:
    """Compare so many problems of one kind."""
    seen: Counter = Counter()

    @settings(FEW, max_examples=examples)
    @given(problems(max_users=MOST_USERS, **KINDS[kind]), st.integers(0, 10**6))
    def run(problem: Problem, number: int) -> None:
        compare(problem, uplink, number, seen)

    run()
    return seen


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let grids be as coarse as the shortest batch allows."""
    monkeypatch.setattr(path_grid, "MIN_STEPS", 3)


@pytest.mark.parametrize(("kind", "uplink"), CASES)
def test_never_below_the_optimum(kind: str, uplink: Uplink) -> None:
    """Batch limits, memory, residents, cache, overlap, releases, own deadlines."""
    seen = campaign(kind, uplink, 15)
    assert seen["compared"] >= 10


@pytest.mark.long
@pytest.mark.parametrize(("kind", "uplink"), CASES)
def test_never_below_the_optimum_of_thousands(kind: str, uplink: Uplink) -> None:
    """More than 3,000 problems in all."""
    assert 0.8 * MANY * len(CASES) >= 3000
    seen = campaign(kind, uplink, MANY)
    assert seen["compared"] >= 0.8 * MANY
    assert seen["tight"] >= 0.25 * seen["compared"]


def made(
    models: dict[str, tuple[list[str], list[float]]],
    users: list[tuple[str, float, float]],
    load_s: float = 0.0,
    **change: Any,
) -> Problem:
    """Build a problem from blocks and latencies, and (model, upload, deadline)."""
    blocks = sorted({block for held, _ in models.values() for block in held})
    return Problem.model_validate(
        {
            "name": "hand",
            "bandwidth_hz": 1.0,
            "blocks": {b: {"bytes": 1, "load_s": load_s} for b in blocks},
            "models": {
                name: {"blocks": held, "latency_s": latency_s}
                for name, (held, latency_s) in models.items()
            },
            "users": [
                {
                    "id": f"u{k}",
                    "model": model,
                    "input_bits": upload_s,
                    "spectral_efficiency": 1.0,
                    "deadline_s": deadline_s,
                }
                for k, (model, upload_s, deadline_s) in enumerate(users)
            ],
            **change,
        }
    )


def free_bound(problem: Problem, uplink: Uplink, served: int) -> int | None:
    """Bound a problem of which so many users are known to be served."""
    return path_bound(Tables(problem), uplink, served)


@pytest.mark.parametrize("uplink", UPLINKS)
def test_the_start_is_no_model(uplink: Uplink) -> None:
    """A resident model's first visit has a start before it, and loads nothing."""
    problem = made(
        {"a": (["x"], [0.4])},
        [("a", 0.1, 0.55)],
        load_s=9.0,
        resident_model="a",
    )
    assert solve(problem, "exhaustive", uplink=uplink).served == 1
    assert free_bound(problem, uplink, 0) == 1
    # Nothing fits: the empty path counts, and its value is 0, not below.
    late = made({"a": (["x"], [0.4])}, [("a", 0.1, 0.55)], load_s=9.0)
    assert free_bound(late, uplink, 0) == 0


def test_a_batch_takes_a_step_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    """However coarse the grid is to be; and above the stated size there is none."""
    problem = made({"a": (["x"], [0.001])}, [("a", 1e-4, 1.0)] * 3)
    network = path_grid.make_network(Tables(problem), "static", work=1)
    assert network is not None
    assert network.batch_steps.min() >= 1
    assert network.last >= 1000
    monkeypatch.setattr(path_grid, "MAX_WORK", 1000)
    assert path_grid.make_network(Tables(problem), "static", work=1) is None
    assert free_bound(problem, "static", 0) is None


@pytest.mark.parametrize("uplink", ["upfront", "dynamic"])
def test_the_tolerance_is_granted(uplink: Uplink) -> None:
    """A batch that ends a little late, within the tolerance, is bounded as in time.

    Half of the latest deadline is a step of every grid with an even number of steps;
    it lies between the first deadline and the end of the batch.
    """
    problem = made(
        {"a": (["x"], [0.3]), "b": (["y"], [0.3])},
        [("a", 1e-11, 0.3 - 0.9e-9), ("b", 0.7, 0.6 - 1e-9)],
    )
    tables = Tables(problem)
    assert time_rounds(tables, [PlannedRound(0, (0,))], uplink) is not None
    for work in range(40, 240, 5):
        relaxed = relaxation(tables, uplink, work)
        assert relaxed is not None
        everything = relaxed.everything()
        found = relaxed.tune(
            relaxed.start(0), 0, everything, iterations=50, out_of_time=lambda: False
        )
        assert whole(found.bound) >= 1


@pytest.mark.parametrize("uplink", UPLINKS)
def test_a_batch_that_is_late_within_the_tolerance_is_on_the_grid(
    uplink: Uplink,
) -> None:
    """Its latency alone is longer than the deadline, by half a nanosecond."""
    problem = made({"a": (["x"], [1.0])}, [("a", 1e-12, 1.0 - 0.5e-9)])
    assert time_rounds(Tables(problem), [PlannedRound(0, (0,))], uplink) is not None
    assert free_bound(problem, uplink, 0) == 1


def test_a_cache_saves_the_densest_blocks_that_fit_beside_a_model() -> None:
    """Of 7 bytes beside it 4 save 0.8 s, and 3 of 6 half of 0.6 s."""
    models = {"a": "x", "b": "wyz", "c": "y", "d": "z"}
    problem = made(
        {name: (list(held), [0.1]) for name, held in models.items()},
        [(name, 0.1, 9.0) for name in models],
        residency="cache",
        gpu_memory_bytes=20,
    )
    sizes = {"w": (10, 0.5), "x": (13, 1.0), "y": (4, 0.8), "z": (6, 0.6)}
    blocks = {
        name: block.model_copy(update={"bytes": size, "load_s": load_s})
        for name, block in problem.blocks.items()
        for size, load_s in [sizes[name]]
    }
    problem = problem.model_copy(update={"blocks": blocks})
    network = path_grid.make_network(Tables(problem), "dynamic", work=100)
    assert network is not None
    assert network.load_s[0] == pytest.approx([0.0, 0.8, 0.0, 0.0])
    # Nothing is there before the first round.
    assert network.load_s[-1] == pytest.approx([1.0, 1.9, 0.8, 0.6])
    roomy = problem.model_copy(update={"gpu_memory_bytes": None})
    network = path_grid.make_network(Tables(roomy), "dynamic", work=100)
    assert network is not None
    assert not network.load_s[:-1].any()


def test_rounding_down_leaves_room_for_rounding() -> None:
    """A sum of doubles just below a whole number of users stands for that number."""
    assert whole(3 - 1e-9) == 3
    assert whole(3 - 1e-5) == 2


@pytest.mark.parametrize("sharing", ["laminar", "crossing"])
def test_it_is_tighter_than_prices_of_time_where_batches_are_few(sharing: Any) -> None:
    """Problems of 9 users: less than the λ-bound in some, and never below the best."""
    less = 0
    for number in range(6):
        rng = np.random.default_rng(number)
        problem = seeded_problem(rng, sharing=sharing, users=9, models=4)
        plain = solve(problem, "greedy", uplink="static")
        best = solve(problem, "exhaustive", uplink="static").served
        found = free_bound(problem, "static", best)
        assert found is not None
        assert found >= best
        less += found < plain.bound
    assert less >= 2


def test_who_yields_to_whom() -> None:
    """To whoever asks for no more, may wait as long, and is there as early.

    A user yields to itself too, and of two that are the same the second to the first.
    """
    asks = [(0.1, 1.0, 0.0), (0.2, 1.0, 0.0), (0.1, 2.0, 0.0), (0.1, 1.0, 0.5)]
    models = {name: ([name], [0.1]) for name in "ab"}
    users = [(model, *ask[:2]) for model in "ab" for ask in (*asks, asks[0])]
    problem = made(models, users)
    released = [ask[2] for _ in "ab" for ask in (*asks, asks[0])]
    problem = problem.model_copy(
        update={
            "users": tuple(
                user.model_copy(update={"release_s": release_s})
                for user, release_s in zip(problem.users, released, strict=True)
            )
        }
    )
    relaxed = relaxation(Tables(problem), "dynamic", 1000)
    assert relaxed is not None
    chosen = [problem.users[k] for k in relaxed.network.users]
    for k, user in enumerate(chosen):
        for other, better in enumerate(chosen):
            mine = (-user.input_bits, user.deadline_s, -user.release_s)
            its = (-better.input_bits, better.deadline_s, -better.release_s)
            no_worse = all(a <= b for a, b in zip(mine, its, strict=True))
            yields = user.model == better.model and no_worse
            yields = yields and (mine != its or k >= other)
            assert relaxed.yields[k, other] == yields


def test_whoever_must_be_served_may_cost_users() -> None:
    """An upload of 0.8 s leaves room for one of 0.1 s; without it nine of them fit."""
    problem = made({"a": (["x"], [0.01])}, [("a", 0.1, 1.0)] * 9 + [("a", 0.8, 1.0)])
    relaxed = relaxation(Tables(problem), "upfront", 4000)
    assert relaxed is not None
    part = relaxed.everything()
    must = relaxed.network.demand_s > 0.5
    assert must.sum() == 1
    bounds = [
        relaxed.tune(
            relaxed.start(2), 2, one, iterations=150, out_of_time=lambda: False
        ).bound
        for one in (part, part._replace(forced=must))
    ]
    assert bounds[0] >= 9
    assert whole(bounds[1]) == 2


@pytest.mark.parametrize("uplink", UPLINKS)
def test_forced_and_banned_users(uplink: Uplink) -> None:
    """The bound of a part is no less than the best plan of that part."""
    rng = np.random.default_rng(5)
    problem = seeded_problem(rng, sharing="laminar", users=8, models=3)
    relaxed = relaxation(Tables(problem), uplink, 20_000)
    assert relaxed is not None
    first = relaxed.network.first
    for m in range(len(first) - 1):
        for most in range(int(first[m + 1] - first[m]) + 1):
            everything = relaxed.everything()
            banned = everything.banned.copy()
            banned[first[m] + most : first[m + 1]] = True
            gone = {
                relaxed.network.tables.user_ids[k]
                for k in relaxed.network.users[banned]
            }
            part = problem.model_copy(
                update={"users": tuple(u for u in problem.users if u.id not in gone)}
            )
            best = solve(part, "exhaustive", uplink=uplink)
            served = {u for r in best.schedule.rounds for u in r.users}
            forced = np.array(
                [
                    relaxed.network.tables.user_ids[k] in served
                    for k in relaxed.network.users
                ]
            )
            for must in (everything.forced, forced):
                found = relaxed.tune(
                    relaxed.start(best.served),
                    best.served,
                    everything._replace(forced=must, banned=banned),
                    iterations=60,
                    out_of_time=lambda: False,
                )
                assert whole(found.bound) >= best.served
