"""Measures of online runs: by hand, against naive counting, and adding up."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesim.engine.records import REASONS, RoundLog, Run
from edgesim.measures.account import Account
from edgesim.measures.gpu_time import cover, gpu_time
from edgesim.measures.measure import measure_span
from edgesim.measures.whole_models import whole_bytes
from solvers.core import residency
from solvers.core.tables import PlannedRound, Tables
from tests.engine.handmade import (
    hand_run,
    make_problem,
    make_requests,
    make_rounds,
    seeded_run,
    seeded_tables,
)


def test_measures_are_those_worked_out_by_hand() -> None:
    """Every measure of a run of six requests and three rounds."""
    found = measure_span(Account(hand_run(), Tables(make_problem())), 0.0, 5.0)
    assert (found.requests, found.in_time, found.late, found.dropped) == (6, 3, 1, 2)
    assert list(found.dropped_by.items()) == [("no link", 1), ("too late", 1)]
    assert found.on_time_ratio == 0.5
    assert found.in_time_per_s == 0.6
    assert found.offered_per_s == {"A": 0.6, "B": 0.6}
    assert found.goodput_per_s == {"A": 0.4, "B": 0.2}
    assert found.finished == 4
    assert found.latency_p50_s == 2.0
    assert found.latency_p95_s == pytest.approx(2.85)
    assert found.latency_p99_s == pytest.approx(2.97)
    assert found.span_s == 5.0
    assert found.load_s == 0.75
    assert found.compute_s == 2.75
    assert found.wait_s == 0.75
    assert found.idle_s == 0.75
    assert found.spectrum_use == 0.55
    assert (found.bytes_loaded, found.bytes_saved) == (130, 80)
    assert (found.rounds, found.computed, found.mean_batch) == (3, 4, 4 / 3)
    assert found.mean_waiting == 0.25


def test_a_span_takes_only_what_is_its_own() -> None:
    """From 1 to 3.25 s: three arrivals, the second round, parts of times."""
    found = measure_span(Account(hand_run(), Tables(make_problem())), 1.0, 3.25)
    assert (found.requests, found.in_time, found.dropped) == (3, 2, 1)
    assert found.goodput_per_s == {"A": 1 / 2.25, "B": 1 / 2.25}
    assert found.offered_per_s == {"A": 1 / 2.25, "B": 2 / 2.25}
    parts_s = (found.load_s, found.compute_s, found.wait_s, found.idle_s)
    assert parts_s == (0.0, 1.75, 0.25, 0.25)
    assert found.spectrum_use == pytest.approx(1 / 3)
    assert (found.rounds, found.bytes_loaded, found.bytes_saved) == (1, 0, 0)
    assert found.mean_waiting == pytest.approx(1 / 3)


def test_a_run_without_sharing_saves_nothing_and_with_a_resident_model_less() -> None:
    """No saving by definition; with A resident no rule loads it, but this run did."""
    run = hand_run()
    alone = Tables(make_problem(), sharing=False)
    assert measure_span(Account(run, alone), 0.0, 5.0).bytes_saved == 0
    resident = Tables(make_problem(resident_model="A"))
    assert measure_span(Account(run, resident), 0.0, 5.0).bytes_saved == -20


def test_a_round_in_vain_is_no_batch() -> None:
    """Batches of 2, 0 and 1: three rounds, one in vain, 1.5 requests a batch."""
    run = hand_run()
    rounds = replace(run.rounds, batch=np.array([2, 0, 1]))
    found = measure_span(
        Account(replace(run, rounds=rounds), Tables(make_problem())), 0.0, 5.0
    )
    assert (found.rounds, found.empty_rounds, found.computed) == (3, 1, 3)
    assert found.mean_batch == 1.5


def test_nothing_at_all_has_measures() -> None:
    """No requests, no rounds: the GPU is idle, ratios of nothing are None."""
    empty = Run(make_requests([]), make_rounds([]), REASONS, np.empty((0, 2)))
    account = Account(empty, Tables(make_problem()))
    found = measure_span(account, 2.0, 4.0)
    assert (found.requests, found.rounds, found.in_time_per_s) == (0, 0, 0.0)
    assert found.on_time_ratio is found.latency_p50_s is found.mean_batch is None
    assert (found.idle_s, found.mean_waiting, found.spectrum_use) == (2.0, 0.0, 0.0)
    assert found.goodput_per_s == found.dropped_by == {}
    assert account.last_s == 0.0


def test_a_span_without_length_is_refused() -> None:
    """Nothing is per second in no time."""
    with pytest.raises(ValueError, match="must have a length"):
        measure_span(Account(hand_run(), Tables(make_problem())), 1.0, 1.0)


def test_load_time_behind_a_batch_counts_as_compute() -> None:
    """B is loaded from 1.5 to 2.5 s beside a batch that ends at 2: half of it counts.

    The third load takes 0.5 s of the 1 s that B, loaded and free to run, waits for
    inputs: each second of the GPU is counted once.
    """
    rounds = make_rounds(
        [
            (0, 1, 1, 100, 0, 0.5, 1.0, 1.0, 2.0),
            (1, 1, 1, 30, 80, 1.5, 2.5, 3.5, 4.0),
            (0, 1, 1, 20, 80, 2.75, 3.25, 4.0, 5.0),
        ]
    )
    run = replace(hand_run(), rounds=rounds)
    found = measure_span(Account(run, Tables(make_problem(overlap=True))), 0.0, 5.0)
    assert (found.load_s, found.compute_s) == (1.5, 2.5)
    assert (found.wait_s, found.idle_s) == (0.5, 0.5)


def test_a_load_may_go_on_before_and_after_a_batch() -> None:
    """Loading from 1 to 4 s, a batch from 2 to 3 s: 2 s of load, no wait within."""
    rounds = make_rounds(
        [
            (0, 1, 1, 100, 0, 0.0, 0.5, 2.0, 3.0),
            (1, 1, 1, 30, 80, 1.0, 4.0, 4.0, 5.0),
        ]
    )
    split = gpu_time(rounds)
    assert [kind.between(0.0, 5.0) for kind in split] == [0.5 + 2.0, 2.0, 0.5]


def naive_split(
    rounds: RoundLog, end_s: float, stalls_s: list[list[float]]
) -> dict[str, float]:
    """Split the GPU's time stretch by stretch, by asking what goes on in each."""
    load_end_s = rounds.load_start_s + rounds.load_s
    before_end_s = np.concatenate([[0.0], rounds.end_s])[:-1]
    ready_s = np.maximum(load_end_s, before_end_s)
    edges = {0.0, end_s, *rounds.load_start_s, *load_end_s, *rounds.compute_start_s}
    edges |= {*rounds.end_s, *ready_s, *(edge for stall in stalls_s for edge in stall)}
    split = {"load": 0.0, "compute": 0.0, "wait": 0.0, "idle": 0.0}
    for start_s, stop_s in pairwise(sorted(edge for edge in edges if edge <= end_s)):
        at_s = (start_s + stop_s) / 2
        if ((rounds.compute_start_s < at_s) & (at_s < rounds.end_s)).any():
            kind = "compute"
        elif ((rounds.load_start_s < at_s) & (at_s < load_end_s)).any():
            kind = "load"
        elif ((ready_s < at_s) & (at_s < rounds.compute_start_s)).any():
            kind = "wait"
        else:
            kind = "idle"
        if kind != "wait" and any(s < at_s < e for s, e in stalls_s):
            kind = "idle"
        split[kind] += stop_s - start_s
    return split


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), sharing=st.booleans())
def test_gpu_time_and_queue_are_those_of_naive_counting(
    seed: int, sharing: bool
) -> None:
    """For all kinds of runs: the split stretch by stretch, the queue one by one."""
    tables = seeded_tables(seed, sharing=sharing)
    run = seeded_run(seed, tables)
    account = Account(run, tables)
    end_s = account.last_s + 0.5
    found = measure_span(account, 0.0, end_s)
    split = naive_split(run.rounds, end_s, run.stalls_s.tolist())
    for part, seconds in split.items():
        assert getattr(found, f"{part}_s") == pytest.approx(seconds, abs=1e-9), part
    waited_s = 0.0
    for there_s, round_, done_s in zip(
        run.requests.upload_end_s,
        run.requests.round.tolist(),
        run.requests.end_s,
        strict=True,
    ):
        left_s = run.rounds.compute_start_s[round_] if round_ >= 0 else done_s
        if there_s == there_s:
            waited_s += left_s - there_s
    assert found.mean_waiting * end_s == pytest.approx(waited_s, abs=1e-9)
    assert found.requests == 60
    assert found.in_time + found.late + found.dropped == 60
    assert sum(found.dropped_by.values()) == found.dropped
    assert found.computed == found.finished


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    cuts=st.lists(st.floats(0.0, 1.0), max_size=4, unique=True),
)
def test_spans_that_follow_one_another_add_up(seed: int, cuts: list[float]) -> None:
    """Counts, times and bytes of parts are those of the whole."""
    tables = seeded_tables(seed)
    account = Account(seeded_run(seed, tables), tables)
    end_s = account.last_s + 1.0
    edges_s = sorted({0.0, end_s, *(cut * end_s for cut in cuts)})
    whole = measure_span(account, 0.0, end_s)
    parts = [measure_span(account, *span) for span in pairwise(edges_s)]
    for name in ("requests", "in_time", "late", "dropped", "finished", "computed"):
        assert sum(getattr(m, name) for m in parts) == getattr(whole, name)
    for name in ("rounds", "empty_rounds", "bytes_loaded", "bytes_saved"):
        assert sum(getattr(m, name) for m in parts) == getattr(whole, name)
    for name in ("load_s", "compute_s", "wait_s", "idle_s"):
        total_s = sum(getattr(m, name) for m in parts)
        assert total_s == pytest.approx(getattr(whole, name), abs=1e-8)
    for name in ("mean_waiting", "spectrum_use"):
        total = sum(getattr(m, name) * m.span_s for m in parts)
        assert total == pytest.approx(getattr(whole, name) * whole.span_s, abs=1e-9)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_bytes_without_sharing_are_those_of_the_residency_rules(seed: int) -> None:
    """A run's rounds replayed by ``solvers.core.residency``, each model one atom.

    And a run that does not share loaded just that.
    """
    tables = seeded_tables(seed)
    alone = Tables(tables.problem, sharing=False)
    for used in (tables, alone):
        rounds = seeded_run(seed, used).rounds
        batch = np.maximum(rounds.chosen, rounds.batch).tolist()
        planned = [
            PlannedRound(model, tuple(range(size)))
            for model, size in zip(rounds.model.tolist(), batch, strict=True)
        ]
        expected = [
            sum(alone.atom_bytes[atom] for atom in step.loaded)
            for step in residency.steps(alone, planned)
        ]
        batch = np.maximum(rounds.chosen, rounds.batch)
        assert whole_bytes(used, rounds.model, batch).tolist() == expected
        if used is alone:
            assert rounds.loaded_bytes.tolist() == expected


def test_periods_that_overlap_count_as_often() -> None:
    """0 to 2, 1 to 3 and one that ends before it starts: 1, then 2, then 1 at once."""
    found = cover(np.array([1.0, 0.0, 9.0]), np.array([3.0, 2.0, 8.0]))
    at_s = np.array([-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 10.0])
    assert found.up_to(at_s).tolist() == [0.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 4.0]
    assert found.between(0.5, 2.5) == 3.0


def test_nothing_covers_no_time() -> None:
    """Without periods the time covered is 0 throughout."""
    nothing = cover(np.array([]), np.array([]))
    assert nothing.up_to(np.array([-1.0, 5.0])).tolist() == [0.0, 0.0]
