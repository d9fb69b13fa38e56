"""Order statistics and sorting piece by piece are those of the whole in memory."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgesim.cli.trace import app
from edgesim.storage import column_files
from edgesim.storage.column_files import Array, GrowingColumns, StoredColumns
from edgesim.trace import chunks, order, request_log, requests
from edgesim.trace.convert import Fill, LogColumns
from edgesim.trace.convert import request_log as convert
from edgesim.trace.generate import generate
from edgesim.trace.order import is_sorted, quantiles, sorted_by
from edgesim.trace.requests import read_trace, write_trace
from edgesim.trace.stored import open_trace
from edgesim.trace.summary import summarise


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything that goes piece by piece take several."""
    monkeypatch.setattr(column_files, "IN_MEMORY_ROWS", 20)
    monkeypatch.setattr(requests, "PIECE_ROWS", 7)
    monkeypatch.setattr(request_log, "PIECE_ROWS", 7)
    monkeypatch.setattr(chunks, "BLOCK_BYTES", 200)
    monkeypatch.setattr(order, "RUN_ROWS", 16)
    monkeypatch.setattr(order, "_SAMPLE_ROWS", 2)


@pytest.mark.parametrize("count", [1, 2, 3, 100, 5001])
@pytest.mark.parametrize("kind", ["times", "sizes", "few", "one"])
def test_quantiles_are_those_of_numpy(count: int, kind: str) -> None:
    """Bit for bit, of numbers of any spread and with any ties."""
    rng = np.random.default_rng(count)
    values: Array = {
        "times": rng.exponential(1.0, count) * 10.0 ** rng.integers(-9, 9, count),
        "sizes": rng.integers(1, 10**17, count),
        "few": rng.choice([0.5, 1.0, 2.5], count),
        "one": np.full(count, 150_528),
    }[kind]
    shares = (0.0, 0.25, 0.5, 0.95, 0.99, 1.0)
    found = quantiles(lambda: iter(np.array_split(values, 7)), count, shares)
    assert found == np.quantile(values, shares).tolist()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.usefixtures("small_pieces")
def test_sorting_is_stable(seed: int) -> None:
    """Rows of equal keys stay in order, however many runs there are."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 400))
    key = rng.integers(0, rng.choice([3, 50, 10**9]), count)
    columns = GrowingColumns({"key": np.int64, "row": np.int32})
    for rows in column_files.blocks_of(count, 13):
        number = np.arange(rows.start, rows.stop, dtype=np.int32)
        columns.append({"key": key[rows], "row": number})
    found = sorted_by("key", columns.columns())
    assert isinstance(found, StoredColumns) == (count > 20)
    assert found["row"].tolist() == np.argsort(key, kind="stable").tolist()
    assert is_sorted(found["key"])
    assert is_sorted(found["key"], int(key.min()))
    assert not is_sorted(found["key"], int(key.min()) + 1)


def _log(path: Path, rows: int, *, mixed: bool) -> None:
    """Write a log with ties, rows that cannot be used, and names in any order."""
    rng = random.Random(rows)
    lines = ["t,m,u,n,d"]
    for k in range(rows):
        at = rng.randrange(rows // 3) / 4 if mixed else (k // 3) / 4
        size = rng.choice(["5", "7000", "x", "1e3"])
        lines.append(
            f"{at},m{rng.randrange(9)},u{rng.randrange(30)},{size},{1 + k % 4}"
        )
    path.write_text("\n".join(lines))


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("spread_ties", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_a_log_is_converted_in_pieces_as_in_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mixed: bool,
    spread_ties: bool,
    named: bool,
) -> None:
    """The same bytes and the same report, whatever is drawn, sorted, spread and cut."""
    log = tmp_path / "log.csv"
    _log(log, 300, mixed=mixed)
    columns = LogColumns(arrival="t", model=None, size="n")
    fill = Fill(
        slo_s=1.5, input_bytes_cv=0.5, spread_ties=spread_ties, start_s=2, duration_s=15
    )
    if named:
        columns = LogColumns(arrival="t", model="m", user="u", slo="d")
    found = []
    for place in ("one", "many"):
        if place == "many":
            monkeypatch.setattr(column_files, "IN_MEMORY_ROWS", 20)
            monkeypatch.setattr(requests, "PIECE_ROWS", 7)
            monkeypatch.setattr(request_log, "PIECE_ROWS", 7)
            monkeypatch.setattr(order, "RUN_ROWS", 16)
            monkeypatch.setattr(order, "_SAMPLE_ROWS", 2)
        trace, report = convert(log, columns, fill, models=1 if named else 5)
        write_trace(trace, tmp_path / place)
        assert isinstance(trace.columns, StoredColumns) == (place == "many")
        found.append((str(report), (tmp_path / place).read_bytes()))
    assert found[0] == found[1]
    assert len(read_trace(tmp_path / "many")) == len(trace)


@pytest.mark.usefixtures("small_pieces")
def test_a_trace_in_files_is_shown_as_one_in_memory(tmp_path: Path) -> None:
    """Every number of the summary, to the last bit but that of the CV of the gaps."""
    trace = generate(
        rate_per_s=5, duration_s=100, slo_s=[1, 2.5], models=7, input_bytes_cv=1.0
    )
    write_trace(trace, tmp_path / "trace.csv")
    found = summarise(open_trace(tmp_path / "trace.csv"))
    gaps_s = np.diff(trace.arrival_s)
    assert found.inter_arrival_cv == pytest.approx(gaps_s.std() / gaps_s.mean(), 1e-12)
    _, seconds = np.unique(np.floor(trace.arrival_s), return_counts=True)
    span = np.floor(trace.arrival_s[-1]) - np.floor(trace.arrival_s[0]) + 1
    assert found.peak_to_mean_second == seconds.max() * span / len(trace)
    assert found.users == len(np.unique(trace.user))
    sizes = found.input_bytes
    assert sizes is not None
    assert [sizes.least, sizes.median, sizes.p95, sizes.greatest] == (
        np.quantile(trace.input_bytes, (0, 0.5, 0.95, 1)).tolist()
    )
    shown = CliRunner().invoke(app, ["show", str(tmp_path / "trace.csv")])
    assert shown.output.rstrip("\n") == str(found)


@pytest.mark.parametrize("work", ["show", "convert"])
def test_memory_does_not_grow_with_the_file(
    work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times the rows take the same memory but for some bytes each, of about 32."""
    monkeypatch.setattr(column_files, "IN_MEMORY_ROWS", 1000)
    monkeypatch.setattr(requests, "PIECE_ROWS", 500)
    monkeypatch.setattr(request_log, "PIECE_ROWS", 500)
    monkeypatch.setattr(chunks, "BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr(order, "RUN_ROWS", 2000)
    monkeypatch.setattr(order, "_SAMPLE_ROWS", 15)
    peaks, sizes = [], (5_000, 20_000)
    for rows in sizes:
        rng = np.random.default_rng(rows)
        arrival_s = rng.uniform(0, rows, rows)
        if work == "show":
            arrival_s.sort()
        lines = [f"{at!r},u,m,{k + 1},1.0" for k, at in enumerate(arrival_s.tolist())]
        path = tmp_path / f"{rows}.csv"
        path.write_text("\n".join(["arrival_s,user,model,input_bytes,slo_s", *lines]))
        del lines, arrival_s
        tracemalloc.start()
        if work == "show":
            assert summarise(open_trace(path)).requests == rows
        else:
            columns = LogColumns(
                "arrival_s", "model", user="user", size="input_bytes", slo="slo_s"
            )
            trace, report = convert(path, columns, Fill())
            write_trace(trace, tmp_path / "out.csv")
            assert report.requests == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / (sizes[1] - sizes[0]) < 16
