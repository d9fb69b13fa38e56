"""Converters: real and made-up sources, what is filled in, and what is refused."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgesim.cli.trace import app
from edgesim.errors import InputError
from edgesim.trace.convert import (
    ConversionReport,
    Fill,
    LogColumns,
    Place,
    Skipped,
    azure_functions_2019,
    azure_functions_2021,
    azure_llm_2023,
    request_log,
)
from edgesim.trace.requests import Trace, read_trace
from tests.examples import TRACE
from tests.shared_data import require_shared

FILL = Fill(slo_s=0.5)
FUNCTIONS_2019 = "requests/azure_functions_2019_sample100_inv.csv"
FUNCTIONS_2021 = "requests/azure_functions_2021_excerpt199.csv"
LLM = "requests/AzureLLMInferenceTrace_conv.csv"

SMALL_2019 = """\
HashOwner,HashApp,HashFunction,Trigger,1,2,3
o,a,f,http,1,0,2
o,a,g,http,0,0,0
o,b,h,timer,2,3,0
o,b,i,timer,0,0,3
"""


def source(folder: Path, text: str) -> Path:
    """Write a source file."""
    path = folder / "source.csv"
    path.write_text(text)
    return path


def model_names(trace: Trace) -> list[str]:
    """Name each request's model."""
    return [trace.models[code] for code in trace.model]


def log(
    folder: Path, text: str, fill: Fill = FILL, **columns: str
) -> tuple[Trace, ConversionReport]:
    """Convert a log with the columns ``t`` and ``m`` unless others are named."""
    named = LogColumns(**{"arrival": "t", "model": "m", **columns})
    return request_log(source(folder, text), named, fill)


def test_2019_spreads_each_minute(tmp_path: Path) -> None:
    """Each cell's calls arrive within its minute; models are ranked by total calls."""
    trace, report = azure_functions_2019(source(tmp_path, SMALL_2019), FILL)
    minutes = np.floor(trace.arrival_s / 60).astype(int).tolist()
    # h has 5 calls; f and i have 3 each and keep file order; g has none, but a rank.
    assert Counter(zip(model_names(trace), minutes, strict=True)) == {
        ("m000", 0): 2,
        ("m000", 1): 3,
        ("m001", 0): 1,
        ("m001", 2): 2,
        ("m002", 2): 3,
    }
    assert trace.models == ("m000", "m001", "m002", "m003")
    assert (report.rows_read, report.rows_used, report.requests) == (4, 3, 11)
    assert report.skipped == {"function without calls": Skipped(1, (Place(3),))}
    assert "arrival times are spread uniformly within their minute (seed 0)" in (
        report.notes
    )
    assert "functions without calls keep their rank, with no requests" in report.notes
    assert not any("sorted" in note for note in report.notes)


def test_2019_column_order_and_names_do_not_matter(tmp_path: Path) -> None:
    """``minute_N`` columns in any order mean what ``N`` means."""
    trace, _ = azure_functions_2019(source(tmp_path, SMALL_2019), FILL)
    shuffled = "minute_3,HashFunction,minute_1\n2,f,1\n0,g,0\n0,h,2\n3,i,0\n"
    again, _ = azure_functions_2019(source(tmp_path, shuffled), FILL)
    assert len(again) == len(trace) - 3  # minute 2 is left out
    assert set(np.floor(again.arrival_s / 60).tolist()) == {0.0, 2.0}


def test_2019_cut(tmp_path: Path) -> None:
    """A cut keeps arrivals within it, starts at 0 and leaves ranks as they are."""
    fill = Fill(slo_s=1, start_s=60, duration_s=60)
    trace, report = azure_functions_2019(source(tmp_path, SMALL_2019), fill)
    assert model_names(trace) == ["m000"] * 3
    assert (trace.arrival_s < 60).all()
    assert report.requests == 3
    narrow = Fill(slo_s=1, start_s=130, duration_s=20)
    part, _ = azure_functions_2019(source(tmp_path, SMALL_2019), narrow)
    assert 0 < len(part) < 5
    assert (part.arrival_s < 20).all()


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (SMALL_2019.replace("1,0,2", "1,x,2"), ":2", "2 must be a whole number >= 0"),
        (SMALL_2019.replace("1,0,2", "1,,2"), ":2", "found ''"),
        (SMALL_2019.replace("1,0,2", "1,-1,2"), ":2", "found '-1'"),
        (SMALL_2019.replace("1,0,2", "1,1.5,2"), ":2", "found '1.5'"),
        (SMALL_2019.replace("1,0,2", "1,0"), ":2", "must have 7 fields, found 6"),
        (SMALL_2019.replace("1,2,3", "1,2,2"), ":1", "minute 2 stands twice"),
        (SMALL_2019.replace("1,2,3", "1,2,noon"), ":1", "found 'noon'"),
        (SMALL_2019.replace("HashFunction,", "f,"), ":1", "column 'HashFunction' once"),
        ("HashFunction\nf\n", "", "a function with calls"),
        ("HashFunction,1\nf,0\n", "", "a function with calls"),
        ("", ":1", "must have a header"),
    ],
)
def test_2019_refuses_what_is_not_of_its_form(
    tmp_path: Path, text: str, where: str, what: str
) -> None:
    """A broken row is a whole function, so it is an error of its line."""
    path = source(tmp_path, text)
    with pytest.raises(InputError) as caught:
        azure_functions_2019(path, FILL)
    assert caught.value.where == f"{path}{where}"
    assert what in caught.value.what


def test_2019_refuses_more_than_memory_holds(tmp_path: Path) -> None:
    """A count that cannot be expanded is refused before memory runs out."""
    path = source(tmp_path, "HashFunction,1\nf,999999999\n")
    with pytest.raises(InputError, match="duration_s: must leave at most 20,000,000"):
        azure_functions_2019(path, FILL)


def test_2019_sample() -> None:
    """The public sample gives every one of its 666,572 calls, minute by minute."""
    path = require_shared(FUNCTIONS_2019)
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    calls = np.array([[int(cell) for cell in row[3:]] for row in rows])
    trace, report = azure_functions_2019(path, FILL)
    assert len(trace) == report.requests == calls.sum() == 666_572
    minute = np.floor(trace.arrival_s / 60).astype(int)
    assert np.bincount(minute, minlength=1440).tolist() == calls.sum(axis=0).tolist()
    per_model = np.bincount(trace.model, minlength=len(rows)).tolist()
    assert per_model == sorted(calls.sum(axis=1).tolist(), reverse=True)
    within = trace.arrival_s % 60
    assert abs(within.mean() - 30) < 0.1
    assert abs(within.std() - 60 / 12**0.5) < 0.1


def test_2021_arrival_is_end_less_duration(tmp_path: Path) -> None:
    """Calls are sorted by arrival; a function is its app and its name together."""
    text = (
        "app,func,end_timestamp,duration\n"
        "a,f,1.5,0.5\n"
        "b,f,2.0,1.75\n"
        "b,f,3.0,0.25\n"
        "a,f,0.25,0.5\n"
        "a,f,x,0.5\n"
        "a,f,3.0,-1\n"
        "a,f,3.0\n"
    )
    trace, report = azure_functions_2021(source(tmp_path, text), FILL)
    assert trace.arrival_s.tolist() == [0.25, 1.0, 2.75]
    assert model_names(trace) == ["m000", "m001", "m000"]
    assert (report.rows_read, report.rows_used) == (7, 3)
    assert report.skipped == {
        "arrival is before the time 0 of the source": Skipped(1, (Place(5, "0.25"),)),
        "end_timestamp is not a number": Skipped(1, (Place(6, "x"),)),
        "duration is below 0": Skipped(1, (Place(7, "-1"),)),
        "wrong number of fields": Skipped(1, (Place(8, "a,f,3.0"),)),
    }
    assert "rows were not in order of arrival and have been sorted" in report.notes


def test_2021_excerpt() -> None:
    """Every call of the public excerpt is there, at the time arithmetic gives."""
    path = require_shared(FUNCTIONS_2021)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = sorted(float(r["end_timestamp"]) - float(r["duration"]) for r in rows)
    trace, report = azure_functions_2021(path, FILL)
    assert trace.arrival_s.tolist() == pytest.approx(expected, abs=1e-9)
    functions = Counter((r["app"], r["func"]) for r in rows)
    counts = np.bincount(trace.model).tolist()
    assert counts == sorted(functions.values(), reverse=True)
    assert not report.skipped


LLM_SMALL = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319601,3180,8
2023-11-16 18:17:05.9799600,0,8
"""


def test_llm_keeps_every_digit_of_its_times(tmp_path: Path) -> None:
    """Seven decimals survive; sizes are tokens times bytes; one service, one model."""
    trace, report = azure_llm_2023(source(tmp_path, LLM_SMALL), FILL, bytes_per_token=3)
    assert trace.arrival_s.tolist() == [0.0, 0.0520001]
    assert trace.input_bytes.tolist() == [3 * 4808, 3 * 3180]
    assert trace.models == ("m000",)
    assert report.skipped == {
        "ContextTokens is not between 1 and 10^9": Skipped(1, (Place(4, "0"),))
    }


def test_llm_files() -> None:
    """The public files give their 19,366 calls, an hour long, sizes from tokens."""
    path = require_shared(LLM)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    trace, _ = azure_llm_2023(path, FILL)
    assert len(trace) == 19_366
    assert trace.input_bytes.tolist() == [4 * int(r["ContextTokens"]) for r in rows]
    times = [datetime.fromisoformat(r["TIMESTAMP"][:26]) for r in rows]
    expected = [(time - times[0]).total_seconds() for time in times]
    assert trace.arrival_s.tolist() == pytest.approx(expected, abs=1.1e-6)


def test_llm_draws_models_by_zipf() -> None:
    """With several models the first one has the share that the exponent says."""
    path = require_shared(LLM)
    trace, report = azure_llm_2023(path, FILL, models=4, zipf=1.0)
    share = np.bincount(trace.model, minlength=4) / len(trace)
    weight = np.array([1, 1 / 2, 1 / 3, 1 / 4])
    assert share == pytest.approx(weight / weight.sum(), abs=0.02)
    assert any("Zipf exponent 1 (seed 0)" in note for note in report.notes)


@pytest.mark.parametrize(
    ("unit", "first", "second"),
    [
        ("s", "1700000000.123456789", "1700000000.623456790"),
        ("ms", "1700000000123.5", "1700000000623.500001"),
        ("us", "-250000", "250000.001"),
        ("ns", "1700000000123456789", "1700000000623456790"),
        ("iso", "2024-02-29T23:59:59.9Z", "2024-03-01T00:00:00.400000001Z"),
        ("iso", "2024-02-29 23:59:59,9", "2024-03-01 00:00:00.4000000019"),
        ("iso", "20240229T235959.9+0100", "2024-02-29T23:00:00.400000001+00:00"),
        ("iso", "2024-02-29T23:59:59.9 -05", "2024-03-01T10:30:00.400000001+05:30"),
    ],
)
def test_log_times_in_every_unit(
    tmp_path: Path, unit: str, first: str, second: str
) -> None:
    """Half a second and a nanosecond apart is that, to the digit, in any notation."""
    text = f't,m\n"{first}",a\n"{second}",b\n'
    trace, report = log(tmp_path, text, arrival_unit=unit)
    assert trace.arrival_s.tolist() == [0.0, 0.500000001]
    assert trace.models == ("a", "b")
    assert not report.skipped


@pytest.mark.parametrize("first_has_offset", [True, False])
def test_log_refuses_mixed_offsets(tmp_path: Path, first_has_offset: bool) -> None:
    """Times with and without offset cannot be compared: an error of the line."""
    times = ["2024-01-01T00:00:00Z", "2024-01-01T00:00:01"]
    if not first_has_offset:
        times.reverse()
    with pytest.raises(InputError) as caught:
        log(tmp_path, f"t,m\n{times[0]},a\n{times[1]},a\n", arrival_unit="iso")
    assert caught.value.where.endswith("source.csv:3")
    assert "UTC offset as the times before" in caught.value.what


def test_log_with_all_columns(tmp_path: Path) -> None:
    """Named columns are used, blanks around fields dropped, equal times keep order."""
    text = (
        "m;slo; t ;who;kb\n"
        "cats; 0.5; 20; ann; 1.5\n"
        "dogs; 1; 10; bob; 2\n"
        "cats; 2; 10; ann; 0.001\n"
        "\n"
    )
    trace, report = log(
        tmp_path,
        text,
        Fill(),
        user="who",
        size="kb",
        size_unit="kB",
        slo="slo",
        delimiter=";",
    )
    assert trace.arrival_s.tolist() == [0, 0, 10]
    assert model_names(trace) == ["dogs", "cats", "cats"]
    assert [trace.users[code] for code in trace.user] == ["bob", "ann", "ann"]
    assert trace.input_bytes.tolist() == [2000, 1, 1500]
    assert trace.slo_s.tolist() == [1, 2, 0.5]
    assert report.notes == (
        "arrival times count from the first request",
        "rows were not in order of arrival and have been sorted",
    )


@pytest.mark.parametrize(
    ("unit", "size", "expected"),
    [
        ("B", "12", 12),
        ("kB", "1.5", 1500),
        ("MB", "1e-3", 1000),
        ("KiB", "1.5", 1536),
        ("MiB", "0.5", 524_288),
    ],
)
def test_log_size_units(tmp_path: Path, unit: str, size: str, expected: int) -> None:
    """Decimal and binary units are told apart."""
    trace, _ = log(tmp_path, f"t,m,b\n0,a,{size}\n", size="b", size_unit=unit)
    assert trace.input_bytes.tolist() == [expected]


def test_log_counts_what_it_cannot_use(tmp_path: Path) -> None:
    """No row is dropped in silence: each has a reason, and the first have lines."""
    text = (
        "t,m,u,b,d\n"
        "0,a,u,1,1\n"
        ",a,u,1,1\n"
        "x,a,u,1,1\n"
        "nan,a,u,1,1\n"
        "1e30,a,u,1,1\n"
        "1e99999999999999999999,a,u,1,1\n"
        "1,,u,1,1\n"
        '1,"a\nb",u,1,1\n'
        "1,a,,1,1\n"
        "1,a,u,0.2,1\n"
        "1,a,u,-5,1\n"
        "1,a,u,1,0\n"
        "1,a,u,1,soon\n"
        "1,a\n"
        "1,a\n"
        "1,a\n"
        "1,a\n"
    )
    trace, report = log(tmp_path, text, Fill(), user="u", size="b", slo="d")
    assert len(trace) == 1
    assert report.skipped == {
        "t is empty": Skipped(1, (Place(3),)),
        "t is not a number": Skipped(2, (Place(4, "x"), Place(5, "nan"))),
        "t is out of range": Skipped(
            2, (Place(6, "1e30"), Place(7, "1e99999999999999999999"))
        ),
        "m is empty or not on one line": Skipped(2, (Place(8), Place(9, "a\nb"))),
        "u is empty or not on one line": Skipped(1, (Place(11),)),
        "b is below 1 byte": Skipped(2, (Place(12, "0.2"), Place(13, "-5"))),
        "d is not a number above 0": Skipped(2, (Place(14, "0"), Place(15, "soon"))),
        "wrong number of fields": Skipped(
            4, (Place(16, "1,a"), Place(17, "1,a"), Place(18, "1,a"))
        ),
    }
    assert (report.rows_read, report.rows_used, report.requests) == (17, 1, 1)
    text = str(report)
    assert "1 of 17 rows used, 1 requests written" in text
    assert (
        "skipped 4: wrong number of fields "
        "(line 16: '1,a', line 17: '1,a', line 18: '1,a', ...)"
    ) in text
    assert "skipped 1: t is empty (line 3)" in text


@pytest.mark.parametrize(
    "time",
    [
        "2024-02-30T00:00:00",
        "2024-01-01",
        "yesterday",
        "1500-01-01T00:00:00",
        "0001-01-01T00:00:00+10:00",
        "2024-01-01T25:00:00",
        "2024-01-01T00:00:00+99:00",
    ],
)
def test_log_counts_times_that_are_none(tmp_path: Path, time: str) -> None:
    """A time that no calendar has is a row that cannot be used."""
    offset = "Z" if "+" in time else ""
    text = f"t,m\n2024-01-01T00:00:00{offset},a\n{time},a\n"
    trace, report = log(tmp_path, text, arrival_unit="iso")
    assert len(trace) == 1
    assert [rows.first for rows in report.skipped.values()] == [(Place(3, time),)]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("t,x\n0,a\n", ":1", "must have the column 'm' once, found only t, x"),
        ("t,m,t\n0,a,1\n", ":1", "must have the column 't' once, found twice"),
        ("t,m\nx,a\n", "", "a usable row, found 1 rows; 1: t is not a number"),
        ("t,m\n", "", "a usable row, found 0 rows"),
        ('t,m\n0,"a\n1,b\n', ":2", "must be CSV"),
        ("t,m\n0,a\0\n", ":2", "found a NUL byte"),
    ],
)
def test_log_refuses_what_cannot_be_a_log(
    tmp_path: Path, text: str, where: str, what: str
) -> None:
    """A missing column, broken quotes and a log without usable rows are errors."""
    with pytest.raises(InputError) as caught:
        log(tmp_path, text)
    assert caught.value.where == f"{tmp_path / 'source.csv'}{where}"
    assert what in caught.value.what


def test_cut_is_half_open_and_counts_from_its_start(tmp_path: Path) -> None:
    """An arrival at the start of the cut is kept as 0, one at its end is not."""
    text = "t,m\n" + "".join(f"{t},m{t}\n" for t in (100, 110, 110.5, 120))
    fill = Fill(slo_s=1, start_s=10, duration_s=10)
    trace, report = log(tmp_path, text, fill)
    assert trace.arrival_s.tolist() == [0, 0.5]
    assert model_names(trace) == ["m110", "m110.5"]
    assert report.rows_used == 4
    assert report.requests == 2
    assert any("2 of 4 arrivals are in the cut" in note for note in report.notes)


@pytest.mark.parametrize(
    ("fill", "parameter"),
    [
        (Fill(slo_s=1, start_s=30), "start_s"),
        (Fill(slo_s=1, start_s=1, duration_s=2), "start_s"),
    ],
)
def test_a_cut_that_leaves_nothing_is_refused(
    tmp_path: Path, fill: Fill, parameter: str
) -> None:
    """An empty result is a mistake in the cut; the message says where arrivals are."""
    with pytest.raises(InputError, match="arrivals go from 0 to 20 s") as caught:
        log(tmp_path, "t,m\n100,a\n120,a\n", fill)
    assert caught.value.where == parameter
    path = source(tmp_path, SMALL_2019)
    with pytest.raises(InputError, match="found none in these minutes"):
        azure_functions_2019(path, Fill(slo_s=1, start_s=600))


def test_what_is_drawn_follows_the_seed(tmp_path: Path) -> None:
    """Users and sizes are the same for the same seed and others for another one."""
    text = "t,m\n" + "".join(f"{t},a\n" for t in range(2000))
    drawn = [
        log(tmp_path, text, Fill(slo_s=1, input_bytes_cv=0.5, users=20, seed=seed))[0]
        for seed in (7, 7, 8)
    ]
    assert drawn[0].user.tolist() == drawn[1].user.tolist()
    assert drawn[0].input_bytes.tolist() == drawn[1].input_bytes.tolist()
    assert drawn[0].user.tolist() != drawn[2].user.tolist()
    assert drawn[0].input_bytes.tolist() != drawn[2].input_bytes.tolist()
    sizes = drawn[0].input_bytes
    assert sizes.mean() == pytest.approx(150_528, rel=0.05)
    assert sizes.std() / sizes.mean() == pytest.approx(0.5, rel=0.1)
    assert np.bincount(drawn[0].user, minlength=20).min() > 50


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"slo_s": 0.0}, "slo_s"),
        ({"slo_s": float("nan")}, "slo_s"),
        ({"input_bytes": 0}, "input_bytes"),
        ({"input_bytes_cv": -0.1}, "input_bytes_cv"),
        ({"users": 0}, "users"),
        ({"seed": -1}, "seed"),
        ({"start_s": -1.0}, "start_s"),
        ({"start_s": float("inf")}, "start_s"),
        ({"duration_s": 0.0}, "duration_s"),
        ({"duration_s": float("inf")}, "duration_s"),
    ],
)
def test_a_fill_is_checked_before_reading(
    given: dict[str, float], parameter: str
) -> None:
    """A value out of range is named by its parameter."""
    with pytest.raises(InputError) as caught:
        Fill(**given)  # type: ignore[arg-type]
    assert caught.value.where == parameter


def test_every_source_without_deadlines_needs_one(tmp_path: Path) -> None:
    """A deadline is never made up."""
    path = source(tmp_path, "t,m\n0,a\n")
    for convert in (azure_functions_2019, azure_functions_2021, azure_llm_2023):
        with pytest.raises(InputError, match="slo_s: is needed"):
            convert(path, Fill())
    with pytest.raises(InputError, match="slo_s: is needed"):
        log(tmp_path, "t,m\n0,a\n", Fill())


@pytest.mark.parametrize(
    ("columns", "parameter"),
    [
        ({"arrival_unit": "h"}, "arrival_unit"),
        ({"size_unit": "KB"}, "size_unit"),
        ({"delimiter": ""}, "delimiter"),
        ({"delimiter": "ab"}, "delimiter"),
        ({"delimiter": '"'}, "delimiter"),
    ],
)
def test_columns_of_a_log_are_checked(columns: dict[str, str], parameter: str) -> None:
    """Unknown units and delimiters are named by their parameter."""
    with pytest.raises(InputError) as caught:
        LogColumns(arrival="t", model="m", **columns)
    assert caught.value.where == parameter


def run(*args: object) -> str:
    """Run ``edgesim trace`` and return what it says on standard error."""
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception is not None:
        raise result.exception
    assert result.stdout == ""
    return result.stderr


def test_command_writes_the_trace_and_reports(tmp_path: Path) -> None:
    """The command's trace is the function's; its report goes to standard error."""
    path, out = source(tmp_path, SMALL_2019), tmp_path / "out.csv"
    said = run("convert", "azure-functions-2019", path, out, "--slo-s", 0.5)
    trace, report = azure_functions_2019(path, FILL)
    assert said == f"{report}\n"
    assert read_trace(out).arrival_s.tolist() == trace.arrival_s.tolist()
    path = source(tmp_path, LLM_SMALL)
    run("convert", "azure-llm-2023", path, out, "--slo-s", 1, "--models", 3)
    assert read_trace(out).input_bytes.tolist() == [4 * 4808, 4 * 3180]
    path = source(tmp_path, "app,func,end_timestamp,duration\na,f,1,0.5\n")
    run("convert", "azure-functions-2021", path, out, "--slo-s", 1, "--users", 1)
    assert read_trace(out).users == ("u000",)


def test_command_for_logs(tmp_path: Path) -> None:
    """Columns, a tab as delimiter and units arrive where they should."""
    path = source(tmp_path, "when\twhat\tsize\n5\tcats\t2\n")
    out = tmp_path / "out.csv"
    options = ["--arrival", "when", "--model", "what", "--size", "size"]
    more = ["--size-unit", "KiB", "--delimiter", "tab", "--slo-s", "2"]
    run("convert", "csv", path, out, *options, *more)
    assert out.read_text() == (
        "arrival_s,user,model,input_bytes,slo_s\n"
        f"0.0,{read_trace(out).users[0]},cats,2048,2.0\n"
    )
    with pytest.raises(InputError, match="--input-bytes: must not be given together"):
        run("convert", "csv", path, out, *options, *more, "--input-bytes", 5)


def test_a_failed_conversion_leaves_the_old_file(tmp_path: Path) -> None:
    """An error half way writes nothing and harms nothing."""
    path, out = source(tmp_path, SMALL_2019 + "o,b,j,http,1,2\n"), tmp_path / "o.csv"
    out.write_text(TRACE)
    with pytest.raises(InputError, match=r"source\.csv:6"):
        run("convert", "azure-functions-2019", path, out, "--slo-s", 1)
    assert out.read_text() == TRACE
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.csv", "source.csv"]
