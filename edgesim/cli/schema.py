"""``edgesim schema``."""

from __future__ import annotations

from typing import Annotated

import typer

from edgesim.cli.output import say_json


def schema(
    name: Annotated[
        str,
        typer.Argument(
            help="instance, schedule, profile, scenario, figure, campaign or sharing."
        ),
    ],
) -> None:
    """Print the JSON Schema of a file format."""
    from edgesim.schemas import json_schema

    say_json(json_schema(name))
