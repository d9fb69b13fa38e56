"""The dynamic program: depth-first orders, and labels along one order."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, permutations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from solvers import Problem, Uplink, solve
from solvers.bounds import upper_bound
from solvers.bounds.prices import Prices, fill_gaps
from solvers.bounds.upper_bound import prices
from solvers.core.forest import Forest, build_forest
from solvers.core.limit import UNLIMITED, Limit
from solvers.core.orders import MAX_ORDERS, depth_first, depth_first_orders
from solvers.core.tables import Tables
from solvers.core.timing import time_rounds
from solvers.dp import reorder
from solvers.dp.reorder import moves, neighbouring_orders, visits_of, worth
from solvers.dp.walks import Search, Walk, planned, walk
from tests.instances.cases import CASES, make
from tests.solvers.arithmetic import sequences, starts_s
from tests.solvers.core.test_forest import library
from tests.solvers.strategies import problems, seeded_problem

FEW = settings(
    max_examples=80,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
LAMINAR = problems(sharing="laminar", max_users=4)
TIMED: tuple[Uplink, ...] = ("dynamic", "static")
# More labels than any of these problems has.
WIDE = 100_000


def search_of(problem: Problem, uplink: Uplink, limit: Limit = UNLIMITED) -> Search:
    """Prepare walks on a problem that dp takes."""
    tables = Tables(problem)
    found = prices(tables, uplink, limit)
    forest = build_forest(tables)
    return Search(tables, forest, found, uplink, tables.common_deadline_s)


def faster(problem: Problem, share: float) -> Problem:
    """Let everything take so much less time: the plans stay the same."""
    return Problem.model_validate(
        {
            **problem.model_dump(exclude_none=True),
            "bandwidth_hz": problem.bandwidth_hz / share,
            "blocks": {
                name: {"bytes": block.bytes, "load_s": share * block.load_s}
                for name, block in problem.blocks.items()
            },
            "models": {
                name: {
                    **model.model_dump(exclude_none=True),
                    "latency_s": [share * seconds for seconds in model.latency_s],
                }
                for name, model in problem.models.items()
            },
            "users": [
                {**user.model_dump(), "deadline_s": share * user.deadline_s}
                for user in problem.users
            ],
        }
    )


def without_prices(search: Search) -> Search:
    """Let everybody be free, so that no label is ever hopeless."""
    found = search.prices
    free = Prices(
        bound=len(search.tables.users),
        gpu_time_s=found.gpu_time_s,
        gpu_worth=0 * found.gpu_worth,
        band_worth=0.0,
        band_limit=found.band_limit,
        node_cost=0 * found.node_cost,
        model_cost={m: 0 * fill_gaps(cost) for m, cost in found.model_cost.items()},
    )
    return replace(search, prices=free)


def subtrees(forest: Forest) -> list[set[int]]:
    """List the models below each node."""
    below: list[set[int]] = [set(models) for models in forest.models]
    for node in range(len(forest.parent) - 1, 0, -1):
        below[forest.parent[node]] |= below[node]
    return below


def is_depth_first(forest: Forest, order: list[int]) -> bool:
    """Whether the models below every node are next to each other."""
    place = {m: i for i, m in enumerate(order)}
    return all(
        max(place[m] for m in models) - min(place[m] for m in models) < len(models)
        for models in subtrees(forest)
        if models
    )


@FEW
@given(problems(sharing="laminar"))
def test_orders_are_depth_first(problem):
    """Every order visits each model once and leaves no subtree half done.

    When there are few, all that there are have been listed.
    """
    tables = Tables(problem)
    assume(tables.active)
    forest = build_forest(tables)
    orders = depth_first_orders(tables, forest)
    assert len(set(map(tuple, orders))) == len(orders)
    for order in orders:
        assert sorted(order) == list(tables.active)
        assert is_depth_first(forest, order)
    there_are = [
        order for order in permutations(tables.active) if is_depth_first(forest, order)
    ]
    if len(there_are) <= MAX_ORDERS:
        assert sorted(map(tuple, orders)) == sorted(there_are)


@FEW
@given(problems(sharing="laminar"))
def test_depth_first_loads_every_block_once(problem):
    """No atom is loaded again, and what is resident is used at once."""
    tables = Tables(problem)
    assume(tables.active)
    order = depth_first(build_forest(tables), tables)
    before, load_s = None, 0.0
    for m in order:
        load_s += tables.load_s(before, m)
        before = m
    used = set().union(*(tables.atoms_of[m] for m in order))
    found = tables.initial_atoms & tables.atoms_of[order[0]]
    assert load_s == pytest.approx(tables.loads_s(used - found))


def test_many_children_get_a_few_good_orders():
    """Two stems of four models each have 1,152 orders; a handful is tried."""
    # Numbered so that neighbours are not relatives.
    tables = library({f"m{m}": [f"stem{m % 2}", f"own{m}"] for m in range(8)})
    forest = build_forest(tables)
    orders = depth_first_orders(tables, forest)
    assert 1 <= len(orders) <= MAX_ORDERS
    for order in orders:
        assert sorted(order) == list(tables.active)
        assert is_depth_first(forest, order)


def along(problem: Problem, order: list[str], uplink: str) -> int:
    """Return most users of any rounds that visit models once each, in a given order."""
    most = 0
    users = tuple(user for user in problem.users if user.spectral_efficiency > 0)
    for rounds in sequences(problem, users):
        visits = [model for model, _ in groupby(model for model, _ in rounds)]
        in_order = [model for model in order if model in visits]
        if visits == in_order and starts_s(problem, rounds, uplink):
            most = max(most, sum(len(users) for _, users in rounds))
    return most


def served(found: Walk, search: Search) -> int:
    """Check that a walk's rounds are feasible and count their users."""
    rounds = planned(search, found)
    assert time_rounds(search.tables, rounds, search.uplink) is not None
    users = sum(len(users) for _, users in rounds)
    assert found.users in (users, -1)
    return users


@pytest.mark.parametrize("uplink", TIMED)
def test_labels_are_exact_along_an_order(uplink):
    """No rounds that follow the order serve more, whoever and however they batch."""

    @FEW
    @given(LAMINAR)
    def compare(problem):
        assume(Tables(problem).active)
        search = search_of(problem, uplink)
        for order in depth_first_orders(search.tables, search.forest)[:4]:
            found = walk(search, order, target=1, width=WIDE)
            names = [search.tables.model_names[m] for m in order]
            assert served(found, search) == along(problem, names, uplink)

    compare()


@pytest.mark.parametrize("share", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("limit_s", [None, 0.0])
@pytest.mark.parametrize("uplink", TIMED)
def test_labels_dropped_for_their_prices_lose_nothing(uplink, limit_s, share):
    """Where everybody is free nothing is hopeless; the best is still the same.

    Whether or not prices are revised, and whether it is about seconds or milliseconds.
    """

    @FEW
    @given(problems(sharing="laminar", max_users=8))
    def compare(drawn):
        problem = faster(drawn, share)
        assume(Tables(problem).active)
        search = search_of(problem, uplink, Limit.after(limit_s))
        order = depth_first_orders(search.tables, search.forest)[0]
        everything = walk(without_prices(search), order, target=0, width=WIDE)
        best = served(everything, search)
        assert served(walk(search, order, target=1, width=WIDE), search) == best
        if best:
            again = walk(search, order, target=best, width=WIDE)
            assert served(again, search) == best
        more = walk(search, order, target=best + 1, width=WIDE)
        assert more.users <= best

    compare()


@pytest.mark.parametrize("uplink", TIMED)
def test_a_walk_goes_on_from_another(uplink):
    """What two orders begin with is walked once, and the outcome is the same."""

    @FEW
    @given(problems(sharing="laminar", max_users=8), st.randoms())
    def compare(problem, random):
        assume(Tables(problem).active)
        search = search_of(problem, uplink)
        order = depth_first_orders(search.tables, search.forest)[0]
        base = walk(search, order, target=1, width=WIDE)
        other = list(order)
        random.shuffle(other)
        fresh = walk(search, other, target=1, width=WIDE)
        reused = walk(search, other, target=1, width=WIDE, base=base)
        assert (reused.users, reused.value) == (fresh.users, fresh.value)
        assert planned(search, reused) == planned(search, fresh)
        served(fresh, search)

    compare()


def test_few_labels_find_feasible_schedules():
    """Narrow walks of a larger problem serve some, and no more than wide ones."""
    problem = seeded_problem(
        np.random.default_rng(5), sharing="laminar", users=30, models=6
    )
    for uplink in TIMED:
        search = search_of(problem, uplink)
        order = depth_first_orders(search.tables, search.forest)[0]
        counts = [
            served(walk(search, order, target=1, width=width), search)
            for width in (1, 8, 64, WIDE)
        ]
        assert 0 < max(counts) == counts[-1]


@pytest.mark.parametrize("uplink", TIMED)
def test_moved_visits_are_worth_what_their_rounds_leave(uplink):
    """The worth of an order of visits is that of the same rounds, timed."""

    @FEW
    @given(problems(sharing="laminar", min_users=4, max_users=8))
    def compare(problem):
        assume(Tables(problem).active)
        search = search_of(problem, uplink)
        tables = search.tables
        order = depth_first_orders(tables, search.forest)[0]
        rounds = planned(search, walk(search, order, target=1, width=WIDE))
        assume(rounds)
        visits = visits_of(tables, rounds)
        ways = moves(search.forest, visits.models)
        assert all(sorted(way) == list(range(len(visits.models))) for way in ways)
        left = worth(visits, ways, search.prices, uplink, search.deadline_s)
        for way, value in zip(ways.tolist(), left.tolist(), strict=True):
            models = [visits.models[v] for v in way]
            moved = [r for m in models for r in rounds if r.model == m]
            timing = time_rounds(tables, moved, uplink)
            if uplink == "static" and timing is not None:
                assert value > -1e-6
            if uplink == "dynamic" and timing is not None:
                late = 1 - timing.end_s[-1] / search.deadline_s
                assert value == pytest.approx(search.prices.gpu_worth[-1] * late)

    compare()


@pytest.mark.parametrize("limit_s", [None, 0.0])
def test_very_many_users_are_priced_in_milliseconds_too(limit_s, monkeypatch):
    """Under static, with costs from below: the scale of time changes no plan."""
    monkeypatch.setattr(upper_bound, "CONVEX_USERS", 0)
    for number in range(4):
        rng = np.random.default_rng(number)
        problem = seeded_problem(rng, sharing="laminar", users=30, models=6)
        found = []
        for share in (0.01, 1.0):
            search = search_of(faster(problem, share), "static", Limit.after(limit_s))
            order = depth_first_orders(search.tables, search.forest)[0]
            found.append(served(walk(search, order, target=1, width=32), search))
        assert found[0] == found[1]
        bound = search_of(problem, "static").prices.bound
        assert found[0] >= 0.8 * bound


@pytest.mark.parametrize("ended", ["limit", "starts"])
def test_a_climb_is_ended(ended, monkeypatch):
    """By the time limit, or once it has computed its starts: it takes its last move."""
    case = next(case for case in CASES if case.name == "bottom-gpu-08-static")
    search = search_of(make(case), case.uplink)
    order = depth_first_orders(search.tables, search.forest)[0]
    rounds = planned(search, walk(search, order, target=1, width=1))
    passes = []

    def counted(*arguments):
        passes.append(1)
        return worth(*arguments)

    def first(limit):
        passes.clear()
        found = neighbouring_orders(
            search, rounds, order, np.random.default_rng(0), limit
        )
        return left(next(found)), len(passes)

    def left(models):
        """Compute what the rounds leave in an order, in users."""
        visits = visits_of(search.tables, rounds)
        place = {model: number for number, model in enumerate(visits.models)}
        visited = [place[model] for model in models if model in place]
        (found,) = worth(
            visits,
            np.array([visited]),
            search.prices,
            search.uplink,
            search.deadline_s,
        )
        return float(found)

    monkeypatch.setattr(reorder, "worth", counted)
    best, whole = first(UNLIMITED)
    if ended == "starts":
        monkeypatch.setattr(reorder, "CLIMB_STARTS", 0)
    early, passed = first(Limit.after(0.0) if ended == "limit" else UNLIMITED)
    # What there is at first, and the first moves from there, of which one is made.
    assert passed == 2 < whole - 1
    assert left(order) < early < best


def test_the_resident_model_is_used_by_whoever_shares_most_of_it():
    """Resident r shares x with a and x, y with b: b goes first, then a finds x."""
    held = {"a": ["x", "a"], "b": ["x", "y", "b"], "r": ["x", "y", "r"]}
    tables = library(held, wanted="ab", resident_model="r")
    problem = tables.problem.model_copy(
        update={
            "users": tuple(
                user.model_copy(update={"deadline_s": 2.4, "input_bits": 1.0})
                for user in tables.problem.users
            )
        }
    )
    # Uploads 2 s, computes 0.2 s, and 0.2 s for the two blocks that are missing.
    result = solve(problem, "dp", uplink="upfront")
    assert result.served == 2
    assert [r.model for r in result.schedule.rounds] == ["b", "a"]
    assert [r.loaded_blocks for r in result.schedule.rounds] == [("b",), ("a",)]


def test_a_resident_model_that_crosses_with_the_others():
    """Resident r holds x of a and y of b: the dearer one goes first."""
    held = {"a": ["x"], "b": ["y"], "r": ["x", "y"]}
    tables = library(held, wanted="ab", resident_model="r")
    blocks = dict(tables.problem.blocks)
    blocks["y"] = blocks["y"].model_copy(update={"load_s": 0.3})
    users = tuple(
        user.model_copy(update={"deadline_s": 2.3}) for user in tables.problem.users
    )
    problem = tables.problem.model_copy(update={"blocks": blocks, "users": users})
    result = solve(problem, "dp", uplink="upfront")
    assert [r.model for r in result.schedule.rounds] == ["b", "a"]
    assert [r.load_s for r in result.schedule.rounds] == [0.0, 0.1]


def test_what_dp_misses_under_dynamic():
    """Visiting a model twice can pay when uploads take turns; dp never does.

    The order a b a ends at 4.1 s, b a a at 5 s and a a b at 5.1 s.
    """
    user = {"spectral_efficiency": 1.0, "deadline_s": 4.5}
    problem = Problem.model_validate(
        {
            "name": "again",
            "bandwidth_hz": 1.0,
            "blocks": {n: {"bytes": 1, "load_s": 0.0} for n in "ab"},
            "models": {
                "a": {"blocks": ["a"], "latency_s": [1.0]},
                "b": {"blocks": ["b"], "latency_s": [2.0]},
            },
            "users": [
                {"id": "short", "model": "a", "input_bits": 0.1, **user},
                {"id": "middle", "model": "b", "input_bits": 1.0, **user},
                {"id": "long", "model": "a", "input_bits": 2.0, **user},
            ],
        }
    )
    best = solve(problem, "exhaustive", uplink="dynamic")
    assert [r.model for r in best.schedule.rounds] == ["a", "b", "a"]
    result = solve(problem, "dp", uplink="dynamic")
    assert (result.served, result.bound, result.status) == (2, 3, "feasible")
    assert solve(problem, "greedy", uplink="dynamic").served == 3
