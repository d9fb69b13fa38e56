"""The sharing graph, its clusters and crossings, against definitions by brute force."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesim.library.build import Library
from edgesim.library.sharing import (
    Crossing,
    bytes_distinct,
    bytes_total,
    clusters,
    crossing,
    holders,
    is_laminar,
    saving_ratio,
    sharing_graph,
)
from solvers.core import forest as solver_forest
from solvers.core.tables import Tables
from solvers.problem import Block, Model, Problem
from tests.solvers.strategies import problems


def library(**models: str) -> Library:
    """Make a library of one-letter blocks; the n-th letter has 2^n bytes."""
    letters = sorted(set("".join(models.values())))
    return Library(
        blocks={
            letter: Block(bytes=2 ** (ord(letter) - ord("a")), load_s=0.0)
            for letter in letters
        },
        models={
            name: Model(blocks=tuple(blocks), latency_s=(1.0,))
            for name, blocks in models.items()
        },
    )


CHAIN = library(m1="abc", m2="abd", m3="ae", m4="fg", m5="fh", m6="i")


def test_edges_carry_the_bytes_that_both_models_hold() -> None:
    """Powers of two make every sum of blocks recognisable; nothing shared, no edge."""
    graph = sharing_graph(CHAIN)
    found = {
        tuple(sorted(edge)): graph.edges[edge]["shared_bytes"] for edge in graph.edges
    }
    assert found == {
        ("m1", "m2"): 3,
        ("m1", "m3"): 1,
        ("m2", "m3"): 1,
        ("m4", "m5"): 32,
    }
    assert graph.nodes["m1"]["bytes"] == 7
    assert list(graph) == list(CHAIN.models)


def test_clusters_are_the_components_of_the_graph() -> None:
    """Sorted lists in order of first names; a model alone is a cluster."""
    assert clusters(CHAIN) == [["m1", "m2", "m3"], ["m4", "m5"], ["m6"]]
    assert clusters(CHAIN, ["m5", "m1"]) == [["m1"], ["m5"]]


def test_holders_group_blocks_by_their_models() -> None:
    """Blocks with the same holders stand together; unheld ones are left out."""
    assert holders(CHAIN, ["m1", "m2"]) == {
        frozenset({"m1", "m2"}): ["a", "b"],
        frozenset({"m1"}): ["c"],
        frozenset({"m2"}): ["d"],
    }


def test_nested_and_disjoint_sharing_is_laminar() -> None:
    """Prefixes of different depth, and separate clusters, never cross."""
    assert is_laminar(CHAIN)
    assert crossing(CHAIN) is None


def test_crossing_names_a_witness() -> None:
    """The message names both blocks, and the models that make them cross."""
    found = crossing(library(a="x", b="xy", c="y"))
    assert found == Crossing("x", "y", "a", "b", "c")
    assert str(found) == "blocks 'x' (models a, b) and 'y' (models b, c) cross"


def test_models_without_users_do_not_count() -> None:
    """Dropping one of the three models makes crossing sharing laminar."""
    crossed = library(a="x", b="xy", c="y")
    assert not is_laminar(crossed)
    assert is_laminar(crossed, ["a", "b"])
    assert is_laminar(crossed, iter(["c", "b"]))
    assert is_laminar(crossed, [])


def test_unknown_models_are_an_error() -> None:
    """A misspelt model does not silently vanish."""
    with pytest.raises(KeyError):
        crossing(CHAIN, ["m1", "nobody"])


def test_bytes_and_saving() -> None:
    """Total counts a block once a model, distinct once; the ratio is what is saved."""
    pair = library(m="ab", n="ac")  # a 1 byte, b 2, c 4
    assert bytes_total(pair) == 8
    assert bytes_distinct(pair) == 7
    assert saving_ratio(pair) == pytest.approx(1 / 8)
    assert saving_ratio(pair, ["m"]) == 0
    assert saving_ratio(pair, iter(["m", "n"])) == pytest.approx(1 / 8)
    assert saving_ratio(Library({}, {})) == 0
    assert clusters(Library({}, {})) == []
    assert len(sharing_graph(Library({}, {}))) == 0


def test_takes_a_problem_as_it_takes_a_library() -> None:
    """Anything with blocks and models will do."""
    problem = Problem(
        name="p",
        bandwidth_hz=1.0,
        blocks=CHAIN.blocks,
        models=CHAIN.models,
        users=(),
    )
    assert clusters(problem) == clusters(CHAIN)
    assert bytes_distinct(problem) == bytes_distinct(CHAIN)


def crosses(made: Library, one: str, two: str) -> bool:
    """Whether two blocks cross, by the definition."""
    first, second = (
        {name for name, model in made.models.items() if block in model.blocks}
        for block in (one, two)
    )
    return bool(first & second and first - second and second - first)


@settings(max_examples=300, derandomize=True)
@given(
    st.lists(
        st.sets(st.sampled_from("abcdef"), min_size=1, max_size=4),
        min_size=1,
        max_size=6,
    )
)
def test_agrees_with_the_definitions(models: list[set[str]]) -> None:
    """On small random libraries: laminarity, witness, edges and clusters."""
    made = library(**{f"m{n}": "".join(sorted(x)) for n, x in enumerate(models)})
    crossed = [
        pair
        for pair in itertools.combinations(sorted(made.blocks), 2)
        if crosses(made, *pair)
    ]
    found = crossing(made)
    assert (found is not None) == bool(crossed)
    if found is not None:
        assert tuple(sorted(found[:2])) in crossed
        assert holds(made, found.first_only) >= {found.first_block}
        assert found.second_block not in holds(made, found.first_only)
        assert holds(made, found.both) >= {found.first_block, found.second_block}
        assert found.first_block not in holds(made, found.second_only)
        assert found.second_block in holds(made, found.second_only)
    graph = sharing_graph(made)
    for one, two in itertools.combinations(made.models, 2):
        shared = holds(made, one) & holds(made, two)
        expected = sum(made.blocks[block].bytes for block in shared)
        assert graph.get_edge_data(one, two, {}).get("shared_bytes", 0) == expected
    components = sorted(sorted(part) for part in nx.connected_components(graph))
    assert clusters(made) == components


def holds(made: Library, model: str) -> set[str]:
    """Blocks of one model."""
    return set(made.models[model].blocks)


def test_300_models_of_60_swapped_blocks() -> None:
    """Swapped blocks everywhere, the worst case, make one crossing cluster."""
    rng = np.random.default_rng(3)
    choice = rng.integers(0, 4, size=(300, 60))
    models = {
        f"m{row}": Model(
            blocks=tuple(f"{column}#{version}" for column, version in enumerate(line)),
            latency_s=(1.0,),
        )
        for row, line in enumerate(choice)
    }
    blocks = {
        f"{column}#{version}": Block(bytes=1, load_s=0.0)
        for column in range(60)
        for version in range(4)
    }
    made = Library(blocks, models)
    graph = sharing_graph(made)
    assert crossing(made) is not None
    assert len(clusters(made)) == 1
    assert graph.edges["m0", "m1"]["shared_bytes"] == int(
        (choice[0] == choice[1]).sum()
    )


@given(problems())
@settings(max_examples=200, derandomize=True)
def test_solvers_and_graph_agree_on_laminar(problem: Problem) -> None:
    """The solvers' forest exists exactly when the sharing graph's test says laminar."""
    tables = Tables(problem)
    wanted = [tables.model_names[m] for m in tables.active]
    forest = solver_forest.build_forest(tables)
    crosses = isinstance(forest, solver_forest.Crossing)
    assert is_laminar(problem, wanted) != crosses
