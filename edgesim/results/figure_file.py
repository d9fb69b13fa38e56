"""Write a figure file, so that a figure that was typed can be computed again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import tomli_w

from edgesim.experiment.figure import FIGURE, Figure
from edgesim.files import write_whole
from edgesim.shipped import shipped_file


def write_figure(file: Path, figure: Figure, scenario_file: Path) -> None:
    """Write a figure file.

    Parameters
    ----------
    file
        The file; the scenario is named relative to it, unless it is a shipped one.
    figure, scenario_file
        The figure, and its scenario.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    content: dict[str, Any] = {"schema": FIGURE}
    content |= figure.model_dump(mode="json", exclude_unset=True)
    content["scenario"] = _named_from(file, figure.scenario, scenario_file)
    with write_whole(file, "wb") as target:
        tomli_w.dump(_without_none(content), target)


def _named_from(file: Path, name: str, scenario_file: Path) -> str:
    """Name a scenario as the file has to."""
    if shipped_file("scenario", name) == scenario_file:
        return name
    folder = file.absolute().parent
    try:
        return Path(os.path.relpath(scenario_file, folder)).as_posix()
    except ValueError:  # on another drive
        return scenario_file.absolute().as_posix()


def _without_none(value: Any) -> Any:
    """Leave out what TOML has no word for."""
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_none(one) for one in value]
    return value
