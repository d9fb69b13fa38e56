"""Intervals: spans, ratio estimators by hand, pairs, and how often they cover."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from edgesim.errors import InputError
from edgesim.measures.account import Account
from edgesim.measures.intervals import (
    QUOTIENTS,
    batch_spans,
    correlation_limit,
    differences,
    estimates,
    method,
    sample,
)
from edgesim.measures.measure import Measures, measure_span
from edgesim.measures.student import mean_interval, student_t
from solvers.core.tables import Tables
from tests.engine.handmade import hand_run, make_problem, seeded_run, seeded_tables

HAND = measure_span(Account(hand_run(), Tables(make_problem())), 0.0, 5.0)


def with_counts(in_time: int, requests: int) -> Measures:
    """Make measures in which only these counts matter."""
    return replace(HAND, in_time=in_time, requests=requests)


def test_batches_are_equal_and_lose_no_request() -> None:
    """The warm-up is cut, neighbours touch, a request at the very end is inside."""
    spans = batch_spans(2.0, 12.0, 4)
    assert [start_s for start_s, _ in spans] == [2.0, 4.5, 7.0, 9.5]
    assert all(stop_s == start_s for (_, stop_s), (start_s, _) in pairwise(spans))
    assert spans[-1][1] == math.nextafter(12.0, 13.0)
    account = Account(hand_run(), Tables(make_problem()))
    found = sample([account], batch_spans(0.0, 4.0, 3))
    assert sum(measures.requests for measures in found) == 6


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    """Nothing would be left to measure."""
    with pytest.raises(
        InputError, match=r"online.warmup_s: must be less than the 10 s"
    ):
        batch_spans(10.0, 10.0)


def test_a_ratio_is_that_of_the_sums() -> None:
    """2 of 10, 3 of 10 and 10 of 20: 15 of 40, residuals −1.75, −0.75 and 2.5.

    Their standard deviation is √((3.0625 + 0.5625 + 6.25) / 2), the mean of the
    denominators 40 / 3, t with 2 degrees of freedom 4.3027.
    """
    samples = [with_counts(*pair) for pair in ((2, 10), (3, 10), (10, 20))]
    found = estimates(samples)["on_time_ratio"]
    assert found.mean == 0.375
    assert found.values == (0.2, 0.3, 0.5)
    deviation = math.sqrt(9.875 / 2)
    expected = 4.30265272991 * deviation / (math.sqrt(3) * 40 / 3)
    assert found.half_width == pytest.approx(expected)
    lag1 = (-1.75 * -0.75 + -0.75 * 2.5) / 9.875
    assert found.lag1 == pytest.approx(lag1)


def test_measures_per_second_have_the_plain_interval() -> None:
    """With equal spans the ratio estimator is the mean with Student's interval."""
    values = [3.0, 5.0, 4.0, 8.0]
    samples = [replace(HAND, load_s=value, span_s=10.0) for value in values]
    found = estimates(samples)["load_share"]
    mean, half = mean_interval([value / 10 for value in values])
    assert found.mean == pytest.approx(mean)
    assert found.half_width == pytest.approx(half)


def test_the_mean_over_batches_is_the_measure_of_the_whole() -> None:
    """For every measure but percentiles, whatever the batches."""
    tables = seeded_tables(7)
    account = Account(seeded_run(7, tables), tables)
    whole = measure_span(account, *batch_spans(1.0, 5.0)[0])
    found = estimates(sample([account], batch_spans(1.0, 5.0, 5)))
    assert found["on_time_ratio"].mean == pytest.approx(whole.on_time_ratio)
    assert found["mean_batch"].mean == pytest.approx(whole.mean_batch)
    assert found["mean_waiting"].mean == pytest.approx(whole.mean_waiting)
    assert found["compute_share"].mean == pytest.approx(whole.compute_s / whole.span_s)
    assert found["spectrum_use"].mean == pytest.approx(whole.spectrum_use)
    rate = whole.bytes_loaded / whole.span_s
    assert found["bytes_loaded_per_s"].mean == pytest.approx(rate)


def test_a_span_in_which_nothing_finished_has_no_percentile() -> None:
    """Of 1, nothing and 3 s the mean is 2, from two values; none at all is None."""
    samples = [replace(HAND, latency_p99_s=value) for value in (1.0, None, 3.0)]
    found = estimates(samples)["latency_p99_s"]
    assert found.values == (1.0, None, 3.0)
    assert found.mean == 2.0
    assert found.half_width == pytest.approx(student_t(0.95, 1) * 1.0)
    nothing = estimates(samples[1:2])["latency_p99_s"]
    assert (nothing.mean, nothing.half_width, nothing.values) == (None, None, (None,))


def test_one_span_has_no_interval() -> None:
    """One value says nothing of the spread."""
    found = estimates([HAND])
    assert list(found) == list(QUOTIENTS)
    assert found["on_time_ratio"].mean == 0.5
    assert {estimate.half_width for estimate in found.values()} == {None}


def test_equal_values_have_no_width_and_no_correlation() -> None:
    """Without spread the half-width is 0 and a correlation not defined."""
    found = estimates([HAND] * 4)["on_time_ratio"]
    assert (found.mean, found.half_width, found.lag1) == (0.5, 0.0, None)


def test_differences_are_taken_span_by_span() -> None:
    """What both policies have in common cancels: the interval is that of the pairs."""
    one = [replace(HAND, load_s=value, span_s=1.0) for value in (0.5, 0.9, 0.1)]
    other = [replace(HAND, load_s=value, span_s=1.0) for value in (0.4, 0.7, 0.1)]
    found = differences(one, other)["load_share"]
    mean, half = mean_interval([0.1, 0.2, 0.0])
    assert found.mean == pytest.approx(mean)
    assert found.half_width == pytest.approx(half)
    assert found.values == pytest.approx((0.1, 0.2, 0.0))
    wide = estimates(one)["load_share"].half_width
    assert wide is not None
    assert found.half_width is not None
    assert found.half_width < wide / 3
    assert differences(one, one)["load_share"].half_width == 0.0


def test_neighbours_that_alternate_or_drift_are_seen() -> None:
    """Batches that alternate correlate negatively, a drift positively."""
    for values, sign in (([0.2, 0.8] * 10, -1), ([k / 20 for k in range(20)], 1)):
        samples = [replace(HAND, load_s=value, span_s=1.0) for value in values]
        lag1 = estimates(samples)["load_share"].lag1
        assert lag1 is not None
        assert lag1 * sign > correlation_limit(20)
    assert correlation_limit(100) == pytest.approx(0.196)


def test_intervals_of_ratios_cover_as_often_as_they_say() -> None:
    """Requests in time, with random numbers of requests: some 95 % hold the truth."""
    rng = random.Random(4)
    hits = 0
    for _ in range(1500):
        samples = []
        for _ in range(20):
            requests = rng.randint(20, 60)
            in_time = sum(rng.random() < 0.7 for _ in range(requests))
            samples.append(with_counts(in_time, requests))
        quotients = {"on_time_ratio": QUOTIENTS["on_time_ratio"]}
        found = estimates(samples, quotients)["on_time_ratio"]
        assert found.mean is not None
        assert found.half_width is not None
        hits += abs(found.mean - 0.7) <= found.half_width
    assert hits / 1500 == pytest.approx(0.95, abs=0.02)


def test_repeats_are_sampled_run_by_run() -> None:
    """Two runs and one span: two samples, in order; the same as measured alone."""
    accounts = []
    for seed in (1, 2):
        tables = seeded_tables(seed)
        accounts.append(Account(seeded_run(seed, tables), tables))
    found = sample(accounts, [(0.0, 3.0)])
    assert found == [measure_span(account, 0.0, 3.0) for account in accounts]


def test_a_sentence_says_how() -> None:
    """Repeats, batch means or neither, with the warm-up and the length of a batch."""
    assert "3 independent repeats" in method(3, 1, 5.0, 65.0)
    batches = method(1, 20, 5.0, 65.0)
    assert "from 5 to 65 s" in batches
    assert "20 batch means of 3 s each" in batches
    assert "±0.44" in batches
    assert method(1, 1, 0.0, 65.0).endswith("of one run, without intervals.")


def test_the_same_run_gives_the_same_estimates() -> None:
    """Nothing is drawn: equal inputs, equal numbers."""
    tables = seeded_tables(3)
    spans = batch_spans(0.5, 4.0, 6)
    runs = [Account(seeded_run(3, tables), tables) for _ in range(2)]
    one, other = (estimates(sample([account], spans)) for account in runs)
    assert one == other
    assert np.isfinite(one["mean_waiting"].mean or 0.0)
