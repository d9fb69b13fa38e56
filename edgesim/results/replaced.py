"""Say what a result replaces."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from edgesim.errors import InputError
from edgesim.files import read_json
from edgesim.text import counted


def replaced_text(files: Iterable[Path]) -> str:
    """Say which of some files are there and will be replaced; empty if none is.

    Parameters
    ----------
    files
        What is to be written.
    """
    there = [file for file in files if file.is_file()]
    if not there:
        return ""
    names = ", ".join(file.name for file in there)
    return f"replaced {names} in {there[0].parent}, of {_date(there)}"


def replaced_run(folder: Path) -> str:
    """Say which run's folder will be replaced; empty if there is none.

    Parameters
    ----------
    folder
        The folder of the run that is to be written.
    """
    file = folder / "summary.json"
    if not file.is_file():
        return ""
    date = _date([file])
    try:
        found = read_json(file)
        names = found.get("solvers", found.get("policies", {}))
        what = f"{', '.join(names)} on {found['scenario']}"
        repeats = counted(int(found["repeats"]), "repeat")
    except (InputError, AttributeError, KeyError, TypeError, ValueError):
        return f"replaced the results of {date}"  # of another version, or damaged
    return f"replaced the results of {date}: {what}, {repeats}"


def _date(files: Iterable[Path]) -> str:
    newest_s = max(file.stat().st_mtime for file in files)
    return datetime.fromtimestamp(newest_s).strftime("%Y-%m-%d %H:%M:%S")
