"""Measures of a run worked out by hand; Student's t against published tables."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesim.engine.noise import Noise, draw
from edgesim.engine.records import DROPPED, IN_TIME, LATE, Log
from edgesim.measures.account import Account
from edgesim.measures.measure import measure, measure_span
from edgesim.measures.student import mean_interval, student_t
from solvers import UPLINKS, Problem, Uplink, solve
from solvers.core.tables import Tables
from solvers.core.timing import make_schedule
from tests.engine.plan_records import account_of
from tests.solvers.strategies import seeded_plan


def make_problem(resident_model: str | None = None) -> Problem:
    """Make two models that share a stem of 80 bytes, and five users."""
    return Problem.model_validate(
        {
            "name": "measures",
            "bandwidth_hz": 100.0,
            "resident_model": resident_model,
            "blocks": {
                "stem": {"bytes": 80, "load_s": 0.4},
                "a": {"bytes": 20, "load_s": 0.1},
                "b": {"bytes": 30, "load_s": 0.15},
            },
            "models": {
                "A": {"blocks": ["stem", "a"], "latency_s": [0.5, 0.6]},
                "B": {"blocks": ["stem", "b"], "latency_s": [0.5, 0.6]},
                "unused": {"blocks": ["a"], "latency_s": [0.5]},
            },
            "users": [
                {
                    "id": f"u{k}",
                    "model": model,
                    "input_bits": 10.0,
                    "spectral_efficiency": 1.0,
                    "deadline_s": 4.0,
                }
                for k, model in enumerate("AABBB")
            ],
        }
    )


Row = tuple[float, ...]


def request(k: int, model: str, outcome: int, end_s: float = 3.0) -> Row:
    """Make a request's record; only outcome and end matter here."""
    round_ = -1 if outcome == DROPPED else 0
    return (k, k, "AB".index(model), 0.0, 4.0, 0.0, 0.5, round_, end_s, outcome)


def round_(model: str, loaded: int, times: tuple[float, float, float, float]) -> Row:
    """Make a round's record from load start, load end, compute start and end."""
    load_start_s, load_end_s, start_s, end_s = times
    total = 100 if model == "A" else 110
    load_s, compute_s = load_end_s - load_start_s, end_s - start_s
    batch = (1, 1, loaded, total - loaded)
    number = "AB".index(model)
    return (number, *batch, load_start_s, load_s, start_s, compute_s, end_s)


def account(
    problem: Problem,
    requests: Sequence[Row] = (),
    rounds: Sequence[Row] = (),
    bands: Sequence[tuple[int, float, float, float]] = (),
) -> Account:
    """Make a run of records and account for it."""
    log = Log()
    for row in requests:
        log.request(row)
    for row in rounds:
        log.round(row)
    return Account(log.run([], bands), Tables(problem))


def hand_run(problem: Problem) -> Account:
    """Make a run of three rounds, A, A and B, that ends at 5 s."""
    return account(
        problem,
        requests=(
            request(0, "A", IN_TIME, 2.0),
            request(1, "A", IN_TIME, 3.0),
            request(2, "B", LATE, 5.0),
            request(3, "B", DROPPED),
            request(4, "B", DROPPED),
        ),
        rounds=(
            round_("A", 100, (0.5, 1.0, 1.25, 2.0)),
            round_("A", 0, (2.0, 2.0, 2.0, 3.0)),
            round_("B", 30, (3.25, 3.5, 4.0, 5.0)),
        ),
        bands=((0, 0.0, 1.0, 100.0), (1, 1.0, 2.0, 50.0), (2, 1.0, 3.0, 50.0)),
    )


def test_measures_are_those_worked_out_by_hand() -> None:
    """Every measure of a run of three rounds and five users."""
    found = measure(hand_run(make_problem()))
    assert (found.requests, found.in_time, found.late, found.dropped) == (5, 2, 1, 2)
    assert found.on_time_ratio == 0.4
    assert found.span_s == 5.0
    assert found.in_time_per_s == 0.4
    assert found.goodput == {"A": 2, "B": 0}
    assert found.load_s == 0.75
    assert found.compute_s == 2.75
    assert found.wait_s == 0.75
    assert found.idle_s == 0.75
    assert found.spectrum_use == (100 + 50 + 100) / (100 * 5)
    assert found.bytes_loaded == 130


def test_load_time_behind_a_batch_counts_as_compute() -> None:
    """B is loaded from 1.5 to 2.5 s beside a batch that ends at 2: half of it counts.

    The third load takes 0.5 s of the 1 s that B, loaded and free to run, waits for
    inputs: each second of the GPU is counted once.
    """
    run = account(
        make_problem(),
        rounds=(
            round_("A", 100, (0.5, 1.0, 1.0, 2.0)),
            round_("B", 30, (1.5, 2.5, 3.5, 4.0)),
            round_("A", 20, (2.75, 3.25, 4.0, 5.0)),
        ),
    )
    found = measure(run)
    assert found.span_s == 5.0
    assert found.load_s == 0.5 + 0.5 + 0.5
    assert found.wait_s == 0.5
    assert found.idle_s == 0.5
    assert found.compute_s == 2.5


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    uplink=st.sampled_from(UPLINKS),
    sharing=st.booleans(),
)
def test_gpu_time_adds_up_with_cache_and_overlap(
    seed: int, uplink: Uplink, sharing: bool
) -> None:
    """Under noise too the parts are the span; without sharing no bytes are saved."""
    drawn, rounds = seeded_plan(seed)
    problem = drawn.problem
    tables = Tables(problem, sharing=sharing)
    schedule = make_schedule(tables, rounds, uplink, solver="any", bound=None)
    assert schedule is not None
    spec = Noise(load_sigma=0.5, compute_sigma=0.5)
    noise = draw(spec, problem, np.random.default_rng(seed))
    for realisation in (None, noise):
        found = measure(account_of(problem, schedule, realisation))
        parts_s = (found.load_s, found.compute_s, found.wait_s, found.idle_s)
        assert min(parts_s) >= -1e-9
        assert sum(parts_s) == pytest.approx(found.span_s, abs=1e-9)
        assert sharing or found.bytes_saved == 0


def test_latency_percentiles_are_over_the_finished() -> None:
    """Of 2, 3 and 5 s: the median, and linear between order statistics above."""
    found = measure(hand_run(make_problem()))
    assert found.latency_p50_s == 3.0
    assert found.latency_p95_s == pytest.approx(3 + 2 * 0.9)
    assert found.latency_p99_s == pytest.approx(3 + 2 * 0.98)


def test_bytes_saved_are_against_the_rule_without_sharing() -> None:
    """A 100, A again 0, B 110: 210 without sharing against the 130 loaded."""
    assert measure(hand_run(make_problem())).bytes_saved == 80


def test_the_resident_model_is_no_saving() -> None:
    """With A resident no rule loads it, so loading it all the same costs 100."""
    assert measure(hand_run(make_problem("A"))).bytes_saved == -20


def test_a_run_without_rounds_has_measures() -> None:
    """Nothing served: counts and times are 0, ratios of nothing are None."""
    dropped = [request(k, "A", DROPPED) for k in range(2)]
    found = measure(account(make_problem(), dropped))
    assert (found.in_time, found.dropped, found.on_time_ratio) == (0, 2, 0.0)
    assert (found.span_s, found.in_time_per_s, found.spectrum_use) == (0.0, 0.0, 0.0)
    assert found.latency_p50_s is found.latency_p95_s is found.latency_p99_s is None
    assert (found.bytes_loaded, found.bytes_saved) == (0, 0)
    empty = make_problem().model_copy(update={"users": ()})
    found = measure(account(empty))
    assert (found.requests, found.on_time_ratio, found.goodput) == (0, None, {})


@pytest.mark.parametrize("solver", ["greedy", "greedy-noshare"])
@pytest.mark.parametrize("uplink", ["upfront", "static", "dynamic"])
def test_gpu_time_adds_up_and_only_sharing_saves(solver: str, uplink: str) -> None:
    """With noise too: load + compute + wait + idle = span; baselines save 0 bytes."""
    problem = make_problem()
    schedule = solve(problem, solver, uplink=uplink).schedule  # type: ignore[arg-type]
    spec = Noise(load_sigma=0.5, compute_sigma=0.5)
    noise = draw(spec, problem, np.random.default_rng(3))
    found = measure(account_of(problem, schedule, noise))
    parts_s = found.load_s + found.compute_s + found.wait_s + found.idle_s
    assert found.span_s > 0
    assert parts_s == pytest.approx(found.span_s, abs=1e-9)
    assert found.bytes_saved == (80 if solver == "greedy" else 0)


@pytest.mark.parametrize(
    ("level", "df", "t"),
    [
        (0.95, 1, 12.7062047362),
        (0.95, 2, 4.30265272991),
        (0.95, 3, 3.18244630528),
        (0.95, 4, 2.7764451052),
        (0.95, 9, 2.2621571628),
        (0.95, 19, 2.0930240544),
        (0.95, 100, 1.9839715185),
        (0.99, 10, 3.1692726726),
        (0.5, 5, 0.7266868438),
        (0.95, 10**9, 1.9599639861),
    ],
)
def test_student_t_agrees_with_published_tables(
    level: float, df: int, t: float
) -> None:
    """Nine digits of tabulated critical values, even and odd, few and many."""
    assert student_t(level, df) == pytest.approx(t, abs=2e-9)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99, 0.999])
def test_student_t_is_seamless_where_the_method_changes(level: float) -> None:
    """The finite sums up to 1,000 and the expansion above meet."""
    below, above = student_t(level, 1000), student_t(level, 1001)
    assert 0 < below - above < 1e-5


@pytest.mark.parametrize(("level", "df"), [(0.0, 5), (1.0, 5), (0.95, 0)])
def test_student_t_refuses_nonsense(level: float, df: int) -> None:
    """A chance of 0 or 1 and no degrees of freedom have no critical value."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        student_t(level, df)


def test_a_mean_comes_with_its_interval() -> None:
    """1 to 5: mean 3, s = √2.5, half-width 2.776… · s / √5."""
    mean, half = mean_interval([1, 2, 3, 4, 5])
    assert mean == 3
    assert half == pytest.approx(2.7764451052 * math.sqrt(2.5) / math.sqrt(5))


def test_one_repeat_has_no_interval() -> None:
    """One value says nothing of the spread; no value is an error."""
    assert mean_interval([7.0]) == (7.0, None)
    with pytest.raises(ValueError, match="at least one value"):
        mean_interval([])


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Of 4,000 samples of 4 normal values some 95 % of intervals hold the mean."""
    rng = random.Random(1)
    hits = 0
    for _ in range(4000):
        values = [rng.gauss(10, 3) for _ in range(4)]
        mean, half = mean_interval(values)
        assert mean == pytest.approx(fmean(values))
        hits += half is not None and abs(mean - 10) <= half
    assert hits / 4000 == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize("uplink", UPLINKS)
def test_a_span_that_is_the_whole_run_has_its_measures(uplink: Uplink) -> None:
    """One meaning for a plan and for any span of a run, spectrum included."""
    problem = make_problem()
    account = account_of(problem, solve(problem, "greedy", uplink=uplink).schedule)
    whole = measure(account)
    # A load may begin at 0 and a round end at T: the span takes both.
    span = measure_span(account, 0.0, math.nextafter(whole.span_s, math.inf))
    assert whole.spectrum_use > 0
    for name in ("spectrum_use", "load_s", "compute_s", "wait_s", "idle_s"):
        assert getattr(span, name) == pytest.approx(getattr(whole, name), abs=1e-9)
    for name in ("requests", "in_time", "bytes_loaded", "bytes_saved", "rounds"):
        assert getattr(span, name) == getattr(whole, name)
