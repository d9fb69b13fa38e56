"""``edgesim report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgesim.cli.output import say


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder of a run, or a figure's NAME.toml or folder.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The page [DIR/report.html; of a figure NAME.html]."
        ),
    ] = None,
) -> None:
    """Write one HTML page of a run or figure, which opens offline.

    Key numbers, a timeline to zoom into, pictures, and tables to sort.
    """
    from edgesim.cli.needs import need_plotly

    need_plotly("edgesim report")
    from edgesim.report.file import write_report

    say(write_report(folder, out))
