"""Problems and schedules as JSON files."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from edgesim.storage import file_kinds
from edgesim.storage.files import (
    check_file,
    dump_json,
    read_json,
    write_json,
    write_whole,
)
from edgesim.storage.manifest import Kind, json_schema_name
from solvers import Problem, Schedule
from solvers.registry import NO_SHARING

INSTANCE = "edgesim.instance/1"
SCHEDULE = "edgesim.schedule/1"


def read_instance(path: Path) -> Problem:
    """Read and check an instance file.

    Raises
    ------
    InputError
        Naming the file, the key, what was found and what is allowed.
    """
    return check_file(path, read_json(path), Problem, INSTANCE)


def read_schedule(path: Path) -> Schedule:
    """Read and check a schedule file (its form; ``verify`` judges its content).

    Raises
    ------
    InputError
        Naming the file, the key, what was found and what is allowed.
    """
    return check_file(path, read_json(path), Schedule, SCHEDULE)


def write_instance(path: Path, problem: Problem) -> None:
    """Write a problem as an instance file, whole or not at all."""
    write_json(path, {"schema": INSTANCE, **problem.model_dump(exclude_none=True)})


def write_schedule(path: Path, schedule: Schedule) -> None:
    """Write a schedule file, whole or not at all; times are not rounded."""
    with write_whole(path, replaces=file_kinds.SCHEDULE) as file:
        dump_schedule(file, schedule)


def dump_schedule(file: IO[str], schedule: Schedule) -> None:
    """Write the content of a schedule file."""
    document = schedule.model_dump(exclude_none=True)
    if schedule.sharing and not schedule.solver.endswith(NO_SHARING):
        del document["sharing"]
    dump_json({"schema": SCHEDULE, **document}, file)


def schedules_in(folder: Path) -> tuple[str, ...]:
    """List the schedule files of a folder."""
    files = sorted(folder.glob("*.json"))
    return tuple(file.name for file in files if json_schema_name(file) == SCHEDULE)


SCHEDULES_FOLDER = Kind("solve", schedules_in, replaces=False)
