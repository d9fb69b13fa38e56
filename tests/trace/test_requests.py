"""Traces: every rule of the format, the columns, and that nothing is lost on disk."""

from __future__ import annotations

import csv
import tracemalloc
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgesim.errors import InputError
from edgesim.trace.requests import Trace, read_trace, write_trace
from edgesim.trace.rows import REQUIRED, TraceRow, iter_trace

HEADER = "arrival_s,user,model,input_bytes,slo_s"
PLACED = f"{HEADER},spectral_efficiency,x_m,y_m"
GOOD = f"{HEADER}\n0.0,u,m,1,1.0\n"


def file(folder: Path, content: str | bytes) -> Path:
    """Write a trace file as it is given."""
    path = folder / "trace.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def trace_of(n: int, **columns: Any) -> Trace:
    """Make a trace of n requests, one a second, with some columns replaced."""
    given: dict[str, Any] = {
        "arrival_s": np.arange(n, dtype=np.float64),
        "users": ("u",),
        "user": np.zeros(n, dtype=np.int32),
        "models": ("m",),
        "model": np.zeros(n, dtype=np.int32),
        "input_bytes": np.ones(n, dtype=np.int64),
        "slo_s": np.ones(n),
    }
    return Trace(**{**given, **columns})


def test_reads_columns_by_name_in_any_order(tmp_path: Path) -> None:
    """Columns are found by name; names are numbered by first appearance."""
    path = file(
        tmp_path,
        "y_m,slo_s,model,x_m,user,input_bytes,spectral_efficiency,arrival_s\n"
        '-2,0.5,m9,1.5,"b, ""x""",8e9,0,0\n'
        "3e2,1,m1,-.5,a,150528.0,2.5,0.25\n"
        '4,1,m9,+5,"b, ""x""",7,1,0.25\n',
    )
    trace = read_trace(path)
    assert len(trace) == 3
    assert trace.arrival_s.tolist() == [0.0, 0.25, 0.25]
    assert trace.users == ('b, "x"', "a")
    assert trace.user.tolist() == [0, 1, 0]
    assert trace.models == ("m9", "m1")
    assert trace.model.tolist() == [0, 1, 0]
    assert trace.input_bytes.tolist() == [8_000_000_000, 150_528, 7]
    assert trace.slo_s.tolist() == [0.5, 1.0, 1.0]
    assert trace.spectral_efficiency is not None
    assert trace.spectral_efficiency.tolist() == [0.0, 2.5, 1.0]
    assert trace.x_m is not None
    assert trace.x_m.tolist() == [1.5, -0.5, 5.0]
    assert trace.y_m is not None
    assert trace.y_m.tolist() == [-2.0, 300.0, 4.0]
    dtypes = [trace.user.dtype, trace.model.dtype, trace.input_bytes.dtype]
    assert dtypes == [np.int32, np.int32, np.int64]


def test_streams_the_same_requests(tmp_path: Path) -> None:
    """Rows come with their line; columns that are not there are None."""
    path = file(tmp_path, f"{HEADER}\n0,u,m,5,1\n0.5,v,m,6,2\n")
    assert list(iter_trace(path)) == [
        TraceRow(2, 0.0, "u", "m", 5, 1.0),
        TraceRow(3, 0.5, "v", "m", 6, 2.0),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.rstrip("\n").encode(),
        GOOD.encode() + b"\n",
        GOOD.encode() + b"\r\n",
    ],
    ids=["bom", "crlf", "no last line end", "blank line at the end", "crlf blank"],
)
def test_accepts_what_other_programs_write(tmp_path: Path, content: bytes) -> None:
    """A byte-order mark, CRLF and a blank last line change nothing."""
    assert list(iter_trace(file(tmp_path, content))) == [
        TraceRow(2, 0.0, "u", "m", 1, 1.0)
    ]


@pytest.mark.parametrize("header", [HEADER, PLACED])
def test_a_trace_may_be_empty(tmp_path: Path, header: str) -> None:
    """A header alone is a trace of no requests, and keeps its optional columns."""
    path = file(tmp_path, f"{header}\n")
    trace = read_trace(path)
    assert len(trace) == 0
    assert trace.users == trace.models == ()
    assert trace.popularity().tolist() == []
    assert len(trace.window(0, 10)) == 0
    write_trace(trace, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == f"{header}\n"


ROWS = [
    ("-1,u,m,1,1", "arrival_s must be a number from 0 to 1e+10, found '-1'"),
    ("nan,u,m,1,1", "arrival_s must be a number from 0 to 1e+10, found 'nan'"),
    ("inf,u,m,1,1", "arrival_s must be a number from 0 to 1e+10, found 'inf'"),
    ("1e999,u,m,1,1", "arrival_s must be a number from 0 to 1e+10, found '1e999'"),
    ("1_0,u,m,1,1", "arrival_s must be a number from 0 to 1e+10, found '1_0'"),
    (" 1,u,m,1,1", "arrival_s must be a number from 0 to 1e+10, found ' 1'"),
    ("1٣,u,m,1,1", "arrival_s must be a number from 0 to 1e+10, found '1٣'"),
    (",u,m,1,1", "arrival_s must be a number from 0 to 1e+10, found ''"),
    ("0,,m,1,1", "user must be a non-empty name, found ''"),
    ('0,"",m,1,1', "user must be a non-empty name, found ''"),
    ("0,u,,1,1", "model must be a non-empty name, found ''"),
    ("0,u,m,0,1", "input_bytes must be a whole number from 1 to 1e+17, found '0'"),
    ("0,u,m,1.5,1", "input_bytes must be a whole number from 1 to 1e+17, found '1.5'"),
    ("0,u,m,-3,1", "input_bytes must be a whole number from 1 to 1e+17, found '-3'"),
    (
        "0,u,m,9223372036854775808,1",
        "input_bytes must be a whole number from 1 to 1e+17, "
        "found '9223372036854775808'",
    ),
    ("0,u,m,x,1", "input_bytes must be a whole number from 1 to 1e+17, found 'x'"),
    ("0,u,m,1,0", "slo_s must be a number from 1e-12 to 1e+09, found '0'"),
    (
        "0,u,m,1,Infinity",
        "slo_s must be a number from 1e-12 to 1e+09, found 'Infinity'",
    ),
    ("0,u,m,1", "must have 5 fields, found 4"),
    ("0,u,m,1,1,1", "must have 5 fields, found 6"),
    ('0,"u,m,1,1', "must be CSV, found bad quotes: unexpected end of data"),
    ('0,"u"x,m,1,1', "must be CSV, found bad quotes: ',' expected after '\"'"),
    ('0,u"x,m,1,1', "must be CSV, found a quote in an unquoted field"),
    ("0,u,m\r,1,1", "must be one line, found a carriage return in it"),
    ("0,u\0,m,1,1", "must be text, found a NUL byte"),
]


@pytest.mark.parametrize(("row", "message"), ROWS)
@pytest.mark.parametrize("line", [2, 4])
def test_refuses_a_bad_row_by_its_line(
    tmp_path: Path, row: str, message: str, line: int
) -> None:
    """Each broken rule is one error that names line, column, rule and value."""
    before = "0,u,m,1,1\n" * (line - 2)
    path = file(tmp_path, f"{HEADER}\n{before}{row}\n0,u,m,1,1\n")
    with pytest.raises(InputError) as caught:
        read_trace(path)
    assert str(caught.value) == f"{path}:{line}: {message}"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "-0.1,0,0",
            "spectral_efficiency must be a number from 0 to 1e+18, found '-0.1'",
        ),
        ("1,inf,0", "x_m must be a number from -1e+09 to 1e+09, found 'inf'"),
        ("1,0,", "y_m must be a number from -1e+09 to 1e+09, found ''"),
    ],
)
def test_refuses_bad_optional_columns(tmp_path: Path, row: str, message: str) -> None:
    """Optional columns have rules too."""
    path = file(tmp_path, f"{PLACED}\n0,u,m,1,1,{row}\n")
    with pytest.raises(InputError) as caught:
        read_trace(path)
    assert str(caught.value) == f"{path}:2: {message}"


def test_refuses_arrivals_that_go_back(tmp_path: Path) -> None:
    """A trace is in order of arrival; the error shows both times."""
    path = file(tmp_path, f"{HEADER}\n0.5,u,m,1,1\n0.25,u,m,1,1\n")
    with pytest.raises(InputError, match=r"trace\.csv:3: .*0\.5\), found 0\.25"):
        read_trace(path)


@pytest.mark.parametrize("blanks", ["\n0,u,m,1,1\n", "\n\n"])
def test_refuses_a_blank_line_that_is_not_the_last(tmp_path: Path, blanks: str) -> None:
    """The blank line itself is named, not the one after it."""
    path = file(tmp_path, GOOD + blanks)
    with pytest.raises(InputError) as caught:
        read_trace(path)
    assert str(caught.value) == f"{path}:3: must be a request, found a blank line"


def test_refuses_what_is_not_utf8(tmp_path: Path) -> None:
    """The line with the bad byte is named."""
    path = file(tmp_path, GOOD.encode() + b"1,\xff,m,1,1\n")
    with pytest.raises(InputError) as caught:
        read_trace(path)
    assert str(caught.value) == f"{path}:3: must be UTF-8 text, found byte 0xff"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "header must be arrival_s,user,model,input_bytes,slo_s"),
        ("\n0,u,m,1,1", "header must be arrival_s,user,model,input_bytes,slo_s"),
        (HEADER.replace("slo_s", "slo"), "found unknown 'slo'"),
        (HEADER.replace(",slo_s", ""), "must have the column 'slo_s'"),
        (f"{HEADER},user", "columns must be distinct, found 'user' twice"),
        (f"{HEADER},x_m", "must have both x_m and y_m or none"),
        (HEADER.replace(",", ";"), "found unknown"),
    ],
)
def test_refuses_a_bad_header(tmp_path: Path, header: str, message: str) -> None:
    """Missing, unknown and repeated columns are errors of line 1."""
    path = file(tmp_path, header)
    with pytest.raises(InputError) as caught:
        read_trace(path)
    assert caught.value.where == f"{path}:1"
    assert message in caught.value.what


def test_refuses_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """No file and a folder are errors on one line, like all others."""
    with pytest.raises(InputError, match="no such file"):
        read_trace(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_trace(tmp_path)


names = st.text(
    st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]),
    min_size=1,
    max_size=6,
)
numbers = st.floats(0, 1e10)
coordinates = st.floats(-1e9, 1e9).map(lambda value: value + 0.0)  # no −0.0


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Draw any trace that the format can hold."""
    n = draw(st.integers(0, 8))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=n, max_size=n))

    def coded() -> tuple[tuple[str, ...], list[int]]:
        wanted = column(names)
        known = tuple(dict.fromkeys(wanted))
        return known, [known.index(name) for name in wanted]

    users, user = coded()
    models, model = coded()
    optional: dict[str, Any] = {}
    if draw(st.booleans()):
        optional["spectral_efficiency"] = np.array(column(numbers), dtype=float)
    if draw(st.booleans()):
        optional["x_m"] = np.array(column(coordinates), dtype=float)
        optional["y_m"] = np.array(column(coordinates), dtype=float)
    return Trace(
        arrival_s=np.array(sorted(column(numbers)), dtype=float),
        users=users,
        user=np.array(user, dtype=np.int32),
        models=models,
        model=np.array(model, dtype=np.int32),
        input_bytes=np.array(column(st.integers(1, 10**17)), dtype=np.int64),
        slo_s=np.array(column(st.floats(1e-12, 1e9)), dtype=float),
        **optional,
    )


@given(trace=traces())
@settings(
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_writing_and_reading_loses_nothing(tmp_path: Path, trace: Trace) -> None:
    """Read back, every column is the same to the bit; written again, so is the file."""
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    write_trace(trace, first)
    again = read_trace(first)
    assert (again.users, again.models) == (trace.users, trace.models)
    for column in (*REQUIRED, "spectral_efficiency", "x_m", "y_m"):
        before, after = getattr(trace, column), getattr(again, column)
        assert (before is None) == (after is None)
        if before is not None:
            assert before.tobytes() == after.tobytes()
    write_trace(again, second)
    assert first.read_bytes() == second.read_bytes()


def test_a_long_trace_is_written_in_parts_without_seams(tmp_path: Path) -> None:
    """More rows than are turned into text at once come out complete and in order."""
    n = 70_000
    path = tmp_path / "long.csv"
    write_trace(trace_of(n), path)
    assert read_trace(path).arrival_s.tolist() == list(range(n))


def test_reading_row_by_row_takes_constant_memory(tmp_path: Path) -> None:
    """Twenty times the rows need no more memory."""
    peaks = []
    for n in (1_000, 20_000):
        path = tmp_path / f"{n}.csv"
        write_trace(trace_of(n), path)
        tracemalloc.start()
        assert sum(1 for _ in iter_trace(path)) == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000


def test_an_error_in_writing_leaves_nothing(tmp_path: Path) -> None:
    """A folder that is not there is an error, and no file appears."""
    with pytest.raises(InputError, match="cannot be written"):
        write_trace(trace_of(1), tmp_path / "none" / "trace.csv")
    assert list(tmp_path.iterdir()) == []


def test_window_is_half_open_and_keeps_times_and_codes() -> None:
    """An arrival at the start is in, one at the end is out; codes mean the same."""
    trace = trace_of(
        4,
        models=("a", "b"),
        model=[0, 1, 1, 0],
        x_m=np.arange(4.0),
        y_m=np.arange(4.0) * 2,
    )
    window = trace.window(1.0, 3.0)
    assert window.arrival_s.tolist() == [1.0, 2.0]
    assert window.models == ("a", "b")
    assert window.model.tolist() == [1, 1]
    assert window.y_m is not None
    assert window.y_m.tolist() == [2.0, 4.0]
    assert window.spectral_efficiency is None
    assert len(trace.window(0.5, np.inf)) == 3
    assert len(trace.window(2.0, 2.0)) == 0


@pytest.mark.parametrize(("start_s", "end_s"), [(2.0, 1.0), (np.nan, 1), (0, np.nan)])
def test_window_refuses_a_span_that_is_none(start_s: float, end_s: float) -> None:
    """A span that ends before it begins is a mistake, not an empty window."""
    with pytest.raises(ValueError, match="end_s must be >= start_s"):
        trace_of(3).window(start_s, end_s)


def test_popularity_ranks_by_count_then_by_first_appearance() -> None:
    """The most requested comes first; of equals, the one seen first."""
    trace = trace_of(6, models=("a", "b", "c", "d"), model=[0, 1, 2, 2, 1, 3])
    assert trace.popularity().tolist() == [1, 2, 0, 3]
    assert trace.window(3, 4).popularity().tolist() == [2, 0, 1, 3]
    many = trace_of(100, models=tuple(map(str, range(100))), model=range(100))
    assert many.popularity().tolist() == list(range(100))


def test_columns_cannot_be_changed() -> None:
    """A trace is a value: its arrays are read-only and not the caller's own."""
    mine = np.arange(3.0)
    trace = trace_of(3, arrival_s=mine)
    with pytest.raises(ValueError, match="read-only"):
        trace.arrival_s[0] = 7
    mine[0] = -1
    assert trace.arrival_s[0] == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"arrival_s": [1.0, 0.0]}, "non-decreasing"),
        ({"arrival_s": [-1.0, 0.0]}, ">= 0"),
        ({"arrival_s": [0.0, np.inf]}, "arrival_s must be finite"),
        ({"slo_s": [1.0, np.nan]}, "slo_s must be finite"),
        ({"slo_s": [1.0, 0.0]}, "slo_s must be > 0"),
        ({"slo_s": [1.0]}, "one value for each of the 2 arrivals"),
        ({"input_bytes": [1, 0]}, "input_bytes must be > 0"),
        ({"user": [0, 1]}, "user must lie between 0 and 0, found 0 to 1"),
        ({"model": [-1, 0]}, "model must lie between"),
        ({"users": ("u", "u")}, "users must be distinct"),
        ({"models": ("",)}, "models must be non-empty names"),
        ({"users": ("a\nb",)}, "on one line"),
        ({"users": ("\ud800",)}, "surrogates not allowed"),
        ({"spectral_efficiency": [0.0, -1.0]}, "spectral_efficiency must be >= 0"),
        ({"x_m": [0.0, 1.0]}, "x_m and y_m must be given together"),
    ],
)
def test_a_trace_checks_itself(columns: dict[str, Any], message: str) -> None:
    """No trace in memory breaks a rule that a file may not break."""
    with pytest.raises(ValueError, match=message):
        trace_of(2, **columns)


def test_sizes_are_not_rounded_in_silence() -> None:
    """A fraction of a byte is an error, not one byte less."""
    with pytest.raises(TypeError):
        trace_of(2, input_bytes=[1.5, 2.5])


def test_written_rows_are_those_of_the_csv_module(tmp_path: Path) -> None:
    """Names that must be quoted are, and no others; numbers are as repr has them."""
    names = ("plain", "a,b", 'say "cats"', " blank ", "ü;'")
    trace = Trace(
        arrival_s=np.array([0.0, 1e-9, 0.1, 1e16, 1e16]),
        users=names,
        user=np.arange(5),
        models=names[::-1],
        model=np.arange(5),
        input_bytes=np.array([1, 2, 3, 4, 2**62]),
        slo_s=np.array([1.0, 1e-5, 2.5, 1e22, 3]),
    )
    write_trace(trace, tmp_path / "t.csv")
    wanted = StringIO()
    writer = csv.writer(wanted, lineterminator="\n")
    writer.writerow(["arrival_s", "user", "model", "input_bytes", "slo_s"])
    for n in range(5):
        row = (trace.arrival_s[n], names[n], names[4 - n], trace.input_bytes[n])
        writer.writerow([float(row[0]), *row[1:3], int(row[3]), float(trace.slo_s[n])])
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == wanted.getvalue()
