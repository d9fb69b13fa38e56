"""Find and say what a result replaces."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from edgesim.errors import InputError
from edgesim.plugins import file_name
from edgesim.results import online_summary, plan_summary
from edgesim.results.provenance import RUN
from edgesim.storage.files import read_json
from edgesim.storage.manifest import Kind, json_schema_name
from edgesim.text import counted

PAGE = "report.html"
"""What ``edgesim report`` adds to a run's folder; the next run there replaces it."""


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


def earlier_run(folder: Path) -> tuple[str, ...]:
    """List the files of a run in a folder, as far as its ``run.json`` tells them.

    For folders of versions that wrote no manifest.

    Parameters
    ----------
    folder
        The folder. If it holds no ``run.json`` of edgesim's, nothing is a run's.
    """
    if json_schema_name(folder / "run.json") != RUN:
        return ()
    try:
        run = read_json(folder / "run.json")
        plans = run["scenario"].get("online") is None
        repeats = int(run["scenario"]["run"]["repeats"])
        names = {file_name(name) for name in run["runtime_s"]}
    except (InputError, AttributeError, KeyError, TypeError, ValueError):
        return ()
    if plans:
        outputs, names = plan_summary.OUTPUTS, {"instance", *names}
        parts = [(p, p.parent.name, p.stem) for p in folder.glob("plans/*/*.json")]
    else:
        outputs = online_summary.OUTPUTS
        parts = [
            (p, *p.stem.partition("-")[::2]) for p in folder.glob("perfetto/*.json")
        ]
    return (
        *(name for name in outputs if "*" not in name),
        *(
            place.relative_to(folder).as_posix()
            for place, repeat, name in parts
            if name in names and _is_number_below(repeat, repeats)
        ),
        PAGE,
    )


RUN_FOLDER = Kind("run", earlier_run)


def _is_number_below(text: str, limit: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20 and int(text) < limit


def _date(files: Iterable[Path]) -> str:
    newest_s = max(file.stat().st_mtime for file in files)
    return datetime.fromtimestamp(newest_s).strftime("%Y-%m-%d %H:%M:%S")
