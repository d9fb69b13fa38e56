"""Measures of long runs are taken block by block, to the same last bit."""

from __future__ import annotations

import math
from io import StringIO

import numpy as np
import pytest

from edgesim.engine import records
from edgesim.measures import gpu_time, losses
from edgesim.measures.account import Account
from edgesim.measures.gpu_memory import memory_use
from edgesim.measures.gpu_time import cover
from edgesim.measures.measure import measure, measure_span
from edgesim.measures.series import sample_series
from edgesim.results import csv_columns, tables
from edgesim.results.perfetto import window_events
from edgesim.storage import column_files
from tests.engine.handmade import USERS, seeded_run, seeded_tables


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("block", [1, 3, 1000])
def test_periods_are_accumulated_in_blocks(
    seed: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if all were one block, with ties and however many are active."""
    rng = np.random.default_rng(seed)
    starts_s = rng.choice([rng.random(200), rng.integers(0, 9, 200).astype(float)])
    ends_s = starts_s + rng.choice([0.0, 0.5, 3.0, -1.0], 200) * rng.random(200)
    monkeypatch.setattr(gpu_time, "_BLOCK", block)
    found = cover(starts_s, ends_s)
    kept = ends_s > starts_s
    edges_s = np.concatenate([starts_s[kept], ends_s[kept]])
    order = np.argsort(edges_s, kind="stable")
    active = np.cumsum(np.where(order < kept.sum(), 1, -1))
    grown_s = active[:-1] * np.diff(edges_s[order])
    assert found.edges_s.tolist() == edges_s[order].tolist()
    assert found.covered_s.tolist() == [0.0, *np.cumsum(grown_s).tolist()]


def _everything(seed: int) -> str:
    """Take every measure of a run, and write its tables and its window, as text."""
    model_tables = seeded_tables(seed)
    account = Account(seeded_run(seed, model_tables, 120), model_tables)
    file = StringIO()
    for window_s in (None, (1.0, 3.0)):
        names = tables.Labels(USERS)
        tables.dump_requests(file, account, names, 0, "any", window_s)
        tables.dump_rounds(file, account, 0, "any", window_s)
    series = sample_series(account, 0.5)
    use = memory_use(account)
    after = memory_use(account, math.inf, 2.0)
    late_s = np.array([2.0, 2.5, 4.0])
    assert after.weights.at(late_s).tolist() == use.weights.at(late_s).tolist()
    assert len(after.weights.at_s) < len(use.weights.at_s)
    return "\n".join(
        [
            file.getvalue(),
            *(str(measure(account)), str(measure_span(account, 0.5, 4.0))),
            str(vars(series)),
            str(losses.losses(account, 0.2)),
            *map(str, window_events(account, USERS, (1.0, 4.0))),
        ]
    )


@pytest.mark.parametrize("seed", range(6))
def test_a_run_in_files_is_measured_as_one_in_memory(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measures, series, losses, tables and the timeline."""
    plain = _everything(seed)
    for module in (column_files, records, losses):
        monkeypatch.setattr(module, "IN_MEMORY_ROWS", 7)
    monkeypatch.setattr(csv_columns, "CHUNK_ROWS", 5)
    monkeypatch.setattr(tables, "CHUNK_ROWS", 5)
    monkeypatch.setattr(gpu_time, "_BLOCK", 4)
    assert _everything(seed) == plain
