"""``edgesim figure``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgesim.cli.own_code import OwnCode, Traceback


def figure(
    file: Annotated[
        str, typer.Argument(help="A figure file (TOML), or a shipped one's name.")
    ],
    jobs: Annotated[int, typer.Option(help="Processes to use.")] = 1,
    formats: Annotated[
        str, typer.Option("--format", help="Formats of the picture: png,pdf,svg.")
    ] = "png",
    own_code: OwnCode = False,
    traceback: Traceback = False,
) -> None:
    """Sweep one parameter; write NAME.csv and NAME.png beside NAME.toml.

    Those of a shipped figure go into the current folder.
    """
    del traceback
    from edgesim.cli.options import picture_formats
    from edgesim.cli.progress import progress
    from edgesim.results.figure import run_figure

    wanted = picture_formats("--format", formats)
    with progress(Path(file).stem) as advance:
        written = run_figure(
            file, jobs=jobs, own_code=own_code, formats=wanted, done=advance
        )
    for path in written:
        typer.echo(path)
