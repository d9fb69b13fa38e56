"""The λ-bound: never below the optimum, and tight where it should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from solvers import UPLINKS, Problem, solve
from solvers.bounds.convex_costs import (
    _convex_steps,
    _with_entry,
    convex_tree_costs,
)
from solvers.bounds.prices import (
    best_counts,
    fill_gaps,
    make_charges,
    users_within,
    weighted_tree_costs,
)
from solvers.bounds.upper_bound import _bound_by, _weightings, prices, upper_bound
from solvers.bounds.visit_prices import visit_prices
from solvers.core.forest import build_forest
from solvers.core.tables import Tables
from tests.benchmarks.problems import campus_like
from tests.solvers.strategies import problems, seeded_problem, without_sharing

FEW = settings(
    max_examples=80,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def check(problem: Problem, uplink: str, seen: Counter) -> None:
    """Compare bound and optimum, with and without sharing."""
    for sharing, oracle in ((True, problem), (False, without_sharing(problem))):
        tables = Tables(problem, sharing=sharing)
        bound = upper_bound(tables, uplink)
        optimum = solve(oracle, "exhaustive", uplink=uplink).served
        assert optimum <= bound <= len(tables.users)
        seen["tight"] += bound == optimum
        seen["compared"] += 1


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("sharing", ["laminar", "crossing"])
@pytest.mark.parametrize("deadlines", ["common", "own"])
def test_never_below_the_optimum(deadlines, sharing, uplink):
    """Any sharing and deadlines, residents and memory limits included."""
    seen = Counter()

    @FEW
    @given(problems(sharing=sharing, deadlines=deadlines, max_users=5))
    def compare(problem):
        check(problem, uplink, seen)

    compare()
    if deadlines == "common" and uplink != "static":
        assert seen["tight"] >= 0.8 * seen["compared"]


@pytest.mark.parametrize("uplink", UPLINKS)
@pytest.mark.parametrize("sharing", ["laminar", "crossing"])
def test_convex_costs_are_never_below_the_optimum(monkeypatch, sharing, uplink):
    """The bound for very many users holds for few too, and is seldom looser."""
    seen = Counter()

    @FEW
    @given(problems(sharing=sharing, deadlines="any", max_users=5, extensions=True))
    def compare(problem):
        tables = Tables(problem)
        exact = upper_bound(tables, uplink)
        monkeypatch.setattr("solvers.bounds.upper_bound.CONVEX_USERS", 0)
        convex = upper_bound(tables, uplink)
        monkeypatch.undo()
        assert exact <= convex <= len(tables.users)
        seen[convex - exact] += 1

    compare()
    assert seen[0] > sum(seen.values()) / 2


def test_counts_that_no_batches_attain_cost_what_the_next_one_does():
    """Of all that are larger the least, and beyond the last what that costs."""
    costs = np.array([0.0, 5.0, np.inf, 4.0, np.inf])
    assert fill_gaps(costs).tolist() == [0.0, 4.0, 4.0, 4.0, 4.0]
    costs = np.array([0.0, 1.0, np.inf, 4.0, 9.0])
    assert fill_gaps(costs).tolist() == [0.0, 1.0, 4.0, 4.0, 9.0]


def test_a_limit_below_nothing_buys_nobody():
    """Even the cost of no user, 0, is beyond a limit below 0."""
    costs = np.array([[0.0, 1.0, 2.0]] * 3)
    assert users_within(costs, np.array([-1.0, 0.0, 1.5])).tolist() == [0, 0, 1]


def test_convex_costs_by_hand():
    """The first step is too dear, and then an entry too: both are spread."""
    steps = _convex_steps(np.array([0.0, 5.0, 6.0, 12.0]))
    assert steps.tolist() == [3.0, 3.0, 6.0]
    entered = _with_entry(np.array([[1.0, 2.0, 10.0]]), np.array([3.0]))
    assert entered.tolist() == [[3.0, 3.0, 10.0]]
    assert _with_entry(np.zeros((2, 0)), np.ones(2)).shape == (2, 0)


@FEW
@given(st.lists(st.integers(0, 20), min_size=1, max_size=12))
def test_convex_steps_are_those_of_the_greatest_convex_function(rises):
    """At each number of users it is the lowest chord over it."""
    cost = np.cumsum([0.0, *rises])
    numbers = range(len(cost))
    lowest = [
        min(
            np.interp(n, [left, right], cost[[left, right]])
            for left in numbers[: n + 1]
            for right in numbers[n:]
        )
        for n in numbers
    ]
    assert np.cumsum(_convex_steps(cost)) == pytest.approx(lowest[1:], abs=1e-9)


def test_convex_costs_are_below_by_floats_too():
    """One model whose costs are convex as they are: the two are equal but for rounding.

    Never above, and no lower than sums of so many terms may round.
    """
    names = [("a", 0.1)] * 300
    t = tables({"a": (["x"], 0.1)}, names, 1e3, resident_model="a")
    charges = make_charges(t)
    (rows,) = _weightings(t, "dynamic")
    exact = weighted_tree_costs(charges, rows, 1.0)
    below = convex_tree_costs(charges, rows)[:, : exact.shape[1]]
    assert exact.shape[1] == 301
    assert (below <= exact).all()
    assert below == pytest.approx(exact, rel=1e-12)


def test_convex_costs_lose_little(monkeypatch):
    """At two thousand users the bound grows by three in a thousand at most."""
    problem = campus_like(
        np.random.default_rng(0), users=2000, models=40, deadline_s=12.5
    )
    for sharing in (True, False):
        tables = Tables(problem, sharing=sharing)
        for uplink in ("upfront", "dynamic"):
            exact = upper_bound(tables, uplink)
            monkeypatch.setattr("solvers.bounds.upper_bound.CONVEX_USERS", 0)
            assert exact <= upper_bound(tables, uplink) <= 1.003 * exact
            monkeypatch.undo()


@FEW
@given(problems(deadlines="any", releases=True, max_users=5))
def test_never_below_the_optimum_with_releases(problem):
    """Releases only take away, so the bound holds as it is."""
    check(problem, "dynamic", Counter())


def tables(
    models: dict[str, tuple[list[str], float]],
    users: list[tuple[str, float]],
    deadline_s: float,
    **change: Any,
) -> Tables:
    """Build tables from (blocks, latency) by model and (model, upload) by user.

    Every block takes 1 s to load and there are no batches.
    """
    blocks = {block for held, _ in models.values() for block in held}
    return Tables(
        Problem.model_validate(
            {
                "name": "hand",
                "bandwidth_hz": 1.0,
                "blocks": {b: {"bytes": 1, "load_s": 1.0} for b in sorted(blocks)},
                "models": {
                    name: {"blocks": held, "latency_s": [latency_s]}
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
                    for k, (model, upload_s) in enumerate(users)
                ],
                **change,
            }
        )
    )


def test_tight_though_neither_resource_alone_is_scarce():
    """GPU alone would serve 8 users and the band alone 7; together 3, and 3 it is.

    Users of a upload for 1 s and compute for 3 s, those of b the other way round.
    With equal weights each costs 2 s, of 7.5 s.
    """
    t = tables(
        {"a": (["x"], 3.0), "b": (["y"], 1.0)},
        [("a", 1.0)] * 8 + [("b", 3.0)] * 8,
        8.0,
        blocks={n: {"bytes": 1, "load_s": 0.0} for n in "xy"},
    )
    assert upper_bound(t, "dynamic") == 3
    assert solve(t.problem, "greedy", uplink="dynamic").served == 3


def test_upfront_is_one_sum():
    """Σw/W + ΣL + ΣC: 1 s of loading, then 0.5 + 0.5 s each; three fit 4 s."""
    t = tables({"a": (["x"], 0.5)}, [("a", 0.5)] * 9, 4.0)
    assert upper_bound(t, "upfront") == 3
    assert upper_bound(t, "dynamic") == 6


def test_what_is_resident_is_free():
    """Without the load four fit."""
    t = tables({"a": (["x"], 0.5)}, [("a", 0.5)] * 9, 4.0, resident_model="a")
    assert upper_bound(t, "upfront") == 4


def test_shared_blocks_are_charged_once():
    """Two models on one stem: one load of it, and one head each."""
    models = {"a": (["stem", "a"], 0.5), "b": (["stem", "b"], 0.5)}
    users = [("a", 0.01), ("b", 0.01)]
    assert upper_bound(tables(models, users, 4.02), "upfront") == 2
    assert upper_bound(tables(models, users, 4.01), "upfront") == 1
    alone = Tables(tables(models, users, 4.02).problem, sharing=False)
    assert upper_bound(alone, "upfront") == 1


def test_crossing_blocks_are_charged_by_holder():
    """Each holder of a block pays its share: half of 1 s here, twice for b."""
    models = {"a": (["x"], 1.0), "b": (["x", "y"], 1.0), "c": (["y"], 1.0)}
    users = [("a", 0.001), ("b", 0.001), ("c", 0.001)]
    # All three: 3 s of computing and 0.5 + 1 + 0.5 s of loads, though x, y, or y, x
    # and x again must be loaded in some order; a b c does with just that.
    assert upper_bound(tables(models, users, 5.003), "upfront") == 3
    assert upper_bound(tables(models, users, 5.002), "upfront") == 2
    assert solve(tables(models, users, 5.003).problem, "greedy").served == 3


@pytest.mark.parametrize("uplink", UPLINKS)
def test_nothing_fits_before_the_deadline(uplink):
    """Computing alone takes longer than there is time; the bound is 0, not an error."""
    t = tables({"a": (["x"], 2.0)}, [("a", 0.1)], 1.0)
    assert upper_bound(t, uplink) == 0
    if uplink != "upfront":
        found = prices(t, uplink)
        assert (found.bound, found.band_worth * found.band_limit) == (0, 0.0)


@pytest.mark.parametrize("uplink", UPLINKS)
def test_nobody_can_be_scheduled(uplink):
    """No users, or none with a link: 0."""
    assert upper_bound(tables({"a": (["x"], 1.0)}, [], 1.0), uplink) == 0


def test_loads_may_run_beside_batches_with_overlap():
    """One loads while the other computes: 4 s of work are done in 3 s."""
    models = {"a": (["x"], 1.0), "b": (["y"], 1.0)}
    users = [("a", 0.01), ("b", 0.01)]
    assert upper_bound(tables(models, users, 3.1), "dynamic") == 1
    t = tables(models, users, 3.1, overlap=True)
    assert upper_bound(t, "dynamic") == 2
    assert solve(t.problem, "greedy", uplink="dynamic").served == 2


def test_static_prices_late_time(monkeypatch):
    """Early rounds need wide bands, which a sum of uploads and GPU time cannot see.

    Sixteen models with a user each, who uploads for 0.2 s at the whole band and
    computes for 0.25 s, of 4.5 s: the sums, 3.2 s and 4 s, are within their limits,
    but 0.2 / 0.5 + 0.2 / 0.75 + … + 0.2 / 4.25 is 1.95.
    """
    names = [f"m{i}" for i in range(16)]
    t = tables(
        {n: ([f"x{n}"], 0.25) for n in names},
        [(n, 0.2) for n in names],
        4.5,
        blocks={f"x{n}": {"bytes": 1, "load_s": 0.0} for n in names},
    )
    assert upper_bound(t, "dynamic") == 16
    assert solve(t.problem, "dp", uplink="static").served <= upper_bound(t, "static")
    late = upper_bound(t, "static")
    assert late < 16
    # So are they of as many users as the exact costs are for, and not of more.
    monkeypatch.setattr("solvers.bounds.upper_bound.CONVEX_USERS", 16)
    assert upper_bound(t, "static") == late
    monkeypatch.setattr("solvers.bounds.upper_bound.CONVEX_USERS", 15)
    assert upper_bound(t, "static") == 16


@pytest.mark.parametrize(
    "change", [{"residency": "cache"}, {"overlap": True}], ids=["cache", "overlap"]
)
def test_prices_of_visits_are_for_loads_before_each(monkeypatch, change):
    """A cache keeps what a visit loads, and overlap hides it: neither asks for them."""
    monkeypatch.setattr("solvers.bounds.upper_bound.visit_prices", None)
    t = tables({"a": (["x"], 0.5)}, [("a", 0.5)] * 9, 4.0, **change)
    assert upper_bound(t, "static") > 0
    plain = tables({"a": (["x"], 0.5)}, [("a", 0.5)] * 9, 4.0)
    with pytest.raises(TypeError):
        upper_bound(plain, "static")


def test_prices_of_dynamic_are_the_same_all_the_time():
    """Half of the time until the deadline has half of the worth."""
    t = tables({"a": (["x"], 0.4)}, [("a", 0.1)] * 5, 2.0)
    found = prices(t, "dynamic")
    assert found.gpu_worth[-1] > 0
    halves = found.worth(np.array([0.0, 0.5, 1.0, 2.0])) / found.gpu_worth[-1]
    assert halves == pytest.approx([0.0, 0.25, 0.5, 1.0])


@pytest.mark.parametrize("uplink", UPLINKS)
def test_each_weight_bounds_and_the_least_is_taken(uplink):
    """With few users all weights are tried."""
    for number in range(12):
        rng = np.random.default_rng(number)
        t = Tables(seeded_problem(rng, sharing="laminar", users=30, models=5))
        charges = make_charges(t)
        (rows,) = _weightings(t, uplink)
        each = [
            users_within(weighted_tree_costs(charges, row, 1.0), row.limit_s)[0]
            for number in range(len(rows.limit_s))
            for row in [rows.take(np.array([number]))]
        ]
        assert _bound_by(charges, rows)[0] == min(each)


def test_static_bounds_what_the_tolerance_on_spectrum_lets_through():
    """A user who holds a billionth more than the band until 100 s is served."""
    models = {"a": (["x"], 1.0)}
    t = tables(models, [("a", 100 * (1 + 0.99e-9))], 101.0)
    assert solve(t.problem, "exhaustive", uplink="static").served == 1
    assert upper_bound(t, "static") == 1


def test_blocks_that_another_model_holds_too_are_paid_for():
    """After a load of 1 s there is time for one batch, whoever else may hold it."""
    models = {"a": (["x"], 0.5), "b": (["x", "y"], 0.5)}
    t = tables(models, [("a", 0.5)] * 6 + [("b", 0.5)], 1.5)
    assert visit_prices(t, make_charges(t)).bound == 1


@FEW
@given(problems(sharing="laminar", max_users=8))
def test_prices_bound_whole_schedules(problem):
    """No counts of users are worth more than what the prices say is there."""
    t = Tables(problem)
    assume(t.active)
    for uplink in ("dynamic", "static"):
        found = prices(t, uplink)
        counts = best_counts(build_forest(t), found)
        used = {node for m in counts for node in build_forest(t).path(m)}
        gain = sum(n - found.model_cost[m][n] for m, n in counts.items())
        gain -= sum(found.node_cost[node] for node in used)
        worth = found.gpu_worth[-1] + found.band_worth * found.band_limit
        assert solve(problem, "exhaustive", uplink=uplink).served <= gain + worth + 1e-6


def crossing(problem: Problem) -> Problem:
    """Let each model hold the first block of another cluster too, and one be there."""
    models = {
        name: model.model_copy(
            update={"blocks": (*model.blocks, f"base{(m + 1) % 4}/0")}
        )
        for m, (name, model) in enumerate(problem.models.items())
    }
    return problem.model_copy(update={"models": models, "resident_model": "m1"})


def in_time(problem: Problem) -> Problem:
    """Give users deadlines of their own, and little memory for activations."""
    users = tuple(
        user.model_copy(update={"deadline_s": user.deadline_s * (1 - k % 5 / 10)})
        for k, user in enumerate(problem.users)
    )
    models = {
        name: model.model_copy(
            update={"activation_bytes": tuple(range(10**7, 17 * 10**7, 10**7))}
        )
        for name, model in problem.models.items()
    }
    return problem.model_copy(
        update={"users": users, "models": models, "gpu_memory_bytes": 150_000_000}
    )


# How many users the prices leave room for, a number with a fraction: users, models,
# deadline in s, what is changed, and the room with and without sharing.
ROOM: list[Any] = [
    ((20, 4, 0.3), None, "dynamic", [17.251024, 17.251024]),
    ((20, 4, 0.3), None, "static", [17.794252, 17.794252]),
    ((20, 4, 0.3), crossing, "dynamic", [19.405784, 19.016542]),
    ((20, 4, 0.3), crossing, "static", [20.0, 19.099254]),
    ((20, 4, 0.3), in_time, "dynamic", [17.115961, 17.115961]),
    ((20, 4, 0.3), in_time, "static", [17.236657, 17.236657]),
    ((60, 8, 0.4), None, "dynamic", [44.54861, 42.044411]),
    ((60, 8, 0.4), None, "static", [44.394846, 40.25464]),
    ((60, 8, 0.4), crossing, "dynamic", [51.902022, 45.780221]),
    ((60, 8, 0.4), crossing, "static", [50.518906, 44.339099]),
    ((60, 8, 0.4), in_time, "dynamic", [43.752592, 41.475626]),
    ((60, 8, 0.4), in_time, "static", [43.851269, 39.972996]),
    ((200, 12, 1.0), None, "dynamic", [160.071265, 146.670786]),
    ((200, 12, 1.0), None, "static", [145.337945, 131.23162]),
    ((200, 12, 1.0), crossing, "dynamic", [163.669754, 149.128246]),
    ((200, 12, 1.0), crossing, "static", [146.564513, 135.551374]),
    ((200, 12, 1.0), in_time, "dynamic", [156.900283, 144.046944]),
    ((200, 12, 1.0), in_time, "static", [143.937616, 128.933937]),
    ((1100, 30, 4.0), None, "dynamic", [748.012243, 737.610661]),
    ((1100, 30, 4.0), None, "static", [690.353489, 678.639596]),
    ((1100, 30, 4.0), crossing, "dynamic", [748.012243, 736.394194]),
    ((1100, 30, 4.0), crossing, "static", [692.385646, 678.555593]),
    ((1100, 30, 4.0), in_time, "dynamic", [748.012243, 727.851422]),
    ((1100, 30, 4.0), in_time, "static", [679.744883, 667.038414]),
]

# The same problems, and the bound for upfront and for dynamic, each without overlap and
# with it.
BOUNDS: list[Any] = [
    ((20, 4, 0.3), None, [12, 13, 15, 18]),
    ((20, 4, 0.3), crossing, [13, 15, 18, 20]),
    ((20, 4, 0.3), in_time, [12, 13, 15, 18]),
    ((60, 8, 0.4), None, [29, 31, 42, 50]),
    ((60, 8, 0.4), crossing, [35, 38, 50, 55]),
    ((60, 8, 0.4), in_time, [28, 31, 41, 50]),
    ((200, 12, 1.0), None, [94, 108, 158, 164]),
    ((200, 12, 1.0), crossing, [105, 121, 163, 164]),
    ((200, 12, 1.0), in_time, [92, 108, 156, 164]),
    ((1100, 30, 4.0), None, [498, 593, 748, 748]),
    ((1100, 30, 4.0), crossing, [516, 593, 748, 748]),
    ((1100, 30, 4.0), in_time, [482, 570, 748, 748]),
]


def drawn(size: tuple[int, int, float], change: Callable | None) -> Problem:
    """Draw a problem in which neither the GPU nor the band alone is scarce."""
    users, models, deadline_s = size
    problem = campus_like(
        np.random.default_rng(0),
        users=users,
        models=models,
        deadline_s=deadline_s,
        bandwidth_hz=60e6,
    )
    return change(problem) if change else problem


def room(tables: Tables, uplink: str) -> float:
    """Compute the worth of all GPU time and the band, in users, beside free gains."""
    found = prices(tables, uplink)
    forest = make_charges(tables).forest
    counts = best_counts(forest, found)
    used = {node for m in counts for node in forest.path(m)}
    gain = sum(n - found.model_cost[m][n] for m, n in counts.items())
    gain -= sum(found.node_cost[node] for node in used)
    return float(gain + found.gpu_worth[-1] + found.band_worth * found.band_limit)


@pytest.mark.parametrize(("size", "change", "uplink", "expected"), ROOM)
def test_prices_are_as_tight_as_before(size, change, uplink, expected):
    """Every bound is valid at any prices; these are the ones that make it tight."""
    problem = drawn(size, change)
    found = [room(Tables(problem, sharing=s), uplink) for s in (True, False)]
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("size", "change", "expected"), BOUNDS)
def test_bounds_are_as_tight_as_before(size, change, expected):
    """Above a thousand users the weights are tried in two steps, and lose nothing."""
    problem = drawn(size, change)
    overlap = problem.model_copy(update={"overlap": True})
    each = [Tables(problem), Tables(overlap)]
    found = [upper_bound(t, uplink) for uplink in ("upfront", "dynamic") for t in each]
    assert found == expected
