"""JSON Schemas of the files that edgesim reads and writes."""

from __future__ import annotations

from typing import Any

from edgesim.errors import InputError, Parameter
from edgesim.instances import INSTANCE, SCHEDULE
from solvers import Problem, Schedule
from solvers.problem import Value
from solvers.spelling import did_you_mean


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
        raise InputError(
            Parameter("name"),
            f"must be one of {', '.join(SCHEMAS)}, found {name!r}"
            f"{did_you_mean(name, SCHEMAS)}",
        )
    # Imported on demand: a scenario's parts import the whole radio model.
    from edgesim.campaign.spec import CAMPAIGN, Campaign
    from edgesim.checkpoints.answer import SHARING, SharingAnswer
    from edgesim.experiment.figure import FIGURE, Figure
    from edgesim.profile.values import SCHEMA as PROFILE
    from edgesim.profile.values import Profile
    from edgesim.scenario.scenario import SCENARIO, Scenario

    kinds: dict[str, tuple[type[Value], str]] = {
        "instance": (Problem, INSTANCE),
        "schedule": (Schedule, SCHEDULE),
        "profile": (Profile, PROFILE),
        "scenario": (Scenario, SCENARIO),
        "figure": (Figure, FIGURE),
        "campaign": (Campaign, CAMPAIGN),
        "sharing": (SharingAnswer, SHARING),
    }
    kind, version = kinds[name]
    schema = kind.model_json_schema(by_alias=True)
    schema["properties"] = {"schema": {"const": version}} | schema["properties"]
    schema["required"] = ["schema", *(k for k in schema["required"] if k != "schema")]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


SCHEMAS = (
    *("instance", "schedule", "profile", "scenario", "figure", "campaign", "sharing"),
)
