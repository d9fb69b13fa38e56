"""Figures: a parameter swept with common random numbers, by any number of jobs."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from statistics import mean, stdev

import pytest

from edgesim.experiment.executors import processes
from edgesim.experiment.figure import read_figure
from edgesim.experiment.store import Store
from edgesim.experiment.sweep import points_of
from edgesim.results.figure import run_figure
from edgesim.results.figure_source import open_figure
from edgesim.results.figure_tables import ONLINE_COLUMNS, PLAN_COLUMNS
from tests.command import edgesim
from tests.examples import FIGURE, SCENARIO, TRACE

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    """Write a small figure, its scenario and its trace."""
    (tmp_path / "small.csv").write_text(TRACE)
    (tmp_path / "small.toml").write_text(SCENARIO)
    path = tmp_path / "figures" / "sweep.toml"
    path.parent.mkdir()
    path.write_text(FIGURE.replace("small.toml", "../small.toml"))
    return path


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def test_data_and_picture_stand_beside_the_figure(figure: Path) -> None:
    """One tidy row a value, repeat and solver, and a picture, both named after it."""
    finished = edgesim("figure", figure)
    assert finished.code == 0, finished.err
    rows = _rows(figure.with_suffix(".csv"))
    assert len(rows) == 2 * 2 * 2
    assert tuple(rows[0]) == ("value", "repeat", "solver", *PLAN_COLUMNS)
    assert [row["value"] for row in rows] == ["5000000.0"] * 4 + ["20000000.0"] * 4
    assert figure.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert finished.out.split() == [
        str(figure.with_suffix(suffix))
        for suffix in (".csv", ".times.csv", ".shown.csv", ".png")
    ]


def test_jobs_do_not_change_a_byte(figure: Path) -> None:
    """Two processes write what one writes."""
    run_figure(figure)
    alone = figure.with_suffix(".csv").read_bytes()
    picture = figure.with_suffix(".png").read_bytes()
    steps: list[tuple[int, int]] = []
    run_figure(
        figure,
        workers=processes(2),
        fresh=True,
        done=lambda done, total: steps.append((done, total)),
    )
    assert figure.with_suffix(".csv").read_bytes() == alone
    assert figure.with_suffix(".png").read_bytes() == picture
    assert steps == [(done, 8) for done in range(9)]


def test_more_spectrum_never_serves_fewer(figure: Path) -> None:
    """All values meet the same requests and channels, so dp can only gain."""
    text = figure.read_text().replace("[5e6, 20e6]", "[1e6, 2e6, 4e6, 1e9]")
    figure.write_text(text + '\n[set]\n"run.solvers" = ["dp"]\n')
    run_figure(figure)
    rows = _rows(figure.with_suffix(".csv"))
    for repeat in ("0", "1"):
        served = [int(row["served"]) for row in rows if row["repeat"] == repeat]
        assert len(served) == 4
        assert served == sorted(served)
    assert len({row["requests"] for row in rows if row["repeat"] == "0"}) == 1


def test_set_reaches_into_tables(figure: Path) -> None:
    """``set`` replaces any value of the scenario, lists of tables included."""
    text = figure.read_text().replace(
        "cell.bandwidth_hz", "library.clusters.0.variants"
    )
    text = text.replace("[5e6, 20e6]", "[2, 3]").replace("unit = 1e6", "")
    figure.write_text(text + '\n[set]\n"run.repeats" = 1\n"run.uplink" = "static"\n')
    run_figure(figure)
    rows = _rows(figure.with_suffix(".csv"))
    assert {row["uplink"] for row in rows} == {"static"}
    assert [row["value"] for row in rows] == ["2", "2", "3", "3"]


def test_jobs_must_be_positive(figure: Path) -> None:
    """No processes are an error that names the option."""
    finished = edgesim("figure", figure, "--jobs", 0)
    assert finished.code == 2
    assert finished.err.startswith("error: --jobs: must be 1 or more, found 0")


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in (REPOSITORY / "figures").glob("*.toml"))
)
def test_published_figures_are_whole(name: str) -> None:
    """Each committed figure has its pictures, and a row for each of its points."""
    source = open_figure(REPOSITORY / "figures" / f"{name}.toml")
    assert source.figure.title
    points = points_of(
        source.where, source.figure, source.scenario_file, store=_Everything()
    ).points
    rows = _rows(source.data)
    kind = "policy" if points[0].online else "solver"
    wanted = [
        {**point.place, "repeat": point.repeat, kind: point.name} for point in points
    ]
    assert [{key: row[key] for key in wanted[0]} for row in rows] == [
        {key: str(value) for key, value in place.items()} for place in wanted
    ]
    assert {row["time_limit_s"] for row in rows} == {""}, "the same bytes twice"
    assert min(int(row["repeats"]) for row in _rows(source.shown)) >= 20
    assert len(_rows(source.times)) == len(rows)
    assert source.data.with_suffix(".png").is_file()


class _Everything(Store):
    """A store that has every point, so that none needs a check."""

    def __init__(self) -> None:
        pass

    def __contains__(self, key: str) -> bool:
        return True


@pytest.mark.parametrize(
    ("name", "gain"),
    [("throughput-vs-bandwidth", 1.2), ("throughput-vs-deadline", 1.2)],
)
def test_published_data_shows_the_gain(name: str, gain: float) -> None:
    """In the committed data, sharing serves clearly more somewhere and never fewer."""
    rows = _rows(REPOSITORY / "figures" / f"{name}.csv")
    total: dict[tuple[str, str], int] = {}
    for row in rows:
        key = row["solver"], row["value"]
        total[key] = total.get(key, 0) + int(row["in_time"])
    ratios = []
    for (solver, value), served in total.items():
        if solver == "dp":
            alone = total["dp-noshare", value]
            assert served >= alone
            ratios += [served / alone] if alone else []
    assert max(ratios) > gain


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("throughput-vs-bandwidth", 16e6),
        ("throughput-vs-deadline", 0.3),
        ("gpu-tiers", 0.1),
    ],
)
def test_published_data_can_be_computed_again(
    name: str, value: float, tmp_path: Path
) -> None:
    """One value of each committed figure, computed now, gives the committed rows."""
    source = REPOSITORY / "figures" / f"{name}.toml"
    figure = read_figure(source)
    wanted = [
        row
        for row in _rows(source.with_suffix(".csv"))
        if row["value"] == repr(value) and int(row["repeat"]) < 3
    ]
    text = source.read_text()
    line = next(x for x in text.splitlines() if x.startswith("values = "))
    text = text.replace(line, f"values = [{value}]")
    text = text.replace('"run.repeats" = 30', '"run.repeats" = 3')
    (tmp_path / "again.toml").write_text(text)
    run_figure(tmp_path / "again.toml")
    found = _rows(tmp_path / "again.csv")
    assert [{key: row[key] for key in wanted[0]} for row in found] == wanted
    runs = 3 * len(figure.set["run.solvers"]) * max(1, len(figure.panel))
    assert len(wanted) == runs


def test_the_gains_by_tier_that_are_stated_are_those_of_the_figure() -> None:
    """Mean and 95 % half-width of the paired differences over 30 repeats."""
    rows = _rows(REPOSITORY / "figures" / "gpu-tiers.csv")
    served: dict[tuple[str, float, str], list[int]] = {}
    for row in rows:
        key = row["panel"], 1e3 * float(row["value"]), row["solver"]
        served.setdefault(key, []).append(int(row["in_time"]))
    text = (REPOSITORY / "docs" / "measurements.md").read_text(encoding="utf-8")
    table = text.partition("### What sharing gains on the H200\n")[2]
    found = re.findall(
        r"^\| (.+) \| (\d+) ms \| (\S+) ± (\S+) \((\d+) %\) \|$", table, re.MULTILINE
    )
    known = [row for row in found if (row[0], float(row[1]), "dp") in served]
    assert len(known) == 6
    for panel, milliseconds, gain, width, percent in known:
        shared = served[panel, float(milliseconds), "dp"]
        alone = served[panel, float(milliseconds), "dp-noshare"]
        gains = [a - b for a, b in zip(shared, alone, strict=True)]
        assert gain == f"{mean(gains):+.1f}"
        t = 2.0452  # of Student with 29 degrees of freedom
        assert width == f"{t * stdev(gains) / len(gains) ** 0.5:.1f}"
        assert percent == f"{100 * mean(gains) / mean(alone):.0f}"


ONLINE_FIGURE = """\
schema = "edgesim.figure/1"
title = "Two kinds of memory"
scenario = "SCENARIO"

[sweep]
parameter = "workload.rate_scale"
values = [0.5, 1.0]

[set]
"workload.window_s" = 60.0
"run.repeats" = 2
"online.warmup_s" = 5.0
"online.policies" = ["fcfs", "fcfs-noshare"]

[[panel]]
title = "previous"
set = { "gpu.residency" = "previous" }

[[panel]]
title = "cache"
set = { "gpu.residency" = "cache" }

[plot]
x_label = "load"
"""


@pytest.fixture
def online_figure(tmp_path: Path) -> Path:
    """Write a small figure of an online scenario with two panels."""
    scenario = (REPOSITORY / "traces" / "online-campus.toml").as_posix()
    path = tmp_path / "online.toml"
    path.write_text(ONLINE_FIGURE.replace("SCENARIO", scenario))
    return path


def test_an_online_figure_has_panels(online_figure: Path) -> None:
    """One row a panel, load, repeat and policy; more load never helps; same bytes."""
    finished = edgesim("figure", online_figure, "--jobs", 2)
    assert finished.code == 0, finished.err
    rows = _rows(online_figure.with_suffix(".csv"))
    assert tuple(rows[0]) == ("panel", "value", "repeat", "policy", *ONLINE_COLUMNS)
    assert len(rows) == 2 * 2 * 2 * 2
    ratio: dict[tuple[str, str, str], float] = {}
    for row in rows:
        key = row["panel"], row["policy"], row["value"]
        ratio[key] = ratio.get(key, 0.0) + float(row["on_time_ratio"]) / 2
        outcomes = [int(row[name]) for name in ("in_time", "late", "dropped")]
        assert sum(outcomes) == int(row["requests"]) > 0
        spans = [float(row[f"{s}_s"]) for s in ("load", "compute", "wait", "idle")]
        assert sum(spans) == pytest.approx(55.0)
    for panel in ("previous", "cache"):
        assert ratio[panel, "fcfs-noshare", "1.0"] < ratio[panel, "fcfs", "1.0"]
        assert ratio[panel, "fcfs-noshare", "1.0"] < ratio[panel, "fcfs-noshare", "0.5"]
    before = online_figure.with_suffix(".csv").read_bytes()
    picture = online_figure.with_suffix(".png").read_bytes()
    run_figure(online_figure, fresh=True)
    assert online_figure.with_suffix(".csv").read_bytes() == before
    assert online_figure.with_suffix(".png").read_bytes() == picture


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('title = "cache"', 'title = "previous"', "panel titles must be distinct"),
        ('"gpu.residency" = "cache"', '"gpu.residency" = "all"', "cache, workload"),
        (
            '"gpu.residency" = "cache"',
            '"workload.rate_scale" = 2.0',
            "must not fix the swept parameter",
        ),
    ],
)
def test_panels_that_cannot_be(
    online_figure: Path, old: str, new: str, found: str
) -> None:
    """Twin titles, settings that are wrong and a fixed parameter: one line, exit 2."""
    online_figure.write_text(online_figure.read_text().replace(old, new))
    finished = edgesim("figure", online_figure)
    assert finished.code == 2
    assert finished.err.count("\n") == 1
    assert found in finished.err
    assert not online_figure.with_suffix(".csv").exists()


@pytest.mark.parametrize("name", ["online-load", "online-lora", "online-pinned"])
def test_published_online_data_can_be_computed_again(name: str, tmp_path: Path) -> None:
    """One repeat of load 1 in every panel, computed now, gives the committed rows."""
    source = REPOSITORY / "figures" / f"{name}.toml"
    figure = read_figure(source)
    policies = ["fcfs", "greedy-noshare", "rolling"]
    wanted = [
        row
        for row in _rows(source.with_suffix(".csv"))
        if (row["value"], row["repeat"]) == ("1.0", "0") and row["policy"] in policies
    ]
    text = source.read_text()
    line = next(x for x in text.splitlines() if x.startswith("values = "))
    text = text.replace(line, "values = [1.0]")
    text = text.replace(
        '"run.repeats" = 20', f'"run.repeats" = 1\n"online.policies" = {policies}'
    )
    (tmp_path / "again.toml").write_text(text)
    run_figure(tmp_path / "again.toml")
    found = _rows(tmp_path / "again.csv")
    assert [{key: row[key] for key in wanted[0]} for row in found] == wanted
    assert len(wanted) == len(policies) * len(figure.panel)
