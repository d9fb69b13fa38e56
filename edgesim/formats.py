"""The JSON files edgesim reads and writes, and their JSON Schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from edgesim.errors import InputError, from_validation, short
from edgesim.files import read_json, write_json
from solvers import Problem, Schedule
from solvers.problem import Value

INSTANCE = "edgesim.instance/1"
SCHEDULE = "edgesim.schedule/1"


Checked = TypeVar("Checked", bound=Value)


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


def check_file(
    path: str | Path, content: Any, kind: type[Checked], schema: str
) -> Checked:
    """Turn a file's content into a value, the schema's name checked first.

    Parameters
    ----------
    path
        The file, for messages.
    content
        What the parser returned.
    kind
        The value's class.
    schema
        The one schema name that is read.

    Raises
    ------
    InputError
        Naming the file, the key, what was found and what is allowed.
    """
    if not isinstance(content, dict):
        raise InputError(path, f"must hold one object, found {short(content)}")
    if "schema" not in content:
        raise InputError(f"{path}: schema", f"required key is missing ({schema!r})")
    if content["schema"] != schema:
        raise InputError(
            f"{path}: schema", f"must be {schema!r}, found {short(content['schema'])}"
        )
    try:
        return kind.model_validate({k: v for k, v in content.items() if k != "schema"})
    except ValidationError as error:
        raise from_validation(path, error) from None


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
    from edgesim.profile import Profile
    from edgesim.scenario import SCENARIO, Scenario
    from edgesim.sweep import FIGURE, Figure

    kinds: dict[str, tuple[type[Value], str]] = {
        "instance": (Problem, INSTANCE),
        "schedule": (Schedule, SCHEDULE),
        "profile": (Profile, "edgesim.profile/1"),
        "scenario": (Scenario, SCENARIO),
        "figure": (Figure, FIGURE),
    }
    kind, version = kinds[name]
    schema = kind.model_json_schema(by_alias=True)
    schema["properties"] = {"schema": {"const": version}} | schema["properties"]
    schema["required"] = ["schema", *(k for k in schema["required"] if k != "schema")]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


SCHEMAS = ("instance", "schedule", "profile", "scenario", "figure")
