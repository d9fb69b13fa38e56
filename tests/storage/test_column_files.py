"""Columns in files are those in memory, and leave nothing behind."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from edgesim.storage import column_files
from edgesim.storage.column_files import (
    GrowingColumns,
    LongColumn,
    RowFile,
    StoredColumns,
    blocks_of,
    chosen,
    rows_between,
)
from edgesim.storage.files import WriteError

TYPES = {"number": np.int32, "time_s": np.float64}


def grown(rows: int, block: int) -> column_files.Columns:
    """Grow columns by some rows at a time."""
    growing = GrowingColumns(TYPES)
    for some in blocks_of(rows, block):
        number = np.arange(some.start, some.stop)
        growing.append({"number": number.astype(np.int32), "time_s": number / 8})
    assert len(growing) == rows
    return growing.columns()


@pytest.mark.parametrize("most", [0, 10, 1000])
def test_columns_that_grow(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they are, they hold what was added, whole and in part."""
    monkeypatch.setattr(column_files, "IN_MEMORY_ROWS", most)
    columns = grown(100, 7)
    assert isinstance(columns, StoredColumns) == (most < 100)
    assert {name: values.dtype for name, values in columns.items()} == TYPES
    assert columns["number"].tolist() == list(range(100))
    assert columns["time_s"].tolist() == [k / 8 for k in range(100)]
    part = rows_between(columns, 90, 200)
    assert part["time_s"].tolist() == [k / 8 for k in range(90, 100)]
    assert rows_between(part, 3, 5)["number"].tolist() == [93, 94]
    assert rows_between(columns, 5, 5)["number"].tolist() == []
    assert list(chosen(columns, ["time_s"])) == ["time_s"]


def test_no_rows() -> None:
    """There is nothing to map, and the types are known."""
    columns = GrowingColumns(TYPES).columns()
    assert {name: len(values) for name, values in columns.items()} == {
        "number": 0,
        "time_s": 0,
    }


def test_rows_in_any_order() -> None:
    """Each is in its place; a place that was left out holds 0."""
    rng = np.random.default_rng(1)
    count = 20_000
    rows = rng.random((count, 3)) + 1
    rows[:, 0] = np.arange(count) + 1
    order = rng.permutation(count)
    order = order[order != 4321]
    file = RowFile(3)
    for some in blocks_of(len(order), 999):
        file.put(order[some], rows[order[some]])
    rows[4321] = 0
    columns = file.columns({"place": np.int64, "a": np.float64, "b": np.float64})
    assert len(file) == count
    assert columns["place"].tolist() == rows[:, 0].astype(int).tolist()
    assert np.array_equal(columns["a"], rows[:, 1])
    assert np.array_equal(columns["b"], rows[:, 2])


@pytest.mark.parametrize("most", [2, 5, 1000])
def test_a_long_column(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are added at the end, and the last one is taken away."""
    monkeypatch.setattr(column_files, "IN_MEMORY_ROWS", most)
    column, wanted = LongColumn(), [0.5]
    assert np.isnan(column.last)
    column.append(0.5)
    for k in range(50):
        if k % 3:
            column.append(float(k))
            wanted.append(float(k))
        else:
            column.pop()
            wanted.pop()
            column.append(-float(k))
            wanted.append(-float(k))
        assert column.last == wanted[-1]
        assert len(column) == len(wanted)
    assert column.values().tolist() == wanted


def test_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files have no name, and are closed with what refers to them."""
    monkeypatch.setattr(column_files, "IN_MEMORY_ROWS", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gc.collect()
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    column = grown(1000, 100)["number"]
    gc.collect()
    assert os.listdir(tmp_path) == []
    assert column.tolist() == list(range(1000)), "an array keeps what it shows"
    del column
    gc.collect()
    if before:
        assert len(os.listdir("/proc/self/fd")) == before


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line says which folder has none."""
    monkeypatch.setattr(column_files, "IN_MEMORY_ROWS", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(WriteError, match="none: cannot be written: no such file"):
        grown(10, 10)
    full = Path("/dev/full")
    if full.exists():
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full.open("wb"))
        with pytest.raises(WriteError, match="cannot be written: no space left"):
            grown(10, 10)
