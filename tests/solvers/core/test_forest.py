"""Laminar sharing and its forest, against the definition."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

from hypothesis import HealthCheck, given, settings

from solvers import Problem
from solvers.core.forest import Crossing, Forest, build_forest, star
from solvers.core.tables import Tables
from tests.solvers.strategies import problems

FEW = settings(
    max_examples=150,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def library(
    models: dict[str, list[str]], *, wanted: str | None = None, **change: object
) -> Tables:
    """Build tables of a library in which the wanted models have one user each."""
    blocks = sorted({block for held in models.values() for block in held})
    return Tables(
        Problem.model_validate(
            {
                "name": "library",
                "bandwidth_hz": 1.0,
                "blocks": {b: {"bytes": 1, "load_s": 0.1} for b in blocks},
                "models": {
                    name: {"blocks": held, "latency_s": [0.1]}
                    for name, held in models.items()
                },
                "users": [
                    {
                        "id": f"u{name}",
                        "model": name,
                        "input_bits": 1.0,
                        "spectral_efficiency": 1.0,
                        "deadline_s": 1.0,
                    }
                    for name in models
                    if wanted is None or name in wanted
                ],
                **change,
            }
        )
    )


def holders(tables: Tables) -> dict[str, set[str]]:
    """List the models with users that hold each block."""
    active = {tables.model_names[m] for m in tables.active}
    models = tables.problem.models
    return {
        block: {name for name in active if block in models[name].blocks}
        for block in tables.problem.blocks
    }


def check_forest(tables: Tables, forest: Forest) -> None:
    """Check that the path to each model holds exactly its atoms, each atom once."""
    everything = [atom for atoms in forest.atoms for atom in atoms]
    assert len(everything) == len(set(everything))
    assert forest.parent[0] == -1
    assert forest.atoms[0] == ()
    for node, parent in enumerate(forest.parent[1:], start=1):
        assert parent < node
        assert node in forest.children[parent]
    for m in tables.active:
        path = forest.path(m)
        on_path = [atom for node in path for atom in forest.atoms[node]]
        assert set(on_path) == tables.atoms_of[m]
        assert m in forest.models[forest.node_of[m]]
    ends = [m for models in forest.models for m in models]
    assert sorted(ends) == list(tables.active)


def check_witness(tables: Tables, found: Crossing) -> None:
    """Check that the two blocks named really cross, in the models named."""
    held = holders(tables)
    first, second = held[found.first_block], held[found.second_block]
    assert found.only_first in first - second
    assert found.both in first & second
    assert found.only_second in second - first


def test_laminar_detection_equals_the_definition():
    """A forest if every two sets of holders are nested or disjoint, else a witness."""
    seen = Counter()

    @FEW
    @given(problems(sharing="any", min_users=3))
    def compare(problem):
        tables = Tables(problem)
        sets = holders(tables).values()
        laminar = all(a <= b or b <= a or not a & b for a, b in combinations(sets, 2))
        found = build_forest(tables)
        assert laminar == isinstance(found, Forest)
        if isinstance(found, Forest):
            check_forest(tables, found)
        else:
            check_witness(tables, found)
        seen[laminar] += 1

    compare()
    assert min(seen[True], seen[False]) >= 15


@FEW
@given(problems(sharing="laminar"))
def test_common_prefixes_are_laminar(problem):
    """Bottom-layer sharing always makes a forest."""
    assert isinstance(build_forest(Tables(problem)), Forest)


@FEW
@given(problems(sharing="any"))
def test_without_sharing_every_model_is_alone(problem):
    """The baselines' tables make a forest of single nodes."""
    tables = Tables(problem, sharing=False)
    forest = build_forest(tables)
    assert isinstance(forest, Forest)
    assert all(parent <= 0 for parent in forest.parent)
    check_forest(tables, forest)


@FEW
@given(problems(sharing="any"))
def test_atoms_are_whole_and_as_few_as_can_be(problem):
    """Each model holds an atom wholly or not at all; no two have equal holders."""
    tables = Tables(problem)
    sets = [
        frozenset(m for m in range(len(tables.atoms_of)) if atom in tables.atoms_of[m])
        for atom in range(len(tables.atom_load_s))
    ]
    assert len(sets) == len(set(sets))
    for m, model in enumerate(problem.models.values()):
        load_s = sum(problem.blocks[block].load_s for block in model.blocks)
        assert abs(tables.loads_s(tables.atoms_of[m]) - load_s) < 1e-12


def test_compressed_paths():
    """Blocks with the same holders share a node, a model may end at an inner one."""
    tables = library({"a": ["x", "y"], "b": ["x", "y", "z"], "c": ["w"]})
    forest = build_forest(tables)
    assert isinstance(forest, Forest)
    assert len(forest.parent) == 4
    assert len(forest.path(0)) == 1
    assert len(forest.path(1)) == 2


def test_order_within_a_model_does_not_matter():
    """Sharing is about sets: a common top is as laminar as a common bottom."""
    tables = library({"a": ["own_a", "x"], "b": ["x", "own_b"]})
    assert isinstance(build_forest(tables), Forest)


def test_models_without_users_do_not_count():
    """Two blocks that cross only through a model nobody wants are laminar."""
    models = {"a": ["x"], "b": ["x", "y"], "c": ["y"]}
    assert isinstance(build_forest(library(models)), Crossing)
    for wanted in ("ab", "bc", "ac"):
        assert isinstance(build_forest(library(models, wanted=wanted)), Forest)


def test_models_that_never_fit_do_not_count():
    """A crossing through a model that exceeds the memory does not matter either."""
    models = {"a": ["x"], "b": ["x", "y"], "c": ["y"]}
    tables = library(models, gpu_memory_bytes=1)
    assert isinstance(build_forest(tables), Forest)


def test_the_witness_reads_well():
    """Blocks and models are named, those that hold one and those that hold both."""
    tables = library({"a": ["x"], "b": ["x", "y"], "c": ["y"]})
    assert str(build_forest(tables)) == (
        "blocks 'x' (models a, b) and 'y' (models b, c) cross"
    )


def test_a_star_has_a_node_for_every_model():
    """What stands in for a forest when sharing crosses."""
    tables = library({"a": ["x"], "b": ["x", "y"], "c": ["y"]}, wanted="ac")
    forest = star(tables)
    assert forest.parent == (-1, 0, 0)
    assert forest.models == ((), (0,), (2,))


def test_no_users_make_an_empty_forest():
    """Only the root is left."""
    forest = build_forest(library({"a": ["x"]}, wanted=""))
    assert forest == Forest((-1,), ((),), ((),), {})
