"""Write a figure file, so that a figure that was typed can be computed again."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from edgesim.errors import InputError
from edgesim.experiment.figure import FIGURE, Figure, read_figure
from edgesim.shipped import shipped_file
from edgesim.storage.files import is_file, read_text, read_toml, write_whole

HEAD = "# Written by edgesim figure, which replaces it: the figure beside this file.\n"


def check_figure_file(file: Path, figure: Figure, source: Path) -> bool:
    """Refuse to replace a figure file that somebody wrote.

    Parameters
    ----------
    file
        Where the figure is to be kept beside its data.
    figure, source
        The figure, and the file that it is from.

    Returns
    -------
    bool
        Whether that file holds this figure already, in words of its own.

    Raises
    ------
    InputError
        If it holds another figure, and was not written by :func:`write_figure`.
    """
    if not is_file(file):
        return False
    its_own = is_file(source) and file.samefile(source)
    if not its_own and read_text(file).startswith(HEAD):
        return False
    if read_figure(file) == figure:
        return True
    raise InputError(
        file,
        "is another figure, whose data would be replaced; choose another folder",
    )


def write_figure(
    file: Path, figure: Figure, scenario_file: Path, head: str = ""
) -> None:
    """Write a figure file.

    Parameters
    ----------
    file
        The file; the scenario is named relative to it, unless it is a shipped one.
    figure, scenario_file
        The figure, and its scenario.
    head
        The first line.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    text = _text(file, figure, scenario_file)
    with write_whole(file) as target:
        target.write(head + text)


def keep_figure(file: Path, figure: Figure, scenario_file: Path) -> None:
    """Write a figure file, unless it says the same already, in words of its own.

    Raises
    ------
    InputError
        If another figure stands there, or it cannot be written.
    """
    if not is_file(file):
        write_figure(file, figure, scenario_file)
    elif read_toml(file) != tomllib.loads(_text(file, figure, scenario_file)):
        raise InputError(
            file, "is another figure, which is not replaced; choose another name"
        )


def _text(file: Path, figure: Figure, scenario_file: Path) -> str:
    content: dict[str, Any] = {"schema": FIGURE}
    content |= figure.model_dump(mode="json", exclude_unset=True)
    content["scenario"] = _named_from(file, figure.scenario, scenario_file)
    return tomli_w.dumps(_without_none(content))


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
