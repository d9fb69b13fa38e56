"""What a result replaces is said: its date, and of a run what it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.command import edgesim
from tests.examples import FIGURE, SCENARIO, TRACE


@pytest.fixture(autouse=True)
def _small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.csv").write_text(TRACE)
    Path("small.toml").write_text(SCENARIO)
    Path("fig.toml").write_text(FIGURE)


def _dated(file: str) -> None:
    os.utime(file, (1e9, 1e9))


def test_a_run_says_which_results_it_replaces() -> None:
    """Nothing the first time; then the solvers, the scenario and the repeats."""
    assert edgesim("run", "small.toml", "--solver", "greedy").err == ""
    _dated("results/small/summary.json")
    said = edgesim("run", "small.toml", "--repeats", 1).err
    assert said.startswith("replaced the results of 2001-09-")
    assert said.endswith(": greedy on small, 2 repeats\n")
    assert edgesim("run", "small.toml").err.endswith(
        ": dp, dp-noshare on small, 1 repeat\n"
    )


@pytest.mark.parametrize("content", ['{"schema": "edgesim.summary/1"}', '["x"]'])
def test_results_of_another_version_are_dated(content: str) -> None:
    """What a summary does not tell is left out, and stops nothing."""
    from edgesim.results.replaced import replaced_run

    Path("summary.json").write_text(content)
    _dated("summary.json")
    assert replaced_run(Path()).startswith("replaced the results of 2001-09-")
    assert ":" not in replaced_run(Path()).partition("2001")[2][12:][9:]


def test_a_figure_says_which_files_it_replaces() -> None:
    """Nothing the first time; then their names, where they are, and their date."""
    assert edgesim("figure", "fig.toml", "--jobs", 1).err == ""
    for kind in ("", ".times", ".shown"):
        _dated(f"fig{kind}.csv")
    said = edgesim("figure", "fig.toml", "--jobs", 1).err
    assert said.startswith(
        "replaced fig.csv, fig.times.csv, fig.shown.csv in ., of 2001"
    )
