"""Statistics of errors, by hand."""

from __future__ import annotations

import dataclasses

import pytest

from edgesim.replay import accuracy
from edgesim.replay.accuracy import Accuracy, accuracies
from edgesim.replay.comparison import Pair

PAIR = Pair(
    repeat=0,
    round=0,
    model="net-v01",
    batch=1,
    padded_batch=1,
    loaded_blocks=1,
    loaded_bytes=100,
    simulated_load_s=0.010,
    measured_load_s=0.012,
    simulated_compute_s=0.020,
    measured_compute_s=0.018,
    simulated_overhead_s=0.0005,
    measured_overhead_s=0.001,
    simulated_end_s=0.030,
    measured_end_s=0.031,
    same_work=True,
)


def _with(**changes: object) -> Pair:
    return dataclasses.replace(PAIR, **changes)  # type: ignore[arg-type]


def test_each_quantity_by_hand() -> None:
    """Two rounds in two repeats; the plan ends with its last round."""
    pairs = [
        PAIR,
        _with(round=1, measured_load_s=0.009, measured_end_s=0.035),
        _with(repeat=1, measured_load_s=0.014),
        _with(repeat=1, round=1, measured_load_s=0.009, measured_end_s=0.027),
    ]
    load, compute, both, overhead, end = accuracies(pairs)
    assert load.number == 4
    assert load.simulated_s == pytest.approx(0.010)
    assert load.measured_s == pytest.approx(0.011)
    assert load.error_s is not None
    assert load.error_s.mean == pytest.approx(0.001)
    assert load.error_s.p50 == pytest.approx(0.0005)
    assert load.total_ratio == pytest.approx(0.1)
    assert load.ratio is not None
    assert (load.ratio_number, load.ratio.mean) == (4, pytest.approx(0.1))
    # Means of the repeats: 10.5 and 11.5 ms.
    assert load.spread_s == pytest.approx(0.001)
    assert compute.error_s is not None
    assert compute.error_s.mean == pytest.approx(-0.002)
    assert compute.spread_s == pytest.approx(0.0, abs=1e-15)
    assert both.error_s is not None
    assert both.error_s.mean == pytest.approx(-0.001)
    assert both.simulated_s == pytest.approx(0.030)
    assert overhead.error_s is not None
    assert overhead.error_s.mean == pytest.approx(0.0005)
    assert (end.number, end.quantity) == (2, "end of the plan")
    assert end.error_s is not None
    assert end.error_s.mean == pytest.approx(0.001)
    assert end.spread_s == pytest.approx(0.008)


def test_what_was_not_done_is_not_counted() -> None:
    """No load where nothing is loaded, no batch and no end where it was left out."""
    pairs = [
        _with(loaded_blocks=0, simulated_load_s=0.0, measured_load_s=0.0),
        _with(round=1, measured_compute_s=None, same_work=False),
    ]
    load, compute, both, _, end = accuracies(pairs)
    assert (load.number, compute.number, both.number, end.number) == (1, 1, 1, 0)
    assert load.spread_s is None
    assert end == Accuracy("end of the plan", 0)


def test_a_simulated_time_of_0_has_no_ratio() -> None:
    """It counts in seconds; the sum of all still has a ratio if it is not 0."""
    free = _with(simulated_load_s=0.0, measured_load_s=0.001)
    load = accuracies([free])[0]
    assert (load.number, load.ratio_number) == (1, 0)
    assert load.ratio is load.total_ratio is None
    load = accuracies([PAIR, free])[0]
    assert (load.number, load.ratio_number) == (2, 1)
    assert load.total_ratio == pytest.approx(0.3)


def test_nothing_gives_an_empty_table() -> None:
    """Five quantities of number 0, with dashes."""
    table = accuracies([])
    assert [one.number for one in table] == [0] * 5
    assert all(tuple(row) == accuracy.COLUMNS for row in accuracy.rows(table))
    assert accuracy.markdown(table).count("–") == 5 * (9 + 8)


def test_rows_are_in_seconds_and_ratios() -> None:
    """The row of one load that takes 12 ms instead of 10."""
    row = accuracy.rows(accuracies([PAIR]))[0]
    assert tuple(row) == accuracy.COLUMNS
    assert row["quantity"] == "load"
    assert row["simulated_mean_s"] == 0.010
    assert row["error_p99_s"] == pytest.approx(0.002)
    assert row["error_size_p90_ratio"] == pytest.approx(0.2)
    assert row["repeat_spread_s"] is None


def _cells(table: str) -> dict[str, str]:
    """Read a Markdown table: first cell to the others, the rule left out."""
    lines = [line.strip("|").split("|") for line in table.splitlines()]
    return {
        line[0].strip(): " ".join(cell.strip() for cell in line[1:])
        for number, line in enumerate(lines)
        if number != 1
    }


def test_the_table_for_people() -> None:
    """Milliseconds, then percent; signed with a sign, sizes without."""
    faster = _with(repeat=1, measured_load_s=0.010, measured_compute_s=0.020)
    ms, percent = accuracy.markdown(accuracies([PAIR, faster])).split("\n\n")
    errors = "mean p50 p90 p99 size p90 size p99 between repeats"
    assert _cells(ms) == {
        "ms": f"number simulated measured {errors}",
        "load": "2 10.000 11.000 +1.000 +1.000 +1.800 +1.980 1.800 1.980 2.000",
        "compute": "2 20.000 19.000 -1.000 -1.000 -0.200 -0.020 1.800 1.980 2.000",
        "load + compute": (
            "2 30.000 30.000 +0.000 +0.000 +0.000 +0.000 0.000 0.000 0.000"
        ),
        "overhead": "2 0.500 1.000 +0.500 +0.500 +0.500 +0.500 0.500 0.500 0.000",
        "end of the plan": (
            "2 30.000 31.000 +1.000 +1.000 +1.000 +1.000 1.000 1.000 0.000"
        ),
    }
    assert _cells(percent) == {
        "%": f"number of the sum {errors}",
        "load": "2 +10.0 +10.0 +10.0 +18.0 +19.8 18.0 19.8 18.2",
        "compute": "2 -5.0 -5.0 -5.0 -1.0 -0.1 9.0 9.9 10.5",
        "load + compute": "2 +0.0 +0.0 +0.0 +0.0 +0.0 0.0 0.0 0.0",
        "overhead": "2 +100.0 +100.0 +100.0 +100.0 +100.0 100.0 100.0 0.0",
        "end of the plan": "2 +3.3 +3.3 +3.3 +3.3 +3.3 3.3 3.3 0.0",
    }
    assert len({len(line) for line in ms.splitlines()}) == 1
