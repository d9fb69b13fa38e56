"""The recursions of the dynamic program against brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvers.core import knapsack, sum_loops
from solvers.core.forest import Forest
from solvers.core.knapsack import (
    batch_costs,
    batch_costs_by_model,
    batches,
    tree_costs,
    tree_knapsack,
)
from solvers.core.tables import Tables
from tests.solvers.strategies import problems

FEW = settings(
    max_examples=200,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
INF = float("inf")
LATENCIES = st.lists(
    st.one_of(st.integers(1, 30).map(float), st.just(INF)), min_size=1, max_size=4
)


def compositions(total: int, largest: int):
    """Yield every way to cut a number into parts, order aside."""
    if total == 0:
        yield ()
    for part in range(1, min(total, largest) + 1):
        for rest in compositions(total - part, part):
            yield (part, *rest)


@FEW
@given(LATENCIES, st.integers(0, 9))
def test_batch_costs_equal_brute_force(latency, users):
    """c(n) is the least over all ways to cut n users into batches."""
    table = np.array([0.0, *latency])
    cost, batch = batch_costs(table, users)
    for n in range(users + 1):
        ways = compositions(n, len(latency))
        assert cost[n] == min(
            (sum(table[size] for size in way) for way in ways), default=INF
        )
        if np.isfinite(cost[n]):
            sizes = batches(batch, n)
            assert sum(sizes) == n
            assert sum(table[size] for size in sizes) == cost[n]


def test_full_batches_first_are_not_best():
    """Three users: a full batch of two and one is slower than one at a time."""
    cost, batch = batch_costs(np.array([0.0, 1.0, 5.0]), 3)
    assert cost.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert batches(batch, 3) == [1, 1, 1]


def test_a_gap_in_the_table_is_stepped_over():
    """Only pairs fit in memory: odd numbers cannot be served."""
    cost, _ = batch_costs(np.array([0.0, INF, 2.0]), 5)
    assert cost.tolist() == [0.0, INF, 2.0, INF, 4.0, INF]


@FEW
@given(problems())
def test_models_with_the_same_latencies_share_costs(problem):
    """Each model has the costs and batches that it has by itself."""
    tables = Tables(problem)
    found = batch_costs_by_model(tables)
    assert list(found) == list(tables.active)
    for m, (cost, batch) in found.items():
        alone = batch_costs(tables.latency_s[m], len(tables.users_of[m]))
        assert cost.tolist() == alone[0].tolist()
        assert batch.tolist() == alone[1].tolist()


@st.composite
def trees(draw):
    """Draw a forest with integer costs, models at any node, some counts impossible."""
    nodes = draw(st.integers(1, 4))
    parent = [-1, *(draw(st.integers(0, n - 1)) for n in range(1, nodes))]
    node_cost = [0.0, *(float(draw(st.integers(0, 9))) for _ in range(1, nodes))]
    ends = draw(st.lists(st.integers(0, nodes - 1), min_size=1, max_size=4))
    models = [tuple(m for m, at in enumerate(ends) if at == n) for n in range(nodes)]
    price = st.one_of(st.integers(0, 20).map(float), st.just(INF))
    cost = {
        m: np.array([0.0, *draw(st.lists(price, min_size=1, max_size=3))])
        for m in range(len(ends))
    }
    forest = Forest(tuple(parent), ((),) * nodes, tuple(models), dict(enumerate(ends)))
    return forest, np.array(node_cost), cost


def price(forest: Forest, node_cost, cost, counts) -> float:
    """Cost of given counts of users per model: nodes above them, once each."""
    used = {node for m, count in enumerate(counts) if count for node in forest.path(m)}
    return sum(node_cost[node] for node in used) + sum(
        cost[m][count] for m, count in enumerate(counts)
    )


@FEW
@given(trees())
def test_tree_knapsack_equals_brute_force(tree):
    """Every n: no counts of users per model cost less, and the choice costs that."""
    forest, node_cost, cost = tree
    least: dict[int, float] = {}
    for counts in product(*(range(len(cost[m])) for m in sorted(cost))):
        here = price(forest, node_cost, cost, counts)
        least[sum(counts)] = min(least.get(sum(counts), INF), here)
    part = tree_knapsack(forest, node_cost, cost)
    assert part.cost.tolist() == pytest.approx([least[n] for n in range(len(least))])
    for n, expected in least.items():
        if np.isfinite(expected):
            chosen = part.choose(n)
            counts = [chosen.get(m, 0) for m in sorted(cost)]
            assert sum(counts) == n
            assert price(forest, node_cost, cost, counts) == pytest.approx(expected)


@pytest.mark.parametrize("at_once", [1, 7, 2**15])
def test_merged_costs_do_not_depend_on_what_is_added_at_once(monkeypatch, at_once):
    """Costs and choices are the same however many sums a merge takes at a time."""
    monkeypatch.setattr(knapsack, "SUMS_AT_ONCE", at_once)
    rng = np.random.default_rng(0)
    left, right = (np.array([0.0, *rng.integers(1, 9, n)]) for n in (7, 12))
    forest = Forest((-1,), ((),), ((0, 1),), {0: 0, 1: 0})
    for cost in ({0: left, 1: right}, {0: right, 1: left}):
        part = tree_knapsack(forest, np.zeros(1), cost)
        for n, found in enumerate(part.cost.tolist()):
            ways = range(max(0, n - len(cost[1]) + 1), min(n, len(cost[0]) - 1) + 1)
            assert found == min(cost[0][i] + cost[1][n - i] for i in ways)
            chosen = part.choose(n)
            assert sum(chosen.values()) == n
            assert sum(cost[m][count] for m, count in chosen.items()) == found


def test_shared_nodes_are_paid_once():
    """Two models below a node of cost 5 and 1 each: 7 for both, not 12."""
    forest = Forest((-1, 0), ((), (0,)), ((), (0, 1)), {0: 1, 1: 1})
    cost = {m: np.array([0.0, 1.0]) for m in (0, 1)}
    part = tree_knapsack(forest, np.array([0.0, 5.0]), cost)
    assert part.cost.tolist() == [0.0, 6.0, 7.0]


def test_the_arguments_are_left_alone():
    """Adding a node's cost must not write into a model's own table."""
    forest = Forest((-1, 0), ((), (0,)), ((), (0,)), {0: 1})
    cost = {0: np.array([0.0, 1.0])}
    tree_knapsack(forest, np.array([0.0, 5.0]), cost)
    assert cost[0].tolist() == [0.0, 1.0]


@FEW
@given(trees(), st.integers(0, 60))
def test_a_limit_changes_no_cost_within_it(tree, limit):
    """What is cut off is in no sum within the limit; the choices cost what they say."""
    forest, node_cost, cost = tree
    whole = tree_knapsack(forest, node_cost, cost).cost
    part = tree_knapsack(forest, node_cost, cost, float(limit))
    wanted = np.flatnonzero(whole <= limit)
    assert len(part.cost) == wanted[-1] + 1
    for n in wanted.tolist():
        assert part.cost[n] == pytest.approx(whole[n])
        chosen = part.choose(n)
        counts = [chosen.get(m, 0) for m in sorted(cost)]
        assert price(forest, node_cost, cost, counts) == pytest.approx(whole[n])
    assert (part.cost[whole[: len(part.cost)] > limit] > limit).all()


@FEW
@given(trees(), st.integers(0, 60))
def test_costs_alone_equal_the_knapsack(tree, limit):
    """Several prices at once give each the costs that it has by itself."""
    forest, node_cost, cost = tree
    rows = np.array([[1.0], [3.0]])
    found = tree_costs(
        forest,
        rows * node_cost,
        {m: rows * prices for m, prices in cost.items()},
        float(limit) * rows[:, 0],
    )
    whole = tree_knapsack(forest, node_cost, cost).cost
    wanted = np.flatnonzero(whole <= limit)
    for row, factor in zip(found, rows[:, 0], strict=True):
        assert row[wanted] == pytest.approx(factor * whole[wanted])
        assert (row[len(whole) :] == np.inf).all()


@pytest.mark.parametrize("rows", [1, 3])
def test_sums_in_a_loop_are_the_same(rows: int, monkeypatch: pytest.MonkeyPatch):
    """Infinite costs, and costs of nobody alone, among them."""
    rng = np.random.default_rng(rows)
    for p, q in ((1, 1), (1, 5), (4, 4), (9, 40)):
        left, right = (rng.random((rows, n)).cumsum(axis=1) for n in (p, q))
        left[:, 2:] = np.inf
        one, other = (
            sums(left, right) for sums in (knapsack.least_sums, sum_loops.least_sums)
        )
        assert np.array_equal(one, other)
    assert knapsack._sums(1e6) is knapsack.least_sums
    for kept in (False, True):
        monkeypatch.setattr(sum_loops, "kept", lambda kept=kept: kept)
        chosen = sum_loops.least_sums if kept else knapsack.least_sums
        assert knapsack._sums(1e9) is chosen
