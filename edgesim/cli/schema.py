"""``edgesim schema``."""

from __future__ import annotations

import json
from typing import Annotated

import typer


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

    typer.echo(json.dumps(json_schema(name), indent=1, ensure_ascii=False))
