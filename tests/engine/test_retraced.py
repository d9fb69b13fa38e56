"""A simulated run retraced is itself; of another run only the times change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgesim.engine.policies.greedy import Greedy
from edgesim.engine.policies.in_order import Clockwork, Edf, Fcfs
from edgesim.engine.policies.rolling import Rolling
from edgesim.engine.records import Run
from edgesim.engine.retraced import retraced
from edgesim.engine.server import simulate
from edgesim.engine.settings import Settings
from tests.engine.handmade import AnyPolicy, seeded_tables
from tests.engine.test_clock import _settings, _stream

POLICIES = [Fcfs, Edf, Clockwork, Greedy, Rolling, lambda: AnyPolicy(1)]


@pytest.mark.parametrize("make", POLICIES)
@pytest.mark.parametrize("seed", range(8))
def test_a_simulated_run_is_retraced_exactly(make: type, seed: int) -> None:
    """Every policy, residency and rule: each round at its time, with its requests."""
    tables = seeded_tables(seed, overlap=False)
    run = simulate(tables, _stream(seed, 80), make(), _settings(seed))
    again, number = retraced(tables, run)
    assert number.tolist() == np.flatnonzero(run.requests.round >= 0).tolist()
    assert again.requests.round.tolist() == run.requests.round[number].tolist()
    for column in ("model", "batch"):
        ours, theirs = getattr(again.rounds, column), getattr(run.rounds, column)
        assert ours.tolist() == theirs.tolist()
    # Requests that were dropped after they were chosen held memory, and may have made
    # a cache evict more.
    if (run.rounds.chosen <= run.rounds.batch).all():
        assert again.rounds.loaded_bytes.tolist() == run.rounds.loaded_bytes.tolist()
        assert np.allclose(again.rounds.end_s, run.rounds.end_s, rtol=0, atol=1e-9)


@pytest.mark.parametrize("make", POLICIES)
@pytest.mark.parametrize("seed", range(4))
def test_with_overlap_the_rounds_are_retraced(make: type, seed: int) -> None:
    """The same models in the same order; who joined at the last moment may be left."""
    tables = seeded_tables(seed, overlap=True)
    run = simulate(tables, _stream(seed, 80), make(), _settings(seed))
    again, number = retraced(tables, run)
    assert again.rounds.model.tolist() == run.rounds.model.tolist()
    kept = again.requests.round >= 0
    assert (again.requests.round == run.requests.round[number])[kept].all()
    assert kept.mean() > 0.7
    assert (again.rounds.load_start_s >= run.rounds.load_start_s - 1e-9).all()


def test_slower_loads_and_batches_are_retraced_with_nominal_times() -> None:
    """The same rounds in the same order; each load and batch takes its nominal time."""
    tables = seeded_tables(3, overlap=False, residency="previous")

    def slow() -> Settings:
        return Settings(
            late="serve",
            load_factor=iter([1.3] * 1000),
            compute_factor=iter([1.1] * 1000),
        )

    run: Run = simulate(tables, _stream(3, 80), Fcfs(), slow())
    again, _ = retraced(tables, run)
    rounds = run.rounds
    assert again.rounds.batch.tolist() == rounds.batch.tolist()
    assert np.allclose(again.rounds.load_s * 1.3, rounds.load_s)
    assert np.allclose(again.rounds.compute_s * 1.1, rounds.compute_s)
    assert again.rounds.end_s[-1] < rounds.end_s[-1]


def test_no_rounds_are_retraced_as_none() -> None:
    """A run in which nothing was computed."""
    tables = seeded_tables(3, overlap=False)
    run = simulate(tables, [], Fcfs(), Settings())
    again, number = retraced(tables, replace(run))
    assert len(again.rounds.end_s) == len(number) == 0
