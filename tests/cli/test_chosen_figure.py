"""``edgesim figure FILE`` with options: what they replace, and what they must not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgesim.cli.chosen_figure import chosen_figure
from edgesim.cli.scenario_options import OPTIONS
from edgesim.errors import InputError
from edgesim.experiment.figure import Figure
from edgesim.experiment.sweep import settings_of
from edgesim.scenario import read_scenario
from tests.examples import FIGURE, SCENARIO, TRACE

PANELS = """
[set]
"run.repeats" = 2
gpu = { memory_bytes = 2e9, load_rate_bytes_per_s = 1e9 }
"gpu.memory_bytes" = 4e9

[[panel]]
title = "all"
set = { "run.solvers" = ["dp", "ilp"], "run.uplink" = "upfront" }

[[panel]]
title = "few"
set = { gpu = { memory_bytes = 8e9, load_rate_bytes_per_s = 2e9 } }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a figure of two panels, its scenario and its trace."""
    (tmp_path / "small.csv").write_text(TRACE)
    (tmp_path / "small.toml").write_text(SCENARIO)
    path = tmp_path / "sweep.toml"
    axis = "measure = 'bytes_loaded'\ny_label = 'MB'\ny_unit = 1e6\ny_limits = [0, 9]\n"
    path.write_text(FIGURE + axis + PANELS)
    return path


def _chosen(file: Path, plot: Mapping[str, Any] | None = None, **words: Any) -> Figure:
    """Return the figure that a command line asks for."""
    settings = words.pop("settings", ())
    options = dict.fromkeys(OPTIONS.values())
    return chosen_figure(
        str(file),
        vary=(),
        chosen={**options, **{f"--{key}": value for key, value in words.items()}},
        plot=plot or {},
        log=None,
        settings=settings,
        out=None,
    ).figure


def test_solvers_that_are_typed_run_in_every_panel(file: Path) -> None:
    """Also in a panel with solvers of its own; what else it sets stays."""
    figure = _chosen(file, solver="greedy", repeats=1)
    settings = list(settings_of(file, figure, file.parent / "small.toml"))
    assert len(settings) == 4
    for setting in settings:
        assert setting.overrides["run.solvers"] == ["greedy"]
        assert setting.overrides["run.repeats"] == 1
    assert settings[0].overrides["run.uplink"] == "upfront"


def test_what_panels_differ_in_is_not_set(file: Path) -> None:
    """All of them would be the same, or one would not be what was typed."""
    for setting in ('run.uplink="static"', "gpu.memory_bytes=1e9"):
        key = setting.partition("=")[0]
        with pytest.raises(InputError, match=f"sets {key}, which '(all|few)' sets"):
            _chosen(file, settings=(setting,))


def test_another_measure_has_an_axis_of_its_own(file: Path) -> None:
    """No label, unit or limits of the file's, unless it is the file's measure."""
    plot = _chosen(file, {"measure": "load_s", "compare": None}).plot
    assert (plot.measure, plot.x_label) == ("load_s", "bandwidth (MHz)")
    assert (plot.y_label, plot.y_unit, plot.y_limits) == (None, None, None)
    assert _chosen(file, {"compare": "best"}).plot.y_label is None
    same = _chosen(file, {"measure": "bytes_loaded", "compare": None}).plot
    assert (same.y_label, same.y_unit) == ("MB", 1e6)


def test_a_table_of_a_panel_replaces_a_key_of_the_figure(file: Path) -> None:
    """What a panel sets applies there, whatever part of it the figure sets."""
    scenario_file = file.parent / "small.toml"
    memory = {
        setting.place["panel"]: read_scenario(
            scenario_file, setting.overrides
        ).gpu.memory_bytes
        for setting in settings_of(file, _chosen(file), scenario_file)
    }
    assert memory == {"all": 4e9, "few": 8e9}


def test_options_of_run_hold_in_figures_too(file: Path) -> None:
    """By the same words, and in every panel unless panels differ in them."""
    options = {"seed": 7, "iterations": 9, "deadline": "0.4"}
    figure = _chosen(file, **options)
    assert figure.set["run.seed"] == 7
    assert figure.set["run.iterations"] == 9
    assert figure.set["workload.deadline_s"] == 0.4
    with pytest.raises(InputError, match=r"--uplink: sets run\.uplink, which 'all' s"):
        _chosen(file, uplink="static")
