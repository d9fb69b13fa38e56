"""``edgesim figure SCENARIO --vary``: what is typed, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesim.cli.figure import shard_of
from edgesim.cli.vary import values_of
from edgesim.errors import InputError
from tests.command import Finished, edgesim
from tests.examples import SCENARIO, TRACE

RANGE = "must be START:STOP:COUNT with two numbers"


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """Write a small scenario and its trace."""
    (tmp_path / "small.csv").write_text(TRACE)
    file = tmp_path / "small.toml"
    file.write_text(SCENARIO)
    return file


def _figure(scenario: Path, *words: object) -> Finished:
    """Run the command with a folder to write to."""
    out = scenario.parent / "out"
    return edgesim("figure", scenario, *words, "--jobs", 1, "--out", out)


def refused(scenario: Path, *words: object) -> str:
    """Run a command line that is refused; return the only line that it says."""
    found = _figure(scenario, *words)
    assert (found.code, found.out, found.err.count("\n")) == (2, "", 1), found.err
    assert not (scenario.parent / "out").exists()
    return found.err.removeprefix("error: ").strip()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("10:80:8", (10, 20, 30, 40, 50, 60, 70, 80)),
        ("0:1:3", (0.0, 0.5, 1.0)),
        ("3:1:3", (3, 2, 1)),
        ("1e6:4e6:2", (1e6, 4e6)),
        ("1:100:3:log", (1, 10, 100)),
        ("5", (5,)),
        ("1, 2,3.5", (1, 2, 3.5)),
        ("true,false", (True, False)),
        ("static,dynamic", ("static", "dynamic")),
        ('"a,b",c', ("a,b", "c")),
        ('"1:2:3"', ("1:2:3",)),
        ("../one.csv,two", ("../one.csv", "two")),
    ],
)
def test_values(text: str, values: tuple[object, ...]) -> None:
    """Both ends of a range, whole numbers where all are; or what is listed."""
    found, log = values_of("key", text)
    assert found == values
    assert [type(one) for one in found] == [type(one) for one in values]
    assert log == text.endswith(":log")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1:5:0", RANGE),
        ("1:5:1", RANGE),
        ("1:5:1000000000", "at most 1000; found '1:5:1000000000'"),
        ("1:5:2.5", RANGE),
        ("1:nan:3", RANGE),
        ("inf:1:3", RANGE),
        ("1:2", RANGE),
        ("1:2:3:lin", RANGE),
        ("1:2:3:log:log", RANGE),
        ("a:b:3", RANGE),
        ("2:2:3", "must have two different numbers at its ends"),
        ("0:2:3:log", "must have two different numbers above 0 at its ends"),
        ("1,,2", "must be a TOML value"),
        ("1,", "must be a TOML value"),
        ("1,1.0", "must be distinct values, found 1,1.0"),
        ("{a=1}", "must be numbers, true and false, or texts, found {a=1}"),
        ("[1],[1]", "must be numbers, true and false, or texts, found [1]"),
    ],
)
def test_values_that_are_none(text: str, told: str) -> None:
    """Each names the option and the parameter."""
    with pytest.raises(InputError) as error:
        values_of("key", text)
    assert error.value.where == "--vary key"
    assert told in error.value.what


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "x", "1/0", "", "1/2/3", "-1/4", "1.5/2"]
)
def test_shards_that_are_none(scenario: Path, text: str) -> None:
    """One line that shows what one looks like."""
    with pytest.raises(InputError, match="must be i/n with i from 1 to n, such as 1/4"):
        shard_of(text)
    err = refused(scenario, "--vary", "users=1,2", f"--shard={text}")
    assert err.startswith("--shard: must be i/n")


@pytest.mark.parametrize(
    ("vary", "told"),
    [
        ([""], "--vary: must be KEY=START:STOP:COUNT or KEY=a,b,c, found ''"),
        (["users"], "--vary: must be KEY=START:STOP:COUNT or KEY=a,b,c, found 'users'"),
        (["users="], "--vary: must be KEY=START:STOP:COUNT or KEY=a,b,c, found"),
        (["=1,2"], "--vary: must be KEY=START:STOP:COUNT or KEY=a,b,c, found '=1,2'"),
        (["a b=1"], "--vary: must be a key path, such as cell.bandwidth_hz or"),
        (["users=nan"], "--vary users: input should be a valid integer, found nan"),
        (["users=inf,1"], "--vary users: input should be a valid integer, found inf"),
        (["users=a"], "--vary users: input should be a valid integer, found 'a'"),
        (["bandwidth=1e400,1"], "--vary bandwidth: input should be a finite number"),
        (["user=1,2"], "--vary user: must be one of users, bandwidth"),
        (["user=1,2"], "did you mean 'users'?"),
        (
            ["cell.bandwith_hz=1,2"],
            "--vary cell.bandwith_hz: unknown key; did you mean 'bandwidth_hz'?",
        ),
        (["run.uplink=static,fast"], "--vary run.uplink: input should be 'upfront'"),
        (["gpu.overlap=1:2:2"], "--vary gpu.overlap: input should be a valid boolean"),
        (["cell=1,2"], "--vary cell: must be a table or object, found 1"),
        (["profile=nothing"], "--vary profile: must be a file or one of"),
        (["shared=0:2:3"], "--vary shared: must be a number between 0 and 1, found 2"),
        (
            ["library.clusters[7].variants=2,3"],
            "--vary library.clusters[7].variants: no such key to replace",
        ),
        (["users=1,2", "users=2,3"], "--vary users: is given twice"),
        (["users=1,2", "load=1,2", "deadline=1,2"], "--vary: is for one or two"),
        (
            ["users=1,2", "workload.requests=1,2"],
            "--vary users: sets workload.requests, which is set too",
        ),
    ],
)
def test_what_is_typed_wrongly(scenario: Path, vary: list[str], told: str) -> None:
    """One line that names the option and the parameter, and nothing is written."""
    words = [word for text in vary for word in ("--vary", text)]
    assert told in refused(scenario, *words)


def test_what_another_key_forbids_names_both(scenario: Path) -> None:
    """The file's part in it is told too."""
    err = refused(scenario, "--vary", "library.clusters[0].variants=3,1")
    assert err.startswith("--vary: library.clusters[0].variants = 1: ")
    assert f"{scenario}: workload.models: " in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--set", "cell.radius_m=-1"), "--set cell.radius_m: input should be"),
        (
            ("--set", "cell.bandwidth_hz=1"),
            "--set cell.bandwidth_hz: sets cell.bandwidth_hz, which is varied",
        ),
        (("--measure", "in_tim"), "--measure: must be one of"),
        (("--compare", "dq"), "--compare: must be noshare, best or one of"),
        (("--relative",), "--relative: relative needs compare"),
        (("--map",), "--map: needs two parameters; give --vary twice"),
    ],
)
def test_other_options_are_named(
    scenario: Path, words: tuple[str, ...], told: str
) -> None:
    """Each is told as it was typed."""
    err = refused(scenario, "--vary", "cell.bandwidth_hz=1e6,2e6", *words)
    assert err.startswith(told)


@pytest.mark.parametrize(
    ("option", "key"), [("--solver", "run.solvers"), ("--repeats", "run.repeats")]
)
def test_an_option_does_not_set_what_is_varied(
    scenario: Path, option: str, key: str
) -> None:
    """Neither would be what was meant."""
    value = "dp" if option == "--solver" else "1"
    err = refused(scenario, "--vary", f"{key}=dp", option, value)
    assert err == f"{option}: sets {key}, which is varied; give one of them"


def test_a_file_that_is_wrong_is_named(scenario: Path) -> None:
    """It is not the fault of what was typed."""
    scenario.write_text(SCENARIO.replace("radius_m = 100.0", "radius_m = -1.0"))
    err = refused(scenario, "--vary", "users=1,2")
    assert err.startswith(f"{scenario}: cell.radius_m: ")


@pytest.mark.parametrize(
    "vary",
    [
        ("gpu.overlap=true,false",),
        ("run.uplink=static,dynamic",),
        ("library.clusters[0].variants=2,3",),
        ("library.clusters.0.variants=2,3", "gpu.overlap=true,false"),
        ("users=1",),
    ],
)
def test_values_of_any_kind(scenario: Path, vary: tuple[str, ...]) -> None:
    """Truths, names, positions in lists, a single value."""
    words = [word for text in vary for word in ("--vary", text)]
    found = _figure(scenario, *words, "--solver", "greedy", "--repeats", 1)
    assert (found.code, found.err) == (0, "")
    lines = (scenario.parent / "out" / "small.csv").read_text().splitlines()
    values = [len(text.partition("=")[2].split(",")) for text in vary]
    assert len(lines) == 1 + values[0] * (values[1] if len(values) > 1 else 1)


def test_quantities_with_units() -> None:
    """By the unit that the key's name ends with; other keys take no units."""
    assert values_of("bandwidth", "5MHz,0.5 GHz")[0] == (5 * 10**6, 5 * 10**8)
    assert values_of("load_rate", "1GB/s:3GB/s:3")[0] == (1e9, 2e9, 3e9)
    assert values_of("deadline", "200ms,1s,2min")[0] == (0.2, 1, 120)
    with pytest.raises(InputError, match="TOML value"):
        values_of("deadline", "5MHz")
    assert values_of("memory", "8GB,24GiB,1e9")[0] == (8 * 10**9, 24 * 2**30, 1e9)
    assert values_of("memory", "1MB:3MB:3")[0] == (10**6, 2 * 10**6, 3 * 10**6)
    with pytest.raises(InputError, match="TOML value"):
        values_of("key", "8GB,9GB")


def test_ranges_of_whole_numbers_are_rounded() -> None:
    """Where a parameter takes no others; what then falls together is refused."""
    assert values_of("users", "8:64:5:log") == ((8, 13, 23, 38, 64), True)
    assert values_of("gpu.memory_bytes", "1e9:2e9:4")[0] == (
        *(10**9, 1333333333),
        *(1666666667, 2 * 10**9),
    )
    assert values_of("load", "1:2:3")[0] == (1.0, 1.5, 2.0)
    with pytest.raises(InputError, match="must have at least 4 whole numbers between"):
        values_of("users", "1:3:4")
