"""Block by block or row by row: the same columns, and the same errors."""

from __future__ import annotations

import os
import threading
import tracemalloc
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgesim.errors import InputError
from edgesim.trace import chunks as trace_chunks
from edgesim.trace.chunks import Names, read_columns
from edgesim.trace.rows import iter_trace

HEADERS = [
    "arrival_s,user,model,input_bytes,slo_s",
    "slo_s,spectral_efficiency,user,input_bytes,model,arrival_s",
    "x_m,y_m,arrival_s,user,model,input_bytes,slo_s",
]


def by_rows(path: Path) -> tuple[dict[str, list[Any]], str | None]:
    """Read row by row: what was read, names and all, and the error if there is one."""
    found: dict[str, list[Any]] = {}
    try:
        for row in iter_trace(path):
            for name in trace_chunks.DTYPES:
                found.setdefault(name, []).append(getattr(row, name))
    except InputError as error:
        return {}, str(error)
    return {k: v for k, v in found.items() if v[0] is not None}, None


def by_blocks(path: Path) -> tuple[dict[str, list[Any]], str | None]:
    """Read block by block, to the same form."""
    users, models = Names(), Names()
    found: dict[str, list[Any]] = {}
    try:
        for columns in read_columns(path, users, models):
            for name, values in columns.items():
                assert values.dtype == trace_chunks.DTYPES[name]
                found.setdefault(name, []).extend(values.tolist())
    except InputError as error:
        return {}, str(error)
    for name, codes in (("user", users), ("model", models)):
        names = list(codes)
        assert list(codes.values()) == list(range(len(names)))
        found[name] = [names[code] for code in found[name]]
    return {k: v for k, v in found.items() if v}, None


numbers = st.sampled_from(
    ["0", "1", "1.", ".5", "2e0", "3E+1", "-0", "007", "9223372036854775807", "1e5"]
)
odd = st.sampled_from(
    [
        *(
            "",
            "-1",
            "nan",
            "inf",
            "1e999",
            "1_0",
            " 1",
            "1 ",
            "\u0663",
            "x",
            "+-1",
            "e5",
        ),
        *(
            "9223372036854775808",
            "9" * 5000,
            "1.5",
            '"1"',
            '"a"',
            'a"b',
            "a\rb",
            "a\0b",
        ),
        *("\ufeff", "\x0b", "\u2028"),
    ]
)
fields = st.one_of(numbers, numbers, numbers, numbers, odd)


@st.composite
def contents(draw: st.DrawFn) -> bytes:
    """Draw files that are mostly right."""
    header = draw(st.sampled_from(HEADERS))
    width = header.count(",") + 1
    lines = [header]
    for number in range(draw(st.integers(0, 8))):
        row = [draw(numbers) for _ in range(width)]
        row[header.split(",").index("arrival_s")] = str(number)
        if draw(st.integers(0, 4)) == 0:
            row[draw(st.integers(0, width - 1))] = draw(fields)
        if draw(st.integers(0, 12)) == 0:
            row = row[: draw(st.integers(0, width))]
        lines.append(",".join(row))
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    text = end.join(lines) + draw(st.sampled_from(["", end, end, end + end, end * 3]))
    content = text.encode()
    if draw(st.integers(0, 15)) == 0:
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(st.binary(min_size=1, max_size=2)) + content[at:]
    return content


@given(content=contents(), block_bytes=st.sampled_from([1, 30, 64, 1 << 20]))
@settings(
    max_examples=600,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_equals_row_by_row(tmp_path: Path, content: bytes, block_bytes: int) -> None:
    """Any file, cut into blocks anywhere: the same columns or the same error."""
    path = tmp_path / "trace.csv"
    path.write_bytes(content)
    with mock.patch.object(trace_chunks, "BLOCK_BYTES", block_bytes):
        assert by_blocks(path) == by_rows(path)


def test_rows_after_a_quote_are_read_as_before(tmp_path: Path) -> None:
    """From a quoted name on rows are read one by one, and names keep their numbers."""
    rows = [f"{i},u{i % 3},m{i % 2},{i + 1},1" for i in range(100)]
    rows[60] = '60,"u,2",m0,61,1'
    path = tmp_path / "trace.csv"
    path.write_text("\n".join([HEADERS[0], *rows]))
    users, models = Names(), Names()
    with (
        mock.patch.object(trace_chunks, "BLOCK_BYTES", 200),
        mock.patch.object(trace_chunks, "BLOCK_ROWS", 7),
    ):
        parts = list(read_columns(path, users, models))
    assert list(users) == ["u0", "u1", "u2", "u,2"]
    assert np.concatenate([p["input_bytes"] for p in parts]).tolist() == [
        *range(1, 101)
    ]
    assert np.concatenate([p["user"] for p in parts])[59:62].tolist() == [2, 3, 1]
    assert len(parts) > 10


def test_plain_rows_are_not_read_one_by_one(tmp_path: Path) -> None:
    """Plain files, CRLF too, never take the slow way."""
    path = tmp_path / "trace.csv"
    for end in ("\n", "\r\n"):
        rows = [HEADERS[0], *(f"{i}.5,u,m,7,1e-3" for i in range(50)), ""]
        path.write_bytes(end.join(rows).encode())
        with mock.patch.object(trace_chunks, "parse_requests") as slow:
            parts = list(read_columns(path, Names(), Names()))
        assert sum(len(p["slo_s"]) for p in parts) == 50
        slow.assert_not_called()


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """A pipe works, and so does one with a row that is read the slow way."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = f'{HEADERS[0]}\n0,u,m,1,1\n1,"v",m,1,1\n'
    writer = threading.Thread(target=pipe.write_text, args=(content,))
    writer.start()
    found, error = by_blocks(pipe)
    writer.join()
    assert error is None
    assert found["user"] == ["u", "v"]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Ten times the rows need no more memory."""
    peaks = []
    for n in (20_000, 200_000):
        path = tmp_path / f"{n}.csv"
        path.write_text(
            "\n".join([HEADERS[0], *(f"{i},u{i % 9},m,5,1" for i in range(n))])
        )
        with mock.patch.object(trace_chunks, "BLOCK_BYTES", 1 << 17):
            tracemalloc.start()
            for _ in read_columns(path, Names(), Names()):
                pass
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_no_such_file(tmp_path: Path) -> None:
    """A file that is not there is an input error."""
    with pytest.raises(InputError, match="cannot be read"):
        list(read_columns(tmp_path / "none.csv", Names(), Names()))
