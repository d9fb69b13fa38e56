"""``edgesim schema``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def schema(
    name: Annotated[
        str, typer.Argument(help="instance, schedule, profile, scenario or figure.")
    ],
) -> None:
    """Print the JSON Schema of a file format."""
    from edgesim.files import dump_json
    from edgesim.formats import json_schema

    dump_json(json_schema(name), sys.stdout)
