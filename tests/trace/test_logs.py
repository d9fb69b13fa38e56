"""Request logs as they come: forms, files, times, numbers, and what is refused."""

from __future__ import annotations

import gzip
import json
import re
import shlex
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
    mooncake,
    request_log,
)
from edgesim.trace.log_file import UnusableError
from edgesim.trace.log_values import plain_number
from edgesim.trace.requests import Trace, read_trace
from tests.shared_data import require_shared

FILL = Fill(slo_s=0.5)


def write(folder: Path, text: str | bytes, name: str = "source.log") -> Path:
    """Write a log."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def log(
    folder: Path, text: str | bytes, fill: Fill = FILL, **columns: object
) -> tuple[Trace, ConversionReport]:
    """Convert a log with the columns ``t`` and ``m`` unless others are named."""
    named = {"arrival": "t", "model": "m", **columns}
    return request_log(write(folder, text), LogColumns(**named), fill)  # type: ignore[arg-type]


def run(*args: object) -> str:
    """Run ``edgesim trace convert`` and return what it says on standard error."""
    result = CliRunner().invoke(app, ["convert", *map(str, args)])
    if result.exception is not None:
        raise result.exception
    return result.stderr


LINES = (
    '{"t": 1700000000123456789, "m": "cats", "who": {"name": "ann"}, "n": 3}\n'
    "\n"
    '{"t": 1700000000623456790, "m": "dogs", "who": {"name": "bob"}, "n": 2}\n'
)


def test_json_lines_keep_every_digit(tmp_path: Path) -> None:
    """Numbers are never floats on the way; a dotted name leads into objects."""
    trace, report = log(
        tmp_path,
        LINES,
        form="jsonl",
        arrival_unit="ns",
        user="who.name",
        size="n",
        bytes_per_token=4,
    )
    assert trace.arrival_s.tolist() == [0.0, 0.500000001]
    assert trace.models == ("cats", "dogs")
    assert trace.users == ("ann", "bob")
    assert trace.input_bytes.tolist() == [12, 8]
    assert report.rows_read == 2
    assert "an input has 4 bytes for each token of n" in report.notes


def test_json_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    """Each by its reason, with line and value."""
    text = "\n".join(
        [
            '{"t": 1, "m": "a"}',
            '{"t": 1, "m": "a"',
            "[1, 2]",
            '{"m": "a"}',
            '{"t": null, "m": "a"}',
            '{"t": true, "m": "a"}',
            '{"t": NaN, "m": "a"}',
            '{"t": 2, "m": "\\ud800"}',
            '{"t": 2, "m": {"x": 1}}',
            "[" * 100_000,
        ]
    )
    trace, report = log(tmp_path, text, form="jsonl")
    assert len(trace) == 1
    assert report.skipped == {
        "not JSON": Skipped(
            2, (Place(2, '{"t": 1, "m": "a"'), Place(10, "[" * 100_000))
        ),
        "not a JSON object": Skipped(1, (Place(3, "[1, 2]"),)),
        "t is missing": Skipped(1, (Place(4, "m"),)),
        "t is empty": Skipped(1, (Place(5),)),
        "t is neither text nor a number": Skipped(
            2, (Place(6, "True"), Place(7, "nan"))
        ),
        "m is not text": Skipped(1, (Place(8, "\ud800"),)),
        "m is neither text nor a number": Skipped(1, (Place(9, "{'x': '1'}"),)),
    }
    assert all(len(line) < 300 for line in str(report).splitlines())
    str(report).encode()


@pytest.mark.parametrize("text", ['[{"t": 1, "m": "a"}]', '\n[\n{"t": 1}\n]\n'])
def test_a_json_array_is_told_from_json_lines(tmp_path: Path, text: str) -> None:
    """The message says how it becomes JSON lines."""
    with pytest.raises(InputError, match=r"a JSON object a line, found a JSON array"):
        log(tmp_path, text, form="jsonl")


def test_csv_says_that_it_was_given_json(tmp_path: Path) -> None:
    """The other format is named."""
    with pytest.raises(InputError, match=r"found JSON, .* the format jsonl reads"):
        log(tmp_path, LINES)


def test_packed_files_in_order(tmp_path: Path) -> None:
    """Files packed or not follow one another; a skipped row names its file."""
    first = write(tmp_path, gzip.compress(b"t,m\n0,a\nx,a\n1,b\n"), "one.csv.gz")
    second = write(tmp_path, "m,t\nc,2\nc,1\n", "two.csv")
    columns = LogColumns(arrival="t", model="m")
    trace, report = request_log([first, second], columns, FILL)
    assert trace.arrival_s.tolist() == [0, 1, 1, 2]
    assert [trace.models[code] for code in trace.model] == ["a", "b", "c", "c"]
    assert report.skipped == {
        "t is not a number": Skipped(1, (Place(3, "x", "one.csv.gz"),))
    }
    assert "(one.csv.gz line 3: 'x')" in str(report)
    with pytest.raises(InputError, match="must be given once, found twice"):
        request_log([first, first], columns, FILL)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (gzip.compress(b"t,m\n0,a\n" * 99, mtime=0)[:-9], "a damaged or cut one"),
        (b"\x1f\x8b\x08\x00 no gzip at all", "a damaged or cut one"),
        (b"PK\x03\x04\x14", "text or gzip, found zip"),
        (b"\x28\xb5\x2f\xfd\x00", "text or gzip, found zstd"),
        (b"PAR1\x15\x04", "text or gzip, found parquet"),
        (b"BZh91AY", "text or gzip, found bzip2"),
    ],
)
def test_other_packers_are_named(tmp_path: Path, text: bytes, what: str) -> None:
    """What cannot be unpacked is refused by its name."""
    with pytest.raises(InputError, match=what):
        log(tmp_path, text)


@pytest.mark.parametrize(
    ("unit", "times", "expected_s"),
    [
        ("µs", ("1", "2000001"), 2),
        ("\u03bcs", ("1", "2000001"), 2),
        ("iso", ("2023/01/05 10:00", "2023/01/05 10:01"), 60),
        ("iso", ("2023/1/5 9:59:59".replace(" 9", " 09"), "2023/01/05 10:00"), 1),
        ("iso", ("2023-01-05 10:00 UTC", "2023-01-05T12:00+02:00"), 0),
        ("iso", ("2023-12-31T23:59:59Z", "2023-12-31T19:00:00-0500"), 1),
        ("iso", ("2024-02-28T23:00:00Z", "2024-03-01T00:00:00GMT"), 90_000),
        (
            "apache",
            ("[05/Jan/2023:10:00:00 +0100]", "05/Jan/2023:09:00:01 +0000"),
            1,
        ),
        ("apache", ("[10/Oct/2000:13:55:36", "[10/Oct/2000:13:55:37"), 1),
    ],
)
def test_times_in_every_form(
    tmp_path: Path, unit: str, times: tuple[str, str], expected_s: float
) -> None:
    """Each notation gives the seconds between two times."""
    text = "t,m\n" + "".join(f"{time},a\n" for time in times)
    trace, report = log(tmp_path, text, arrival_unit=unit)
    assert trace.arrival_s.tolist() == [0, expected_s]
    assert not report.skipped


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("iso", "2023/01-05 10:00"),
        ("iso", "05/01/2023 10:00"),
        ("iso", "2023-01-05T10:60"),
        ("iso", "2023-01-05T24:00"),
        ("iso", "2023-01-05T10:00+01:75"),
        ("iso", "2023-13-05T10:00"),
        ("apache", "05/Foo/2023:10:00:00"),
        ("apache", "31/Feb/2023:10:00:00"),
        ("apache", "2023-01-05T10:00:00"),
    ],
)
def test_times_of_another_form_are_counted(
    tmp_path: Path, unit: str, text: str
) -> None:
    """A date that could be read in two ways, or that no calendar has, is none."""
    with pytest.raises(InputError, match=r"t is not a date and time as .*line 2: '"):
        log(tmp_path, f"t,m\n{text},a\n", arrival_unit=unit)


@pytest.mark.parametrize(
    ("text", "decimal", "expected"),
    [
        ("1.5", None, "1.5"),
        ("1e3", None, "1e3"),
        ("1.5", ".", "1.5"),
        ("1,234", ".", "1234"),
        ("1,234,567.5", ".", "1234567.5"),
        ("1,234", ",", "1.234"),
        ("1.234", ",", "1234"),
        ("1.234.567,25", ",", "1234567.25"),
        ("12,5", ",", "12.5"),
        ("1 234,5", ",", "1234.5"),
        ("1'234.5", ".", "1234.5"),
        ("-1.234,5", ",", "-1234.5"),
        ("7", ",", "7"),
    ],
)
def test_decimal_commas_and_thousands(
    text: str, decimal: str | None, expected: str
) -> None:
    """The same text is another number where the decimal sign is another."""
    assert plain_number("t", text, decimal) == expected


@pytest.mark.parametrize(
    ("text", "decimal", "reason"),
    [
        ("1,234", None, "t has decimal commas or thousands; name the decimal sign"),
        ("12,5", None, "t has decimal commas or thousands; name the decimal sign"),
        ("1.234,5", None, "t has decimal commas or thousands; name the decimal sign"),
        ("12,5", ".", "t is not a number"),
        ("1,23,456", ".", "t is not a number"),
        ("1.5", ",", "t is not a number"),
        ("1.2345", ",", "t is not a number"),
        ("1,2,3", ",", "t is not a number"),
        ("", ",", "t is empty"),
    ],
)
def test_what_could_be_either_is_not_guessed(
    text: str, decimal: str | None, reason: str
) -> None:
    """A comma is a sign of one meaning only once the decimal sign is named."""
    with pytest.raises(UnusableError) as caught:
        plain_number("t", text, decimal)
    assert str(caught.value) == reason


def test_decimal_commas_of_a_log(tmp_path: Path) -> None:
    """Times, sizes and deadlines follow the same sign."""
    text = "t;m;b;d\n1,5;a;1.024;0,25\n2,75;a;2,6;1\n"
    trace, _ = log(
        tmp_path, text, Fill(), delimiter=";", decimal=",", size="b", slo="d"
    )
    assert trace.arrival_s.tolist() == [0, 1.25]
    assert trace.input_bytes.tolist() == [1024, 3]
    assert trace.slo_s.tolist() == [0.25, 1]


def test_models_of_a_log_without_any_are_drawn(tmp_path: Path) -> None:
    """Popularity is as stated, and the same command gives the same bytes."""
    path = write(tmp_path, "t\n" + "".join(f"{t}\n" for t in range(4000)))
    options = ["--arrival", "t", "--slo-s", 1, "--models", 4, "--zipf", 1]
    said = [run("csv", path, tmp_path / out, *options) for out in ("a", "b")]
    other = run("csv", path, tmp_path / "c", *options, "--seed", 1)
    a, b, c = ((tmp_path / out).read_bytes() for out in ("a", "b", "c"))
    assert said[0] == said[1]
    assert a == b
    assert a != c
    assert "from m000 to m003 with Zipf exponent 1 (seed 1)" in other
    trace = read_trace(tmp_path / "a")
    weight = np.array([1, 1 / 2, 1 / 3, 1 / 4])
    counts = dict(zip(trace.models, np.bincount(trace.model), strict=True))
    share = [counts[f"m00{n}"] / len(trace) for n in range(4)]
    assert share == pytest.approx((weight / weight.sum()).tolist(), abs=0.03)


def test_ties_are_spread_over_their_tick(tmp_path: Path) -> None:
    """Evenly and in file order, never past the next time, over a tick at the end."""
    text = "t,m\n" + "".join(
        f"{t},{m}\n"
        for m, t in zip("abcdefghi", (0, 0, 0, 3, 5, 5, 8, 11, 11), strict=True)
    )
    trace, report = log(tmp_path, text, Fill(slo_s=1, spread_ties=True))
    assert trace.arrival_s.tolist() == [0, 1, 2, 3, 5, 6.5, 8, 11, 12.5]
    assert "".join(trace.models[code] for code in trace.model) == "abcdefghi"
    assert (
        "7 rows share their time with others and are spread evenly over ticks of 3 s, "
        "in file order"
    ) in report.notes
    with pytest.raises(InputError, match="spread_ties: needs rows of two times"):
        log(tmp_path, "t,m\n4,a\n4,b\n", Fill(slo_s=1, spread_ties=True))


def test_report_shows_a_wrong_unit_at_once(tmp_path: Path) -> None:
    """Span, rate, models and popularity stand in it."""
    text = "t,m\n" + "".join(f"{t},{'ab'[t % 3 == 0]}\n" for t in range(0, 7201, 10))
    _, report = log(tmp_path, text)
    assert report.span_s == 7200
    assert report.rate_per_s == pytest.approx(0.1)
    said = str(report).splitlines()
    assert said[1] == "span 7,200 s (2 h), 0.1 requests/s"
    assert said[2] == "models 2: a 66.6%, b 33.4%; Zipf exponent 0.994"
    _, wrong = log(tmp_path, text, arrival_unit="ms")
    assert str(wrong).splitlines()[1] == "span 7.2 s, 100 requests/s"


def test_functions_of_several_rows_are_one_model(tmp_path: Path) -> None:
    """A function with two triggers is one model, and the report says so."""
    text = (
        "HashOwner,HashApp,HashFunction,Trigger,1,2\n"
        "o,a,f,http,1,2\n"
        "o,b,f,http,4,0\n"
        "o,a,f,timer,3,0\n"
    )
    trace, report = azure_functions_2019(write(tmp_path, text), FILL)
    assert trace.models == ("m000", "m001")
    assert np.bincount(trace.model).tolist() == [6, 4]
    assert (
        "functions that stand in several rows are one model each: 1, with 2 rows in all"
    ) in report.notes


def test_files_of_functions_follow_one_another(tmp_path: Path) -> None:
    """The minutes of a second day come after those of the first."""
    head = "HashOwner,HashApp,HashFunction,Trigger,1,2\n"
    first = write(tmp_path, f"{head}o,a,f,http,1,2\n", "d01.csv")
    second = write(tmp_path, f"{head}o,a,g,http,0,9\no,a,f,http,1,0\n", "d02.csv")
    trace, report = azure_functions_2019([first, second], FILL)
    minutes = np.floor(trace.arrival_s / 60).astype(int)
    named = [trace.models[code] for code in trace.model]
    assert sorted(zip(minutes.tolist(), named, strict=True)) == (
        [(0, "m001"), (1, "m001"), (1, "m001"), (2, "m001")] + [(3, "m000")] * 9
    )
    assert any("minutes of 2 files follow one another" in n for n in report.notes)


def test_every_public_file_in_one_command(tmp_path: Path) -> None:
    """Each file of the shared data, with its number of calls."""
    out = tmp_path / "out.csv"
    for name, convert, requests in (
        ("azure_functions_2019_sample100_inv.csv", "azure-functions-2019", 666_572),
        ("azure_functions_2021_excerpt199.csv", "azure-functions-2021", 199),
        ("AzureLLMInferenceTrace_code.csv", "azure-llm-2023", 8_819),
        ("AzureLLMInferenceTrace_conv.csv", "azure-llm-2023", 19_366),
        ("mooncake_conversation_excerpt.jsonl", "mooncake", 1_000),
    ):
        path = require_shared(f"requests/{name}")
        said = run(convert, path, out, "--slo-s", 1)
        assert f" {requests:,} requests written" in said, name
        assert "skipped" not in said


def test_mooncake_ties_are_spread() -> None:
    """Ticks of 3 s that stutter by 1 ms: sizes and order stay, no time is shared."""
    path = require_shared("requests/mooncake_conversation_excerpt.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    tied, _ = mooncake(path, FILL)
    assert tied.arrival_s.tolist() == [row["timestamp"] / 1e3 for row in rows]
    assert tied.input_bytes.tolist() == [4 * row["input_length"] for row in rows]
    spread, report = mooncake(path, Fill(slo_s=1, spread_ties=True))
    assert len(set(spread.arrival_s.tolist())) == 1000
    later_s = spread.arrival_s - tied.arrival_s
    assert 0 <= later_s.min() < later_s.max() < 3
    assert spread.input_bytes.tolist() == tied.input_bytes.tolist()
    assert any("over ticks of 3 s" in note for note in report.notes)


HEADER = "t,m,b,d\n"
MALFORMED: tuple[tuple[str, bytes, int | None], ...] = (
    # Name, log, usable rows; None if the log is refused.
    ("empty", b"", None),
    ("blank", b"\n\n\n", None),
    ("no rows", HEADER.encode(), None),
    ("no header", b"0,a,1,1\n", None),
    ("wrong column", b"t,model,b,d\n0,a,1,1\n", None),
    ("column twice", b"t,m,b,t\n0,a,1,1\n", None),
    ("many columns", b",".join(b"c%d" % n for n in range(9999)) + b"\n", None),
    ("escapes in header", b"\x1b[31mt,\x07m,b,d\n0,a,1,1\n", None),
    ("semicolons", HEADER.replace(",", ";").encode() + b"0;a;1;1\n", None),
    ("json", b'{"t": 0, "m": "a", "b": 1, "d": 1}\n', None),
    ("json array", b'[{"t": 0}]\n', None),
    ("html", b"<html><body>404 not found</body></html>\n", None),
    ("utf-16", (HEADER + "0,a,1,1\n").encode("utf-16"), None),
    ("latin-1", HEADER.encode() + "0,é,1,1\n".encode("latin-1"), None),
    ("nul", HEADER.encode() + b"0,a\0,1,1\n", None),
    ("binary", bytes(range(256)) * 40, None),
    ("zip", b"PK\x03\x04" + bytes(99), None),
    ("xz", b"\xfd7zXZ\x00" + bytes(99), None),
    ("zstd", b"\x28\xb5\x2f\xfd" + bytes(99), None),
    ("cut gzip", gzip.compress(HEADER.encode() * 999, mtime=0)[:-12], None),
    ("damaged gzip", b"\x1f\x8b\x08" + bytes(range(99)), None),
    ("quote not closed", HEADER.encode() + b'0,"a,1,1\n1,b,1,1\n', None),
    ("quote in a field", HEADER.encode() + b'0,"a"b,1,1\n', None),
    ("huge field", HEADER.encode() + b"0," + b"x" * 200_000 + b",1,1\n", None),
    ("only bad times", HEADER.encode() + b"noon,a,1,1\n" * 5, None),
    ("a long bad value", HEADER.encode() + b"x" * 99_999 + b",a,1,1\n", None),
    ("escapes in a value", HEADER.encode() + b"\x1b[2J,a,1,1\n", None),
    ("dates for numbers", HEADER.encode() + b"2023-01-05T10:00:00Z,a,1,1\n", None),
    ("short row", HEADER.encode() + b"0,a,1,1\n1,a\n", 1),
    ("long row", HEADER.encode() + b"0,a,1,1\n1,a,1,1,1,1\n", 1),
    ("no time", HEADER.encode() + b"0,a,1,1\n,a,1,1\n", 1),
    ("nan", HEADER.encode() + b"0,a,1,1\nnan,a,1,1\n", 1),
    ("infinite", HEADER.encode() + b"0,a,1,1\ninf,a,1,1\n", 1),
    ("hexadecimal", HEADER.encode() + b"0,a,1,1\n0x10,a,1,1\n", 1),
    ("huge time", HEADER.encode() + b"0,a,1,1\n1e300,a,1,1\n", 1),
    ("huge exponent", HEADER.encode() + b"0,a,1,1\n1e" + b"9" * 99 + b",a,1,1\n", 1),
    ("decimal comma", HEADER.encode() + b'0,a,1,1\n"1,5",a,1,1\n', 1),
    ("no model", HEADER.encode() + b"0,a,1,1\n1,,1,1\n", 1),
    ("model on two lines", HEADER.encode() + b'0,a,1,1\n1,"a\nb",1,1\n', 1),
    ("no size", HEADER.encode() + b"0,a,1,1\n1,a,,1\n", 1),
    ("negative size", HEADER.encode() + b"0,a,1,1\n1,a,-4,1\n", 1),
    ("size beyond 2^63", HEADER.encode() + b"0,a,1,1\n1,a,9e18,1\n", 1),
    ("no deadline", HEADER.encode() + b"0,a,1,1\n1,a,1,\n", 1),
    ("deadline 0", HEADER.encode() + b"0,a,1,1\n1,a,1,0\n", 1),
    ("header again", HEADER.encode() + b"0,a,1,1\n" + HEADER.encode(), 1),
    ("a total below", HEADER.encode() + b"0,a,1,1\nTotal: 1 row\n", 1),
    ("other digits", HEADER.encode() + "0,a,1,1\n\u0661,a,1,1\n".encode(), 1),
)


@pytest.mark.parametrize(
    ("text", "used"), [m[1:] for m in MALFORMED], ids=[m[0] for m in MALFORMED]
)
def test_malformed_logs(tmp_path: Path, text: bytes, used: int | None) -> None:
    """Refused in one line that shows little of the log, or skipped and counted."""
    path, out = write(tmp_path, text), tmp_path / "out.csv"
    options = ["--arrival", "t", "--model", "m", "--size", "b", "--slo", "d"]
    if used is None:
        with pytest.raises(InputError) as caught:
            run("csv", path, out, *options)
        said = str(caught.value).replace(str(tmp_path), "")
        assert len(said) < 300
        assert said.isprintable()
        assert not out.exists()
    else:
        said = run("csv", path, out, *options)
        assert f"{used} of {used + 1} rows used" in said
        assert "skipped 1: " in said
        assert len(read_trace(out)) == used


def test_there_are_forty_malformed_logs() -> None:
    """As many as were asked for, each another."""
    assert len({text for _, text, _ in MALFORMED}) == len(MALFORMED) >= 40


def test_first_offending_value_is_shown(tmp_path: Path) -> None:
    """Where no row is usable, the reader sees why."""
    text = "t,m\n2023-01-05 10:00,a\nx,a\n9,\n"
    with pytest.raises(InputError) as caught:
        log(tmp_path, text)
    assert caught.value.what == (
        "must have a usable row, found 3 rows; 2: t is not a number (line 2: "
        "'2023-01-05 10:00'); 1: m is empty or not on one line (line 4)"
    )


def test_a_log_without_header(tmp_path: Path) -> None:
    """An access log of a web server: columns are named, fields parted by blanks."""
    text = (
        '10.0.0.1 - ann [10/Oct/2000:13:55:36 -0700] "GET /cats HTTP/1.0" 200 2326\n'
        '10.0.0.2 - bob [10/Oct/2000:13:55:38 -0700] "GET /dogs HTTP/1.0" 200 99\n'
    )
    out = tmp_path / "out.csv"
    run(
        *("csv", write(tmp_path, text), out, "--delimiter", "space"),
        *("--header", "host,id,who,time,zone,request,status,bytes"),
        *("--arrival", "time", "--arrival-unit", "apache", "--model", "request"),
        *("--user", "who", "--slo-s", 1),
    )
    trace = read_trace(out)
    assert trace.arrival_s.tolist() == [0, 2]
    assert trace.models == ("GET /cats HTTP/1.0", "GET /dogs HTTP/1.0")
    assert trace.users == ("ann", "bob")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ([], "--model: is needed, or --models"),
        (["--model", "m", "--models", 3], "--models: must not be given together"),
        (["--model", "m", "--zipf", 1], "--zipf: must not be given together"),
        (["--models", 0], "--models: must be"),
        (["--models", 2, "--bytes-per-token", 4], "needs a column of token counts"),
        (
            ["--models", 2, "--size", "b", "--size-unit", "kB", "--bytes-per-token", 4],
            "--size-unit: must not be given together with --bytes-per-token",
        ),
        (["--models", 2, "--decimal", "x"], "--decimal: must be one of ., ,"),
        (["--models", 2, "--arrival-unit", "h"], "ns, iso, apache, found 'h'"),
    ],
)
def test_options_that_do_not_go_together(
    tmp_path: Path, options: list[object], what: str
) -> None:
    """Each is named as it is typed."""
    path = write(tmp_path, "t,m,b\n0,a,1\n")
    with pytest.raises(InputError, match=what):
        run("csv", path, tmp_path / "out", "--arrival", "t", "--slo-s", 1, *options)


DOCUMENTED = {
    "BurstGPT_1.csv": (
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,472,18,490,Conversation log\n"
        "5,GPT-4,1087,230,1317,API log\n"
        "45,ChatGPT,3,1,4,Conversation log\n"
    ),
    "AzureLLMInferenceTrace_code_1week.csv": (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2024-05-10 00:00:00.009930+00:00,2162,5\n"
        "2024-05-10 00:00:00.017335+00:00,2399,6\n"
        "2024-05-10 00:00:01+00:00,76,15\n"
    ),
    "AzureLMMInferenceTrace_multimodal.csv.gz": (
        "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n"
        "2024-10-15 12:00:00.1,1,1054,7\n"
        "2024-10-15 12:00:00.2,0,48,96\n"
        "2024-10-15 12:00:09.2,2,48,96\n"
    ),
    "azurefunctions-accesses-2020.csv": (
        "Timestamp,AnonRegion,AnonUserId,AnonAppName,AnonFunctionInvocationId,"
        "AnonBlobName,BlobType,AnonBlobETag,BlobBytes,Read,Write\n"
        "1606092900138,r,77,a,1,n,BlockBlob/,e,30.0,True,False\n"
        "1606092900139,r,12,b,1,n,BlockBlob/,e,1938488.0,True,False\n"
        "1606092901138,r,12,b,1,n,BlockBlob/,e,36.0,False,True\n"
    ),
    "qwen_traceA_blksz_16.jsonl": (
        '{"chat_id": 1, "timestamp": 61.114, "input_length": 521, "hash_ids": [1]}\n'
        '{"chat_id": 2, "timestamp": 61.2, "input_length": 9, "hash_ids": [1]}\n'
        '{"chat_id": 3, "timestamp": 62, "input_length": 9, "hash_ids": []}\n'
    ),
    "lora_request_trace.csv": (
        "gmt_create,predict_type,groupId,checkpoint_model_version_id,num_lora\n"
        "2024-11-15 16:57:50,TXT_2_IMG,G0000,M0000,0\n"
        "2024-11-15 16:57:50,TXT_2_IMG,G0001,M0001,2\n"
        "2024-11-15 16:57:59,IMG_2_IMG,G0001,M0001,2\n"
    ),
    "R5.csv": (
        "time_worker,time_frontend,requestID,funcName,userID,requestBodySize\n"
        "2600186.994,2600186.995,76,296,224,1018\n"
        "2600187.994,2600187.995,77,297,224,99\n"
        "2600188.994,2600188.995,77,297,224,99\n"
    ),
    "upload.tsv.gz": (
        "0\t12\tjpeg\t5120\t0.001\n0\t13\tpng\t99\t0.1\n3\t13\tpng\t99\t0.1\n"
    ),
    "access.log": (
        '10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /cats HTTP/1.0" 200 2326\n'
        '10.0.0.2 - - [10/Oct/2000:13:55:36 -0700] "GET /dogs HTTP/1.0" 404 -\n'
        '10.0.0.2 - - [10/Oct/2000:13:55:39 -0700] "GET /dogs HTTP/1.0" 200 9\n'
    ),
}
"""Three rows of each public log of the documentation, with its documented columns."""


def test_documented_commands_convert_the_documented_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command of the table in docs/traces.md, typed as it stands."""
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[2] / "docs" / "traces.md"
    table = page.read_text(encoding="utf-8").split("### Other public logs")[1]
    commands = re.findall(r"\| `edgesim trace convert ([^`]+)` \|", table)
    assert len(commands) == len(DOCUMENTED)
    for command in commands:
        form, name, *options = shlex.split(command)
        text = DOCUMENTED[name].encode()
        write(tmp_path, gzip.compress(text) if name.endswith(".gz") else text, name)
        said = run(form, name, *options)
        assert said.startswith("3 of 3 rows used, 3 requests written\n"), name
        assert len(set(read_trace(tmp_path / "out.csv").arrival_s.tolist())) == 3
