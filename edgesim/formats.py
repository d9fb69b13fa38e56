"""The JSON files edgesim reads and writes, and their JSON Schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgesim.errors import InputError
from edgesim.files import check_file, read_json, write_json
from solvers import Problem, Schedule
from solvers.problem import Value

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
    write_json(path, {"schema": SCHEDULE, **schedule.model_dump(exclude_none=True)})


def json_schema(name: str) -> dict[str, Any]:
    """Build the JSON Schema of a file format.

    Parameters
    ----------
    name
        One of ``SCHEMAS``.

    Raises
    ------
    InputError
        For an unknown name, listing the known ones.
    """
    if name not in SCHEMAS:
        raise InputError("NAME", f"must be one of {', '.join(SCHEMAS)}, found {name!r}")
    # Imported when asked for: a scenario's parts pull in the whole radio model.
    from edgesim.campaign.spec import CAMPAIGN, Campaign
    from edgesim.profile.values import SCHEMA as PROFILE
    from edgesim.profile.values import Profile
    from edgesim.scenario import SCENARIO, Scenario
    from edgesim.sweep import FIGURE, Figure

    kinds: dict[str, tuple[type[Value], str]] = {
        "instance": (Problem, INSTANCE),
        "schedule": (Schedule, SCHEDULE),
        "profile": (Profile, PROFILE),
        "scenario": (Scenario, SCENARIO),
        "figure": (Figure, FIGURE),
        "campaign": (Campaign, CAMPAIGN),
    }
    kind, version = kinds[name]
    schema = kind.model_json_schema(by_alias=True)
    schema["properties"] = {"schema": {"const": version}} | schema["properties"]
    schema["required"] = ["schema", *(k for k in schema["required"] if k != "schema")]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


SCHEMAS = ("instance", "schedule", "profile", "scenario", "figure", "campaign")
