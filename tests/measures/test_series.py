"""Time series of online runs against naive counting, and their rows."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesim.errors import InputError
from edgesim.measures import series as module
from edgesim.measures.account import Account
from edgesim.measures.measure import measure_span
from edgesim.measures.series import sample_series
from edgesim.results.series_table import SERIES_COLUMNS, dump_series
from edgesim.results.tables import dump_header
from solvers.core.tables import Tables
from tests.engine.handmade import hand_run, make_problem, seeded_run, seeded_tables


def hand_account() -> Account:
    """Make the account of the run worked out by hand."""
    return Account(hand_run(), Tables(make_problem()))


def test_a_series_is_that_worked_out_by_hand() -> None:
    """The run of six requests at every second, from 0 to its end at 5 s."""
    found = sample_series(hand_account(), 1.0)
    assert found.time_s.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.waiting.tolist() == [0, 1, 0, 0, 0, 0]
    assert found.uploading.tolist() == [1, 2, 1, 2, 1, 0]
    assert found.arrived.tolist() == [2, 1, 1, 1, 1, 0]
    assert found.in_time.tolist() == [1, 1, 1, 0, 0, 0]
    assert found.finished.tolist() == [0, 0, 2, 1, 0, 1]
    ratio = found.on_time_ratio.tolist()
    assert ratio[:5] == [0.5, 1.0, 1.0, 0.0, 0.0]
    assert np.isnan(ratio[5])
    assert found.load_share.tolist() == [0.5, 0, 0, 0.25, 0, 0]
    assert found.compute_share.tolist() == [0, 0.75, 1, 0, 1, 0]
    assert found.wait_share.tolist() == [0, 0.25, 0, 0.5, 0, 0]
    assert found.idle_share.tolist() == [0.5, 0, 0, 0.25, 0, 1]


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), step_s=st.floats(0.05, 3.0))
def test_a_series_is_that_of_naive_counting(seed: int, step_s: float) -> None:
    """Queues at every time one by one; shares and counts as the measures of a step."""
    tables = seeded_tables(seed)
    run = seeded_run(seed, tables)
    account = Account(run, tables)
    found = sample_series(account, step_s)
    log = run.requests
    leave_s = (
        np.where(log.round >= 0, run.rounds.compute_start_s[log.round], log.end_s)
        if len(run.rounds.end_s)
        else log.end_s
    )
    stop_s = np.where(np.isnan(log.upload_end_s), log.end_s, log.upload_end_s)
    for k, time_s in enumerate(found.time_s.tolist()):
        waiting = (log.upload_end_s <= time_s) & (leave_s > time_s)
        uploading = (log.arrival_s <= time_s) & (stop_s > time_s)
        assert found.waiting[k] == waiting.sum()
        assert found.uploading[k] == uploading.sum()
        step = measure_span(account, time_s, (k + 1) * step_s)
        assert (found.arrived[k], found.in_time[k]) == (step.requests, step.in_time)
        for part in ("load", "compute", "wait", "idle"):
            share = getattr(found, f"{part}_share")[k]
            assert share == pytest.approx(getattr(step, f"{part}_s") / step_s, abs=1e-9)
    assert found.arrived.sum() == len(log.end_s)
    assert found.finished.sum() == (log.round >= 0).sum()


def test_rows_are_the_series() -> None:
    """One row a step under the columns; a ratio of nothing is an empty cell."""
    file = io.StringIO()
    dump_header(file, "policy", SERIES_COLUMNS)
    dump_series(file, sample_series(hand_account(), 1.0), 3, "fcfs")
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert len(rows) == 6
    assert tuple(rows[0]) == ("repeat", "policy", *SERIES_COLUMNS)
    assert rows[1] == {
        "repeat": "3",
        "policy": "fcfs",
        "time_s": "1.0",
        "waiting": "1",
        "uploading": "2",
        "arrived": "1",
        "in_time": "1",
        "on_time_ratio": "1.0",
        "finished": "0",
        "load_share": "0.0",
        "compute_share": "0.75",
        "wait_share": "0.25",
        "idle_share": "0.0",
    }
    assert rows[5]["on_time_ratio"] == ""


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is named with what it gives and what is allowed."""
    monkeypatch.setattr(module, "MOST_SAMPLES", 100)
    assert len(sample_series(hand_account(), 0.0501).time_s) == 100
    with pytest.raises(InputError, match=r"online.sample_s: .*at most 100"):
        sample_series(hand_account(), 0.01)
