"""GPU memory as rounds come, against ``solvers.core.residency`` over all of them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesim.engine.memory import GpuMemory
from solvers import Problem
from solvers.core import residency
from solvers.core.tables import PlannedRound, Tables
from tests.engine.invariants import for_online
from tests.engine.test_server import crowded, make_tables
from tests.solvers.strategies import problems


def most(tables: Tables) -> list[int]:
    """Count the requests that fit in a batch of each model."""
    return [int(np.isfinite(table).sum()) - 1 for table in tables.latency_s]


def follow(tables: Tables, rng: random.Random, length: int) -> None:
    """Enter random rounds, let some grow, and compare with the whole sequence."""
    memory = GpuMemory(tables)
    fitting = [m for m, size in enumerate(most(tables)) if size]
    rounds: list[PlannedRound] = []
    entered = []
    for _ in range(length if fitting else 0):
        model = rng.choice(fitting)
        expected = {m: memory.missing_s()[m] for m in fitting}
        beside = memory.fits_beside(model)
        batch = rng.randint(1, most(tables)[model])
        loaded = memory.enter(model, batch)
        assert loaded.load_s == pytest.approx(expected[model], abs=1e-12)
        assert loaded.ahead == beside
        if rng.random() < 0.5:
            # A batch that is smaller in the end takes back no room.
            final = rng.randint(0, most(tables)[model])
            memory.grow(final)
            batch = max(batch, final)
        rounds.append(PlannedRound(model, tuple(range(batch))))
        entered.append(loaded)
        step = residency.steps(tables, rounds)[-1]
        assert memory.resident_atoms() == frozenset(step.memory.atoms)
        assert memory.model == model
    size = tables.atom_bytes
    for loaded, step, (model, _) in zip(
        entered, residency.steps(tables, rounds), rounds, strict=True
    ):
        assert loaded.load_s == pytest.approx(tables.loads_s(step.loaded), abs=1e-12)
        assert loaded.loaded_bytes == sum(size[atom] for atom in step.loaded)
        held = sum(size[atom] for atom in tables.atoms_of[model])
        assert loaded.reused_bytes == held - loaded.loaded_bytes


@settings(max_examples=150)
@given(problems(extensions=True), st.booleans(), st.integers(0, 999))
def test_rounds_load_what_the_whole_sequence_says(
    problem: Problem, sharing: bool, seed: int
) -> None:
    """One round at a time, as with all of them known; what is missing is foretold."""
    follow(Tables(for_online(problem), sharing), random.Random(seed), 12)


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("residency_rule", ["previous", "cache"])
def test_a_long_sequence_in_crowded_memory(residency_rule: str, overlap: bool) -> None:
    """Sixty rounds of six models of which memory holds two or three."""
    follow(crowded(residency_rule, overlap), random.Random(5), 60)


def test_what_is_resident_before_the_first_round_is_not_loaded() -> None:
    """With A there, B loads its own block of 0.25 s; A loads nothing."""
    memory = GpuMemory(make_tables(resident_model="A"))
    assert memory.missing_s() == [0.0, 0.25]
    assert memory.model is None
    assert memory.enter(1, 1).loaded_bytes == 20


def test_a_larger_batch_takes_room_from_what_nobody_uses() -> None:
    """Weights of four models take 240 of 260 bytes; four inputs need 40, not 10.

    The least recently used is m0's head: m2 has used their stem since.
    """
    memory = GpuMemory(crowded("cache", overlap=False))
    for model in (0, 1, 2, 3):
        memory.enter(model, 1)
    before = memory.resident_atoms()
    memory.grow(4)
    gone = before - memory.resident_atoms()
    tables = crowded("cache", overlap=False)
    assert [tables.atom_blocks[atom] for atom in gone] == [("head0",)]
    assert memory.missing_s()[:2] == pytest.approx([0.05, 0.0])
