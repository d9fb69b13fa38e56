"""Thousands of models: sums over the blocks that each holds, caches with a limit."""

from __future__ import annotations

import numpy as np
import pytest

from edgesim.engine import memory
from edgesim.engine.memory import GpuMemory
from solvers.core import tables as solver_tables
from solvers.core.tables import Tables
from tests.engine.handmade import seeded_run, seeded_tables


@pytest.mark.parametrize("sharing", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_sums_over_atoms_are_those_over_the_table(
    seed: int, sharing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of models and atoms is not made, and the loads are the same."""
    small = seeded_tables(seed, sharing=sharing)
    wanted = [small.loads_after(m) for m in (None, *range(5))]
    monkeypatch.setattr(solver_tables, "_MOST_DENSE", 0)
    large = seeded_tables(seed, sharing=sharing)
    found = [large.loads_after(m) for m in (None, *range(5))]
    assert np.allclose(found, wanted, rtol=1e-14, atol=1e-14)
    assert "holds" not in vars(large)
    assert "holds" in vars(small)


@pytest.mark.parametrize("seed", range(8))
def test_caches_that_are_emptied_change_nothing(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loads of pairs of models are worked out again, and are the same."""
    tables = seeded_tables(seed, residency="previous", overlap=False)
    plain = seeded_run(seed, tables)
    monkeypatch.setattr(memory, "_MOST_CACHED", 2)
    found = seeded_run(seed, tables)
    assert found.rounds.load_s.tolist() == plain.rounds.load_s.tolist()
    of_many = GpuMemory(Tables(tables.problem))
    for model in (0, 1, 0, 2, 1, 0):
        if of_many.most[model]:
            of_many.enter(model, 1)
            of_many.missing_s()
            assert len(of_many._loads) <= 2
            assert len(of_many._all) <= 1
