"""Figures: a parameter swept with common random numbers, by any number of jobs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from edgesim.sweep import COLUMNS, read_figure, run_figure
from tests.command import edgesim
from tests.examples import FIGURE, SCENARIO, TRACE

REPOSITORY = Path(__file__).parents[1]


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
    assert tuple(rows[0]) == COLUMNS
    assert [row["value"] for row in rows] == ["5000000.0"] * 4 + ["20000000.0"] * 4
    assert figure.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert finished.out.split() == [
        str(figure.with_suffix(".csv")),
        str(figure.with_suffix(".png")),
    ]


def test_jobs_do_not_change_a_byte(figure: Path) -> None:
    """Two processes write what one writes."""
    run_figure(figure, jobs=1)
    alone = figure.with_suffix(".csv").read_bytes()
    picture = figure.with_suffix(".png").read_bytes()
    steps: list[tuple[int, int]] = []
    run_figure(figure, jobs=2, done=lambda done, total: steps.append((done, total)))
    assert figure.with_suffix(".csv").read_bytes() == alone
    assert figure.with_suffix(".png").read_bytes() == picture
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


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
    """Each committed figure has its picture, and data of the shape it asks for."""
    path = REPOSITORY / "figures" / f"{name}.toml"
    figure = read_figure(path)
    rows = _rows(path.with_suffix(".csv"))
    assert figure.title
    solvers = figure.set["run.solvers"]
    repeats = figure.set["run.repeats"]
    assert len(rows) == len(figure.sweep.values) * len(solvers) * repeats
    assert {float(row["value"]) for row in rows} == set(figure.sweep.values)
    assert path.with_suffix(".png").is_file()


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
    [("throughput-vs-bandwidth", 16e6), ("throughput-vs-deadline", 0.3)],
)
def test_published_data_can_be_computed_again(
    name: str, value: float, tmp_path: Path
) -> None:
    """One value of each committed figure, computed now, gives the committed rows."""
    source = REPOSITORY / "figures" / f"{name}.toml"
    figure = read_figure(source)
    wanted = [r for r in _rows(source.with_suffix(".csv")) if r["value"] == repr(value)]
    text = source.read_text()
    line = next(x for x in text.splitlines() if x.startswith("values = "))
    text = text.replace(line, f"values = [{value}]")
    text = text.replace('"run.repeats" = 30', '"run.repeats" = 3')
    scenario = (source.parent / figure.scenario).resolve().as_posix()
    (tmp_path / "again.toml").write_text(text.replace(figure.scenario, scenario))
    run_figure(tmp_path / "again.toml")
    assert _rows(tmp_path / "again.csv") == wanted[: 3 * 5]
