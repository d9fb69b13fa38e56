"""``edgesim report``: what it is given, and where the page goes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from edgesim.shipped import shipped_file
from tests.command import edgesim
from tests.report.conftest import Copied


def _figures(place: Path, *names: str) -> Path:
    place.mkdir()
    for name in names:
        file = shipped_file("figure", name)
        assert file is not None
        for suffix in (".toml", ".csv", ".png"):
            shutil.copy(file.with_suffix(suffix), place)
    return place


def test_the_page_is_in_the_folder_of_the_run(copied: Copied) -> None:
    """Its name is printed; a second one takes its place."""
    folder = copied("plan")
    for _ in range(2):
        finished = edgesim("report", folder)
        assert (finished.code, finished.err) == (0, "")
        assert finished.out == f"{folder / 'report.html'}\n"
    assert (folder / "report.html").is_file()


def test_the_next_run_replaces_it(tmp_path: Path) -> None:
    """The page is a part of the result; a run replaces all of it."""
    words = (
        "run",
        "campus",
        "--solver",
        "edf",
        "--repeats",
        1,
        "--out",
        tmp_path / "o",
    )
    assert edgesim(*words).code == 0
    assert edgesim("report", tmp_path / "o").code == 0
    finished = edgesim(*words)
    assert finished.code == 0, finished.err
    assert not (tmp_path / "o" / "report.html").exists()


def test_the_page_goes_where_it_is_told(copied: Copied, tmp_path: Path) -> None:
    """But not over what it is made of."""
    folder = copied("plan")
    for _ in range(2):
        assert edgesim("report", folder, "--out", tmp_path / "a.html").code == 0
        assert (tmp_path / "a.html").is_file()
    (tmp_path / "index.html").write_text("<!doctype html><title>mine</title>")
    finished = edgesim("report", folder, "--out", tmp_path / "index.html")
    assert finished.code == 2
    assert "must be a new file or a page of results, which is" in finished.err
    assert not (folder / "report.html").exists()
    for name in ("summary.json", "timeline.png", "plans/0/dp.json"):
        finished = edgesim("report", folder, "--out", folder / name)
        assert finished.code == 2
        assert "would replace the input" in finished.err
    assert edgesim("report", folder, "--out", tmp_path / "no" / "a.html").code == 2


def test_a_figure_by_its_file_or_folder(tmp_path: Path) -> None:
    """The page is beside it; of several figures one must be named."""
    one = _figures(tmp_path / "one", "gpu-tiers")
    assert edgesim("report", one).code == 0
    assert (one / "gpu-tiers.html").is_file()
    two = _figures(tmp_path / "two", "gpu-tiers", "online-load")
    finished = edgesim("report", two)
    assert finished.code == 2
    assert "several figures (gpu-tiers, online-load)" in finished.err
    for suffix in (".toml", ".csv"):
        finished = edgesim("report", two / f"online-load{suffix}")
        assert finished.out == f"{two / 'online-load.html'}\n"
    (two / "online-load.csv").unlink()
    finished = edgesim("report", two / "online-load.toml")
    assert finished.code == 2
    assert "online-load.csv" in finished.err


def test_what_is_neither_is_refused_in_a_line(tmp_path: Path) -> None:
    """A folder of something else, a file of another kind, nothing at all."""
    (tmp_path / "notes.txt").write_text("mine")
    for place, what in (
        (tmp_path, "holds no run (summary.json) and no figure"),
        (tmp_path / "notes.txt", "must be the folder of a run"),
        (tmp_path / "nothing", "no such folder or file"),
    ):
        finished = edgesim("report", place)
        assert finished.code == 2
        assert finished.err.startswith(f"error: {place}: {what}")
        assert finished.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == [tmp_path / "notes.txt"]


def test_half_a_run_is_told_by_what_is_missing(copied: Copied) -> None:
    """The file is named, and nothing is written."""
    folder = copied("online")
    (folder / "run.json").unlink()
    finished = edgesim("report", folder)
    assert finished.code == 2
    assert f"{folder / 'run.json'}: no such file" in finished.err
    assert not (folder / "report.html").exists()


def test_without_plotly_it_says_how_to_install_it(
    copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a line; nothing is imported or written."""
    monkeypatch.setattr("edgesim.cli.needs.find_spec", lambda name: None)
    for name in [n for n in sys.modules if n.startswith("edgesim.report")]:
        monkeypatch.delitem(sys.modules, name)
    finished = edgesim("report", copied("plan"))
    assert finished.code == 2
    assert finished.err == (
        "error: edgesim report: needs plotly, which is not installed; pip install "
        "'edgesim[report]'\n"
    )
    assert not any(name.startswith("edgesim.report") for name in sys.modules)
