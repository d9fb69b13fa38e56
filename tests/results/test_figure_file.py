"""A figure that was typed is kept as a file, which gives the same bytes again."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesim.experiment.figure import read_figure
from edgesim.results.figure_file import HEAD
from tests.command import edgesim
from tests.examples import FIGURE, SCENARIO, TRACE

VARIED = ("--vary", "cell.bandwidth_hz=5e6,20e6", "--repeats", "1", "--jobs", "1")


@pytest.fixture(autouse=True)
def _small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.csv").write_text(TRACE)
    Path("small.toml").write_text(SCENARIO)


def test_what_was_typed_is_kept_beside_its_data() -> None:
    """From that file, which names its scenario, nothing is computed, and the same."""
    finished = edgesim("figure", "small.toml", *VARIED, "--measure", "gap")
    assert finished.code == 0, finished.err
    folder = Path("results/figure-small")
    file = folder / "small.toml"
    assert finished.out.splitlines()[-1] == str(file)
    assert file.read_text().startswith(HEAD)
    figure = read_figure(file)
    assert (figure.scenario, figure.plot.measure) == ("../../small.toml", "gap")
    kept = {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()}
    points = len(list((folder / ".points").iterdir()))
    again = edgesim("figure", file, "--jobs", 1)
    assert again.code == 0, again.err
    assert {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()} == kept
    assert len(list((folder / ".points").iterdir())) == points


def test_a_figure_of_ones_own_is_not_replaced() -> None:
    """Nor are its data by those of another figure; what edgesim wrote is replaced."""
    Path("small2.toml").write_text(SCENARIO.replace('"small"', '"fig"'))
    Path("fig.toml").write_text(FIGURE)
    assert edgesim("figure", "fig.toml", "--jobs", 1).code == 0
    data = Path("fig.csv").read_bytes()
    for words in (
        ("small2.toml", *VARIED, "--out", "."),
        ("fig.toml", "--repeats", "1", "--out", "."),
    ):
        finished = edgesim("figure", *words)
        assert finished.code == 2
        assert finished.err == (
            "error: fig.toml: is another figure, whose data would be replaced; choose "
            "another folder\n"
        )
        assert Path("fig.csv").read_bytes() == data
        assert Path("fig.toml").read_text() == FIGURE
    for repeats in (1, 2):
        finished = edgesim("figure", "small2.toml", *VARIED[:2], "--repeats", repeats)
        assert finished.code == 0, finished.err
    assert read_figure(Path("results/figure-fig/fig.toml")).set == {"run.repeats": 2}


def test_a_file_that_was_asked_for_is_the_users() -> None:
    """Whoever edits it loses nothing by computing it."""
    words = ("figure", "small.toml", *VARIED, "--write", "mine.toml")
    assert edgesim(*words).code == 0
    text = "# my own words\n" + Path("mine.toml").read_text()
    Path("mine.toml").write_text(text)
    data = Path("mine.csv").read_bytes()
    for again in (("figure", "mine.toml", "--jobs", 1), words):
        finished = edgesim(*again)
        assert finished.code == 0, finished.err
        assert Path("mine.toml").read_text() == text
        assert Path("mine.csv").read_bytes() == data


def test_what_was_kept_by_name_is_not_replaced_by_another_figure() -> None:
    """Not even where the first one had been written by the same command."""
    words = ("figure", "small.toml", *VARIED, "--write", "mine.toml")
    assert edgesim(*words).code == 0
    text = Path("mine.toml").read_text().replace("small", "mine", 1)
    Path("mine.toml").write_text(text)
    finished = edgesim(*words)
    assert finished.code == 2
    assert finished.err == (
        "error: mine.toml: is another figure, which is not replaced; choose another "
        "name\n"
    )
    assert Path("mine.toml").read_text() == text


def test_points_of_a_figure_that_is_kept_are_found_by_its_file() -> None:
    """What --vary computed, a part of it for instance, the file goes on with."""
    words = ("figure", "small.toml", *VARIED, "--write", "mine.toml", "--jobs", 1)
    finished = edgesim(*words, "--shard", "1/2")
    assert finished.out == (
        "part 1 of 2 of mine is in .points; --merge writes the figure once all parts "
        "are there\n"
    )
    assert edgesim("figure", "mine.toml", "--shard", "2/2").code == 0
    assert edgesim("figure", "mine.toml", "--merge").code == 0


def test_a_map_takes_no_logarithmic_axis() -> None:
    """Equal ratios are values like others there."""
    two = ("--vary", "cell.bandwidth_hz=5e6:20e6:2:log", "--vary", "run.seed=1,2")
    options = ("--map", "--repeats", 1, "--jobs", 1)
    finished = edgesim("figure", "small.toml", *two, *options)
    assert finished.code == 0, finished.err


@pytest.mark.parametrize(
    ("measure", "told"),
    [
        ("goodput.resnet50-v0", "there is no model 'resnet50-v0', but ['resnet50-v01'"),
        ("dropped_by.too lat", "did you mean 'too late'?"),
    ],
)
def test_a_measure_of_something_that_is_not_there(measure: str, told: str) -> None:
    """It would be 0 everywhere, and look like a result."""
    finished = edgesim("figure", "small.toml", *VARIED, "--measure", measure)
    assert finished.code == 2
    assert finished.err.startswith("error: --measure: ")
    assert told in finished.err


def test_a_figure_is_no_scenario() -> None:
    """A shipped figure's name with --vary is answered."""
    finished = edgesim("figure", "gain-map", *VARIED)
    assert finished.code == 2
    assert "is a figure, which says what it varies" in finished.err
