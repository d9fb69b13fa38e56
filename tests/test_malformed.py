"""Every malformed file is refused in one line that names file and place."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgesim.shipped import data_file
from edgesim.storage.files import read_toml
from tests.command import edgesim
from tests.examples import FIGURE, SCENARIO, TRACE, instance

Change = Callable[[dict[str, Any]], Any]


def _set(path: str, value: Any) -> Change:
    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        place: Any = document
        for part in parents:
            place = place[int(part) if isinstance(place, list) else part]
        if isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value

    return change


def _drop(path: str) -> Change:
    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        place: Any = document
        for part in parents:
            place = place[int(part) if isinstance(place, list) else part]
        del place[last]

    return change


# What is changed in a valid instance, and what the message must name.
INSTANCES: dict[str, tuple[Change, str]] = {
    "no schema": (_drop("schema"), "schema"),
    "other schema": (_set("schema", "edgesim.instance/2"), "edgesim.instance/2"),
    "schema of a schedule": (_set("schema", "edgesim.schedule/1"), "schedule/1"),
    "no name": (_drop("name"), "name"),
    "empty name": (_set("name", ""), "name"),
    "unknown key": (_set("bandwith_hz", 2e7), "bandwith_hz"),
    "no bandwidth": (_drop("bandwidth_hz"), "bandwidth_hz"),
    "bandwidth 0": (_set("bandwidth_hz", 0), "bandwidth_hz"),
    "bandwidth negative": (_set("bandwidth_hz", -1.0), "bandwidth_hz"),
    "bandwidth a string": (_set("bandwidth_hz", "2e7"), "bandwidth_hz"),
    "bandwidth true": (_set("bandwidth_hz", True), "bandwidth_hz"),
    "bandwidth null": (_set("bandwidth_hz", None), "bandwidth_hz"),
    "bandwidth beyond floats": (_set("bandwidth_hz", 10**400), "bandwidth_hz"),
    "memory 0": (_set("gpu_memory_bytes", 0), "gpu_memory_bytes"),
    "memory a fraction": (_set("gpu_memory_bytes", 1.5), "gpu_memory_bytes"),
    "memory beyond 2^63": (_set("gpu_memory_bytes", 2**64), "gpu_memory_bytes"),
    "unknown resident": (_set("resident_model", "mice"), "resident_model"),
    "unknown residency": (_set("residency", "all"), "residency"),
    "unknown eviction": (_set("eviction", "random"), "eviction"),
    "overlap a number": (_set("overlap", 1), "overlap"),
    "overlap null": (_set("overlap", None), "overlap"),
    "blocks a list": (_set("blocks", []), "blocks"),
    "block without bytes": (_drop("blocks/stem/bytes"), "blocks.stem.bytes"),
    "block bytes 0": (_set("blocks/stem/bytes", 0), "blocks.stem.bytes"),
    "load negative": (_set("blocks/stem/load_s", -1e-9), "blocks.stem.load_s"),
    "block with unknown key": (_set("blocks/stem/load_ms", 1), "blocks.stem.load_ms"),
    "model without blocks": (_set("models/cats/blocks", []), "models.cats.blocks"),
    "model of unknown block": (_set("models/cats/blocks/0", "x"), "blocks[0]"),
    "block twice in a model": (_set("models/cats/blocks/1", "stem"), "models.cats"),
    "no latency": (_set("models/cats/latency_s", []), "models.cats.latency_s"),
    "latency 0": (_set("models/cats/latency_s/1", 0), "models.cats.latency_s[1]"),
    "activations too short": (
        _set("models/cats/activation_bytes", [1000]),
        "models.cats",
    ),
    "users an object": (_set("users", {}), "users"),
    "user of unknown model": (_set("users/1/model", "mice"), "users[1].model"),
    "two users of one id": (_set("users/1/id", "u0"), "u0"),
    "user without deadline": (_drop("users/0/deadline_s"), "users[0].deadline_s"),
    "deadline before release": (_set("users/0/release_s", 0.6), "users[0]"),
    "deadline at release": (_set("users/0/release_s", 0.5), "users[0]"),
    "bits 0": (_set("users/0/input_bits", 0), "users[0].input_bits"),
    "bits next to 0": (_set("users/0/input_bits", 5e-324), "users[0].input_bits"),
    "deadline in 10^300 s": (_set("users/0/deadline_s", 1e300), "deadline_s"),
    "latency next to 0": (_set("models/cats/latency_s/0", 5e-324), "latency_s[0]"),
    "blocks beyond 2^63": (
        _set("blocks/stem/bytes", 2**63 - 1),
        "models must add up to less than 2^63 bytes",
    ),
    "load takes for ever": (_set("blocks/stem/load_s", 1e300), "blocks.stem.load_s"),
    "efficiency negative": (
        _set("users/0/spectral_efficiency", -0.1),
        "users[0].spectral_efficiency",
    ),
    "user with unknown key": (_set("users/0/deadline", 1.0), "users[0].deadline"),
    "user id a number": (_set("users/0/id", 7), "users[0].id"),
}

# Texts that are no instance at all.
TEXTS: dict[str, tuple[str | bytes, str]] = {
    "empty file": ("", "bad.json:1"),
    "cut off": ('{"schema": "edgesim.instance/1",\n "name": "t', "bad.json:2"),
    "a list": ("[]", "one object"),
    "NaN": ('{"schema": "edgesim.instance/1", "bandwidth_hz": NaN}', "NaN"),
    "Infinity": (
        '{"schema": "edgesim.instance/1", "bandwidth_hz": Infinity}',
        "Infinity",
    ),
    "1e999": (json.dumps(instance()).replace("20000000.0", "1e999"), "bandwidth_hz"),
    "key twice": ('{"schema": "edgesim.instance/1", "name": "a", "name": "b"}', "name"),
    "not UTF-8": (b'{"name": "\xff"}', "UTF-8"),
    "nested too deep": ("[" * 100_000, "bad.json: tables and lists must lie at most"),
    "objects too deep": ('{"a":' * 100_000, "bad.json: tables and lists must lie"),
    "a number of 10,000 digits": (
        '{"schema": ' + "1" * 10_000 + "}",
        "bad.json: whole numbers must be below 2^63",
    ),
}

# What is replaced in a valid scenario, by what, and what the message must name.
SCENARIOS: dict[str, tuple[str, str, str]] = {
    "no TOML": ('name = "small"', "name = small", "bad.toml"),
    "key twice": ('name = "small"', 'name = "a"\nname = "b"', "bad.toml"),
    "other schema": ("scenario/1", "scenario/9", "schema"),
    "name a path": ('"small"', '"../evil"', "name"),
    "name too long": ('"small"', f'"{"x" * 300}"', "name"),
    "NUL in a file name": ('"small.csv"', '"a\\u0000b"', "workload.trace"),
    "rate next to 0": ("_per_s = 1e9", "_per_s = 1e-300", "gpu.load_rate"),
    "loads too slow": ("_per_s = 1e9", "_per_s = 1e-3", "gpu.load_rate"),
    "power beyond sense": (
        "radius_m",
        "tx_power_dbm = 1e300\nradius_m",
        "cell.tx_power_dbm",
    ),
    "unknown section": ("[gpu]", "[gpus]", "gpus"),
    "unknown key": ("radius_m", "radius_km", "cell.radius"),
    "no such profile": ('"clockwork-v100"', '"clockwork-v900"', "clockwork-v900"),
    "unknown kind": ('kind = "clusters"', 'kind = "heaps"', "library"),
    "unknown base": ('"resnet50"', '"resnet51"', "library.clusters[0].base"),
    "too many frozen": ("[12, 16]", "[12, 99]", "library.clusters[0].frozen_blocks"),
    "frozen backwards": ("[12, 16]", "[16, 12]", "library.clusters[0].frozen_blocks"),
    "no variants": ("variants = 3", "variants = 0", "library.clusters[0].variants"),
    "rate 0": ("load_rate_bytes_per_s = 1e9", "load_rate_bytes_per_s = 0", "gpu.load"),
    "no such tier": ("load_rate_bytes_per_s = 1e9", 'load_from = "tape"', "gpu.load"),
    "tier not measured": ("load_rate_bytes_per_s = 1e9", 'load_from = "disk"', "disk"),
    "bandwidth nan": ("20e6", "nan", "cell.bandwidth_hz"),
    "radius negative": ("100.0", "-1.0", "cell.radius_m"),
    "window 0": ("window_s = 0.5", "window_s = 0.0", "workload.window_s"),
    "no window, two repeats": ("window_s = 0.5", "", "workload.window_s"),
    "unknown model map": ('"rank"', '"luck"', "workload.models"),
    "names do not match": ('"rank"', '"name"', "workload.models"),
    "no such trace": ('"small.csv"', '"none.csv"', "none.csv"),
    "unknown solver": ('"dp-noshare"', '"magic"', "run.solvers"),
    "solver twice": ('"dp-noshare"', '"dp"', "run"),
    "no solver": ('["dp", "dp-noshare"]', "[]", "run.solvers"),
    "repeats 0": ("repeats = 2", "repeats = 0", "run.repeats"),
    "more repeats than trace": ("repeats = 2", "repeats = 9", "small.csv"),
    "resident unknown": ("[gpu]", '[gpu]\nresident_model = "x"', "gpu.resident_model"),
    "unknown residency": ("[gpu]", '[gpu]\nresidency = "all"', "gpu.residency"),
    "unknown eviction": ("[gpu]", '[gpu]\neviction = "fifo"', "gpu.eviction"),
    "overlap a word": ("[gpu]", '[gpu]\noverlap = "yes"', "gpu.overlap"),
    "dp with a cache": (
        "[gpu]",
        '[gpu]\nresidency = "cache"',
        "run.solvers: dp: residency 'cache' is not taken; use greedy or local-search",
    ),
    "dp with overlap": (
        "[gpu]",
        "[gpu]\noverlap = true",
        "run.solvers: dp: overlap is not taken; use greedy or local-search",
    ),
    "iterations 0": ("[run]", "[run]\niterations = 0", "run.iterations"),
    "iterations a fraction": ("[run]", "[run]\niterations = 1.5", "run.iterations"),
    "dp with own releases": ("window_s", 'releases = "trace"\nwindow_s', "dp"),
    "sigma negative": ("[run]", "[noise]\nload_sigma = -1.0\n[run]", "noise.load"),
    "sigma not measured": (
        "[run]",
        '[noise]\nload_sigma = "profile"\n[run]',
        "noise.load_sigma",
    ),
    "latency sigma not measured": (
        "[run]",
        '[noise]\ncompute_sigma = "profile"\n[run]',
        "noise.compute_sigma",
    ),
    "contents not known": (
        """kind = "clusters"

[[library.clusters]]
base = "resnet50"
variants = 3
frozen_blocks = [12, 16]
""",
        'kind = "checkpoints"\n',
        "library.kind",
    ),
}

DEEP = "bad.toml:{}: tables and lists must lie at most 100 deep inside each other"

SCENARIOS |= {
    "lists too deep": ("20e6", "[" * 100_000, DEEP.format(18)),
    "lists deep, and closed": ("20e6", "[" * 200 + "]" * 200, DEEP.format(18)),
    "tables too deep": ("20e6", "{a=" * 200 + "1" + "}" * 200, DEEP.format(18)),
    "key of 100,000 parts": ("20e6", "2e7\na" + ".a" * 100_000 + "=1", DEEP.format(19)),
    "key of quoted parts": ("20e6", "2e7\na" + ' . "a"' * 200 + "=1", DEEP.format(19)),
    "header of 5,000 parts": (
        "[gpu]",
        "[a" + ".a" * 5_000 + "]\n[gpu]",
        DEEP.format(13),
    ),
    "5,000 digits": ("20e6", "1" * 5000, "bad.toml: whole numbers must be below 2^63"),
    "5,000 digits and a point": ("20e6", "1" * 5000 + ".0", "cell.bandwidth_hz"),
    "window next to 0": (
        "window_s = 0.5",
        "window_s = 5e-324",
        "workload.window_s: input should be greater than or equal to 1e-12",
    ),
    "radius 1e308": ("100.0", "1e308", "cell.radius_m"),
}

# What is replaced in a valid trace, by what, and what the message must name.
TRACES: dict[str, tuple[str, str, str]] = {
    "empty": (TRACE, "", "bad.csv"),
    "no such column": ("slo_s", "slo_ms", "bad.csv:1"),
    "column twice": ("user,model", "user,user", "bad.csv:1"),
    "x without y": ("slo_s\n", "slo_s,x_m\n", "bad.csv:1"),
    "field missing": ("0.1,bob,m001,120000,0.5", "0.1,bob,m001,120000", "bad.csv:3"),
    "field too many": ("120000,0.5\n0.1,cid", "120000,0.5,9\n0.1,cid", "bad.csv:3"),
    "time backwards": ("0.7,ann", "0.05,ann", "bad.csv:5"),
    "time negative": ("0.0,ann", "-1.0,ann", "bad.csv:2"),
    "time nan": ("0.0,ann", "nan,ann", "bad.csv:2"),
    "time a word": ("0.7,ann", "noon,ann", "bad.csv:5"),
    "no user": ("bob", "", "bad.csv:3"),
    "no model": ("bob,m001", "bob,", "bad.csv:3"),
    "size 0": ("90000", "0", "bad.csv:4"),
    "size a fraction": ("90000", "90000.5", "bad.csv:4"),
    "slo 0": ("150000,0.5", "150000,0", "bad.csv:5"),
    "slo infinite": ("150000,0.5", "150000,inf", "bad.csv:5"),
    "blank line": ("0.7,ann", "\n0.7,ann", "bad.csv:5"),
    "open quote": ("cid", '"cid', "bad.csv"),
    "NUL": ("cid", "c\0d", "bad.csv:4"),
    "time of 1e300": ("0.7,ann", "1e300,ann", "bad.csv:5: arrival_s must be a number"),
    "slo next to 0": ("150000,0.5", "150000,5e-324", "bad.csv:5: slo_s must be"),
    "slo of 1e300": ("150000,0.5", "150000,1e300", "bad.csv:5: slo_s must be"),
    "size of 5,000 digits": ("90000", "1" * 5000, "bad.csv:4: input_bytes must be"),
    "size at 2^63": ("90000", str(2**63 - 1), "bad.csv:4: input_bytes must be"),
}

FIGURES: dict[str, tuple[str, str, str]] = {
    "other schema": ("figure/1", "figure/2", "schema"),
    "no values": ("[5e6, 20e6]", "[]", "sweep.values"),
    "value twice": ("[5e6, 20e6]", "[5e6, 5e6]", "sweep.values"),
    "no such parameter": ("cell.bandwidth_hz", "cell.bandwidth", "cell.bandwidth"),
    "value out of range": ("[5e6, 20e6]", "[5e6, -1.0]", "cell.bandwidth_hz"),
    "no such scenario": ('"small.toml"', '"none.toml"', "none.toml"),
    "log of 0": (
        "unit = 1e6",
        'x_scale = "log"\n[set]\n"cell.bandwidth_hz" = 1e6',
        "swept parameter",
    ),
    "unit of words": ("[5e6, 20e6]", '["a", "b"]', "plot.unit"),
    "unit without a name": (
        'x_label = "bandwidth (MHz)"\nunit = 1e6',
        "unit = 1.0",
        "plot.unit needs x_label, which says what it is, unless it is 1e+06",
    ),
    "second unit without a name": (
        "[plot]",
        "[second]\nparameter = 'memory'\nvalues = [1e9]\n[plot]\nsecond_unit = 1e6",
        "plot.second_unit needs second_label",
    ),
    "unit of a measure without a name": (
        "unit = 1e6",
        "unit = 1e6\nmeasure = 'bytes_loaded'\ny_unit = 1e6",
        "plot.y_unit: needs y_label, which says what it is, unless it is 1e+09",
    ),
    "true twice": ("[5e6, 20e6]", "[true, 'true']", "sweep.values"),
    "no such measure": ("unit = 1e6", 'unit = 1e6\nmeasure = "in_tim"', "'in_time'?"),
    "no such twin": (
        "unit = 1e6",
        'unit = 1e6\ncompare = "noshare"\n[set]\n"run.solvers" = ["dp", "greedy"]',
        "plot.compare",
    ),
    "no such solver": ("unit = 1e6", 'unit = 1e6\ncompare = "ilp"', "plot.compare"),
    "relative to nothing": ("unit = 1e6", "unit = 1e6\nrelative = true", "compare"),
    "map of one parameter": ("unit = 1e6", 'unit = 1e6\nkind = "map"', "[second]"),
    "limits reversed": ("unit = 1e6", "unit = 1e6\ny_limits = [2, 1]", "y_limits"),
    "limits of a logarithm": (
        "unit = 1e6",
        'unit = 1e6\ny_scale = "log"\ny_limits = [0, 1]',
        "y_limits",
    ),
    "places too few": ("[5e6, 20e6]", "[5e6, 20e6]\nat = [1]", "sweep"),
    "places not apart": ("[5e6, 20e6]", "[5e6, 20e6]\nat = [1, 1]", "sweep.at"),
    "parameter alone": ("values = [5e6, 20e6]", "", "values is missing"),
    "cases too": (
        "[plot]",
        '[[sweep.cases]]\ntitle = "one"\n[plot]',
        "parameter with values, or cases",
    ),
    "twice the same": (
        "[plot]",
        '[second]\nparameter = "cell.bandwidth_hz"\nvalues = [1]\n[plot]',
        "twice",
    ),
    "panels and a second parameter": (
        "[plot]",
        "[second]\nparameter = 'run.seed'\nvalues = [1]\n"
        "[[panel]]\ntitle = 'a'\n[plot]",
        "found both",
    ),
    "fixed by a name": (
        "[plot]",
        '[second]\nparameter = "bandwidth"\nvalues = [1e6]\n[plot]',
        "cell.bandwidth_hz",
    ),
}


def _refused(finished: Any, folder: Path, before: set[Path], *names: str) -> None:
    """Check exit 2, one line, the names in it, and that nothing was left behind."""
    assert finished.code == 2, finished
    assert finished.out == ""
    assert re.fullmatch(r"error: [^\n]+\n", finished.err), finished.err
    assert "Traceback" not in finished.err
    for name in names:
        assert name in finished.err, (name, finished.err)
    assert set(folder.rglob("*")) == before


@pytest.mark.parametrize("case", INSTANCES)
def test_instance(case: str, tmp_path: Path) -> None:
    """A malformed instance names the file and the key, and leaves no schedule."""
    change, place = INSTANCES[case]
    document = instance()
    change(document)
    file = tmp_path / "bad.json"
    file.write_text(json.dumps(document))
    out = tmp_path / "out.json"
    finished = edgesim("solve", file, "--solver", "dp", "--out", out)
    _refused(finished, tmp_path, {file}, "bad.json", place)


@pytest.mark.parametrize("case", TEXTS)
def test_text(case: str, tmp_path: Path) -> None:
    """A file that is no strict JSON object names the file and the place."""
    text, place = TEXTS[case]
    file = tmp_path / "bad.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    finished = edgesim("solve", file, "--solver", "dp", "--out", tmp_path / "out.json")
    _refused(finished, tmp_path, {file}, "bad.json", place)


@pytest.mark.parametrize("case", SCENARIOS)
def test_scenario(case: str, tmp_path: Path) -> None:
    """A malformed scenario names the file and the key, and leaves no results."""
    old, new, place = SCENARIOS[case]
    assert old in SCENARIO
    file, trace = tmp_path / "bad.toml", tmp_path / "small.csv"
    file.write_text(SCENARIO.replace(old, new, 1))
    trace.write_text(TRACE)
    finished = edgesim("run", file, "--out", tmp_path / "out")
    _refused(finished, tmp_path, {file, trace}, place)
    assert "bad.toml" in finished.err or ".csv" in finished.err


@pytest.mark.parametrize("case", TRACES)
def test_trace(case: str, tmp_path: Path) -> None:
    """A malformed trace names the file and the line, and leaves no results."""
    old, new, place = TRACES[case]
    assert old in TRACE
    scenario, trace = tmp_path / "small.toml", tmp_path / "bad.csv"
    scenario.write_text(SCENARIO)
    trace.write_text(TRACE.replace(old, new, 1))
    finished = edgesim("run", scenario, "--trace", trace, "--out", tmp_path / "out")
    _refused(finished, tmp_path, {scenario, trace}, place)


@pytest.mark.parametrize("case", FIGURES)
def test_figure(case: str, tmp_path: Path) -> None:
    """A malformed figure names a file and the key, and leaves no data or picture."""
    old, new, place = FIGURES[case]
    assert old in FIGURE
    files = {
        tmp_path / "bad.toml": FIGURE.replace(old, new, 1),
        tmp_path / "small.toml": SCENARIO,
        tmp_path / "small.csv": TRACE,
    }
    for file, text in files.items():
        file.write_text(text)
    finished = edgesim("figure", tmp_path / "bad.toml")
    _refused(finished, tmp_path, set(files), place)


OPTIONS: dict[str, tuple[list[str], str]] = {
    "unknown solver": (["--solver", "magic"], "--solver"),
    "solver twice": (["--solver", "dp,dp"], "--solver"),
    "unknown uplink": (["--solver", "dp", "--uplink", "sideways"], "--uplink"),
    "limit 0": (["--solver", "ilp", "--time-limit", "0"], "--time-limit"),
    "limit nan": (["--solver", "ilp", "--time-limit", "nan"], "--time-limit"),
    "iterations 0": (["--solver", "greedy", "--iterations", "0"], "--iterations"),
    "seed negative": (["--solver", "random", "--seed", "-1"], "--seed"),
    "unknown engine": (["--solver", "ilp", "--mip", "abacus"], "--mip"),
    "unknown option": (["--solver", "dp", "--fast"], "--fast"),
    "no solver": ([], "--solver"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_option(case: str, tmp_path: Path) -> None:
    """A bad option is named, in one line like everything else."""
    words, place = OPTIONS[case]
    file = tmp_path / "good.json"
    file.write_text(json.dumps(instance()))
    finished = edgesim("solve", file, *words, "--out", tmp_path / "out.json")
    _refused(finished, tmp_path, {file}, place)


def test_refusal_names_file_and_way_out(tmp_path: Path) -> None:
    """A solver that cannot take an instance says which condition and what instead."""
    document = instance()
    document["users"][0]["deadline_s"] = 0.4
    file = tmp_path / "own.json"
    file.write_text(json.dumps(document))
    finished = edgesim("solve", file, "--solver", "dp", "--out", tmp_path / "o.json")
    _refused(finished, tmp_path, {file}, "own.json", "deadlines differ", "use greedy")


def test_results_of_others_are_not_replaced(tmp_path: Path) -> None:
    """A folder that is no earlier result is refused and keeps its files."""
    (tmp_path / "small.toml").write_text(SCENARIO)
    (tmp_path / "small.csv").write_text(TRACE)
    thesis = tmp_path / "out" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    before = set(tmp_path.rglob("*"))
    finished = edgesim("run", tmp_path / "small.toml", "--out", tmp_path / "out")
    _refused(finished, tmp_path, before, "out", "thesis.tex")
    assert thesis.read_text() == "years of work"


PROFILES: dict[str, tuple[Any, str]] = {
    "next to 0": (5e-324, "median_s: must be 0 or at least 1e-12 (seconds)"),
    "beyond all time": (1e300, "median_s: input should be less than or equal"),
    "infinite": (float("inf"), "numbers must be finite, found Infinity"),
}


@pytest.mark.parametrize("case", PROFILES)
def test_profile(case: str, tmp_path: Path) -> None:
    """A load time that no clock has shown names the file and the key."""
    value, place = PROFILES[case]
    profile = json.loads(data_file("profiles", "clockwork-v100.json").read_text())
    load = profile["models"]["resnet50"]["blocks"][0]["load_s"]
    next(iter(load.values()))["median_s"] = value
    file = tmp_path / "bad.json"
    file.write_text(json.dumps(profile))
    _refused(edgesim("profile", "show", file), tmp_path, {file}, "bad.json", place)


EVIL = "\x1b]0;owned\x07\x1b[31m\x9b2J\u202e\nerror: forged\u2066"


def test_names_do_not_command_the_terminal(tmp_path: Path) -> None:
    """Escapes, ends of lines and what reverses a line stay in the files."""
    document = instance()
    document["models"][EVIL] = document["models"].pop("cats")
    document["users"][0] |= {"model": EVIL, "id": EVIL}
    document["name"] = EVIL
    file, out = tmp_path / "good.json", tmp_path / "out.json"
    file.write_text(json.dumps(document))
    done = edgesim("solve", file, "--solver", "greedy", "--out", out)
    assert done.code == 0, done.err
    assert all(c.isprintable() or c == "\n" for c in done.out + done.err)
    assert json.loads(out.read_text())["instance"] == EVIL
    trace = tmp_path / "good.csv"
    trace.write_text(TRACE.replace("m000", EVIL.replace("\n", " ")))
    done = edgesim("trace", "show", trace)
    assert done.code == 0, done.err
    assert all(c.isprintable() or c == "\n" for c in done.out + done.err)
    document["users"][0]["model"] = f"{EVIL}?"
    file.write_text(json.dumps(document))
    refused = edgesim("solve", file, "--solver", "greedy", "--out", out)
    assert refused.code == 2
    assert re.fullmatch(r"error: [^\n]+\n", refused.err)
    assert refused.err.rstrip("\n").isprintable()


def test_names_that_a_spreadsheet_computes_are_kept(tmp_path: Path) -> None:
    """Tables hold names as the trace has them, so that they are found again."""
    named = {"ann": "-1", "bob": "@SUM(A1)", "cid": "=1+1"}
    trace = TRACE
    for old, new in named.items():
        trace = trace.replace(old, new)
    (tmp_path / "small.csv").write_text(trace)
    (tmp_path / "small.toml").write_text(SCENARIO)
    done = edgesim("run", tmp_path / "small.toml", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    with (tmp_path / "out" / "requests.csv").open(newline="") as file:
        users = {row["user"] for row in csv.DictReader(file)}
    assert users == set(named.values())


def test_negative_zero_is_zero(tmp_path: Path) -> None:
    """A time of −0.0 is no other one than 0."""
    (tmp_path / "zero.csv").write_text(TRACE)
    (tmp_path / "minus.csv").write_text(TRACE.replace("0.0,ann", "-0.0,ann"))
    said = [edgesim("trace", "show", tmp_path / f"{n}.csv") for n in ("zero", "minus")]
    assert said[0] == said[1]


def test_dots_and_brackets_in_texts_are_no_depth(tmp_path: Path) -> None:
    """Only keys and brackets outside of texts and comments count."""
    file = tmp_path / "deep.toml"
    dots, brackets = "." * 500, "[{" * 500
    file.write_text(
        f'a = "{dots}{brackets}"  # {dots}{brackets}\n'
        f"b = '{dots}{brackets}'\n"
        f'c = """\n{dots}\n{brackets}"""\n'
        f"d = {'[' * 100}{']' * 100}\n"
    )
    assert set(read_toml(file)) == {"a", "b", "c", "d"}


def test_there_are_many_cases() -> None:
    """The list is long enough to mean something: 60 files at least."""
    files = (INSTANCES, TEXTS, SCENARIOS, TRACES, FIGURES)
    assert sum(map(len, files)) >= 100


def test_log_axis_needs_values_above_0(tmp_path: Path) -> None:
    """A logarithmic axis refuses 0, at the place that asks for it."""
    text = FIGURE.replace("[5e6, 20e6]", "[0.0, 5e6]") + 'x_scale = "log"\n'
    (tmp_path / "bad.toml").write_text(text)
    finished = edgesim("figure", tmp_path / "bad.toml")
    _refused(finished, tmp_path, {tmp_path / "bad.toml"}, "plot.x_scale", "above 0")


def test_inputs_are_not_overwritten(tmp_path: Path) -> None:
    """A schedule, trace or figure never replaces the file it is made from."""
    good = tmp_path / "good.json"
    good.write_text(json.dumps(instance()))
    finished = edgesim("solve", good, "--solver", "dp", "--out", good)
    _refused(finished, tmp_path, {good}, "would replace the input")
    trace = tmp_path / "campus.csv"
    good.unlink()
    trace.write_text(TRACE)
    (tmp_path / "scenario.toml").write_text(SCENARIO.replace("small.csv", "campus.csv"))
    figure = tmp_path / "campus.toml"
    figure.write_text(FIGURE.replace("small.toml", "scenario.toml"))
    before = set(tmp_path.rglob("*"))
    finished = edgesim("figure", figure)
    _refused(finished, tmp_path, before, "would replace the input")
    assert trace.read_text() == TRACE
