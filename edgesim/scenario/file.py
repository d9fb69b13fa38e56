"""Scenario files: found, read, checked, and changed by key path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgesim.errors import InputError
from edgesim.files import check_file, is_file, read_toml
from edgesim.scenario.scenario import SCENARIO, Scenario
from edgesim.shipped import data_file, locate


def locate_scenario(path_or_name: str) -> Path:
    """Find a scenario: a file, or the name of one that edgesim ships.

    Raises
    ------
    InputError
        When there is neither.
    """
    return locate("scenario", "traces", path_or_name)


def is_online(path: Path) -> bool:
    """Whether a scenario file has an ``[online]`` section, whatever else it holds.

    Raises
    ------
    InputError
        When it is no TOML file.
    """
    return "online" in read_toml(path)


def locate_trace(path: Path) -> Path:
    """Find a trace: a file, or one that edgesim ships by its file name.

    Returns
    -------
    Path
        The path as it was given where there is neither, for its reader to refuse.
    """
    shipped = None if is_file(path) else data_file("traces", str(path))
    return path if shipped is None else shipped


def read_scenario(path: Path, overrides: Mapping[str, Any] | None = None) -> Scenario:
    """Read and check a scenario file.

    Parameters
    ----------
    path
        A TOML file.
    overrides
        Values that replace the file's, by key path (``"cell.bandwidth_hz"``,
        ``"library.clusters.0.variants"``).

    Raises
    ------
    InputError
        Naming the file, the key, what was found and what is allowed.
    """
    content = read_toml(path)
    for key, value in (overrides or {}).items():
        _override(path, content, key, value)
    return check_file(path, content, Scenario, SCENARIO)


def _override(path: Path, content: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    place: Any = content
    for part in parents:
        if isinstance(place, list) and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
        elif isinstance(place, dict):
            place = place.setdefault(part, {})
        else:
            break
    if not isinstance(place, dict):
        raise InputError(f"{path}: {key}", "no such key to replace")
    place[last] = value


def beside(file: Path, name: str, folder: str) -> Path:
    """Find a file that another file names: beside it, or among those shipped.

    Parameters
    ----------
    file
        The file that names it.
    name
        A path relative to that file's folder, or a file name in ``folder``.
    folder
        ``"traces"`` or ``"profiles"``.
    """
    path = file.parent / name
    if not is_file(path):
        shipped = data_file(folder, name)
        if shipped is not None:
            return shipped
    return path
