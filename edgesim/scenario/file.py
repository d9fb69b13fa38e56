"""Scenario files: find, read, check, and change them by key path."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from edgesim.errors import in_file
from edgesim.scenario.changes import change
from edgesim.scenario.scenario import SCENARIO, Scenario, of_file, scenario_of
from edgesim.shipped import locate
from edgesim.storage.files import read_toml, without_schema


def locate_scenario(path_or_name: str) -> Path:
    """Find a scenario: a file, or the name of a shipped one.

    Raises
    ------
    InputError
        If there is neither.
    """
    return locate("scenario", path_or_name)


def is_online(path: Path) -> bool:
    """Whether a scenario file has an ``[online]`` section; nothing else is checked.

    Raises
    ------
    InputError
        If it is not a TOML file.
    """
    return "online" in read_toml(path)


def read_scenario(
    path: Path,
    overrides: Mapping[str, Any] | None = None,
    own: Collection[str] = (),
) -> Scenario:
    """Read and check a scenario file.

    Parameters
    ----------
    path
        A TOML file.
    overrides
        Values that replace the file's, by key path (``"cell.bandwidth_hz"``,
        ``"library.clusters[0].variants"``). ``gpu.load_from`` and
        ``gpu.load_rate_bytes_per_s`` replace each other, too.
    own
        Names of solvers and policies that are passed as objects.

    Raises
    ------
    InputError
        Naming the file, the key, what was found and what is allowed.
    """
    content = read_toml(path)
    with in_file(path):
        change(content, overrides or {})
    body = without_schema(path, content, SCENARIO)
    return of_file(scenario_of(str(path), body, path, own), overrides or {})
