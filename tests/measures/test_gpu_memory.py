"""What GPU memory holds over time: what the engine held, and never more than fits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edgesim.engine.memory import GpuMemory, Loaded
from edgesim.measures.account import Account
from edgesim.measures.gpu_memory import MemoryUse, memory_use
from solvers.core import residency
from solvers.core.tables import Tables
from solvers.core.timing import make_schedule
from tests.engine.handmade import (
    hand_run,
    make_problem,
    seeded_run,
    seeded_tables,
)
from tests.engine.plan_records import account_of
from tests.solvers.strategies import seeded_plan

SHORT: tuple[dict[str, Any], ...] = (
    {},
    {"gpu_memory_bytes": 80, "resident_model": None},
)
"""Settings by which memory is as drawn, or too short for most pairs of models."""


def listed(use: MemoryUse) -> tuple[list[tuple[float, int]], list[tuple[float, int]]]:
    """Weights and activations as lists of times and bytes."""
    weights, activations = (
        list(zip(steps.at_s.tolist(), steps.bytes.tolist(), strict=True))
        for steps in use
    )
    return weights, activations


def test_the_run_by_hand() -> None:
    """With residency ``previous``: A's 100 bytes, then B's 110, and batches of one."""
    problem = make_problem(resident_model="unused")
    problem = problem.model_copy(
        update={
            "models": {
                name: model.model_copy(
                    update={"activation_bytes": (7, 9)[: len(model.latency_s)]}
                )
                for name, model in problem.models.items()
            }
        }
    )
    weights, activations = listed(memory_use(Account(hand_run(), Tables(problem))))
    # The second request joins the first round once it is loaded: there is room anyway.
    assert weights == [(0.0, 20), (0.5, 100), (1.25, 100), (2.0, 100), (3.25, 110)]
    assert activations == [
        *((0.0, 0), (1.25, 9), (2.0, 0)),
        *((2.0, 7), (3.0, 0), (4.0, 7), (5.0, 0)),
    ]


def test_loads_after_the_end_of_interest_are_left_out() -> None:
    """What began before is there, with its end."""
    account = Account(hand_run(), Tables(make_problem()))
    weights, activations = listed(memory_use(account, 2.0))
    assert weights == [(0.0, 0), (0.5, 100), (1.25, 100)]
    assert activations == [(0.0, 0), (1.25, 0), (2.0, 0)]


class Watched(GpuMemory):
    """GPU memory that notes the bytes of its weights after every round."""

    held: list[int]

    def enter(self, model: int, batch: int) -> Loaded:
        """Note them when a round begins."""
        loaded = super().enter(model, batch)
        Watched.held.append(self._held())
        return loaded

    def grow(self, batch: int) -> None:
        """Note them when a round's batch has grown."""
        super().grow(batch)
        Watched.held[-1] = self._held()

    def _held(self) -> int:
        size = self._tables.atom_bytes
        return sum(size[atom] for atom in self.resident_atoms())


@pytest.mark.parametrize("sharing", [True, False])
def test_weights_are_those_that_the_engine_held(
    monkeypatch: pytest.MonkeyPatch, sharing: bool
) -> None:
    """For every round whose batch starts before the next load begins; all rules."""
    monkeypatch.setattr("edgesim.engine.server.GpuMemory", Watched)
    compared = grown = 0
    for seed in range(40):
        tables = seeded_tables(seed, sharing=sharing, **SHORT[seed % 2])
        Watched.held = []
        run = seeded_run(seed, tables)
        rounds = run.rounds
        assert len(Watched.held) == len(rounds.batch)
        next_s = np.append(rounds.load_start_s[1:], math.inf)
        settled = next_s > rounds.compute_start_s
        found = memory_use(Account(run, tables)).weights.at(rounds.compute_start_s)
        assert found[settled].tolist() == np.array(Watched.held)[settled].tolist()
        compared += int(settled.sum())
        grown += int((rounds.batch > rounds.chosen).sum())
    assert compared > 300
    assert grown > 20


def test_memory_never_holds_more_than_fits() -> None:
    """Weights and activations together, online, at every time, whatever overlaps."""
    beside = full = 0
    for seed in range(60):
        tables = seeded_tables(seed, **SHORT[seed % 2])
        limit = tables.problem.gpu_memory_bytes
        account = Account(seeded_run(seed, tables), tables)
        use = memory_use(account)
        for steps in use:
            assert (np.diff(steps.at_s) >= 0).all()
        at_s = np.concatenate([use.weights.at_s, use.activations.at_s])
        held = use.weights.at(at_s) + use.activations.at(at_s)
        assert (held >= 0).all()
        if limit is not None:
            assert held.max() <= limit
            full += int(held.max() > 0.9 * limit)
        rounds = account.run.rounds
        beside += int((rounds.load_start_s[1:] < rounds.end_s[:-1]).sum())
    assert beside > 20
    assert full > 15


def test_a_plan_holds_what_its_rounds_leave() -> None:
    """After each round the atoms of the rules; beside a batch both models at least."""
    beside = 0
    for seed in range(40):
        tables, planned = seeded_plan(seed)
        schedule = make_schedule(tables, planned, "dynamic", solver="any", bound=None)
        assert schedule is not None
        account = account_of(tables.problem, schedule)
        use, rounds = memory_use(account), account.run.rounds
        size = tables.atom_bytes
        limit = tables.problem.gpu_memory_bytes
        assert limit is not None
        at_s = np.concatenate([use.weights.at_s, use.activations.at_s])
        assert (use.weights.at(at_s) + use.activations.at(at_s)).max() <= limit
        for r, step in enumerate(residency.steps(tables, planned)):
            after = sum(size[atom] for atom in step.memory.atoms)
            end_s = rounds.end_s[r]
            if r + 1 == len(planned) or rounds.load_start_s[r + 1] >= end_s:
                just_before_s = np.array([np.nextafter(end_s, 0.0)])
                assert use.weights.at(just_before_s).tolist() == [after]
                continue
            beside += 1
            models = (planned[r].model, planned[r + 1].model)
            both = tables.atoms_of[models[0]] | tables.atoms_of[models[1]]
            found = use.weights.at(rounds.load_start_s[r + 1 : r + 2])
            assert found[0] >= sum(size[atom] for atom in both)
            if tables.problem.residency == "previous":
                assert found[0] == sum(size[atom] for atom in both)
    assert beside > 20
