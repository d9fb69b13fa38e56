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
    own_code: OwnCode = False,
    traceback: Traceback = False,
) -> None:
    """Sweep one parameter; write NAME.csv and NAME.png beside NAME.toml.

    Those of a shipped figure go into the current folder.
    """
    del traceback
    from edgesim.cli.progress import progress
    from edgesim.results.figure import run_figure

    with progress(Path(file).stem) as advance:
        data, picture = run_figure(file, jobs=jobs, own_code=own_code, done=advance)
    typer.echo(f"{data}\n{picture}")
