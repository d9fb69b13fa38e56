"""A run's folder: what in it is the run's, and what becomes of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgesim.results.replaced import earlier_run
from edgesim.storage.manifest import MANIFEST
from tests.command import edgesim
from tests.examples import SCENARIO, TRACE


@pytest.fixture(autouse=True)
def _ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.csv").write_text(TRACE)
    Path("small.toml").write_text(SCENARIO)
    _run("greedy,dp")


def _run(solvers: str, *options: object) -> str:
    finished = edgesim(
        "run", "small.toml", "--solver", solvers, "--out", "out", *options
    )
    assert finished.code == 0, finished.err
    return finished.err


def _names() -> set[str]:
    files = (path for path in Path("out").rglob("*") if path.is_file())
    return {file.relative_to("out").as_posix() for file in files}


def _manifest() -> Any:
    return json.loads(Path("out", MANIFEST).read_text())


def test_the_manifest_names_every_file() -> None:
    """And no other; it is the same in each run of the same inputs."""
    assert set(_manifest()["files"]) == _names() - {MANIFEST}
    assert _manifest()["command"] == "run"
    before = Path("out", MANIFEST).read_bytes()
    times = Path("out/run.json").read_bytes()
    _run("greedy,dp")
    assert Path("out", MANIFEST).read_bytes() == before
    assert Path("out/run.json").read_bytes() != times


def test_what_is_not_the_runs_survives() -> None:
    """Notes, a plan's name in another kind of file, and a changed summary."""
    Path("out/notes.txt").write_text("mine")
    Path("out/plans/2026-strategy.txt").write_text("mine")
    Path("out/plans/0/greedy.json").write_text("changed")
    said = _run("dp")
    assert said.splitlines()[0] == (
        "warning: kept in out what somebody changed there, or what was in the way: "
        "plans/0/greedy.json is now greedy.json.kept"
    )
    kept = {"notes.txt", "plans/2026-strategy.txt", "plans/0/greedy.json.kept"}
    assert _names() - set(_manifest()["files"]) == {MANIFEST, *kept}
    assert "plans/0/greedy.json" not in _names()


def test_a_folder_of_an_earlier_version_is_taken_over() -> None:
    """Its run.json names the plans; what else is in it stays."""
    pytest.importorskip("plotly")
    assert edgesim("report", "out").code == 0
    Path("out", MANIFEST).unlink()
    strangers = ["out/plans/0/mine.json", "out/plans/9/dp.json", "out/plans/x.json"]
    for stranger in strangers:
        Path(stranger).parent.mkdir(exist_ok=True)
        Path(stranger).write_text("{}")
    assert set(earlier_run(Path("out"))) >= _names() - {s[4:] for s in strangers}
    assert "warning" not in _run("dp")
    assert "out/report.html" not in _names()
    assert "plans/0/greedy.json" not in _names()
    assert all(Path(stranger).is_file() for stranger in strangers)


@pytest.mark.parametrize("content", ["{}", '{"schema": "edgesim.run/1"}', "no JSON"])
def test_a_run_that_does_not_tell_its_layout_is_left_alone(content: str) -> None:
    """Nothing shows that its files are a run's, so nothing is written."""
    Path("out", MANIFEST).unlink()
    Path("out/run.json").write_text(content)
    before = _names()
    finished = edgesim("run", "small.toml", "--out", "out")
    assert finished.code == 2
    assert "but no earlier result; choose another folder" in finished.err
    assert _names() == before


def test_a_page_is_the_runs_too() -> None:
    """The next run removes it; a page that somebody wrote is kept."""
    pytest.importorskip("plotly")
    assert edgesim("report", "out").code == 0
    assert "report.html" in _manifest()["files"]
    _run("dp")
    assert "report.html" not in _names()
    Path("out/report.html").write_text("mine")
    said = edgesim("report", "out").err
    assert "report.html is now report.html.kept" in said
    assert Path("out/report.html.kept").read_text() == "mine"


def test_an_online_run_replaces_plans() -> None:
    """Both are runs; what the one wrote and the other does not is gone."""
    finished = edgesim("run", "online-campus", "--policy", "fcfs", "--out", "out")
    assert finished.code == 0, finished.err
    assert set(_manifest()["files"]) == _names() - {MANIFEST}
    assert "series.csv" in _names()
    assert not Path("out/plans").exists()
